"""A run that was stored long ago is still the same run; ``data/README.md`` says how it was made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import charlstm
from charlstm.model.recall.counting import count_levels
from charlstm.runs.formats import FORMAT, OLDEST, completed

DATA = Path(__file__).parent / "data"


# What each of them is measured at and writes: the older ones are the network alone.
NETWORK, BLEND = 3.183482217545412, 2.4879201880219033
# When the last was made, the grams had one share wherever the network stood.
RECORDED = {NETWORK: NETWORK, BLEND: 2.58630602791988}
ALONE = "The hb\n eg dlneeeant猜lh响  h  nachnne  s o d egnuir tngoh oe do好h"
BLENDED = "The luleob wseooontt洞外\n机o s  hewins  ot a weobowad ing s  oaun好l"
FORMATS = {
    **dict.fromkeys(("format-2", "format-3", "format-5"), (NETWORK, ALONE)),
    "format-4": (BLEND, BLENDED),
}


@pytest.fixture(params=FORMATS)
def stored(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a copy of a run in each format, beside which nothing lies."""
    return Path(shutil.copytree(DATA / request.param, tmp_path / request.param))


def is_blended(stored: Path) -> bool:
    return FORMATS[stored.name][1] != ALONE


def test_there_is_a_stored_run_of_every_format_that_is_read() -> None:
    for number in range(OLDEST, FORMAT + 1):
        value = json.loads((DATA / f"format-{number}" / "run.json").read_text(encoding="ascii"))
        assert value["format"] == number
        assert (completed(value, number) == value) == (number == FORMAT)


def test_a_stored_run_opens_with_its_vocabulary_and_its_texts(stored: Path) -> None:
    run = charlstm.load(stored)
    song = (DATA / "song.txt").read_text(encoding="utf-8")
    assert run.directory.read_index(run.info) == song[: run.info.training_characters]
    assert run.held_out() == song[run.info.training_characters :]
    assert set(song[: run.info.training_characters]) <= set(run.info.vocabulary.characters)
    assert run.info.recipe.architecture.hidden == 4
    assert run.info.finished == "all 104 steps are done"


def test_a_stored_run_writes_the_text_that_it_wrote_then(stored: Path) -> None:
    run = charlstm.load(stored)
    assert run.generate("The ", length=60, seed=7) == FORMATS[stored.name][1]
    # All of them learned the same weights from the same text.
    assert run.generate("The ", length=60, seed=7, recall=0) == ALONE


def test_a_stored_run_is_measured(stored: Path) -> None:
    run = charlstm.load(stored)
    figures = run.perplexity()
    assert figures.loss == pytest.approx(FORMATS[stored.name][0], abs=1e-6)
    assert figures.characters == len(run.held_out()) - 1  # the first is only read
    assert figures.unigram_perplexity == pytest.approx(24.7293178687633, abs=1e-6)
    assert run.info.best is not None
    recorded = RECORDED[FORMATS[stored.name][0]]
    assert run.info.best.validation_loss == pytest.approx(recorded, abs=1e-6)
    network_loss = run.info.best.network_loss
    assert network_loss == (pytest.approx(NETWORK, abs=1e-6) if is_blended(stored) else None)


def test_what_a_stored_run_remembers_is_what_its_text_says(stored: Path) -> None:
    run = charlstm.load(stored)
    recall = run.directory.read_recall(run.info)
    assert (recall is not None) == is_blended(stored)
    assert (stored / "recall.safetensors").exists() == is_blended(stored)
    if recall is None:
        assert run.sampler.network is run.recalling(0).network
        return
    vocabulary = run.info.vocabulary
    ids = vocabulary.encode(run.directory.read_index(run.info) or "")
    levels = count_levels(ids, len(vocabulary), order=7)
    assert recall.ngram is not None
    for found, counted in zip(recall.ngram.levels, levels, strict=True):
        np.testing.assert_array_equal(found.symbols, counted.symbols)
        np.testing.assert_array_equal(found.starts, counted.starts)
        np.testing.assert_allclose(found.shares, counted.shares, rtol=0, atol=1e-6)
    # The lines of the text, and the strength that was found on it then.
    assert recall.line == 39
    assert recall.pull.pulls[3] == pytest.approx(3.4903429574618414)


def test_a_stored_run_goes_on_as_it_would_have_then(stored: Path) -> None:
    before = charlstm.load(stored).info
    resumed = charlstm.resume(stored, places=[DATA / "song.txt"], threads=1, epochs=10)
    last = resumed.info.last
    assert last is not None
    assert (last.step, last.epoch) == (130, 10)
    # The last digits are those of a processor's products.
    assert last.train_loss == pytest.approx(3.275916065661435, abs=1e-4)
    assert last.validation_loss is not None
    expected = last.network_loss if is_blended(stored) else last.validation_loss
    assert expected == pytest.approx(3.1860, abs=1e-2)
    # An older run is written in the present format, and stays the network alone.
    value = json.loads((stored / "run.json").read_bytes())
    assert value["format"] == FORMAT
    assert value["recipe"]["recall"] == before.recipe.recall == (0.4 if is_blended(stored) else 0)
    assert resumed.info.recall == before.recall
    # How several workers would have gone on.
    told = (value["recipe"]["compress"], value["recipe"]["sync_every"])
    assert told == (("bfloat16", 8) if stored.name == "format-5" else (None, 1))
    assert (stored / "recall.safetensors").exists() == is_blended(stored)
