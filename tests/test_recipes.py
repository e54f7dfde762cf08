import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from charlstm.errors import RecipeError
from charlstm.recipes.architecture import CELLS, Architecture
from charlstm.recipes.named import (
    auto,
    d2l,
    explain,
    named,
    time_machine,
)
from charlstm.recipes.recipe import (
    PRECISIONS,
    Recipe,
    recipe_from_json,
    recipe_to_json,
    training_bytes,
)
from charlstm.text.corpus import TextOptions

PLAIN = Recipe(name="plain")

# As an error names a text that is long.
LONG = "'nnnnnnnnnnnn...nnnnnnnnnnnnn'"

ARCHITECTURES = st.builds(
    Architecture,
    cell=st.sampled_from(CELLS),
    hidden=st.integers(1, 65_536),
    layers=st.integers(1, 64),
    embedding=st.integers(0, 65_536),
)
RECIPES = st.builds(
    Recipe,
    name=st.text(max_size=100).filter(str.isprintable),
    architecture=ARCHITECTURES,
    initialization=st.sampled_from(["orthogonal", "d2l", "torch"]),
    optimizer=st.just("adamw"),
    learning_rate=st.floats(0, exclude_min=True, allow_infinity=False),
    schedule=st.sampled_from(["constant", "cosine"]),
    weight_decay=st.floats(0, 1),
    clip=st.floats(0, 1e9),
    dropout=st.floats(0, 0.95),
    batch=st.integers(1, 65_536),
    window=st.integers(1, 65_536),
    sampling=st.sampled_from(["consecutive", "songs", "random"]),
    layout=st.sampled_from(["even", "whole", "offset"]),
    epochs=st.integers(1, 2**53),
    steps=st.none() | st.integers(1, 2**53),
    patience=st.none() | st.integers(1, 2**53),
    validation=st.floats(0, 0.5),
    min_count=st.integers(1, 2**53),
    precision=st.sampled_from(PRECISIONS),
    seed=st.integers(0, 2**63 - 1),
    text=st.builds(
        TextOptions,
        normalize=st.booleans(),
        newline=st.sampled_from(["keep", "space"]),
        limit=st.none() | st.integers(1),
        tidy=st.booleans(),
        letters_only=st.just(False),
        line_ends=st.sampled_from(["unicode", "plain"]),
    ),
)


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    return {f"recurrent.{name}": tuple(weight.shape) for name, weight in module.named_parameters()}


# The architecture.


@pytest.mark.parametrize(("cell", "kind"), [("lstm", nn.LSTM), ("gru", nn.GRU), ("rnn", nn.RNN)])
@pytest.mark.parametrize(("embedding", "width"), [(0, 7), (3, 3)])
def test_weights_have_the_names_the_shapes_and_the_order_of_the_library_s(
    cell: str, kind: Callable[..., nn.Module], embedding: int, width: int
) -> None:
    architecture = Architecture(cell=cell, hidden=5, layers=2, embedding=embedding)
    expected = shapes_of(kind(width, 5, num_layers=2))
    if embedding:
        expected = {"embedding.weight": (7, 3), **expected}
    expected.update({"head.weight": (7, 5), "head.bias": (7,)})
    found = architecture.parameter_shapes(7)
    assert list(found.items()) == list(expected.items())
    assert architecture.parameter_count(7) == sum(map(math.prod, expected.values()))


def test_the_weights_of_a_peephole_cell_are_those_of_an_lstm_and_its_peepholes() -> None:
    lstm = Architecture(cell="lstm", hidden=5, layers=2).parameter_shapes(7)
    peephole = Architecture(cell="peephole", hidden=5, layers=2).parameter_shapes(7)
    assert peephole == lstm | {
        "recurrent.weight_peephole_l0": (3, 5),
        "recurrent.weight_peephole_l1": (3, 5),
    }


def test_a_coupled_cell_has_no_input_gate_of_its_own() -> None:
    assert Architecture(cell="coupled", hidden=5, embedding=2).parameter_shapes(7) == {
        "embedding.weight": (7, 2),
        "recurrent.weight_ih_l0": (15, 2),
        "recurrent.weight_hh_l0": (15, 5),
        "recurrent.bias_ih_l0": (15,),
        "recurrent.bias_hh_l0": (15,),
        "head.weight": (7, 5),
        "head.bias": (7,),
    }


@pytest.mark.parametrize(
    ("cell", "blocks", "state"),
    [
        ("lstm", 4, ("h", "c")),
        ("peephole", 4, ("h", "c")),
        ("coupled", 3, ("h", "c")),
        ("gru", 3, ("h",)),
        ("rnn", 1, ("h",)),
    ],
)
def test_a_cell_has_so_many_blocks_and_this_state(
    cell: str, blocks: int, state: tuple[str, ...]
) -> None:
    architecture = Architecture(cell=cell)
    assert architecture.blocks == blocks
    assert architecture.state_names == state


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("cell", "mlp", "cell must be one of lstm, peephole, coupled, gru, rnn, not 'mlp'."),
        ("cell", None, "cell must be one of lstm, peephole, coupled, gru, rnn, not None."),
        ("hidden", 0, "hidden must be a whole number from 1 to 65,536, not 0."),
        ("hidden", 65_537, "hidden must be a whole number from 1 to 65,536, not 65537."),
        ("hidden", 8.0, "hidden must be a whole number from 1 to 65,536, not 8.0."),
        ("hidden", True, "hidden must be a whole number from 1 to 65,536, not True."),
        ("layers", 0, "layers must be a whole number from 1 to 64, not 0."),
        ("layers", 65, "layers must be a whole number from 1 to 64, not 65."),
        ("embedding", -1, "embedding must be a whole number from 0 to 65,536, not -1."),
        ("embedding", "64", "embedding must be a whole number from 0 to 65,536, not '64'."),
    ],
)
def test_an_architecture_that_cannot_be_is_refused(
    setting: str, value: object, message: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        Architecture(**{setting: value})  # type: ignore[arg-type]
    assert str(caught.value) == message


# The recipe.


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        (
            "initialization",
            "zero",
            "initialization must be one of orthogonal, d2l, torch, not 'zero'.",
        ),
        ("optimizer", "lion", "optimizer must be one of sgd, adam, adamw, not 'lion'."),
        ("learning_rate", 0, "learning_rate must be a number above 0, not 0."),
        ("learning_rate", -0.1, "learning_rate must be a number above 0, not -0.1."),
        ("learning_rate", math.nan, "learning_rate must be a number above 0, not nan."),
        ("learning_rate", math.inf, "learning_rate must be a number above 0, not inf."),
        ("learning_rate", "1", "learning_rate must be a number above 0, not '1'."),
        ("learning_rate", True, "learning_rate must be a number above 0, not True."),
        ("schedule", "linear", "schedule must be one of constant, cosine, not 'linear'."),
        ("weight_decay", -0.1, "weight_decay must be a number from 0 to 1, not -0.1."),
        ("weight_decay", 1.1, "weight_decay must be a number from 0 to 1, not 1.1."),
        ("clip", -1, "clip must be a number from 0 up, not -1."),
        ("clip", math.inf, "clip must be a number from 0 up, not inf."),
        ("dropout", 0.96, "dropout must be a number from 0 to 0.95, not 0.96."),
        ("dropout", -0.1, "dropout must be a number from 0 to 0.95, not -0.1."),
        ("batch", 0, "batch must be a whole number from 1 to 65,536, not 0."),
        ("window", 65_537, "window must be a whole number from 1 to 65,536, not 65537."),
        (
            "sampling",
            "shuffled",
            "sampling must be one of consecutive, songs, random, not 'shuffled'.",
        ),
        ("epochs", 0, "epochs must be a whole number from 1 up, not 0."),
        ("epochs", 1.5, "epochs must be a whole number from 1 up, not 1.5."),
        ("steps", 0, "steps must be a whole number from 1 up, not 0."),
        ("patience", -1, "patience must be a whole number from 0 up, not -1."),
        ("validation", 0.51, "validation must be a number from 0 to 0.5, not 0.51."),
        ("validation", -0.1, "validation must be a number from 0 to 0.5, not -0.1."),
        ("min_count", 0, "min_count must be a whole number from 1 up, not 0."),
        (
            "precision",
            "float16",
            "precision must be one of auto, float32, bfloat16, not 'float16'.",
        ),
        ("seed", -1, "seed must be a whole number from 0 to 9,223,372,036,854,775,807, not -1."),
        (
            "seed",
            2**63,
            "seed must be a whole number from 0 to 9,223,372,036,854,775,807, not "
            "9223372036854775808.",
        ),
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting: str, value: object, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Recipe(name="test", **{setting: value})  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_a_number_beyond_every_float_is_out_of_range_too() -> None:
    with pytest.raises(RecipeError, match=r"^learning_rate must be a number above 0, not 1000+"):
        Recipe(name="test", learning_rate=10**400)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("learning_rate", 5e-324),
        ("learning_rate", 100),
        ("clip", 0),
        ("dropout", 0),
        ("dropout", 0.95),
        ("batch", 1),
        ("batch", 65_536),
        ("window", 1),
        ("epochs", 1),
        ("steps", 1),
        ("patience", 1),
        ("validation", 0),
        ("validation", 0.5),
        ("min_count", 1),
        ("seed", 0),
        ("seed", 2**63 - 1),
        ("hidden", 1),
        ("hidden", 65_536),
        ("layers", 64),
        ("embedding", 0),
        ("limit", 1),
    ],
)
def test_the_ends_of_a_range_belong_to_it(setting: str, value: float) -> None:
    recipe = PLAIN.override(**{setting: value})
    found = [
        getattr(part, setting)
        for part in (recipe, recipe.architecture, recipe.text)
        if hasattr(part, setting)
    ]
    assert found == [value]


def test_weight_decay_without_the_optimiser_that_uses_it_is_refused() -> None:
    assert Recipe(name="test", optimizer="adamw", weight_decay=0.1).weight_decay == 0.1
    for optimizer in ("sgd", "adam"):
        with pytest.raises(RecipeError) as caught:
            Recipe(name="test", optimizer=optimizer, weight_decay=0.1)
        assert str(caught.value) == (
            f"weight_decay goes with optimizer='adamw'; {optimizer} does not use it."
        )


def test_a_recipe_cannot_be_changed_after_it_was_checked() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLAIN.batch = 0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLAIN.architecture.hidden = 0  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        PLAIN.text.limit = 0  # type: ignore[misc]


# Overriding.


def test_an_override_changes_what_was_said_and_nothing_else() -> None:
    changed = PLAIN.override(
        epochs=7, hidden=12, cell="gru", limit=500, normalize=False, batch=None, layers=None
    )
    assert changed == Recipe(
        name="plain",
        architecture=Architecture(cell="gru", hidden=12),
        epochs=7,
        text=TextOptions(normalize=False, limit=500),
    )
    assert recipe_to_json(PLAIN) == recipe_to_json(Recipe(name="plain"))


def test_nothing_said_changes_nothing() -> None:
    assert d2l().override() == d2l()
    assert d2l().override(hidden=None, limit=None, batch=None) == d2l()


def test_every_setting_of_every_part_can_be_overridden_by_its_own_name() -> None:
    parts = (PLAIN, PLAIN.architecture, PLAIN.text)
    settings = {
        entry.name: getattr(part, entry.name)
        for part in parts
        for entry in dataclasses.fields(part)
    }
    # No two parts have a field of one name, or one of them could not be reached.
    assert len(settings) == sum(len(dataclasses.fields(part)) for part in parts)
    del settings["architecture"], settings["text"]
    del settings["line_ends"], settings["layout"]  # of older runs or books, and nobody's choice
    assert Recipe(name="other", batch=1, seed=5).override(**settings) == PLAIN


def test_settings_that_need_each_other_can_be_overridden_together() -> None:
    changed = PLAIN.override(weight_decay=0.1, optimizer="adamw")
    assert (changed.weight_decay, changed.optimizer) == (0.1, "adamw")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"hiden": 1, "depth": 2},
            "There is no setting called depth, hiden: did you mean hidden?",
        ),
        ({"epoch": 60}, "There is no setting called epoch: did you mean epochs?"),
        ({"taste": 1}, "There is no setting called taste."),
        ({"hidden": 0}, "hidden must be a whole number from 1 to 65,536, not 0."),
        ({"epochs": 0}, "epochs must be a whole number from 1 up, not 0."),
        ({"newline": "tab"}, "newline must be 'keep' or 'space', not 'tab'."),
        ({"limit": 0}, "limit must be a whole number from 1 up, not 0."),
    ],
)
def test_an_override_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        PLAIN.override(**change)
    assert str(caught.value) == message


# The recipes that go by a name.


@pytest.mark.parametrize(("backend", "initialization"), [("scratch", "d2l"), ("torch", "torch")])
def test_d2l_is_the_lyrics_exercise_setting_for_setting(backend: str, initialization: str) -> None:
    assert named("d2l", 10_000, 60, backend=backend) == Recipe(
        name="d2l",
        architecture=Architecture(cell="lstm", hidden=256, layers=1, embedding=0),
        initialization=initialization,
        optimizer="sgd",
        learning_rate=100.0,
        schedule="constant",
        weight_decay=0.0,
        clip=0.01,
        dropout=0.0,
        batch=32,
        window=35,
        sampling="consecutive",
        layout="whole",
        epochs=160,
        steps=None,
        patience=None,
        validation=0.0,
        min_count=1,
        text=TextOptions(normalize=True, newline="space", limit=10_000, songs="off"),
    )


def test_auto_reads_a_small_text_more_often_with_a_smaller_model_that_is_held_back_more() -> None:
    small, large = named("auto", 99_999, 60), named("auto", 100_000, 60)
    assert small == auto(4_000, 60)
    assert small.name == large.name == "auto"
    assert small.architecture.hidden < large.architecture.hidden
    assert small.epochs > large.epochs
    assert small.dropout > large.dropout
    assert (small.sampling, large.sampling) == ("consecutive", "songs")
    # Both stop by themselves, which needs text to measure on.
    for recipe in (small, large):
        assert recipe.patience is not None
        assert recipe.patience < recipe.epochs
        assert recipe.validation > 0


def test_the_longer_a_large_text_is_the_less_often_it_is_read() -> None:
    epochs = [auto(characters, 60).epochs for characters in (200_000, 10**6, 10**7, 10**8, 10**10)]
    assert epochs == [20, 10, 3, 1, 1]


def test_the_more_often_a_large_text_can_be_read_the_more_is_dropped() -> None:
    budgets = (0.1, 2, 4, 6, 10, 1000)
    dropout = [auto(10**6, 60, passes).dropout for passes in budgets]
    assert dropout == sorted(dropout)
    assert dropout[0] == 0 < dropout[-1]
    # The minutes end it, not the epochs; but there is an end to what reading again is good for.
    epochs = [auto(10**6, 60, passes).epochs for passes in budgets]
    assert epochs[:-1] == [1, 4, 8, 12, 20]
    assert epochs[-1] < 1000


def test_a_small_text_is_read_as_often_whatever_the_budget() -> None:
    assert auto(30_000, 60, 1000) == auto(30_000, 60, 0.5) == auto(30_000, 60)


def test_why_a_recipe_was_chosen_is_told_in_a_few_words() -> None:
    assert explain(d2l(), 10_000, 60) == "d2l"
    assert explain(auto(33_000, 1_100), 33_000, 1_100) == (
        "auto, for under 100,000 characters, each seen 30 times on average"
    )
    assert explain(auto(10**6, 50), 10**6, 50) == (
        "auto, for 100,000 or more characters, each seen 20,000 times on average"
    )


def test_the_head_is_held_back_where_most_characters_are_rare() -> None:
    for characters in (30_000, 300_000):
        common, rare = auto(characters, characters // 500), auto(characters, characters // 10)
        assert common.head_rate > 1 > rare.head_rate
        assert common.override(head_rate=1) == rare.override(head_rate=1)


def test_more_weights_and_longer_windows_take_more_memory() -> None:
    small = training_bytes(auto(1_000, 60), 1_000)
    assert small < training_bytes(auto(1_000, 60).override(hidden=1024), 1_000)
    assert small < training_bytes(auto(1_000, 60).override(window=512), 1_000)
    assert small < training_bytes(auto(1_000, 60), 20_000)


def test_a_recipe_of_another_name_does_not_exist() -> None:
    with pytest.raises(RecipeError) as caught:
        named("best", 10_000)
    assert str(caught.value) == "recipe must be one of auto, d2l, time-machine, not 'best'."


# To JSON and back.


@settings(deadline=None, max_examples=50)
@given(RECIPES)
def test_any_recipe_comes_back_from_json(recipe: Recipe) -> None:
    assert recipe_from_json(json.loads(json.dumps(recipe_to_json(recipe)))) == recipe


@pytest.mark.parametrize(
    "recipe", [d2l(), d2l("torch"), time_machine(), auto(1, 1), auto(10**6, 60)]
)
def test_the_named_recipes_come_back_from_strict_json(recipe: Recipe) -> None:
    written = json.dumps(recipe_to_json(recipe), allow_nan=False)
    assert recipe_from_json(json.loads(written)) == recipe


@pytest.mark.parametrize("part", ["recipe", "architecture", "text"])
def test_a_field_too_few_or_too_many_is_refused_with_those_that_there_are(part: str) -> None:
    kind = {"recipe": Recipe, "architecture": Architecture, "text": TextOptions}[part]
    fields = sorted(entry.name for entry in dataclasses.fields(kind))
    expected = f"{kind.__name__.lower()} must have the fields {fields}."
    for name in [*fields, "surprise"]:
        written = recipe_to_json(PLAIN)
        inside = written if part == "recipe" else written[part]
        if name == "surprise":
            inside[name] = 1
        else:
            del inside[name]
        with pytest.raises(RecipeError) as caught:
            recipe_from_json(written)
        assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 5}, "name must be a line of text, not 5."),
        ({"name": "a\nb"}, "name must be a line of text, not 'a\\nb'."),
        ({"name": "n" * 101}, f"name must be a line of text, not {LONG}."),
        (
            {"epochs": 10**400},
            "epochs must be a whole number from 1 to 9,007,199,254,740,992, not "
            "100000000000000000...0000000000000000000.",
        ),
        ({"batch": 2.0}, "batch must be a whole number from 1 to 65,536, not 2.0."),
        ({"steps": "7"}, "steps must be a whole number from 1 up, not '7'."),
        ({"optimizer": ["sgd"]}, "optimizer must be one of sgd, adam, adamw, not ['sgd']."),
        ({"clip": None}, "clip must be a number from 0 up, not None."),
    ],
)
def test_json_with_a_wrong_value_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        recipe_from_json(recipe_to_json(PLAIN) | change)
    assert str(caught.value) == message


def test_json_with_a_wrong_text_option_is_refused() -> None:
    written = recipe_to_json(PLAIN)
    written["text"]["newline"] = "tab"
    with pytest.raises(RecipeError, match=r"^newline must be 'keep' or 'space', not 'tab'\.$"):
        recipe_from_json(written)


@pytest.mark.parametrize("value", [None, [], "recipe", 1, {}])
def test_json_that_is_no_recipe_at_all_is_refused(value: object) -> None:
    with pytest.raises(RecipeError, match=r"^recipe must have the fields \['architecture', "):
        recipe_from_json(value)
    with pytest.raises(RecipeError, match=r"^architecture must have the fields \['cell', "):
        recipe_from_json(recipe_to_json(PLAIN) | {"architecture": value})


def test_another_optimizer_leaves_the_recipe_s_weight_decay_behind() -> None:
    assert auto(1_000, 60).weight_decay > 0
    assert auto(1_000, 60).override(optimizer="sgd").weight_decay == 0
    with pytest.raises(RecipeError, match=r"^weight_decay goes with optimizer='adamw'; sgd "):
        auto(1_000, 60).override(optimizer="sgd", weight_decay=0.1)
