"""A text and a recipe brought together: what is learned, what is held out, in which characters."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from charlstm.errors import CorpusError, Message, RecipeError, Setting
from charlstm.machine import machine_bytes
from charlstm.model.devices import Computing
from charlstm.model.recall.learning import learn_recall
from charlstm.model.recall.recall import Recall, counting_bytes
from charlstm.model.threads import Threads
from charlstm.recipes.recipe import Recipe, training_bytes
from charlstm.text.corpus import Corpus, TextOptions
from charlstm.text.earlier import Earlier
from charlstm.text.handed import ENCODING, Song, check_places, handed_over
from charlstm.text.labels import Labels
from charlstm.text.locations import Text
from charlstm.text.mapped import open_corpus
from charlstm.text.reading import Encodings, OnRead, Told
from charlstm.text.splitting import split
from charlstm.text.unseen import readable
from charlstm.text.vocabulary import Tokens, Vocabulary
from charlstm.training.batches import Labelled, fit
from charlstm.training.distributed import ALONE, Workers
from charlstm.training.trainer import Trainer


@dataclass(frozen=True)
class Material:
    """Where a text is, and how it is read.

    Attributes:
        places: files, directories, globs or ``-``; see `charlstm.text.locations.Locations`.
        encoding: of its files, or of some of them by their names; found out where ``None``. See
            `charlstm.text.reading.Encodings`.
        stdin: where ``-`` reads.
        on_read: called now and then with the bytes read and the bytes in all.
        text: the text itself, if it was handed over and is in no place.
        earlier: how an earlier reading of it went that is to be the same.
    """

    places: Sequence[str | Path]
    encoding: Told | Encodings = None
    stdin: BinaryIO | None = field(default=None, repr=False)
    on_read: OnRead | None = field(default=None, repr=False)
    text: Text | None = field(default=None, repr=False)
    earlier: Earlier | None = field(default=None, repr=False)

    @classmethod
    def handed(
        cls,
        places: str | Path | Iterable[str | Path],
        text: str | Iterable[Song] | None,
        encoding: Told = None,
    ) -> "Material":
        """Return what a program hands over: places or the text itself.

        Args:
            places: see `Material`.
            text: a text, or several songs; see `charlstm.text.handed.handed_over`.
            encoding: see `Material`.

        Raises:
            CorpusError: a place can be none, the text is none, or both are there.
        """
        named = check_places(places)
        if text is None:
            return cls(named, encoding)
        if named:
            raise CorpusError("Name the places of a text or hand it over as text=..., not both.")
        if encoding is not None:
            raise CorpusError("Text in memory is decoded already: leave encoding out.")
        return cls((), text=handed_over(text))

    def open(self, cache: Path, options: TextOptions, labels: Labels | None = None) -> Corpus:
        """Read it; see `charlstm.text.mapped.open_corpus`.

        Args:
            cache: where the ids of a long text are kept.
            options: the form that it is brought into.
            labels: whose values keep their symbols.

        Raises:
            CorpusError: it cannot be read.
        """
        return open_corpus(
            self.places if self.text is None else [self.text],
            cache=cache,
            options=options,
            encoding=self.encoding if self.text is None else ENCODING,
            earlier=replace(self.earlier or Earlier(), labels=labels or Labels()),
            stdin=self.stdin,
            on_read=self.on_read,
        )


@dataclass(frozen=True)
class Fitted:
    """A recipe fitted to a text.

    Attributes:
        corpus: the text.
        recipe: with a batch and a window that the text fills.
        cut: where its held-out part begins, in characters.
        vocabulary: of what is learned.
        notes: what was shrunk.
        workers: who learns from it together.
    """

    corpus: Corpus
    recipe: Recipe
    cut: int
    vocabulary: Vocabulary
    notes: tuple[Message, ...] = ()
    workers: Workers = ALONE

    @property
    def held_out(self) -> int:
        """How many characters are held out."""
        return len(self.corpus) - self.cut

    def refitted(self, recipe: Recipe) -> "Fitted":
        """Return the same text with another recipe that learns from as much of it."""
        shrunk = shrink(self.corpus, recipe)
        assert shrunk.cut == self.cut, "a budget does not change what is held out"
        return replace(self, recipe=shrunk.recipe, notes=shrunk.notes)

    def trainer(
        self,
        computing: Computing,
        recipe: Recipe | None = None,
        threads: Threads | None = None,
        recall: Recall | None = None,
        *,
        joined: bool = False,
    ) -> Trainer:
        """Return a trainer on this text.

        Args:
            computing: what computes.
            recipe: another one than the text was fitted to, if any.
            threads: see `charlstm.training.trainer.Trainer`.
            recall: see there.
            joined: whether it trains with the other workers; if not, it takes their time as given
                and reads its own rows, to see how long they take.
        """
        corpus, vocabulary, learned = self.corpus, self.vocabulary, self._learned
        return Trainer(
            recipe or self.recipe,
            learned,
            self.measured,
            len(vocabulary),
            end=vocabulary.end,
            labels=self._labelled(),
            ends=corpus.ends[: np.searchsorted(corpus.ends, len(learned))],
            backend=computing.backend,
            device=computing.device,
            threads=threads,
            recall=recall,
            workers=self.workers if joined else self.workers.apart,
        )

    @property
    def measured(self) -> Tokens:
        """The ids of what is held out."""
        return Tokens(self.corpus, self.vocabulary, self.cut, len(self.corpus))

    @property
    def _learned(self) -> Tokens:
        # The mark that opens the first held-out song is what the last learned one ends with.
        end = self.cut + (self.corpus.songs is not None)
        return Tokens(self.corpus, self.vocabulary, 0, end)

    def recall(self, *, grams: bool = True) -> Recall | None:
        """Return what is remembered of the training text; ``None`` if the recipe wants nothing.

        Args:
            grams: whether its grams may be kept, from which much of it could be told.
        """
        if not self.recipe.recall:
            return None
        vocabulary = self.vocabulary
        return learn_recall(
            self._learned,
            len(vocabulary),
            newline=int(vocabulary.encode("\n")[0]) if "\n" in vocabulary else None,
            end=vocabulary.end,
            unpredicted=vocabulary.unpredicted,
            grams=grams,
        )

    def _labelled(self) -> Labelled | None:
        """Return what the labels of the songs are to a trainer; ``None`` if they have none."""
        labels, places = self.vocabulary.labels, self.vocabulary.places
        if places is None:
            return None
        none = self.vocabulary.encode(labels.none).astype(np.int64)
        return Labelled(places, none, self.corpus.ends)


@dataclass(frozen=True)
class Shrunk:
    """A recipe whose batch and window a text can fill; see `Fitted`."""

    cut: int
    recipe: Recipe
    notes: tuple[Message, ...]


def shrink(corpus: Corpus, wished: Recipe, cut: int | None = None) -> Shrunk:
    """Split a text, and shrink batch and window to it.

    Args:
        corpus: the text.
        wished: what was asked for.
        cut: where the text was split before; where ``None``, it is split now.

    Raises:
        CorpusError: it is too small to learn from.
    """
    cut = split(corpus, wished.validation) if cut is None else cut
    batch, window = fit(cut, wished.batch, wished.window)
    notes = tuple(
        Message(f"The text is too short for a {name} of {asked:,}, so it is {possible:,}.")
        for name, asked, possible in (
            ("batch", wished.batch, batch),
            ("window", wished.window, window),
        )
        if possible < asked
    )
    return Shrunk(cut, wished.override(batch=batch, window=window), notes)


def fit_recipe(corpus: Corpus, wished: Recipe, known: Vocabulary | None = None) -> Fitted:
    """Fit a recipe to a text.

    Args:
        corpus: the text.
        wished: what was asked for.
        known: the vocabulary of a run to start from, whose ids are kept.

    Raises:
        CorpusError: the text is too small, or none of its characters is frequent enough.
    """
    shrunk = shrink(corpus, wished)
    learned = corpus.counts(0, shrunk.cut)
    vocabulary = Vocabulary.build(learned, min_count=wished.min_count, labels=corpus.labels)
    if known is not None:
        vocabulary = known.grown(vocabulary, learned)
    if not vocabulary.size:
        raise CorpusError(
            f"No character appears {wished.min_count:,} times in the text; lower ",
            Setting("min_count"),
            ".",
        )
    return Fitted(corpus, shrunk.recipe, shrunk.cut, vocabulary, shrunk.notes)


def check_prefixes(prefixes: Sequence[str], vocabulary: Vocabulary, options: TextOptions) -> None:
    """Check that the model can continue what it is to continue while it learns.

    Raises:
        UnknownCharactersError: it has never seen some of it.
    """
    advice = (
        "The training text does not have them either: change ",
        Setting("prefixes"),
        ", or leave it out.",
    )
    for prefix in prefixes:
        readable(options.apply(prefix), vocabulary, "error", advice=advice)


def check_memory(fitted: Fitted, computing: Computing) -> None:
    """Check that a training could fit into memory at all, with all workers of this machine.

    Raises:
        RecipeError: it could not.
    """
    recipe, V, workers = fitted.recipe, len(fitted.vocabulary), fitted.workers
    there = machine_bytes()
    of_all = f" for the {workers.here} workers of this machine" if workers.here > 1 else ""
    counting = workers.here * counting_bytes(fitted.cut) if recipe.recall else 0
    if there is not None and counting > there:
        raise RecipeError(
            f"Counting what is to be remembered of this text would take about "
            f"{counting / 1e9:,.1f} GB of memory{of_all}, and there are {there / 1e9:,.1f}: ",
            Setting("recall", 0),
            " trains the network alone.",
        )
    needed = training_bytes(recipe, V, workers.count) + fitted.corpus.memory_bytes
    if computing.device.type != "cuda":
        needed *= workers.here
    else:  # each has a GPU of its own
        of_all = ""
        there = torch.cuda.get_device_properties(computing.device).total_memory
    if there is not None and needed > there:
        raise RecipeError(
            f"This training would take about {needed / 1e9:,.1f} GB of memory{of_all}, and there "
            f"are {there / 1e9:,.1f}: with a vocabulary of {V:,} its head has "
            f"{V * recipe.architecture.hidden:,} weights and its batches "
            f"{V * recipe.batch * recipe.window:,} logits. Lower ",
            Setting("hidden"),
            ", ",
            Setting("batch"),
            " or ",
            Setting("window"),
            ", or make the vocabulary smaller with ",
            Setting("min_count"),
            ".",
        )
