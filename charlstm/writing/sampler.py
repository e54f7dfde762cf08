"""Continuing a prefix, with NumPy alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from charlstm.checks import check_known, check_whole
from charlstm.errors import Part, RecipeError
from charlstm.model.network import Network
from charlstm.model.reader import Reader, Standing
from charlstm.model.recall.blend import blend
from charlstm.model.recall.recall import Recall
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.text.corpus import TextOptions
from charlstm.text.labels import Label
from charlstm.text.songs import Songs
from charlstm.text.unseen import Prefix, stop_text
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.beginning import advance, marks_before, read_on
from charlstm.writing.decoding import IN_DECODING, Decoding, Processor, without
from charlstm.writing.drawer import Drawer, first_seed, uniforms
from charlstm.writing.refrain import Refrain, Returning
from charlstm.writing.stopping import End
from charlstm.writing.task import SamplingSettings, Task
from charlstm.writing.written import Texts, Writing, Written

# At most this many texts are written side by side: more would cost memory and gain nothing.
_AT_ONCE = 256

LENGTH = 200
"""How many letters are written by default, or for each line where lines are counted."""

# A song that has not ended by itself after so many times the length of the middle one is cut off.
_SONGS = 4


@dataclass(frozen=True)
class Sampler:
    """A model that writes.

    Attributes:
        network: its forward pass, or what that is blended with.
        vocabulary: its characters.
        text: how its training text was normalised; prefixes are treated the same way.
        songs: those that it learned; ``None`` if its text was one stream.
        label: what it reads before a song, by the names of the labels; see `labelled`.
        recall: the share of what is remembered of its training text; 0 for the network alone.
    """

    network: Reader
    vocabulary: Vocabulary
    text: TextOptions = field(default_factory=TextOptions)
    songs: Songs | None = None
    label: Label = field(default_factory=lambda: MappingProxyType({}))
    recall: float = 0.0

    def __repr__(self) -> str:
        return f"<Sampler: {self.network}, {self.vocabulary.size:,} characters known>"

    def labelled(self, label: Label | None) -> "Sampler":
        """Return the same model that reads a label before a song.

        Args:
            label: by names, such as ``{"artist": "Sappho"}``; of all others it reads that there is
                none. ``None`` leaves what it reads as it is.

        Raises:
            RecipeError: it has learned no such label; says which ones it has.
        """
        if label is None:
            return self
        _ = self.vocabulary.labels.symbols(label)  # which is found out here, and not at first use
        return replace(self, label=MappingProxyType(dict(label)))

    def at(self, temperature: float) -> "Sampler":
        """Return the same model, whose logits will be divided by a temperature."""
        return replace(self, network=self.network.at(temperature))

    def prefix(
        self, given: str | Prefix, unknown: str = "error", *, what: Part = "the prefix"
    ) -> Prefix:
        """Return a prefix as this model reads it; one that was made already is returned as it is.

        Args:
            given: what to begin with.
            unknown: see `SamplingSettings`.
            what: what an error calls it.

        Raises:
            UnknownCharactersError: with ``unknown="error"``, naming each of them.
        """
        if isinstance(given, Prefix):
            return given
        return Prefix.of(given, self.text, self.vocabulary, unknown, what=what)

    def stream(self, prefix: str | Prefix = "", **settings: Unpack[SamplingSettings]) -> "Writing":
        """Continue `prefix`, yielding the text as it is written, nearly always single characters.

        For what the model reads first see `read`.

        Args:
            prefix: what to continue; may be empty.
            settings: see `SamplingSettings`.

        Raises:
            UnknownCharactersError: with ``unknown="error"``, naming each of them.
            UnknownSettingError: there is no such setting.
            RecipeError: a setting is out of range, or leaves nothing to write.
        """
        steps, ends = self._write(self.task(prefix, **settings), 1)
        return Writing((piece for (piece,) in steps if piece), ends)

    def generate(self, prefix: str | Prefix = "", **settings: Unpack[SamplingSettings]) -> str:
        """Return `prefix` and its continuation; see `stream`."""
        return self.generate_many(prefix, samples=1, **settings)[0]

    def generate_many(
        self, prefix: str | Prefix = "", *, samples: int, **settings: Unpack[SamplingSettings]
    ) -> list[str]:
        """Return `samples` texts; see `write_many`."""
        return [written.text for written in self.write_many(prefix, samples=samples, **settings)]

    def write_many(
        self, prefix: str | Prefix = "", *, samples: int, **settings: Unpack[SamplingSettings]
    ) -> list["Written"]:
        """Return `samples` texts that begin with `prefix`, written side by side.

        Together they cost far less than one after the other, because the streams share their
        matrix products. Sample k draws from a generator of its own, seeded with ``seed + k``.

        Args:
            prefix: see `stream`.
            samples: how many, from 1.
            settings: for each text, except that the seed is that of the first.

        Raises:
            UnknownCharactersError: as in `stream`.
            RecipeError: as in `stream`.
        """
        check_whole("samples", samples, 1)
        task = self.task(prefix, **settings)
        texts: list[Written] = []
        for done in range(0, samples, _AT_ONCE):
            many = min(_AT_ONCE, samples - done)
            steps, ends = self._write(replace(task, seed=task.seed + done), many)
            pieces = list(steps)
            for k in range(many):
                text = task.prefix.given + "".join(step[k] for step in pieces)
                texts.append(Written(text, bool(ends) and ends[k].song))
        return texts

    @property
    def song_length(self) -> int:
        """How many letters a song is given to end by itself."""
        return song_length(self.songs)

    def read(
        self, prefix: str | Prefix = "", unknown: str = "error", *, line: bool = False
    ) -> Standing:
        """Return where the model stands after `prefix`: a state that can be copied and moved on.

        ``state.logits`` says what it expects next, and ``network.step(state, id)`` moves it on.

        First the model reads what is before a line, if it knows lines. If it learned songs, it
        reads what is before a song, unless it finds the prefix likelier as the beginning of a line:
        few songs begin in the middle.

        Args:
            prefix: what to read.
            unknown: see `SamplingSettings`.
            line: whether a line begins where there is no prefix, and not a song.

        Raises:
            UnknownCharactersError: as in `stream`.
        """
        return self._read(self.prefix(prefix, unknown).read, line=line)

    def end_probability(self, state: Standing) -> float | None:
        """Return how likely the song ends where the model stands, at temperature 1.

        ``None`` if it learned no songs.
        """
        if self.songs is None:
            return None
        logits = self.network.logits(state)[0].astype(np.float64)
        shares = np.exp(logits - logits.max())
        return float(shares[self.vocabulary.end] / shares.sum())

    def log_probabilities(
        self, text: str, prefix: str = "", *, state: Standing | None = None
    ) -> NDArray[np.float64]:
        """Return how likely the model finds each character of `text` after `prefix`.

        Characters that it has never seen are measured and read as ``<unk>``.

        Args:
            text: what to measure.
            prefix: what it has read before.
            state: where it stands after what it has read, instead of a prefix; stays as it is.

        Returns:
            ``[len(text)]``, natural logarithms, at temperature 1.
        """
        state = self.read(prefix, unknown="map") if state is None else state.copy()
        return advance(self, text, state)

    def _read(self, text: str, *, line: bool = False) -> Standing:
        reading = read_on(self, text, line=line)
        while (state := next(reading)) is None:
            pass
        return state

    def task(self, prefix: str | Prefix = "", **settings: Unpack[SamplingSettings]) -> Task:
        """Return what is to be written after `prefix`, with everything checked.

        Raises:
            CharLSTMError: as in `stream`.
        """
        check_known(settings, SamplingSettings.__optional_keys__, IN_DECODING)
        return self._task(self.prefix(prefix, settings.get("unknown", "error")), **settings)

    def _task(
        self,
        prefix: Prefix,
        *,
        length: int | None = None,
        lines: int | None = None,
        stop: Sequence[str] = (),
        decoding: Decoding | None = None,
        processors: Sequence[Processor] = (),
        refrain: Refrain | None = None,
        seed: int | None = None,
        unknown: str = "error",  # which the prefix was read with
    ) -> Task:
        if length is not None:
            check_whole("length", length, 0)
        first = first_seed(seed)
        if lines is not None:
            check_whole("lines", lines, 1)
        if isinstance(stop, str):  # which is a sequence of texts too
            stop = (stop,)
        stop = tuple(stop_text(text, self.text, self.vocabulary) for text in stop)
        if lines is not None and "\n" not in self.vocabulary:
            raise RecipeError("The model knows no line breaks, so it cannot count lines.")
        may_end = self.songs is not None and lines is None
        if length is None:
            length = self.song_length if may_end else LENGTH * (lines or 1)
        decoding = decoding or Decoding()
        decoded = decoding.processors(self.vocabulary, self.network.line)
        if refrain is None:
            processors = (*decoded, *processors)
        else:
            processors = (Returning(refrain, self.vocabulary, decoded, processors),)
        never = self.vocabulary.marks
        if may_end:
            never = never[never != self.vocabulary.end]
        if len(never):
            processors = (without(never), *processors)
        return Task(
            prefix,
            self.label,
            length,
            lines,
            stop,
            may_end,
            decoding,
            tuple(processors),
            first,
            self.vocabulary,
        )

    def _write(self, task: Task, samples: int) -> tuple[Iterator[list[str]], list[End]]:
        """Return a piece of every text at each step, and their ends."""
        ends = [end for _ in range(samples) if (end := task.end()) is not None]
        texts = Texts([task.prefix.normalised] * samples, list(range(samples)))
        ids = self.at(task.decoding.temperature)._draw(task, texts)
        return self._pieces(ids, texts, ends), ends

    def _pieces(
        self,
        steps: "Iterable[Sequence[int] | NDArray[np.intp]]",
        texts: Texts,
        ends: list[End],
    ) -> Iterator[list[str]]:
        """Yield a piece of every text for the ids that are drawn at each step."""
        names = ["\ufffd", *self.vocabulary.characters]
        for ids in steps:
            pieces = [names[character] for character in ids]
            for stream, piece in enumerate(pieces):
                texts.written[stream] += piece
            if not ends:
                yield pieces
                continue
            yield [end.push(piece) for end, piece in zip(ends, pieces, strict=True)]
            texts.running = [stream for stream in texts.running if not ends[stream].reached]
            if not texts.running:
                return
        if ends:
            yield [end.rest() for end in ends]

    def _draw(self, task: Task, texts: Texts) -> "Iterator[Sequence[int] | NDArray[np.intp]]":
        """Yield every text's next id, after what the model reads of the prefix.

        The caller keeps `texts` up to date; what is drawn for finished ones is ignored.
        """
        network, streams = self.network, len(texts.written)
        generators = [task.generator(k) for k in range(streams)]
        length = task.characters
        if not length:
            return
        if task.prefix.read or marks_before(self, ""):
            state = self._read(task.prefix.read).take([0] * streams)
        else:
            first = np.array([task.first(generator) for generator in generators])
            yield first
            length -= 1
            state = network.start(streams)
            network.step(state, first)
        drawn = uniforms(generators)
        drawer = Drawer(task.decoding, network.vocabulary_size, streams)
        logits = state.logits  # the same memory after every step
        for left in range(length, 0, -1):
            uniform = next(drawn)
            for process in task.processors:
                for stream in texts.running:
                    process(texts.written[stream], logits[stream])
            if streams == 1:  # without the arrays, which would cost as much as the sums
                only = drawer.one(logits, uniform[0])
                yield (only,)
                if left > 1:
                    network.step(state, only)
            else:
                chosen = drawer.all(logits, uniform)
                yield chosen
                if left > 1:
                    network.step(state, chosen)


def song_length(songs: Songs | None) -> int:
    """Return how many letters a song of a model that learned some is given to end by itself."""
    return LENGTH if songs is None else _SONGS * songs.median


def open_sampler(directory: RunDirectory, info: RunInfo, recall: float | None = None) -> Sampler:
    """Return the sampler of a run, whose weights are read here.

    Args:
        directory: of the run.
        info: what its ``run.json`` says.
        recall: the share of what it remembers of its training text, from 0 to 1; the recipe's own
            where ``None``.

    Raises:
        RecipeError: it remembers nothing, or there is no such share.
        RunError: there are no weights yet, or they are damaged.
    """
    share = info.share(recall)
    network = open_network(directory, info)
    return make_sampler(network, directory.read_recall(info) if share else None, share, info)


def open_network(directory: RunDirectory, info: RunInfo) -> Network:
    """Return the network of a run, whose weights are read here, or raise `RunError`."""
    weights, vocabulary = directory.read_model(info), info.vocabulary
    return Network(info.recipe.architecture, weights, len(vocabulary), vocabulary.end)


def make_sampler(network: Network, recall: Recall | None, share: float, info: RunInfo) -> Sampler:
    """Return what writes.

    Args:
        network: the network.
        recall: what is remembered of its training text, if anything.
        share: of that.
        info: of the run.
    """
    reader = blend(network, recall, share)
    return Sampler(reader, info.vocabulary, info.recipe.text, info.songs, recall=share)
