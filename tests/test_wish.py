"""What is asked for is checked when it is made, and stays as it was."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from charlstm.errors import RecipeError, RunError, SettingError
from charlstm.machine import Machine
from charlstm.recipes.named import auto
from charlstm.recipes.wish import Wish
from charlstm.sessions.start import Keeping
from charlstm.text.corpus import TextOptions


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"batch": 0}, "batch"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"cell": "mlp"}, "cell"),
        ({"newline": "tab"}, "newline"),
    ],
)
def test_a_wish_out_of_range_is_refused_before_there_is_a_text(
    settings: dict[str, Any], setting: str
) -> None:
    with pytest.raises(SettingError) as caught:
        Wish(settings=settings)
    assert caught.value.setting == setting
    with pytest.raises(SettingError):
        Wish().changed(**settings)


def test_a_wish_for_what_there_is_not_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"^recipe must be one of auto, d2l, time-machine, not 'best'\.$"
    ):
        Wish("best")
    with pytest.raises(RecipeError, match=r"^There is no setting called colour, taste\.$"):
        Wish(settings={"taste": 1, "colour": 2})
    with pytest.raises(TypeError, match=r"^There is no setting called windw: did you mean window"):
        Wish().changed(windw=2)
    with pytest.raises(RecipeError, match=r"^weight_decay goes with optimizer='adamw'; sgd "):
        Wish(settings={"optimizer": "sgd", "weight_decay": 0.1})


def test_a_wish_cannot_be_changed_after_it_was_checked() -> None:
    settings: dict[str, Any] = {"batch": 4}
    wish = Wish(settings=settings)
    settings["batch"] = 0
    assert wish.settings == {"batch": 4}
    with pytest.raises(dataclasses.FrozenInstanceError):
        wish.recipe = "d2l"  # type: ignore[misc]
    with pytest.raises(TypeError):
        wish.settings["batch"] = 0  # type: ignore[index]


def test_a_changed_wish_is_another_one_and_nothing_takes_a_setting_back() -> None:
    wish = Wish("d2l", {"batch": 4, "seed": None}, "old")
    assert wish.settings == {"batch": 4}
    changed = wish.changed(batch=None, window=8)
    assert (changed.recipe, changed.start_from) == ("d2l", "old")
    assert changed.settings == {"window": 8}
    assert wish.settings == {"batch": 4}


def test_a_wish_says_how_the_text_is_normalised() -> None:
    assert Wish().text == TextOptions()
    assert Wish("d2l").text == TextOptions(newline="space", limit=10_000, songs="off")
    assert Wish("d2l", {"newline": "keep", "batch": 4}).text == TextOptions(
        limit=10_000, songs="off"
    )


def test_weights_that_have_learned_already_learn_at_a_lower_rate_unless_one_is_wished_for() -> None:
    recipe = auto(5_000, 60)
    assert Wish(settings={"batch": 4}).fulfilled(5_000, 60) == recipe.override(batch=4)
    slower = recipe.learning_rate * 0.3
    assert Wish(start_from="old").fulfilled(5_000, 60).learning_rate == slower
    wish = Wish(settings={"learning_rate": 0.01}, start_from="old")
    assert wish.fulfilled(5_000, 60).learning_rate == 0.01


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"backend": "cuda"}, "backend must be one of auto, scratch, torch, not 'cuda'."),
        ({"device": "gpu"}, "device must be one of auto, cpu, cuda, mps, not 'gpu'."),
        ({"threads": 0}, "threads must be a whole number from 1 up, not 0."),
        ({"threads": 1.5}, "threads must be a whole number from 1 up, not 1.5."),
    ],
)
def test_a_machine_that_there_is_not_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        Machine(**wrong)
    assert str(caught.value) == message


def test_a_machine_cannot_be_changed_after_it_was_checked() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Machine().threads = 0  # type: ignore[misc]


def test_a_run_cannot_be_kept_under_a_name_that_leaves_its_root(tmp_path: Path) -> None:
    with pytest.raises(RunError):
        Keeping(name="../song", root=tmp_path)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Keeping(root=tmp_path).name = "../song"  # type: ignore[misc]
