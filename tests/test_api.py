"""What a model offers in Python beyond the parts that it is made of."""

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from songs import VERSE, learn

from charlstm.api import load, resume, train
from charlstm.errors import RunError, UnknownSettingError
from charlstm.model.cells import Array
from charlstm.text.letters import counted
from charlstm.trained import TrainedModel
from charlstm.writing.constraints import Constraint, LineSoFar
from charlstm.writing.form import Form
from charlstm.writing.learned import Learned
from charlstm.writing.song import Song

ENGLISH = "".join(
    f"{who} {do} {end}\n"
    for who in ("I", "You", "We")
    for do in ("walk", "sing", "wait", "run", "fly")
    for end in (
        "in the night",
        "to the light",
        "for the day",
        "on the way",
        "on my right",
        "and play",
    )
)


@pytest.fixture(scope="module")
def poems(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return learn(tmp_path_factory.mktemp("poems"), VERSE)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return learn(tmp_path_factory.mktemp("english"), ENGLISH, name="english", epochs=15)


class Chained(Constraint):
    """Every line begins with the last character of the one before (顶针)."""

    def allowed(self, draft: LineSoFar) -> str | None:
        return counted(draft.before[-1])[-1] if draft.before and not draft.text else None


def test_a_constraint_of_ones_own_joins_a_form(poems: TrainedModel) -> None:
    for seed in range(3):
        text = poems.compose(Form(lines=3, line_length="5-9"), constraints=[Chained()], seed=seed)
        lines = [counted(line) for line in text.split("\n")]
        assert [one[-1] for one in lines[:-1]] == [other[0] for other in lines[1:]]
        assert all(5 <= len(line) <= 9 for line in lines)


def test_a_processor_joins_whatever_is_written(poems: TrainedModel) -> None:
    ids = poems.sampler.vocabulary.encode("在花")

    def without(written: str, logits: Array) -> None:
        logits[ids] = -np.inf

    texts = [
        poems.generate(length=60, processors=[without], seed=1),
        *poems.generate_many(samples=2, length=60, processors=[without], seed=1),
        "".join(poems.stream(length=60, processors=[without], seed=1)),
        poems.compose(Form(line_length="5"), processors=[without], seed=1),
    ]
    assert texts[0] == texts[1] == texts[3]
    assert not set("".join(texts)) & set("在花")


@pytest.mark.parametrize("most", [3, 5, 9])
def test_no_copy_is_longer_however_the_lines_are_laid_out(poems: TrainedModel, most: int) -> None:
    # Two verses are one line of the training text, and are shown as two.
    longest = {True: 0, False: 0}
    for seed in range(100, 108):
        for limited in longest:
            end = poems.compose_point(
                Form(lines=6), max_copy=most if limited else None, temperature=0.5, seed=seed
            )
            for text in (end.text, end.read):
                found = poems.novelty(text).longest
                longest[limited] = max(longest[limited], len(found.text) if found else 0)
    assert longest[True] <= most < longest[False]


def test_the_end_of_a_form_tells_the_text_as_shown_and_as_read(poems: TrainedModel) -> None:
    end = poems.compose_point(Form(lines=2, line_length="7"), "我在海上，", seed=1)
    assert end.text[: end.given] == "我在海上，\n"
    assert len(end.text.split("\n")) == 3
    assert end.read.replace("\n", "") == end.text.replace("\n", "")


def test_rhymes_are_words_of_the_training_text(english: TrainedModel) -> None:
    model = load(english.directory.path)
    model.learned = Learned(model.directory, model.info, many_words=10)
    known = {line.split()[-1] for line in ENGLISH.splitlines()}
    for seed in range(5):
        text = model.compose(Form(rhyme="AABB"), seed=seed)
        ends = [line.split()[-1].strip(",.").lower() for line in text.split("\n")]
        assert set(ends) <= known
        assert all(one != other for one, other in list(pairwise(ends))[::2])
    song = Song(model.sampler, words=model.learned.words, form=Form(rhyme="AA"), seed=1)
    song.write("You sing in the night")
    assert {one.line.split()[-1].strip(",.").lower() for one in song.propose()} <= known


def test_a_damaged_index_is_no_reason_not_to_rhyme(english: TrainedModel, tmp_path: Path) -> None:
    shutil.copytree(english.directory.path, tmp_path / "damaged")
    (tmp_path / "damaged" / "training.txt.bz2").write_bytes(b"BZh9")
    model = load(tmp_path / "damaged")
    assert model.learned.words is None
    assert len(model.compose(Form(rhyme="AABB"), seed=1).split("\n")) == 4
    with pytest.raises(RunError):
        model.compose(Form(rhyme="AABB"), max_copy=5)


def test_a_setting_that_there_is_not_is_refused_with_the_nearest(
    english: TrainedModel, tmp_path: Path
) -> None:
    corpus = tmp_path / "song.txt"
    for ask, told in (
        (lambda: english.generate(temprature=1.0), "temprature: did you mean temperature?"),  # type: ignore[call-arg]
        (lambda: english.stream(legth=5), "legth: did you mean length?"),  # type: ignore[call-arg]
        (lambda: english.compose(Form(), length=5), "length."),  # type: ignore[call-arg]
        (lambda: english.compose(Form(), constraint=[]), "constraint: did you mean constraints?"),  # type: ignore[call-arg]
        (lambda: english.sampler.generate(lenght=5), "lenght: did you mean length?"),  # type: ignore[call-arg]
        (
            lambda: english.sampler.stream(temperature=1.0),  # type: ignore[call-arg]
            "temperature: did you mean decoding=Decoding(temperature=...)?",
        ),
        (lambda: train(corpus, epoch=5), "epoch: did you mean epochs?"),
        (lambda: train(corpus, lr=0.1), "lr: did you mean learning_rate?"),
        (lambda: train(corpus, no_index=True), "no_index: did you mean index=False?"),
        (lambda: train(corpus, prefix="a"), "prefix: did you mean prefixes?"),
        (lambda: train(corpus, thread=1), "thread: did you mean threads?"),
        (lambda: resume(english.directory.path, minute=1), "minute: did you mean minutes?"),
    ):
        with pytest.raises(UnknownSettingError) as caught:
            ask()
        assert str(caught.value) == f"There is no setting called {told}"
    assert issubclass(UnknownSettingError, TypeError)


def test_a_model_and_its_parts_are_told_in_a_line(english: TrainedModel) -> None:
    loss = english.info.last.train_loss if english.info.last else 0
    told = (
        f"1 × lstm 48, {len(ENGLISH):,} characters learned, training perplexity "
        f"{np.exp(loss):.2f}, nothing held out"
    )
    assert repr(english) == f"<TrainedModel 'english': {told}>"
    assert repr(english.info) == f"<RunInfo: {told}>"
    assert repr(english.directory) == f"RunDirectory({str(english.directory.path)!r})"
    known = len(set(ENGLISH))
    assert repr(english.info.vocabulary) == f"<Vocabulary: {known} characters>"
    network, sampler = "<Network: 1 × lstm 48>", english.recalling(0)
    assert repr(sampler) == f"<Sampler: {network}, {known} characters known>"
    grams = sum(english.info.recall.grams) if english.info.recall else 0
    blend = f"<Blend: {network}, <NGram: 7 characters, {grams:,} grams>, 0.40 of the second>"
    assert repr(english.sampler) == f"<Sampler: {blend}, {known} characters known>"
    assert repr(english.learned) == f"<Learned: {len(ENGLISH):,} characters, kept>"
    assert repr(english.learned.text) == f"<TrainingText: {len(ENGLISH):,} characters>"
