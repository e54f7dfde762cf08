"""Labels of songs: found in files, read before a song, never predicted, and what they are worth."""

import csv
import io
import json
import shutil
import sys
import zipfile
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from commandline import Charlstm
from torch.nn import functional

import charlstm
from charlstm.errors import CharLSTMError, CorpusError, RecipeError, RunError, SettingError
from charlstm.evaluation.labels import worth
from charlstm.model.charlm import CharLM
from charlstm.model.surprisal import mean_surprisal, surprisal
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.named import SHARE
from charlstm.text import mapped
from charlstm.text.corpus import Corpus, TextOptions
from charlstm.text.earlier import Earlier
from charlstm.text.labels import Labels
from charlstm.text.mapped import open_corpus
from charlstm.text.reading import read_corpus
from charlstm.text.songs import END, SYMBOL
from charlstm.text.vocabulary import UNKNOWN, Tokens, Vocabulary
from charlstm.trained import TrainedModel
from charlstm.training.batches import IGNORED, Labelled, Window, Windows
from charlstm.writing.song import Song

SMALL: dict[str, Any] = {
    "hidden": 32,
    "embedding": 8,
    "batch": 4,
    "window": 16,
    "dropout": 0.0,
    "threads": 1,
    "precision": "float32",
}
# Two who have hardly a letter in common.
WORDS = {"Ann": ["aba", "bab", "cab", "bac"], "Zoe": ["xyz", "zyx", "yxy", "zzx"]}
ARTIST = TextOptions(labels=("artist",))


def song_of(artist: str, random: Random) -> str:
    return "\n".join(" ".join(random.choices(WORDS[artist], k=4)) for _ in range(4))


def songs(many: int = 60) -> list[dict[str, str]]:
    random = Random(7)
    artists = [random.choice(list(WORDS)) for _ in range(many)]
    return [{"text": song_of(one, random), "artist": one} for one in artists]


def table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def labels_of(corpus: Corpus) -> list[tuple[str, ...]]:
    """Return the values of each song, empty where it has none."""
    names = {s: value for known in corpus.labels.values.values() for value, s in known.items()}
    found = []
    for song in corpus.text.strip(END).split(END):
        many = len(corpus.labels.names)
        assert not SYMBOL.search(song[many:])
        found.append(tuple(names.get(symbol, "") for symbol in song[:many]))
    return found


def in_folders(root: Path, *, between: str = "", each: int = 1) -> Path:
    """Write songs into a folder for each artist, several into a file."""
    random = Random(3)
    for artist in WORDS:
        (root / artist).mkdir(parents=True)
        for number in range(4):
            text = between.join(song_of(artist, random) + "\n" for _ in range(each))
            (root / artist / f"{number}.txt").write_text(text, encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Return a model of songs that an artist is told of, but of a few."""
    rows = songs(120)
    for row in rows[::11]:
        del row["artist"]
    root = tmp_path_factory.mktemp("labels") / "checkpoints"
    settings = {**SMALL, "labels": ["artist"], "epochs": 12, "validation": 0.2}
    return charlstm.train(text=rows, root=root, name="labelled", **settings)


# Where labels come from.


def test_the_folder_of_a_file_labels_each_song_in_it(tmp_path: Path) -> None:
    folder = in_folders(tmp_path / "all", between="* * *\n", each=2)
    options = TextOptions(labels=("folder",), songs=r"(\* ?)+")
    corpus = read_corpus([folder], options=options)
    assert corpus.songs is not None
    assert labels_of(corpus) == [("Ann",)] * 8 + [("Zoe",)] * 8
    assert corpus.labels_met() == {"folder": (2, 0)}
    plain = read_corpus([folder], options=TextOptions(songs=options.songs))
    assert corpus.labels.stripped(corpus.text) == plain.text
    assert corpus.songs == plain.songs
    assert corpus.characters == plain.characters


@pytest.mark.parametrize("pattern", [r"\W+", ".{1,2}", r"\*+"])
def test_what_parts_songs_never_sees_a_label(tmp_path: Path, pattern: str) -> None:
    folder = in_folders(tmp_path / "all", between="**\n", each=3)
    options = TextOptions(labels=("folder",), songs=pattern)
    corpus = read_corpus([folder], options=options)
    assert labels_of(corpus) == [("Ann",)] * 12 + [("Zoe",)] * 12
    plain = read_corpus([folder], options=TextOptions(songs=pattern))
    assert corpus.labels.stripped(corpus.text) == plain.text


def test_a_member_of_an_archive_has_the_folder_that_it_is_in_there(tmp_path: Path) -> None:
    folder = in_folders(tmp_path / "all")
    with zipfile.ZipFile(tmp_path / "pack.zip", "w") as archive:
        for path in sorted(folder.rglob("*.txt")):
            archive.write(path, path.relative_to(folder))
        archive.write(folder / "Ann" / "0.txt", "top.txt")
    corpus = read_corpus([tmp_path / "pack.zip"], options=TextOptions(labels=("folder",)))
    assert labels_of(corpus) == [("Ann",)] * 4 + [("Zoe",)] * 4 + [("pack",)]


def test_columns_tags_fields_and_titles_are_labels(tmp_path: Path) -> None:
    rows = [{**song, "Year ": "1999", "title": f"song {k}"} for k, song in enumerate(songs(6))]
    path = table(tmp_path / "songs.csv", rows)
    options = TextOptions(labels=("Artist", "YEAR", "title"))
    assert options.labels == ("artist", "year", "title")
    expected = [(row["artist"], "1999", row["title"]) for row in rows]
    assert labels_of(read_corpus([path], options=options)) == expected
    (tmp_path / "songs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert labels_of(read_corpus([tmp_path / "songs.jsonl"], options=options)) == expected
    folder = tmp_path / "lrc"
    folder.mkdir()
    for k, row in enumerate(rows):
        text = f"[ar: {row['artist']}  B]\n[00:01.00]" + row["text"].replace("\n", "\n[00:02.00]")
        (folder / f"{k}.lrc").write_text(text)
    corpus = read_corpus([folder], options=ARTIST)
    assert labels_of(corpus) == [(f"{row['artist']} B",) for row in rows]


def test_a_song_that_nothing_is_told_of_has_none(tmp_path: Path) -> None:
    rows = [{**row, "artist": "" if k % 3 == 0 else row["artist"]} for k, row in enumerate(songs())]
    corpus = read_corpus([table(tmp_path / "songs.csv", rows)], options=ARTIST)
    assert labels_of(corpus) == [(row["artist"],) for row in rows]
    assert corpus.labels_met() == {"artist": (2, 20)}


def test_what_would_look_like_a_label_in_a_text_is_replaced_and_counted(tmp_path: Path) -> None:
    rows = songs(8)
    rows[3]["text"] = "\U00100000 aba\U0010fffd\n" + rows[3]["text"]
    path = table(tmp_path / "songs.csv", rows)
    corpus = read_corpus([path], options=ARTIST)
    assert "\ufffd aba\ufffd\n" in corpus.text
    assert labels_of(corpus) == [(row["artist"],) for row in rows]
    assert corpus.sources[0].account.told() == ("2 private characters",)
    assert "\U00100000 aba\U0010fffd\n" in read_corpus([path]).text


def test_a_label_that_no_song_has_is_an_error_that_says_what_there_is(tmp_path: Path) -> None:
    path = table(tmp_path / "songs.csv", songs(8))
    with pytest.raises(CorpusError) as caught:
        read_corpus([path], options=TextOptions(labels=("artits",)))
    assert str(caught.value) == (
        "Of no song a artits is told, so it cannot be a label: what is told of them is folder and "
        "artist; did you mean artist?"
    )


def test_a_stream_has_no_labels(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("It was a dark night.\n" * 400, encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        read_corpus([path], options=TextOptions(labels=("folder",)))
    assert str(caught.value) == (
        f"Songs have labels, and in {path} none are told apart: say what parts them with songs."
    )
    for other in ({"songs": "off"}, {"newline": "space"}):
        with pytest.raises(RecipeError, match=r"^Songs are what has labels: leave "):
            TextOptions(labels=("folder",), **other)  # type: ignore[arg-type]
    for wrong in (("",), ("artist=Ann",), ("a", "A "), 3, {"artist": 1}, (1,)):
        with pytest.raises(SettingError, match=r"^labels must be different names"):
            TextOptions(labels=wrong)  # type: ignore[arg-type]


def test_a_value_has_its_symbol_again_and_no_new_one_where_they_are_closed(tmp_path: Path) -> None:
    rows = songs(10)
    path = table(tmp_path / "songs.csv", rows)
    known = read_corpus([path], options=ARTIST).labels
    others = [{**row, "artist": "Bob" if k == 2 else row["artist"]} for k, row in enumerate(rows)]
    path = table(tmp_path / "others.csv", others[2:])
    grown = read_corpus([path], options=ARTIST, earlier=Earlier(labels=known)).labels
    assert grown.values["artist"] == {**known.values["artist"], "Bob": "\U00100003"}
    closed = read_corpus([path], options=ARTIST, earlier=Earlier(labels=known, closed=True))
    assert closed.labels == known
    assert labels_of(closed)[:2] == [("",), (rows[3]["artist"],)]


def test_a_long_text_that_is_kept_keeps_its_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mapped, "LONGEST_IN_MEMORY", 100)
    folder = in_folders(tmp_path / "all")
    options = TextOptions(labels=("folder",))

    def opened(place: Path) -> Corpus:
        return open_corpus([place], cache=tmp_path / "cache", options=options)

    first, again = opened(folder), opened(folder)
    assert first.file_bytes
    assert again.labels == first.labels == read_corpus([folder], options=options).labels
    assert labels_of(again) == labels_of(first)
    (folder / "Ann").rename(folder / "Bea")  # the bytes are the same
    assert labels_of(opened(folder))[:4] == [("Bea",)] * 4


# What is kept of them.


LABELS = Labels(
    ("artist", "genre"),
    {
        "artist": {"Sappho": "\U00100002", "Du Fu": "\U00100004", "Édith Piaf": "\U00100005"},
        "genre": {"ode": "\U00100003"},
    },
)


def test_labels_go_through_json_and_come_out_the_same() -> None:
    value = json.loads(json.dumps(LABELS.to_json()))
    assert value["artist"] == {"Sappho": 2, "Du Fu": 4, "Édith Piaf": 5}
    assert Labels.from_json(value) == LABELS
    assert Labels.from_json({}) == Labels()


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"artist": []},
        {"artist": {"Ann": "2"}},
        {"artist": {"Ann": True}},
        {"artist": {"Ann": 0}},
        {"artist": {"Ann": 1, "Bob": 1}},
        {"artist": {"Ann": 65_534}},
        {"artist": {"\ud800": 1}},
    ],
)
def test_a_strangers_labels_are_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        Labels.from_json(value)


def test_what_is_read_before_a_song_is_a_symbol_for_each_name() -> None:
    assert LABELS.none == "\U00100000\U00100001"
    assert LABELS.symbols({}) == LABELS.none
    assert LABELS.symbols({"Genre": "ode"}) == "\U00100000\U00100003"
    # As it was typed: decomposed, in small letters.
    assert LABELS.symbols({"artist": " e\u0301dith  PIAF "}) == "\U00100005\U00100001"


def test_a_label_that_was_not_learned_is_an_error_that_lists_the_nearest() -> None:
    known = {f"singer number {k}": chr(0x100010 + k) for k in range(40)}
    many = Labels(("artist",), {"artist": {**known, "Sappho": "\U00100009"}})
    for labels, label, told in (
        (
            LABELS,
            {"artist": "Safo"},
            "label='artist=Safo' is not what the model has learned: it has Sappho, Du Fu and "
            "Édith Piaf.",
        ),
        (
            many,
            {"artist": "safo"},
            "label='artist=safo' is not what the model has learned: of 41 the nearest are Sappho.",
        ),
        (
            many,
            {"artist": "阮"},
            "label='artist=阮' is not what the model has learned: there are 41, such as singer "
            "number 0, singer number 1, singer number 2, singer number 3 and singer number 4.",
        ),
        (
            LABELS,
            {"year": "1"},
            "The model has learned no label called year: it has artist and genre.",
        ),
        (
            Labels(),
            {"artist": "Sappho"},
            "The model has learned no labels: leave label out, or train a model with labels.",
        ),
        (LABELS, {"artist": 3}, "label must be names with values, as in artist and Sappho."),
    ):
        with pytest.raises(RecipeError) as caught:
            labels.symbols(label)  # type: ignore[arg-type]
        assert str(caught.value) == told


# What a vocabulary makes of them.


def vocabulary_of(corpus: Corpus, **settings: Any) -> Vocabulary:
    return Vocabulary.build(corpus.text, labels=corpus.labels, **settings)


def test_a_vocabulary_counts_no_labels_and_loses_none(tmp_path: Path) -> None:
    corpus = read_corpus([table(tmp_path / "songs.csv", songs(8))], options=ARTIST)
    plain = Vocabulary.build(corpus.labels.stripped(corpus.text))
    known = vocabulary_of(corpus)
    assert (known.size, known.seen_once) == (plain.size, plain.seen_once)
    assert len(known) == len(plain) + 3  # none is one of them, though no song is without
    assert known.places is not None
    assert [known.decode([k]) for k in np.flatnonzero(known.places == 0).tolist()] == [
        *sorted(corpus.labels.values["artist"].values(), key=lambda one: -corpus.text.count(one)),
        "\U00100000",
    ]
    assert set(known.marks.tolist()) == {known.end, *np.flatnonzero(known.places == 0).tolist()}
    few = vocabulary_of(corpus, min_count=10**6)
    assert few.size == 0
    assert len(few) == 1 + 1 + 3
    for symbol in (*corpus.labels.places, END):
        assert symbol not in known


def test_a_value_that_only_held_out_songs_have_is_read_as_none(tmp_path: Path) -> None:
    rows = [{**row, "artist": "Bob" if k > 50 else row["artist"]} for k, row in enumerate(songs())]
    corpus = read_corpus([table(tmp_path / "songs.csv", rows)], options=ARTIST)
    cut = int(corpus.ends[51])
    known = Vocabulary.build(corpus.counts(0, cut), labels=corpus.labels)
    assert list(known.labels.values["artist"]) == list(corpus.labels.values["artist"])[:2]
    none = int(known.encode(corpus.labels.none)[0])
    assert none != UNKNOWN
    text = "".join(corpus.pieces(cut))
    assert known.encode(text)[1] == none
    assert UNKNOWN not in known.encode(text)
    held_out = Tokens(corpus, known, cut, len(corpus))
    assert np.array_equal(held_out[:], known.encode(text))


# What training reads.


def windows(sampling: str = "consecutive", **labels: Any) -> tuple[Windows, list[int]]:
    """Return windows over 400 songs of ids, each of its own label, and where the songs begin."""
    random = np.random.default_rng(1)
    ids, ends = [1], [0]
    for song in range(400):
        ids += [10 + song % 5, 20 + song % 3, *random.integers(30, 40, size=12).tolist(), 1]
        ends.append(len(ids) - 1)
    places = np.full(40, -1)
    places[[2, *range(10, 15)]], places[[3, *range(20, 23)]] = 0, 1
    labelled = Labelled(places, np.array([2, 3]), np.array(ends))
    return Windows(
        np.array(ids, dtype=np.uint16),
        batch=4,
        window=17,
        sampling=sampling,
        seed=5,
        labels=labelled,
        ends=labelled.ends,
    ), ids


def read_back(sampling: str, epoch: int) -> list[Window]:
    return list(windows(sampling)[0].epoch(epoch))


@pytest.mark.parametrize("sampling", ["consecutive", "songs", "random"])
def test_labels_are_read_or_hidden_and_never_predicted(sampling: str) -> None:
    source, _ = windows(sampling)
    ends = source.labels.ends if source.labels else None
    plain = Windows(source.ids, batch=4, window=17, sampling=sampling, seed=5, ends=ends)
    hidden = shown = 0
    for window, other in zip(source.epoch(3), plain.epoch(3), strict=True):
        for none, values in ((2, range(10, 15)), (3, range(20, 23))):
            own = torch.isin(other.inputs, torch.tensor([*values]))
            assert torch.isin(window.inputs[own], torch.tensor([none, *values])).all()
            hidden += int((window.inputs[own] == none).sum())
            shown += int((window.inputs[own] == other.inputs[own]).sum())
        label = (other.inputs >= 10) & (other.inputs < 30)
        assert torch.equal(window.inputs[~label], other.inputs[~label])
        ahead = (other.targets >= 10) & (other.targets < 30)
        assert (window.targets[ahead] == IGNORED).all()
        assert torch.equal(window.targets[~ahead], other.targets[~ahead])
        assert window.counted == int((~ahead).sum())
        assert other.counted == other.targets.numel()
    # A tenth of the songs, and a tenth of the labels of the others.
    assert hidden / (hidden + shown) == pytest.approx(0.19, abs=0.05)


def test_what_is_hidden_follows_from_the_seed_and_the_epoch() -> None:
    first, again, other = (read_back("consecutive", epoch) for epoch in (2, 2, 3))
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a.inputs, b.inputs) for a, b in zip(first, other, strict=True))
    late = list(windows()[0].epoch(2, start=7))
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(first[7:], late, strict=True))


def test_the_mean_of_a_text_leaves_its_labels_out() -> None:
    _, ids = windows()
    text = np.array(ids[:500], dtype=np.uint16)
    torch.manual_seed(3)
    lm = CharLM(Architecture(hidden=8, embedding=4), 40, end=1)
    unpredicted = np.isin(np.arange(40), [2, 3, *range(10, 30)])
    logits, _ = lm(torch.from_numpy(text[:-1].astype(np.int64))[:, None], lm.zero_state(1))
    shares = functional.log_softmax(logits[:, 0], dim=1)
    expected = [-float(shares[k, c].detach()) for k, c in enumerate(text[1:]) if not unpredicted[c]]
    for streams in (1, 4):
        found = mean_surprisal(lm, text, streams=streams, run_up=40, unpredicted=unpredicted)
        assert found.network == pytest.approx(sum(expected) / len(expected), rel=1e-5)
        assert found.blended == found.network


# What a model makes of them.


def share_of(artist: str, text: str) -> float:
    """Return which share of the letters are an artist's."""
    letters = [c for c in text if c.isalpha()]
    return sum(c in "".join(WORDS[artist]) for c in letters) / max(len(letters), 1)


# The n-gram model of the training text, which is that of all labels, does not read them.
@pytest.mark.parametrize(("recall", "least"), [(0.0, 0.9), (None, 0.6)])
def test_a_label_leads_what_is_written(
    model: TrainedModel, recall: float | None, least: float
) -> None:
    for artist in WORDS:
        label = {"artist": artist}
        texts = model.generate_many(samples=8, seed=1, label=label, recall=recall)
        assert share_of(artist, "".join(texts)) > least
        lower = {"Artist": artist.lower()}
        lines = model.generate(lines=3, seed=2, label=lower, recall=recall)
        assert share_of(artist, lines) > least
        form = charlstm.Form(lines=3, line_length="12")
        composed = model.compose(form, seed=3, label=label, recall=recall)
        assert share_of(artist, composed) > least
        song = Song(model.recalling(recall), seed=4, label=label)
        assert share_of(artist, "".join(p.line for p in song.propose(5))) > least


def test_without_a_label_a_model_writes_songs_of_all(model: TrainedModel) -> None:
    texts = model.generate_many(samples=24, seed=1)
    shares = [share_of("Ann", text) for text in texts]
    assert min(shares) < 0.3
    assert max(shares) > 0.7
    assert texts == model.generate_many(samples=24, seed=1, label={})


def test_no_label_is_ever_shown(model: TrainedModel) -> None:
    assert model.info.labels.names == ("artist",)
    texts = model.generate_many(samples=80, temperature=2, seed=1, length=400)
    texts += ["".join(model.stream(temperature=3, seed=2, length=300)), model.held_out()]
    form = charlstm.Form(lines=4)
    texts += [model.compose(form, temperature=5, seed=3), model.sampler.generate(lines=5, seed=4)]
    texts.append((model.directory.path / "samples.txt").read_text(encoding="utf-8"))
    texts.append(model.learned.text.line_at(3)[1])
    copied = model.novelty(model.held_out().replace(END, ""))
    texts += [passage.text for passage in copied.passages]
    assert len("".join(texts)) > 3_000
    assert not any(map(SYMBOL.search, texts))


def test_a_label_cannot_be_typed_into_a_prefix_or_a_text(model: TrainedModel) -> None:
    symbol = model.info.labels.values["artist"]["Ann"]
    with pytest.raises(charlstm.UnknownCharactersError, match=r"U\+10000"):
        model.generate(symbol)
    assert model.sampler.prefix(symbol + "aba", "map").read.endswith("aba")
    assert not model.sampler.prefix(symbol, "skip").read
    text = songs(8)[0]["text"]
    marked = model.perplexity(f"{symbol}{text}", threads=1)
    assert marked.characters == len(text) + 2


def test_a_song_written_together_can_change_its_label(model: TrainedModel) -> None:
    song = Song(model.sampler, seed=1, label={"artist": "Ann"})
    song.write(["aba bab cab bac"])
    before = song.end_probability
    song.change(label={"artist": "Zoe"})
    assert song.lines == ("aba bab cab bac",)
    assert dict(song.label) == {"artist": "Zoe"}
    assert song.end_probability != before
    with pytest.raises(RecipeError, match=r"has learned: it has "):
        song.change(label={"artist": "Nobody"})
    assert dict(song.label) == {"artist": "Zoe"}
    song.change(label={})
    assert dict(song.label) == {}


# What is measured.


def test_labels_are_worth_what_a_plain_computation_says(model: TrainedModel) -> None:
    figures = model.perplexity(threads=1)
    found = figures.labels
    assert found is not None
    assert found.loss == pytest.approx(figures.loss)
    assert found.certain
    assert found.shuffled_loss is not None
    assert found.shuffled_loss > found.none_loss > found.loss
    assert found.share == pytest.approx(1 - np.exp(found.loss - found.none_loss))
    vocabulary = model.info.vocabulary
    raw = model.directory.read_held_out(model.info)
    none = raw
    for symbol in vocabulary.labels.places:
        none = none.replace(symbol, vocabulary.labels.none)
    lm = CharLM(model.info.recipe.architecture, len(vocabulary), end=vocabulary.end)
    weights = model.directory.read_model(model.info)
    lm.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    recall = model.directory.read_recall(model.info)
    assert recall is not None
    for text, loss in ((raw, found.loss), (none, found.none_loss)):
        ids = vocabulary.encode(text)
        # What is remembered, of the network's: labels are nothing to it.
        nats, _ = recall.measure(ids).surprisal(surprisal(lm, ids).double().numpy(), SHARE)
        kept = [n for n, c in zip(nats.tolist(), text[1:], strict=True) if not SYMBOL.match(c)]
        assert loss == pytest.approx(sum(kept) / len(kept), rel=1e-5)
    last = model.info.best
    assert last is not None
    assert last.validation_loss == pytest.approx(figures.loss, rel=1e-3)
    characters = len(model.held_out()) - model.held_out().count(END)
    assert figures.characters == characters
    assert len(figures.surprisal) == characters + figures.ends
    assert figures.uniform_perplexity == vocabulary.size + 2
    adapting = model.perplexity(dynamic=True, threads=1)
    assert adapting.dynamic_loss is not None
    assert adapting.dynamic_loss < figures.loss * 1.2


def test_labels_that_tell_nothing_are_worth_nothing(root: Path) -> None:
    random = Random(5)
    rows = [{**row, "artist": random.choice(["one", "two"])} for row in songs(80)]
    settings = {**SMALL, "labels": "artist", "epochs": 6, "validation": 0.3}
    figures = charlstm.train(text=rows, root=root, **settings).perplexity(threads=1)
    assert figures.labels is not None
    assert not figures.labels.certain
    assert figures.labels.share == 0


@pytest.mark.parametrize(("many", "certain"), [(4, False), (5, True)])
def test_labels_of_one_value_cannot_be_shuffled(many: int, *, certain: bool) -> None:
    labels = Labels(("artist",), {"artist": {"Ann": "\U00100001"}})
    text = f"{END}\U00100001ab\n" * many + END
    vocabulary = Vocabulary.build(text, labels=labels)
    ids = vocabulary.encode(text)

    def measure(ids: Any) -> Any:  # reads none as bad, everywhere
        is_none = vocabulary.encode("\U00100000")[0] in ids
        return np.full(len(ids) - 1, 2 if is_none else 1, dtype=np.float32)

    found = worth(vocabulary, ids, measure(ids), measure)
    assert found is not None
    assert (found.loss, found.none_loss, found.shuffled_loss) == (1, 2, None)
    assert found.certain == certain
    none = vocabulary.encode(text.replace("\U00100001", "\U00100000"))
    assert worth(vocabulary, none, measure(none), measure) is None


# Runs.


def weights_of(run: TrainedModel) -> dict[str, Any]:
    return run.directory.read_model(run.info)


def test_a_resumed_training_with_labels_ends_with_the_same_weights(root: Path) -> None:
    rows = songs(40)
    settings = {**SMALL, "labels": ["artist"], "epochs": 4, "schedule": "constant"}
    whole = charlstm.train(text=rows, root=root, name="whole", **settings)
    steps = whole.info.last
    assert steps is not None
    charlstm.train(text=rows, root=root, name="half", steps=steps.step // 2 + 3, **settings)
    resumed = charlstm.resume("half", text=rows, root=root, steps=steps.step, threads=1)
    others = weights_of(whole)
    assert all(np.array_equal(array, others[n]) for n, array in weights_of(resumed).items())
    rows[0]["artist"] = "Somebody"
    with pytest.raises(CorpusError, match=r"is not the one that"):
        charlstm.resume("half", text=rows, root=root, steps=steps.step + 1, threads=1)


def test_a_folder_that_was_renamed_is_another_text(tmp_path: Path, root: Path) -> None:
    folder = in_folders(tmp_path / "all")
    settings = {**SMALL, "labels": ["folder"], "steps": 4}
    run = charlstm.train(folder, root=root, **settings)
    (folder / "Ann").rename(folder / "Aoi")
    with pytest.raises(CorpusError, match=r"is not the one that"):
        charlstm.resume(run.directory.path, root=root, steps=6, threads=1)
    (folder / "Aoi").rename(folder / "Ann")
    moved = shutil.move(folder, tmp_path / "elsewhere")
    resumed = charlstm.resume(run.directory.path, places=moved, root=root, steps=6, threads=1)
    assert resumed.info.last is not None
    assert resumed.info.last.step == 6


def test_what_starts_from_a_run_keeps_its_labels_and_may_have_more(
    model: TrainedModel, root: Path
) -> None:
    rows = [{**row, "artist": "Bob" if k % 3 else row["artist"]} for k, row in enumerate(songs())]
    small = {name: SMALL[name] for name in ("batch", "window", "threads", "precision")}
    path = model.directory.path
    run = charlstm.train(text=rows, start_from=path, root=root, steps=30, **small)
    old, new = model.info.labels.values["artist"], run.info.labels.values["artist"]
    assert {**old, "Bob": "\U00100003"} == new
    assert run.generate(label={"artist": "Bob"}, seed=1, length=20)
    resumed = charlstm.resume(run.directory.path, text=rows, root=root, steps=40, threads=1)
    assert resumed.info.labels == run.info.labels
    with pytest.raises(RecipeError, match=r"has labels .* leave labels out"):
        charlstm.train(text=rows, start_from=path, labels=["genre"], root=root, **small)


def test_a_run_whose_labels_are_not_those_of_its_recipe_is_refused(
    model: TrainedModel, tmp_path: Path
) -> None:
    changes: tuple[dict[str, Any], ...] = (
        {"labels": {"genre": {"Ann": 1}}},
        {"labels": {"artist": {"Ann": 1, "Zoe": 1}}},
        {"labels": {}},
        {"labels": None},
        {"songs": None},
    )
    for change in changes:
        copy = Path(shutil.copytree(model.directory.path, tmp_path / "run"))
        value = json.loads((copy / "run.json").read_text())
        value["corpus"].update(change)
        (copy / "run.json").write_text(json.dumps(value))
        with pytest.raises(RunError, match=r"is damaged|run\.json"):
            charlstm.load(copy)
        shutil.rmtree(copy)


def test_a_strangers_held_out_text_is_measured_or_refused(
    model: TrainedModel, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(model.directory.path, tmp_path / "run"))
    text = model.directory.read_held_out(model.info)
    ann, none = model.info.labels.values["artist"]["Ann"], model.info.labels.none
    for other, told in (
        (ann * len(text), "nothing but labels"),
        (END * len(text), ""),
        (text.replace(END, ann), ""),
        (text[::-1], ""),
        ((ann + none + END) * (len(text) // 3) + "a" * (len(text) % 3), ""),
    ):
        (copy / "heldout.txt").write_text(other, encoding="utf-8")
        strange = charlstm.load(copy)
        if told:
            with pytest.raises(CorpusError, match=told):
                strange.perplexity(threads=1)
        else:
            assert strange.perplexity(threads=1).loss > 0


def test_a_mapping_without_words_is_refused(root: Path) -> None:
    for rows, told in (
        ([{"artist": "Ann"}], "must have its words as 'text'"),
        ([{"text": 3}], "must have its words as 'text'"),
        ({"text": "la"}, "put the song into a list"),
        ([{"text": "la\ud800"}], "is half of one"),
    ):
        with pytest.raises(CharLSTMError, match=told):
            charlstm.train(text=rows, root=root)


# The command line.


@pytest.fixture
def here(tmp_path: Path, model: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with the run in its checkpoints/."""
    shutil.copytree(model.directory.path, tmp_path / "checkpoints" / "labelled")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_training_reports_its_labels(here: Path, charlstm: Charlstm) -> None:
    rows = [{**row, "artist": row["artist"] if k % 2 else ""} for k, row in enumerate(songs(40))]
    table(here / "songs.csv", rows)
    small = ["--hidden", "8", "--embedding", "4", "--steps", "2", "--threads", "1"]
    asked = ["--label", "artist", "--label", "folder"]
    result = charlstm("train", "songs.csv", *asked, *small)
    assert result.code == 0
    assert "labels: artist: 2 values, 20 songs without one\n" in result.stderr
    assert f"{'folder'}: 1 value, no song without one\n" in result.stderr
    result = charlstm("train", "songs.csv", "--label", "singer", *small)
    assert (result.code, result.stderr) == (
        1,
        "error: Of no song a singer is told, so it cannot be a label: what is told of them is "
        "folder and artist.\n",
    )


def test_generate_takes_labels_and_tells_them(here: Path, charlstm: Charlstm) -> None:
    result = charlstm("generate", "--label", "artist=Zoe", "--seed", "1", "--json")
    answer = json.loads(result.stdout)
    assert answer["label"] == {"artist": "Zoe"}
    assert share_of("Zoe", answer["text"]) > 0.9
    assert answer["mean_log_probability"] > -2
    for label, code, told in (
        ("artist=Zo", 1, "--label artist=Zo is not what the model has learned: it has "),
        ("singer=Zoe", 1, "The model has learned no label called singer: it has artist."),
        ("artist", 2, "--label needs a name and a value"),
        ("artist=", 2, "--label needs a name and a value"),
    ):
        result = charlstm("generate", "--label", label)
        assert result.code == code
        assert told in " ".join(result.stderr.replace("│", " ").split())


def test_eval_says_what_labels_are_worth_and_shows_none(here: Path, charlstm: Charlstm) -> None:
    asked = ("eval", "perplexity", "--threads", "1")
    result = charlstm(*asked, "--show", "--html", "page.html")
    assert "labels       as they are" in result.stdout
    assert "\nThe labels are worth " in result.stdout
    for shown in (result.stdout, (here / "page.html").read_text(encoding="utf-8")):
        assert not SYMBOL.search(shown)
    figures = json.loads(charlstm(*asked, "--json").stdout)
    assert figures["label_none_perplexity"] > figures["perplexity"]
    assert figures["label_shuffled_perplexity"] > figures["perplexity"]
    # A single song of somebody who was not learned.
    (here / "Bob").mkdir()
    (here / "Bob" / "one.txt").write_text(songs(1)[0]["text"], encoding="utf-8")
    result = charlstm(*asked, "Bob/one.txt")
    assert result.code == 0
    assert "No song has a label that was learned" in result.stdout


def test_labels_of_a_file_that_is_measured_are_read(here: Path, charlstm: Charlstm) -> None:
    table(here / "more.csv", songs(12))
    losses = [
        json.loads(charlstm("eval", "perplexity", name, "--threads", "1", "--json").stdout)
        for name in ("more.csv", "other.csv")
        if name == "more.csv" or table(here / name, [{"text": s["text"]} for s in songs(12)])
    ]
    assert losses[0]["label_none_loss"] == pytest.approx(losses[1]["loss"], rel=1e-5)
    assert losses[0]["loss"] < losses[1]["loss"]


def test_a_draft_goes_on_with_its_label(
    here: Path, charlstm: Charlstm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(*asked: str, typed: str) -> str:
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        result = charlstm("write", "--seed", "1", *asked)
        assert result.code == 0
        return result.stdout

    first = written("--label", "artist=Zoe", typed="1\n1\n1\nq\n")
    assert share_of("Zoe", first) > 0.9
    again = written(typed="1\n1\nq\n")
    assert again.startswith(first)
    settings = json.loads((here / "checkpoints" / "labelled" / "draft.json").read_text())
    assert settings["label"] == {"artist": "Zoe"}
    written("--label", "artist=Ann", typed="1\nq\n")
    settings = json.loads((here / "checkpoints" / "labelled" / "draft.json").read_text())
    assert settings["label"] == {"artist": "Ann"}
    result = charlstm("write", "--label", "artist=Nobody")
    assert result.code == 1
    assert "--label artist=Nobody is not what the model has learned" in result.stderr
