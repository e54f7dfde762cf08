"""Songs that end: learned, resumed, written and measured."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from bigrams import bigrams
from commandline import Charlstm
from hypothesis import given
from hypothesis import strategies as st

import charlstm
from charlstm.errors import RunError
from charlstm.evaluation.highlight import LINE_END, SONG_END, lines, page
from charlstm.evaluation.perplexity import evaluate
from charlstm.model.charlm import CharLM
from charlstm.text.songs import END, Songs, with_ends
from charlstm.trained import TrainedModel
from charlstm.writing.composer import Composer
from charlstm.writing.decoding import Decoding
from charlstm.writing.sampler import Sampler
from charlstm.writing.song import Song

SMALL: dict[str, Any] = {
    "hidden": 32,
    "embedding": 8,
    "batch": 4,
    "window": 16,
    "dropout": 0.0,
    "threads": 1,
    "precision": "float32",
    "progress": False,
}
WORDS = ("雨", "窗", "车", "海", "花", "夜", "风", "糖", "桥", "灯")


def songs(many: int = 30) -> list[str]:
    """Return short songs with a title, no two of them alike."""
    made = []
    for number in range(many):
        random = Random(number)
        verses = ("".join(random.choices(WORDS, k=4)) for _ in range(random.randint(2, 4)))
        made.append(f"《{random.choice(WORDS)}》\n\n" + "\n".join(verses))
    return made


TEXT = "\n\n\n".join(songs())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    """Return a model that has learned such songs."""
    root = tmp_path_factory.mktemp("songs")
    corpus = root / "songs.txt"
    corpus.write_text(TEXT, encoding="utf-8")
    return charlstm.train(corpus, root=root / "checkpoints", epochs=60, **SMALL)


@pytest.fixture
def run(model: TrainedModel, monkeypatch: pytest.MonkeyPatch) -> TrainedModel:
    """Return that model, in whose directory commands find it."""
    monkeypatch.chdir(model.directory.path.parent.parent)
    return model


def test_a_run_says_which_songs_it_learned(model: TrainedModel) -> None:
    told = json.loads((model.directory.path / "run.json").read_bytes())
    lengths = sorted(len(song) + 1 for song in songs())
    assert told["corpus"]["songs"] == {
        "number": 30,
        "shortest": lengths[0],
        "median": lengths[15],
        "longest": lengths[-1],
        "parted": "titles",
    }
    held_out = model.held_out()
    number = held_out.count(END) - 1
    assert held_out == END + "".join(f"{song}\n{END}" for song in songs()[-number:])
    learned = model.directory.read_index(model.info)
    assert learned == "".join(f"{END}{song}\n" for song in songs()[:-number])


@pytest.mark.parametrize("name", ["shortest", "median", "longest"])
def test_songs_for_which_a_strangers_text_has_no_room_are_refused(
    model: TrainedModel, tmp_path: Path, name: str
) -> None:
    path = shutil.copytree(model.directory.path, tmp_path / "run")
    told = json.loads((path / "run.json").read_bytes())
    told["corpus"]["songs"][name] = 10**15
    (path / "run.json").write_text(json.dumps(told))
    with pytest.raises(RunError, match=r"damaged: songs must be as long as the text has room for"):
        charlstm.load(path)


@pytest.mark.parametrize("sampling", ["songs", "consecutive"])
def test_a_training_goes_on_as_if_it_had_not_been_interrupted(
    tmp_path: Path, sampling: str
) -> None:
    settings = {**SMALL, "schedule": "constant", "sampling": sampling, "root": tmp_path}
    whole = charlstm.train(text=songs(), epochs=6, name="whole", **settings)
    part = charlstm.train(text=songs(), epochs=3, name="part", **settings)
    resumed = charlstm.resume(
        "part", text=songs(), root=tmp_path, epochs=6, threads=1, progress=False
    )
    assert resumed.info.songs == part.info.songs == whole.info.songs is not None
    for name, weight in whole.directory.read_model(whole.info).items():
        assert np.array_equal(weight, resumed.directory.read_model(resumed.info)[name])


def test_a_training_reads_its_songs_in_another_order_if_it_is_to(tmp_path: Path) -> None:
    models = {
        sampling: charlstm.train(
            text=songs(), epochs=1, name=sampling, sampling=sampling, root=tmp_path, **SMALL
        )
        for sampling in ("songs", "consecutive")
    }
    first, second = (run.directory.read_model(run.info) for run in models.values())
    assert not np.array_equal(first["head.bias"], second["head.bias"])
    # Of one stream there is nothing to reorder.
    settings = {**SMALL, "songs": "off", "epochs": 1, "root": tmp_path}
    runs = [charlstm.train(text=songs(), sampling=kind, **settings) for kind in models]
    first, second = (run.directory.read_model(run.info) for run in runs)
    assert all(np.array_equal(weight, second[name]) for name, weight in first.items())


def test_a_resume_tells_songs_apart_as_they_were_told_apart_then(tmp_path: Path) -> None:
    corpus = tmp_path / "songs.txt"
    # Read anew, rules would be found first.
    text = TEXT.replace("\n\n\n", "\n\n\n* * *\n")
    corpus.write_text(text, encoding="utf-8")
    run = charlstm.train(corpus, root=tmp_path / "runs", steps=4, **SMALL)
    kept = run.directory.path / "run.json"
    said = json.loads(kept.read_bytes())
    assert said["corpus"]["songs"]["parted"] == "rules"
    said["corpus"]["songs"]["parted"] = "empty lines"
    kept.write_text(json.dumps(said), encoding="utf-8")
    with pytest.raises(charlstm.CorpusError, match="is not the one that"):
        charlstm.resume(root=tmp_path / "runs", steps=6, threads=1, progress=False)


def test_songs_that_are_off_are_one_stream(tmp_path: Path) -> None:
    run = charlstm.train(text=songs(), songs="off", root=tmp_path, steps=4, **SMALL)
    assert run.info.songs is None
    assert run.info.vocabulary.end is None
    assert "\n\n".join(songs())[-50:] in run.held_out()


def test_a_model_of_songs_ends_them_by_itself(model: TrainedModel) -> None:
    written = model.write_many(samples=40, seed=1)
    assert sum(one.ended for one in written) >= 38
    assert all(END not in one.text for one in written)
    # The line break at its end is no part of a song. With a text so short the n-gram model now and
    # then expects the end after an empty line, because it often comes after a line break.
    assert sum(one.text.endswith("\n") for one in written if one.ended) <= 6
    titled = sum(one.text.startswith("《") for one in written)
    assert titled >= 36
    assert model.generate_many(samples=40, seed=1) == [one.text for one in written]


def test_a_song_is_the_same_while_it_is_written_and_alone(model: TrainedModel) -> None:
    for seed, written in enumerate(model.write_many(samples=4, seed=0)):
        stream = model.stream(seed=seed)
        assert "".join(stream) == written.text
        assert stream.ended == written.ended


def ending(chance: float, longest: int = 8) -> Sampler:
    """Return a model whose songs end after any line with this chance; lines are ``a`` or ``ab``."""
    after: dict[str, dict[str, float]] = {
        END: {"a": 1.0},
        "a": {"b": 0.5, "\n": 0.5},
        "b": {"\n": 1.0},
        "\n": {"a": 1 - chance, END: chance} if chance < 1 else {END: 1.0},
    }
    return bigrams(after, songs=Songs(3, 2, longest, 9, "titles"))


def test_a_song_that_does_not_end_is_cut_at_four_times_the_middle_one() -> None:
    sampler = ending(1e-9, longest=5)
    (written,) = sampler.write_many(samples=1, seed=0)
    assert (len(written.text), written.ended) == (20, False)
    (short,) = sampler.write_many(samples=1, seed=0, length=7)
    assert (len(short.text), short.ended) == (7, False)
    assert written.text.startswith(short.text)


def test_lines_are_counted_whether_or_not_the_model_would_end(model: TrainedModel) -> None:
    (written,) = ending(0.9).write_many(samples=1, lines=6, seed=0)
    assert written.text.count("\n") == 5
    assert not written.ended
    assert model.generate(lines=9, seed=3).count("\n") >= 8


def test_a_text_to_stop_at_ends_no_song() -> None:
    for seed in range(8):
        (written,) = ending(0.2).write_many(samples=1, stop=["ab"], seed=seed)
        (whole,) = ending(0.2).write_many(samples=1, seed=seed)
        assert written.text == whole.text.partition("ab")[0]
        assert written.ended == (whole.ended and "ab" not in whole.text)


@given(st.integers(0, 10_000), st.sampled_from([0.1, 0.5, 0.9]), st.integers(0, 30))
def test_nothing_of_an_end_is_ever_written(seed: int, chance: float, length: int) -> None:
    loops = Decoding(temperature=1.0, allow_loops=True)
    sampler = ending(chance)
    for written in sampler.write_many(samples=3, seed=seed, length=length, decoding=loops):
        assert END not in written.text
        assert len(written.text) <= length
        if written.ended:
            assert set(written.text.split("\n")) <= {"a", "ab"}


def test_a_prefix_is_read_as_whatever_it_is_likelier_to_begin() -> None:
    after: dict[str, dict[str, float]] = {
        END: {"《": 0.999, "a": 0.001},
        "《": {"a": 1.0},
        "a": {"\n": 0.5, "》": 0.5},
        "》": {"\n": 1.0},
        "\n": {"a": 0.9, END: 0.1},
    }
    sampler = bigrams(after, songs=Songs(3, 2, 8, 9, "titles"))
    for prefix, before in (("《a", END), ("a", "\n"), ("", END)):
        state = sampler.network.start()
        sampler.network.read(state, sampler.vocabulary.encode(before + prefix))
        assert np.array_equal(sampler.read(prefix).logits, state.logits)
    line = sampler.network.start()
    sampler.network.read(line, sampler.vocabulary.encode("\n"))
    assert np.array_equal(sampler.read("", line=True).logits, line.logits)
    # What exists inside of the program only cannot be handed in.
    assert np.array_equal(sampler.read(f"{END}《a").logits, sampler.read("《a").logits)


def test_no_song_ends_before_its_form(model: TrainedModel) -> None:
    form = charlstm.Form(lines=5, line_length="4")
    written = model.compose(form, seed=2)
    assert END not in written
    assert [len(line) for line in written.split("\n")] == [4] * 5


def test_a_song_under_way_says_how_likely_it_ends_here() -> None:
    sampler = ending(0.25)
    song = Song(sampler, seed=1)
    assert song.end_probability == pytest.approx(0.0, abs=1e-6)
    song.write("ab\na")
    assert song.end_probability == pytest.approx(0.25, abs=1e-6)
    stream = bigrams({"a": {"a": 0.5, "\n": 0.5}, "\n": {"a": 1.0}})
    assert Song(stream, seed=1).end_probability is None
    assert Composer(sampler, ()).start().read == ""


def test_a_form_begins_with_a_line_and_no_form_with_a_song() -> None:
    after: dict[str, dict[str, float]] = {
        END: {"《": 1.0},
        "《": {"a": 1.0},
        "a": {"\n": 1.0},
        "\n": {"a": 0.9, END: 0.1},
    }
    sampler = bigrams(after, songs=Songs(3, 2, 8, 9, "titles"))
    free = Song(sampler, seed=1).propose(1)
    assert [proposal.line for proposal in free] == ["《a"]
    asked = Song(sampler, seed=1, form=charlstm.Form(line_length="1")).propose(1)
    assert [proposal.line for proposal in asked] == ["a"]


# Measured.


def test_the_end_of_a_song_is_one_more_symbol_that_is_predicted(model: TrainedModel) -> None:
    figures = model.perplexity(threads=1)
    text = model.held_out()
    written = text.replace(END, "")
    assert figures.characters == len(written)
    assert figures.ends == text.count(END) - 1
    bits = figures.surprisal.astype(np.float64)
    ends = np.array([character == END for character in text[1:]])
    total = bits.sum()
    assert figures.bits_per_character == pytest.approx(total / len(bits), rel=1e-6)
    assert figures.bits_per_byte == pytest.approx(total / len(written.encode()), rel=1e-6)
    assert figures.character_loss == pytest.approx(
        bits[~ends].sum() * math.log(2) / len(written), rel=1e-6
    )
    assert figures.end_loss == pytest.approx(bits[ends].mean() * math.log(2), rel=1e-6)
    assert model.info.best is not None
    assert model.info.best.validation_loss == pytest.approx(figures.loss, rel=1e-5)


def test_a_song_is_measured_alike_wherever_it_stands(model: TrainedModel) -> None:
    one, other = songs(40)[-2:]
    alone = model.perplexity(other, threads=1)
    after = model.perplexity("".join(with_ends([f"{one}{END}{other}"])), threads=1)
    assert np.array_equal(after.surprisal[-len(alone.surprisal) :], alone.surprisal)
    assert (alone.ends, after.ends) == (1, 2)


def test_a_stream_has_no_ends_to_be_predicted() -> None:
    vocabulary = bigrams({"a": {"a": 1.0}}).vocabulary
    net = CharLM(charlstm.Recipe("x").architecture, len(vocabulary))
    figures = evaluate(net, vocabulary, "aaaa")
    assert (figures.ends, figures.end_loss) == (0, 0.0)
    assert figures.character_loss == pytest.approx(figures.loss)


def test_a_text_that_is_shown_marks_where_songs_end() -> None:
    text = f"{END}ab\nc\n{END}d\n{END}"
    bits = np.arange(1, len(text), dtype=np.float32)
    first, second, third = lines(text, bits)
    assert [line.text for line in (first, second, third)] == ["ab", "c", "d"]
    assert list(first.letters()) == [("a", 1), ("b", 2), (LINE_END, 3)]
    assert list(second.letters()) == [("c", 4), (LINE_END, 5), (SONG_END, 6)]
    assert list(third.letters()) == [("d", 7), (LINE_END, 8), (SONG_END, 9)]
    assert (first.closes, second.closes) == (False, True)


def test_on_a_page_the_end_of_a_song_is_a_mark_like_that_of_a_line() -> None:
    text = f"{END}ab\n{END}"
    drawn = page("t", "s", lines(text, np.array([0.5, 0.5, 0.5, 0.5], np.float32)))
    for mark in (LINE_END, SONG_END):
        assert f'<span class="e" title="0.5">{mark}</span>' in drawn


def test_a_model_of_a_stream_reads_songs_as_a_stream(tmp_path: Path) -> None:
    run = charlstm.train(text=songs(), songs="off", root=tmp_path / "runs", steps=4, **SMALL)
    other = tmp_path / "other.txt"
    other.write_text(TEXT, encoding="utf-8")
    assert run.read([other]) == TEXT
    assert run.perplexity(run.read([other]), threads=1).ends == 0


def test_what_was_learned_is_searched_as_people_read_it(model: TrainedModel) -> None:
    two = "\n\n".join(songs()[:2])
    longest = model.novelty(two).longest
    assert longest is not None
    assert longest.text.strip() == two


# On the command line.


def test_the_report_says_what_the_songs_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, charlstm: Charlstm
) -> None:
    monkeypatch.chdir(tmp_path)
    corpus = Path("songs.txt")
    corpus.write_text(TEXT, encoding="utf-8")
    tiny = ("--steps", "2", "--hidden", "8", "--batch", "4", "--window", "16", "--threads", "1")
    lengths = sorted(len(song) + 1 for song in songs())
    told = charlstm("train", "songs.txt", *tiny).stderr
    assert (
        f"songs: 30 of {lengths[0]} to {lengths[-1]} characters, told apart by titles in 《》\n"
    ) in told
    assert f"characters: {sum(lengths)} in " in told.replace(",", "")
    told = charlstm("train", "songs.txt", "--songs", "off", *tiny).stderr
    assert "songs: none told apart: the text is one stream\n" in told
    told = charlstm("train", "songs.txt", "--songs", "《花》", *tiny).stderr
    assert "characters, told apart by lines like 《花》\n" in told
    refused = charlstm("train", "songs.txt", "--songs", "(", *tiny)
    assert refused.code == 1
    assert "error: --songs must be auto, off or a regular expression" in refused.stderr
    refused = charlstm("train", "songs.txt", "--songs", "~+", *tiny)
    assert refused.stderr == (
        "error: There is only one song in songs.txt when it is parted by lines like ~+: change "
        "--songs, or leave it out.\n"
    )


def test_songs_that_are_learned_twice_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, charlstm: Charlstm
) -> None:
    monkeypatch.chdir(tmp_path)
    made = [
        f"{song}\nall the lines of number {n}\nare its own {n}" for n, song in enumerate(songs())
    ]
    made[-1] = made[3].replace("》", "again》")
    Path("songs.txt").write_text("\n\n\n".join(made), encoding="utf-8")
    told = charlstm("train", "songs.txt", "--steps", "2", "--hidden", "8", "--threads", "1").stderr
    assert "held-out songs is for the most part in the training text as well" in told
    assert made[-1].partition("\n")[0] in told
    assert "so the held-out figures flatter." in told


@pytest.mark.usefixtures("run")
def test_generate_says_whether_a_song_ended(charlstm: Charlstm) -> None:
    (answer,) = charlstm("generate", "--seed", "1", "--json").answers()
    assert answer["ended"] is True
    assert END not in answer["text"]
    told = charlstm("generate", "--seed", "1")
    assert told.stdout == answer["text"] + "\n"
    assert "seed 1; the song ended by itself; " in told.stderr
    (answer,) = charlstm("generate", "--length", "3", "--seed", "1", "--json").answers()
    assert answer["ended"] is False
    assert "; the song had not ended yet; " in charlstm("generate", "--length", "3").stderr
    assert "ended" not in charlstm("generate", "--lines", "3").stderr
    told = charlstm("generate", "--samples", "9", "--seed", "1")
    assert " of 9 songs ended by themselves; " in told.stderr


@pytest.mark.usefixtures("run")
def test_songs_are_written_into_files_of_their_own(tmp_path: Path, charlstm: Charlstm) -> None:
    out = tmp_path / "new" / "album"
    result = charlstm("generate", "--songs", "3", "--seed", "5", "--out", str(out))
    assert (result.code, result.stdout) == (0, "")
    answers = charlstm("generate", "--songs", "3", "--seed", "5", "--json").answers()
    kept = {path.name: path.read_text(encoding="utf-8") for path in out.iterdir()}
    assert kept == {f"00{k}.txt": one["text"] + "\n" for k, one in enumerate(answers, start=1)}
    assert f"songs: {out / '001.txt'} to {out / '003.txt'}" in result.stderr.replace("\n", "")
    (out / "002.txt").write_text("mine", encoding="utf-8")
    refused = charlstm("generate", "--songs", "3", "--out", str(out))
    assert refused.code == 1
    assert "001.txt is there already, and charlstm has not made it" in refused.stderr
    forced = charlstm("generate", "--songs", "3", "--seed", "5", "--out", str(out), "--force")
    assert forced.code == 0
    assert (out / "002.txt").read_text(encoding="utf-8") == kept["002.txt"]


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--out", "a", "--output", "b"), 2, "--output and --out cannot be combined"),
        (("--out", "a", "--json"), 2, "--json and --out cannot be combined"),
        (("--out", "songs.txt"), 1, "songs.txt cannot be made: File exists."),
        (("--out", "songs.txt/x"), 1, "songs.txt/x cannot be made: Not a directory."),
    ],
)
def test_what_cannot_be_a_directory_of_songs_is_refused(
    arguments: tuple[str, ...], code: int, message: str, charlstm: Charlstm
) -> None:
    result = charlstm("generate", *arguments)
    assert result.code == code
    assert message in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.usefixtures("run")
def test_what_is_measured_is_told_with_its_ends(tmp_path: Path, charlstm: Charlstm) -> None:
    (figures,) = charlstm("eval", "perplexity", "--json").answers()
    assert figures["ends"] >= 2
    assert figures["character_loss"] != figures["loss"]
    told = charlstm("eval", "perplexity", "--show").stdout
    assert f" and the ends of {figures['ends']} songs predicted" in told
    assert told.partition("held-out text of")[0].count(SONG_END) >= figures["ends"]
    assert END not in told
    other = tmp_path / "other.txt"
    other.write_text("\n\n\n".join(songs(40)[30:]), encoding="utf-8")
    (figures,) = charlstm("eval", "perplexity", str(other), "--json").answers()
    assert figures["ends"] == 10
    page = tmp_path / "page.html"
    assert charlstm("eval", "perplexity", "--html", str(page)).code == 0
    assert END not in page.read_text(encoding="utf-8")


@pytest.mark.usefixtures("run")
def test_copies_of_a_model_of_songs_are_found(charlstm: Charlstm) -> None:
    result = charlstm("eval", "novelty", "--json")
    assert result.code == 0, result.stderr
    assert END not in result.stdout
    assert "\\ufdd0" not in result.stdout


@pytest.mark.usefixtures("run")
def test_a_song_that_is_written_together_says_how_likely_it_ends(
    process: Callable[..., Any], model: TrainedModel
) -> None:
    where = model.directory.path.parent.parent
    typed = "《雨》\n\n雨雨雨雨\nq\n".encode()
    result = process("write", "--new", "--seed", "1", where=where, stdin=typed)
    assert result.code == 0, result.stderr
    assert "the song ends here: " in result.stderr
