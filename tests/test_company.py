"""Texts that are written together are those that each would have been alone."""

import numpy as np
import pytest
from test_sampler import ONE_LINE, WORDS, sampler_of, trained

from charlstm.api import train
from charlstm.errors import RecipeError
from charlstm.model.cells import Array
from charlstm.recipes.architecture import CELLS, Architecture
from charlstm.trained import TrainedModel
from charlstm.writing.company import Company, Text
from charlstm.writing.decoding import Decoding
from charlstm.writing.sampler import Sampler

DECODINGS = (
    Decoding(),
    Decoding(temperature=1.3, top_p=0.9),
    Decoding(temperature=0),
    Decoding(temperature=0.5, top_k=3, no_repeat=5),
    Decoding(temperature=1, min_p=0.05, allow_loops=True),
)


@pytest.fixture(scope="module")
def model(song: str, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Return a model that remembers what it has read, and knows where songs end."""
    root = tmp_path_factory.mktemp("company")
    stanzas = [part for part in song.split("\n\n") if part]
    songs = ["\n".join(stanzas[k : k + 2]) for k in range(len(stanzas) - 1)]
    model = train(text=songs, root=root, epochs=3, hidden=12, embedding=4, recall=0.4)
    assert model.sampler.recall
    assert model.sampler.songs is not None
    return model


def until_over(company: Company, texts: list[Text]) -> list[str]:
    while len(company):
        company.advance()
    assert all(text.is_over for text in texts)
    return [text.written for text in texts]


def alone(sampler: Sampler, prefix: str, seed: int, length: int) -> str:
    company = Company(sampler)
    task = sampler.task(prefix, seed=seed, length=length, decoding=decoding_of(seed))
    (written,) = until_over(company, company.join(task))
    return written


def decoding_of(seed: int) -> Decoding:
    return DECODINGS[seed % len(DECODINGS)]


@pytest.mark.parametrize("recall", [0, None])
def test_a_text_is_the_same_alone_and_in_company_that_comes_and_goes(
    model: TrainedModel, recall: float | None
) -> None:
    sampler = model.recalling(recall)
    chance, company = np.random.default_rng(0), Company(sampler)
    prefixes = ("", "分开", "车站很安静 la la\n第一天")
    texts: list[Text] = []
    for seed in range(30):
        task = sampler.task(
            prefixes[seed % 3], seed=seed, length=40 + seed, decoding=decoding_of(seed)
        )
        texts += company.join(task)
        for _ in range(chance.integers(0, 12)):
            company.advance()
        if not seed % 7:
            texts[chance.integers(len(texts))].leave()
    until_over(company, texts)
    stayed = [seed for seed, text in enumerate(texts) if text.reason != "left"]
    assert len(stayed) > 20
    for seed in stayed:
        assert texts[seed].written == alone(sampler, prefixes[seed % 3], seed, 40 + seed)


@pytest.mark.parametrize("cell", CELLS)
def test_a_network_alone_writes_in_company_what_it_writes_without_it(cell: str) -> None:
    sampler = sampler_of(trained(Architecture(cell=cell, hidden=12), len(WORDS)), WORDS)
    company = Company(sampler)
    texts: list[Text] = []
    for seed in range(8):
        texts += company.join(sampler.task("分", seed=seed, length=30))
        company.advance()
    written = until_over(company, texts)
    assert written == [sampler.generate("分", seed=seed, length=30) for seed in range(8)]


def test_texts_of_one_task_have_the_seeds_after_its_own(model: TrainedModel) -> None:
    sampler, company = model.sampler, Company(model.sampler)
    texts = company.join(sampler.task("分开", seed=5, length=20), 3)
    assert until_over(company, texts) == [
        until_over(one := Company(sampler), one.join(sampler.task("分开", seed=seed, length=20)))[0]
        for seed in (5, 6, 7)
    ]


def test_a_text_says_why_it_has_ended(model: TrainedModel) -> None:
    sampler, company = model.sampler, Company(model.sampler)
    (stopped,) = company.join(sampler.task("", stop="站", length=500, lines=50, seed=1))
    (full,) = company.join(sampler.task("", length=3, seed=1))
    (nothing,) = company.join(sampler.task("分", length=0))
    (song,) = company.join(sampler.task("", length=5000, seed=1))
    until_over(company, [stopped, full, nothing, song])
    assert (stopped.reason, full.reason, nothing.reason) == ("stop", "length", "length")
    assert song.reason == "song"
    assert "站" not in stopped.written
    assert (len(full.written), nothing.written) == (3, "分")


def test_where_nothing_may_follow_one_text_ends_and_the_others_go_on(model: TrainedModel) -> None:
    def nothing(written: str, logits: Array) -> None:
        if len(written) > 4:
            logits.fill(-np.inf)

    sampler, company = model.sampler, Company(model.sampler)
    (barred,) = company.join(sampler.task("", length=20, seed=1, processors=[nothing]))
    (free,) = company.join(sampler.task("", length=20, seed=1, lines=9))
    while len(company):
        company.advance()
    assert isinstance(barred.error, RecipeError)
    assert free.error is None
    assert len(free.written) == 20


def test_what_is_told_of_each_character_is_what_the_model_finds_of_it(model: TrainedModel) -> None:
    sampler = model.sampler
    company = Company(sampler)
    task = sampler.task("分开", seed=2, length=12, lines=9, decoding=Decoding(0.3))
    texts = company.join(task, 2, likeliest=3, told_prefix=True)
    until_over(company, texts)
    for text in texts:
        every = [*text.read, *text.drawn]
        assert "".join(each.character for each in every) == text.written
        # In the beginning that the sampler chose for the prefix.
        new = text.written.removeprefix("分开")
        expected = sampler.log_probabilities(new, "分开")
        told = [each.log_probability for each in text.drawn]
        np.testing.assert_allclose(told, expected, rtol=0, atol=1e-4)
        for each in every:
            chances = [likely for _, likely in each.likeliest]
            assert len(chances) == 3
            assert chances == sorted(chances, reverse=True)
            assert each.log_probability <= chances[0]


def test_what_is_only_measured_is_read_and_nothing_is_written(model: TrainedModel) -> None:
    company = Company(model.sampler)
    (text,) = company.join(model.sampler.task("分开", length=0), likeliest=1, told_prefix=True)
    until_over(company, [text])
    assert (text.written, text.reason) == ("分开", "length")
    assert [each.character for each in text.read] == ["分", "开"]


def test_a_long_beginning_keeps_nobody_waiting(model: TrainedModel) -> None:
    sampler, company = model.sampler, Company(model.sampler)
    (book,) = company.join(sampler.task("分开" * 20_000, length=1))
    (line,) = company.join(sampler.task("分", length=30, lines=9, seed=1))
    while not line.is_over:
        company.advance()
    assert not book.is_over
    book.leave()
    company.advance()
    assert not len(company)


def test_a_first_character_is_drawn_where_there_is_nothing_to_read() -> None:
    sampler = sampler_of(trained(Architecture(hidden=12), len(ONE_LINE), seed=8), ONE_LINE)
    company = Company(sampler)
    texts = company.join(sampler.task("", seed=3, length=20), 6)
    company.join(sampler.task("分", seed=1, length=9))
    assert until_over(company, texts) == sampler.generate_many("", samples=6, seed=3, length=20)


def test_where_no_first_character_may_be_drawn_only_that_text_ends() -> None:
    sampler = sampler_of(trained(Architecture(hidden=12), len(ONE_LINE), seed=8), ONE_LINE)

    def nothing(_: str, logits: Array) -> None:
        logits.fill(-np.inf)

    company = Company(sampler)
    (barred,) = company.join(sampler.task("", length=5, processors=[nothing]))
    (free,) = company.join(sampler.task("", seed=3, length=5))
    until_over(company, [barred, free])
    assert isinstance(barred.error, RecipeError)
    assert len(free.written) == 5


def test_a_first_character_is_told_as_all_others_are() -> None:
    sampler = sampler_of(trained(Architecture(hidden=12), len(ONE_LINE), seed=8), ONE_LINE)
    company = Company(sampler)
    (text,) = company.join(sampler.task("", seed=3, length=5), likeliest=0)
    until_over(company, [text])
    assert "".join(each.character for each in text.drawn) == text.written


def test_more_texts_than_are_written_at_once_wait_and_are_written(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("charlstm.writing.company.MOST", 3)
    sampler, company = model.sampler, Company(model.sampler)
    texts = company.join(sampler.task("分开", seed=5, length=9, lines=9), 8)
    written = until_over(company, texts)
    assert written == [
        until_over(
            one := Company(sampler),
            one.join(sampler.task("分开", seed=seed, length=9, lines=9)),
        )[0]
        for seed in range(5, 13)
    ]
