"""A page of a run that remembers its text writes with all of that, as NumPy does."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsers import missing
from onepages import LABELS, Open, a_model, in_numpy, opening, remembering

from charlstm.exports import grams
from charlstm.exports.onepage import write_page
from charlstm.model.recall.followers import LENGTHS, LONGEST
from charlstm.model.recall.learning import count_ngram
from charlstm.model.recall.ngram import SMALL_ALPHABET, NGram
from charlstm.model.recall.recall import Recall
from charlstm.model.recall.so_far import REACH, Pull, SoFar
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.runs.tensors import Arrays
from charlstm.text.songs import END
from charlstm.writing.decoding import Decoding

if TYPE_CHECKING:
    from playwright.sync_api import Browser

in_a_browser = pytest.mark.skipif(missing() is not None, reason=missing() or "")
ALPHABETS = (30, 700)
DATA = Path(__file__).parent / "data"
LYRICS_ZH = Path(__file__).parent.parent / "data" / "lyrics_zh.txt"


@pytest.fixture
def opened(browser: "Browser", tmp_path: Path) -> Iterator[Open]:
    with opening(browser, tmp_path) as opened:
        yield opened


def verses(alphabet: int, number: int, seed: int = 1) -> list[str]:
    """Return songs of a few words of one to three characters, with a chorus that comes again."""
    random = np.random.default_rng(seed)
    characters = [chr(0x4E00 + place) for place in range(alphabet)]
    words = [
        "".join(random.choice(characters, size=random.integers(1, 4))) for _ in range(alphabet)
    ]
    frequencies = 1 / np.arange(1, len(words) + 1)
    frequencies /= frequencies.sum()

    def stanza() -> str:
        lines = ["".join(random.choice(words, size=4, p=frequencies)) for _ in range(4)]
        return "\n".join(lines) + "\n"

    songs = []
    for _ in range(number):
        chorus = stanza()
        songs.append("\n".join([stanza(), chorus, stanza(), chorus]))
    return songs


def that_remembers(
    alphabet: int, *, songs: bool = True, labels: bool = False, **options: Any
) -> tuple[tuple[RunInfo, Arrays], Recall]:
    """Return a model, and what it remembers of songs in an alphabet of some size."""
    # All characters come in the text, or the alphabet would be smaller.
    learned = [*verses(alphabet, 12), "".join(chr(0x4E00 + place) for place in range(alphabet))]
    text = "\n".join(learned)
    if songs:
        # A label is read and never remembered.
        symbols = ("\U00100001", "\U00100002") if labels else ("",)
        text = "".join(f"{END}{symbols[k % len(symbols)]}{song}" for k, song in enumerate(learned))
        text += END
    model = a_model(text=text.replace(END, ""), songs=songs, labels=LABELS if labels else None)
    return remembering(model, text, **options)


# What is expected.


@in_a_browser
@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize(
    ("songs", "labels", "kept"),
    [(False, False, True), (True, False, True), (True, True, True), (True, True, False)],
)
def test_every_character_is_expected_as_in_numpy(
    opened: Open, alphabet: int, songs: bool, labels: bool, kept: bool
) -> None:
    model, recall = that_remembers(alphabet, songs=songs, labels=labels, grams=kept)
    assert len(model[0].vocabulary) > SMALL_ALPHABET or alphabet < SMALL_ALPHABET
    page, sampler = opened(model, recall=recall), in_numpy(*model, recall)
    # What it has learned, what is new, and what it has never seen; a song ends in the middle.
    known, new = verses(alphabet, 1)[0], verses(alphabet, 1, seed=2)[0]
    text = f"{new}{END if songs else ''}\N{SNOWMAN}{known[:60]}{new[:60]}"
    found = page.log_probabilities(text, "一")
    assert np.abs(found - sampler.log_probabilities(text, "一")).max() < 1e-4
    assert np.abs(found - in_numpy(*model).log_probabilities(text, "一")).max() > 1


@in_a_browser
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_the_share_is_the_recipes(opened: Open, share: float) -> None:
    model, recall = that_remembers(30, labels=True, share=share)
    page, sampler = opened(model, recall=recall), in_numpy(*model, recall)
    text = verses(30, 1, seed=2)[0]
    found = page.log_probabilities(text, "")
    assert np.abs(found - sampler.log_probabilities(text)).max() < 1e-4


@in_a_browser
def test_of_a_long_song_the_last_thousand_characters_count(opened: Open) -> None:
    model, recall = that_remembers(30, songs=False)
    page, sampler = opened(model, recall=recall), in_numpy(*model, recall)
    once, rest = verses(30, 1, seed=2)[0], "".join(verses(30, 20, seed=3))[:1500]
    assert len(rest) > REACH + LONGEST
    prefix, text = once + rest, once[:80]
    found = page.log_probabilities(text, prefix)
    assert np.abs(found - sampler.log_probabilities(text, prefix)).max() < 1e-4
    # Whoever looked further back would know those lines.
    further = replace(recall)
    further.__dict__["so_far"] = SoFar(recall.vocabulary_size, recall.end, reach=3000)
    looked = in_numpy(*model, further).log_probabilities(text, prefix)
    assert np.abs(found - looked).max() > 0.1


@in_a_browser
@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_the_grams_of_the_page_are_those_of_the_run_bit_for_bit(
    opened: Open, alphabet: int
) -> None:
    model, recall = that_remembers(alphabet)
    assert recall.ngram is not None
    page = opened(model, recall=recall).page
    for length, level in enumerate(recall.ngram.levels):
        for name in ("symbols", "shares", "starts", "kept"):
            code = f"length => Array.from(model.network.ngram.levels[length].{name})"
            np.testing.assert_array_equal(page.evaluate(code, length), getattr(level, name))


# What it writes.


@in_a_browser
@pytest.mark.parametrize("alphabet", ALPHABETS)
@pytest.mark.parametrize("kept", [True, False])
def test_the_same_seed_draws_the_same_text_as_in_numpy(
    opened: Open, alphabet: int, kept: bool
) -> None:
    model, recall = that_remembers(alphabet, labels=True, grams=kept)
    page, sampler = opened(model, recall=recall), in_numpy(*model, recall)
    for seed, temperature, top_p in ((0, 0.0, 1.0), (3, 1.0, 1.0), (7, 0.8, 1.0), (8, 0.8, 0.9)):
        decoding = Decoding(temperature=temperature, top_p=top_p)
        wish = {"temperature": temperature, "topP": top_p, "seed": str(seed)}
        for prefix in ("", "一"):
            text = "".join(sampler.stream(prefix, decoding=decoding, seed=seed, length=250))
            assert page.writes(prefix, most=250, **wish) == text
            assert text != "".join(in_numpy(*model).stream(prefix, decoding=decoding, seed=seed))


@in_a_browser
def test_songs_end_by_themselves_as_in_numpy(opened: Open) -> None:
    model, recall = that_remembers(30)
    page, sampler = opened(model, recall=recall), in_numpy(*model, recall)
    # The network of such a model has learned nothing, the end of a song least of all.
    ends = []
    for seed in range(12):
        writing = sampler.stream(decoding=Decoding(temperature=0.8), seed=seed)
        assert page.writes(temperature=0.8, seed=str(seed)) == "".join(writing)
        ends.append(writing.ended)
    assert {True, False} == set(ends)


@in_a_browser
def test_no_more_than_half_a_line_is_written_again_in_a_row(opened: Open) -> None:
    model, recall = that_remembers(30, songs=False)
    page, sampler = opened(model, recall=recall), in_numpy(*model, recall)
    most, chorus = recall.line // 2, verses(30, 1)[0]
    assert most > 3
    text = page.writes(chorus, most=300, temperature=0.5)
    decoding = Decoding(temperature=0.5)
    assert text == "".join(sampler.stream(chorus, decoding=decoding, seed=1, length=300))
    # Without that it says whole lines again.
    free = replace(decoding, no_repeat=1000)
    assert text != "".join(sampler.stream(chorus, decoding=free, seed=1, length=300))
    whole = chorus + text
    for at in range(len(chorus), len(whole) - most):
        passage = whole[at : at + most + 1]
        assert passage not in whole[: at + most], passage


@in_a_browser
def test_where_nothing_else_may_follow_half_a_line_comes_again(opened: Open) -> None:
    text = "哈哈哈哈哈哈哈哈\n" * 9
    model, recall = remembering(a_model(text=text), text)
    page, sampler = opened(model, recall=recall), in_numpy(*model, recall)
    for seed in range(3):
        written = page.writes(temperature=1, seed=str(seed))
        assert len(written) == 200
        assert written == sampler.generate(decoding=Decoding(temperature=1), seed=seed)


# What is in the file.


def test_a_model_without_recall_has_the_page_that_it_had() -> None:
    (info, weights), recall = that_remembers(30)
    alone = replace(info, recipe=replace(info.recipe, recall=0.0))
    page = write_page(alone, weights, "song", None)
    assert write_page(alone, weights, "song", recall) == page
    assert write_page(info, weights, "song", None) == page
    assert b"class NGram" not in page
    assert b'id="grams"' not in page
    # One that keeps no grams goes by the song so far.
    without = write_page(info, weights, "song", replace(recall, ngram=None))
    assert b"class Said" in without
    assert b'id="grams"' not in without


def test_the_grams_of_the_bundled_lyrics_take_less_than_700_kilobytes() -> None:
    text = LYRICS_ZH.read_text(encoding="utf-8").replace("\n\n\n", END)
    model = a_model(text=text, songs=True)
    vocabulary = model[0].vocabulary
    ngram = count_ngram(vocabulary.encode(text), len(vocabulary), end=vocabulary.end)
    recall = Recall(len(vocabulary), Pull(0.5, (1.0,) * len(LENGTHS)), 8, ngram, vocabulary.end)
    assert grams.Grams.of(recall).number > 95_000
    info = replace(model[0], recipe=replace(model[0].recipe, recall=0.4))
    more = len(write_page(info, model[1], "song", recall)) - len(write_page(*model, "song"))
    assert more < 700_000


@in_a_browser
def test_of_too_many_grams_the_longest_are_left_out_and_that_is_told(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, recall = that_remembers(30)
    assert recall.ngram is not None
    levels = recall.ngram.levels
    numbers = [len(level.symbols) for level in levels]
    # One less than it would take for those of four characters.
    monkeypatch.setattr(grams, "MOST_GRAMS", sum(numbers[:4]) - 1)
    kept = grams.Grams.of(recall)
    assert (len(kept.levels), kept.left_out) == (3, sum(numbers[3:]))
    page = opened(model, recall=recall)
    vocabulary = model[0].vocabulary
    shorter = NGram(levels[:3], len(vocabulary), vocabulary.end, vocabulary.unpredicted)
    text = verses(30, 1)[0]
    found = page.log_probabilities(text, "")
    without = in_numpy(*model, replace(recall, ngram=shorter)).log_probabilities(text)
    assert np.abs(found - without).max() < 1e-4
    assert np.abs(found - in_numpy(*model, recall).log_probabilities(text)).max() > 0.1
    page.page.get_by_text("About this page").click()
    told = page.page.inner_text("#about")
    assert f"{sum(numbers[:3]):,} of up to 3 characters" in told
    assert f"{sum(numbers[3:]):,} longer passages of the run have no room in a page." in told
    # Without those of one character there would be nothing.
    monkeypatch.setattr(grams, "MOST_GRAMS", 1)
    assert len(grams.Grams.of(recall).levels) == 1


@in_a_browser
def test_a_stored_run_says_what_it_writes_with_and_what_that_is_worth(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory(DATA / "format-4")
    info = run.read_info()
    model, recall = (info, run.read_model(info)), run.read_recall(info)
    page = opened(model, recall=recall).page
    page.get_by_text("About this page").click()
    told = page.inner_text("#about")
    assert "Held-out perplexity, before its weights were rounded: 13.28. " in told
    assert "The network alone would come to 24.13." in told
    assert "the passages of its training text, 3,659 of up to 7 characters, " in told
    assert "Much of the training text can be told from its passages: " in told
    assert "no room" not in told
    assert "Its text was tidied. " in told
    monkeypatch.setattr(grams, "MOST_GRAMS", 3_000)
    page = opened(model, "less", recall=recall).page
    page.get_by_text("About this page").click()
    told = page.inner_text("#about")
    assert "743 longer passages of the run have no room in a page." in told
    assert "That was measured with the passages that have no room here." in told


@in_a_browser
def test_a_run_that_keeps_no_grams_says_that_there_are_none(opened: Open) -> None:
    model, recall = that_remembers(30, grams=False)
    page = opened(model, recall=recall).page
    page.get_by_text("About this page").click()
    told = page.inner_text("#about")
    assert "The run keeps no passages of its training text" in told
    assert "can be told from" not in told
