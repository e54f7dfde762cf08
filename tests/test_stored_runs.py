"""A run that was stored long ago is still the same run; ``data/README.md`` says how it was made."""

import json
import shutil
from pathlib import Path

import pytest

import charlstm
from charlstm.runs.formats import FORMAT, OLDEST, completed

DATA = Path(__file__).parent / "data"


@pytest.fixture(params=["format-2", "format-3"])
def stored(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a copy of a run in each format, beside which nothing lies."""
    return Path(shutil.copytree(DATA / request.param, tmp_path / request.param))


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
    written = charlstm.load(stored).generate("The ", length=60, seed=7)
    assert written == "The hb\n eg dlneeeant猜lh响  h  nachnne  s o d egnuir tngoh oe do好h"


def test_a_stored_run_is_measured_as_it_was_then(stored: Path) -> None:
    run = charlstm.load(stored)
    figures = run.perplexity()
    assert figures.loss == pytest.approx(3.183482217545412, abs=1e-6)
    assert figures.characters == len(run.held_out()) - 1  # the first is only read
    assert figures.unigram_perplexity == pytest.approx(24.7293178687633, abs=1e-6)
    assert run.info.best is not None
    assert run.info.best.validation_loss == pytest.approx(figures.loss, abs=1e-6)


def test_a_stored_run_goes_on_as_it_would_have_then(stored: Path) -> None:
    resumed = charlstm.resume(stored, places=[DATA / "song.txt"], threads=1, epochs=10)
    last = resumed.info.last
    assert last is not None
    assert (last.step, last.epoch) == (130, 10)
    # The last digits are those of a processor's products.
    assert last.train_loss == pytest.approx(3.275916065661435, abs=1e-4)
