"""What an older ``run.json`` does not say means what was done then."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from charlstm.errors import RecipeError
from charlstm.files import parse
from charlstm.recipes.recipe import Recipe
from charlstm.runs.formats import FORMAT, OLDEST, completed
from charlstm.runs.info import RunInfo, info_from_json, info_to_json
from charlstm.text.corpus import TextOptions
from charlstm.text.reading import read_corpus
from charlstm.text.vocabulary import Vocabulary

INFO = RunInfo(
    recipe=Recipe("test"),
    vocabulary=Vocabulary.build("la la"),
    sources=(),
    places=("song.txt",),
    encoding=None,
    corpus_sha256="",
    training_characters=5,
    held_out_characters=0,
    backend="scratch",
)


def written(info: RunInfo = INFO) -> dict[str, Any]:
    value = parse(Path("run.json"), info_to_json(info))
    assert isinstance(value, dict)
    return value


def of_format_4() -> dict[str, Any]:
    value = written() | {"format": 4}
    del value["recipe"]["compress"], value["recipe"]["sync_every"], value["recipe"]["layout"]
    del value["recipe"]["text"]["letters_only"]
    return value


def of_format_3() -> dict[str, Any]:
    value = of_format_4() | {"format": 3}
    del value["recipe"]["recall"], value["recall"]
    return value


def of_format_2() -> dict[str, Any]:
    value = of_format_3() | {"format": 2}
    for name in ("tidy", "line_ends"):
        del value["recipe"]["text"][name]
    del value["corpus"]["apart"]
    return value


def test_a_run_of_format_2_reads_its_text_as_it_did() -> None:
    read = info_from_json(completed(of_format_2(), 2))
    assert read.recipe.text == TextOptions(tidy=False, line_ends="plain")
    assert not read.apart
    # Version 0.2.0 said this much already.
    later = of_format_2()
    later["corpus"]["apart"] = True
    assert info_from_json(completed(later, 2)).apart


@pytest.mark.parametrize("value", [of_format_2(), of_format_3()])
def test_a_run_of_an_older_format_is_the_network_alone(value: dict[str, Any]) -> None:
    read = info_from_json(completed(value, value["format"]))
    assert read.recipe.recall == 0
    assert read.recall is None
    assert read.share() == read.share(0) == 0
    with pytest.raises(RecipeError, match=r"^This run remembers nothing of its training text "):
        read.share(0.4)


@pytest.mark.parametrize("value", [of_format_2(), of_format_3(), of_format_4()])
def test_workers_of_an_older_run_made_every_step_together(value: dict[str, Any]) -> None:
    recipe = info_from_json(completed(value, value["format"])).recipe
    assert (recipe.compress, recipe.sync_every) == (None, 1)


def test_a_run_of_an_older_format_goes_on_with_the_windows_that_it_had() -> None:
    for value in (of_format_2(), of_format_4()):
        value["recipe"]["name"] = "d2l"
        assert info_from_json(completed(value, value["format"])).recipe.layout == "even"


def test_a_run_of_format_2_gives_the_same_hash_whatever_its_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "song.txt"
    path.write_text("la\u2028la\xa0la\x0cla\u200b\r\n", encoding="utf-8")
    old = info_from_json(completed(of_format_2(), 2)).recipe.text
    assert read_corpus([path], options=old).text == "la\u2028la\xa0la\x0cla\u200b\n"


def test_it_is_written_in_the_present_format_and_stays_what_it_was() -> None:
    read = info_from_json(completed(of_format_2(), 2))
    again = written(read)
    assert again["format"] == FORMAT
    assert again["recipe"]["text"]["line_ends"] == "plain"
    assert replace(info_from_json(again), saved=0.0) == replace(read, saved=0.0)


def test_what_is_handed_in_stays_as_it_is() -> None:
    value = of_format_2()
    before = copy.deepcopy(value)
    completed(value, 2)
    assert value == before


@pytest.mark.parametrize("name", ["tidy", "line_ends"])
def test_the_present_format_says_all_of_it(name: str) -> None:
    value = written()
    del value["recipe"]["text"][name]
    with pytest.raises(RecipeError, match=r"^textoptions must have the fields \['field', "):
        info_from_json(completed(value, FORMAT))


def test_what_no_format_has_is_refused() -> None:
    value = of_format_2()
    value["recipe"]["text"]["tidier"] = True
    with pytest.raises(RecipeError, match=r"^textoptions must have the fields \['field', "):
        info_from_json(completed(value, 2))


@pytest.mark.parametrize("broken", [None, [], {}, {"text": 3}])
def test_what_is_not_what_it_must_be_is_handed_on(broken: object) -> None:
    value = {"recipe": broken, "corpus": 5}
    found = completed(value, OLDEST)
    assert found["corpus"] == 5
    # An object lacks all the more; what is none stays what it was.
    brought = {"recall": 0.0, "compress": None, "sync_every": 1, "layout": "even"}
    assert found["recipe"] == ({**brought, **broken} if isinstance(broken, dict) else broken)
    assert completed({}, OLDEST) == {"recall": None}
