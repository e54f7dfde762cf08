"""A trained model: what writes, and what is measured."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from charlstm.checks import check_known
from charlstm.errors import CorpusError, RunError
from charlstm.evaluation.gates import Gates, OnProgress, look, most_characters
from charlstm.evaluation.novelty import Novelty
from charlstm.exports.insidepage import Shown, beginning, room, write_inside
from charlstm.machine import Machine
from charlstm.model.network import Network
from charlstm.model.recall.recall import MOST_CHARACTERS, Recall
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.text.corpus import Corpus
from charlstm.text.earlier import Earlier
from charlstm.text.labels import Label, without_symbols
from charlstm.text.songs import END, with_ends
from charlstm.text.unseen import Prefix
from charlstm.writing.composer import compose_form
from charlstm.writing.constraints import Constraint
from charlstm.writing.decoding import Decoding, Processor
from charlstm.writing.drawer import first_seed
from charlstm.writing.form import Form
from charlstm.writing.learned import Learned
from charlstm.writing.point import Point
from charlstm.writing.sampler import Sampler, make_sampler, open_network
from charlstm.writing.settings import FormSettings, GenerationSettings
from charlstm.writing.task import SamplingSettings
from charlstm.writing.written import Writing, Written

if TYPE_CHECKING:  # what a model that only writes does without, torch above all
    from charlstm.evaluation.perplexity import Evaluation
    from charlstm.text.reading import Places, Told


class TrainedModel:
    """A run that can write and be measured; made by `load` or `train`.

    Attributes:
        directory: where it lives.
        info: what ``run.json`` says of it.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.info: RunInfo = directory.read_info()

    def __repr__(self) -> str:
        return f"<TrainedModel {self.directory.name!r}: {self.info.described()}>"

    @cached_property
    def sampler(self) -> Sampler:
        """The NumPy sampler; reads the weights when first used."""
        return self.recalling(None)

    def recalling(self, recall: float | None) -> Sampler:
        """Return the sampler with a share of what is remembered of the training text.

        Args:
            recall: from 0, the network alone, to 1; the recipe's own where ``None``.

        Raises:
            RecipeError: nothing is remembered, or there is no such share.
        """
        share = self.info.share(recall)
        return make_sampler(self.network, self._recall if share else None, share, self.info)

    @cached_property
    def network(self) -> Network:
        """The network by itself, with NumPy alone; reads the weights when first used."""
        return open_network(self.directory, self.info)

    @cached_property
    def _recall(self) -> Recall | None:
        return self.directory.read_recall(self.info)

    @cached_property
    def learned(self) -> Learned:
        """What it learned from, to look for copies in."""
        return Learned(self.directory, self.info)

    def stream(self, prefix: str | Prefix = "", **settings: Unpack[GenerationSettings]) -> Writing:
        """Continue `prefix`; yields what is written, without the prefix.

        Raises:
            UnknownCharactersError: of the prefix.
            UnknownSettingError: there is no such setting.
            RecipeError: a setting is out of range, or there is no such label.
            RunError: `max_copy` or `refrain` is asked for and the run keeps no index.
        """
        sampler, sampling = self._asked(**settings)
        return sampler.stream(prefix, **sampling)

    def generate(self, prefix: str | Prefix = "", **settings: Unpack[GenerationSettings]) -> str:
        """Return `prefix` and what `stream` writes after it."""
        sampler, sampling = self._asked(**settings)
        return sampler.generate(prefix, **sampling)

    def generate_many(
        self, prefix: str | Prefix = "", *, samples: int, **settings: Unpack[GenerationSettings]
    ) -> list[str]:
        """Return `samples` texts, written side by side; sample k has the seed ``seed + k``."""
        sampler, sampling = self._asked(**settings)
        return sampler.generate_many(prefix, samples=samples, **sampling)

    def write_many(
        self, prefix: str | Prefix = "", *, samples: int, **settings: Unpack[GenerationSettings]
    ) -> list[Written]:
        """Return the texts of `generate_many`, and whether the model ended each as a song."""
        sampler, sampling = self._asked(**settings)
        return sampler.write_many(prefix, samples=samples, **sampling)

    def _asked(
        self,
        *,
        recall: float | None = None,
        label: Label | None = None,
        length: int | None = None,
        lines: int | None = None,
        stop: Sequence[str] = (),
        refrain: bool = False,
        max_copy: int | None = None,
        processors: Sequence[Processor] = (),
        seed: int | None = None,
        unknown: str = "error",
        **decoding: Any,
    ) -> tuple[Sampler, SamplingSettings]:
        """Return what writes, and how it is asked to."""
        sampler = self.recalling(recall).labelled(label)
        check_known(decoding, GenerationSettings.__optional_keys__)
        return sampler, {
            "length": length,
            "lines": lines,
            "stop": stop,
            "decoding": Decoding(**decoding),
            "processors": (*processors, *self.learned.processors(max_copy)),
            "refrain": self.learned.refrain if refrain else None,
            "seed": seed,
            "unknown": unknown,
        }

    def compose(
        self, form: Form, prefix: str | Prefix = "", **settings: Unpack[FormSettings]
    ) -> str:
        """Return `prefix` and lines that meet a form; see `compose_point`.

        Finished verses of the prefix are on lines of their own, as all others are.
        """
        return self.compose_point(form, prefix, **settings).text

    def compose_point(
        self, form: Form, prefix: str | Prefix = "", **settings: Unpack[FormSettings]
    ) -> Point:
        """Write lines that meet a form; the line that `prefix` begins is the first.

        Returns:
            The place after them: ``text`` is what was written, ``read`` how the model read it.

        Raises:
            FormError: no line was found that meets the form, in a bounded number of tries.
            UnknownCharactersError: of the prefix, or of a part of the form.
            UnknownSettingError: there is no such setting.
            RecipeError: parts of the form cannot be combined, or a setting is out of range.
            MissingLibraryError: rhymes are asked for, and ``charlstm[rhyme]`` is not installed.
            RunError: `max_copy` is asked for and the run keeps no index.
        """
        return self._compose(form, prefix, **settings)

    def _compose(
        self,
        form: Form,
        prefix: str | Prefix,
        *,
        constraints: Sequence[Constraint] = (),
        max_copy: int | None = None,
        processors: Sequence[Processor] = (),
        seed: int | None = None,
        unknown: str = "error",
        recall: float | None = None,
        label: Label | None = None,
        **decoding: Any,
    ) -> Point:
        check_known(decoding, FormSettings.__optional_keys__)
        copy = self.learned.processors(max_copy)
        return compose_form(
            self.recalling(recall).labelled(label),
            form,
            prefix,
            # They are read only where lines are led to them.
            words=self.learned.words if form.leads_to_words else None,
            constraints=constraints,
            decoding=Decoding(**decoding),
            processors=(*processors, *copy),
            read_processors=copy,
            generator=np.random.default_rng(first_seed(seed)),
            unknown=unknown,
        )

    def novelty(self, *texts: str, after: Sequence[int] | int = 0) -> Novelty:
        """Say how much of some texts appears in the text that the model learned from.

        Args:
            texts: what to look at.
            after: how many characters at the beginning of all texts, or of each, were given and
                not written; what lies wholly within them does not count.

        Raises:
            RunError: the run keeps no index.
        """
        return self.learned.text.novelty(texts, after=after)

    def held_out(self) -> str:
        """Return the text that was held out of training, normalised, without labels.

        Raises:
            RunError: there is none.
        """
        return self.info.labels.stripped(self._held_out())

    def _held_out(self) -> str:
        text = self.directory.read_held_out(self.info)
        if not text:
            raise RunError(
                f"{self.directory.path} was trained without held-out text, so there is nothing "
                "to measure it on: name a TEXT that it has not learned from."
            )
        return text

    def read(self, places: "Places", *, encoding: "Told" = None, field: str | None = None) -> str:
        """Return the text of files, as the training text was normalised, or raise `CorpusError`.

        Args:
            places: files, directories, globs or ``-``.
            encoding: as in `train`.
            field: of tables and JSON, where the text is; as it was in training where ``None``.
        """
        corpus = self.read_corpus(places, encoding=encoding, field=field)
        return corpus.labels.stripped(corpus.text)

    def read_corpus(
        self, places: "Places", *, encoding: "Told" = None, field: str | None = None
    ) -> Corpus:
        """Return all of some files as one text, with the encoding of each; see `read`."""
        from charlstm.text import handed, reading

        info = self.info
        options = info.recipe.text.again(field)
        if info.songs is None:
            options = replace(options, songs="off")
        named = handed.check_places(places)
        # Values that were not learned are read as none.
        parted = None if info.songs is None else info.songs.parted
        earlier = Earlier(apart=info.apart, parted=parted, labels=info.labels, closed=True)
        return reading.read_corpus(named, options=options, encoding=encoding, earlier=earlier)

    def measured(self, text: str | Corpus | None = None) -> str:
        """Return a text as `perplexity` measures it: with the ends of songs and their labels.

        Raises:
            RunError: nothing was held out and no text was given.
        """
        if text is None:
            return self._held_out()
        if isinstance(text, Corpus):
            whole = text.text
            if text.labels:
                return whole
        else:
            whole, _ = without_symbols(text) if self.info.labels else (text, 0)
            whole = self.info.recipe.text.apply(whole)
        return "".join(with_ends([whole], self.info.labels.none)) if self.info.songs else whole

    def gates(
        self,
        text: str | Corpus | None = None,
        *,
        on_progress: OnProgress = lambda characters: None,
    ) -> Gates:
        """Hold the units of the network against what a reader knows of a text.

        Args:
            text: see `perplexity`; no more than its first 20,000 characters are read, and of large
                networks fewer.
            on_progress: called now and then with the number of characters read since.

        Raises:
            RunError: nothing was held out and no text was given.
            CorpusError: the text is too short.
        """
        read = self._read_inside(text)[: most_characters(self.info.recipe.architecture)]
        ids = self.info.vocabulary.encode(read)
        return look(
            self.network, ids, read, random=np.random.default_rng(0), on_progress=on_progress
        )

    @property
    def held_out_title(self) -> str:
        """What the held-out text is called in a report."""
        return f"held-out text of {self.directory.name}"

    def held_against(
        self, text: str | Corpus | None, title: str
    ) -> tuple[str | Corpus | None, str]:
        """Return what the units are best held against, and what it is called.

        That is what nobody has learned, if there is any; else the text that is given.
        """
        return (None, self.held_out_title) if self.info.held_out_characters else (text, title)

    def _read_inside(self, text: str | Corpus | None) -> str:
        read = self.measured(text)
        if len(read) < 2:
            raise CorpusError("The text is too short to look at: it needs two characters or more.")
        return read

    def inside(
        self,
        text: str | Corpus | None = None,
        *,
        title: str | None = None,
        on_progress: OnProgress = lambda characters: None,
    ) -> bytes:
        """Return a page that shows what all units did while they read the beginning of a text.

        Args:
            text: see `perplexity`.
            title: what it is called; `held_out_title` where ``None``.
            on_progress: called now and then with the number of characters read since; see
                `charlstm.exports.insidepage.reads`.

        Raises:
            RunError: nothing was held out and no text was given.
            CorpusError: the text is too short.
        """
        title = title or self.held_out_title
        against, measured = self.held_against(text, title)
        gates = self.gates(against, on_progress=on_progress)
        most = room(self.info.recipe.architecture)
        shown = Shown(title, beginning(self._read_inside(text), most), gates, measured)
        page = (self.info, self.network, self.directory.name, shown)
        return write_inside(*page, on_progress=on_progress)

    def perplexity(
        self,
        text: str | Corpus | None = None,
        *,
        recall: float | None = None,
        dynamic: bool = False,
        on_progress: Callable[[int], object] | None = None,
        backend: str = "auto",
        device: str = "auto",
        threads: int | None = None,
    ) -> "Evaluation":
        """Measure the model.

        Args:
            text: what to measure it on, normalised here as the training text was, or what
                `read_corpus` returned, with its labels; the run's held-out text where ``None``.
            recall: the share of what is remembered of the training text; see `WritingSettings`.
            dynamic: whether to measure by dynamic evaluation as well, which takes far longer;
                see `charlstm.evaluation.dynamic`. The model stays as it is.
            on_progress: called after each segment of dynamic evaluation with its number of
                characters.
            backend: ``"auto"``, ``"scratch"`` or ``"torch"``.
            device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
            threads: for torch, in this process; where ``None``, as many as are fastest.

        Raises:
            RunError: nothing was held out and no text was given.
            CorpusError: the text is too short.
        """
        import torch

        from charlstm.evaluation.perplexity import evaluate
        from charlstm.model.charlm import CharLM
        from charlstm.model.devices import prepare

        share = self.info.share(recall)
        text = self.measured(text)
        architecture, V = self.info.recipe.architecture, len(self.info.vocabulary)
        computing = prepare(Machine(backend, device, threads), architecture)
        # First, because only reading them shows that there are as many as run.json says.
        weights = self.directory.read_model(self.info)
        end = self.info.vocabulary.end
        model = CharLM(architecture, V, backend=computing.backend, end=end)
        model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        vocabulary, learned = self.info.vocabulary, None
        if (kept := self.learned.kept) is not None:
            # The mark that opens the first held-out song is what the last learned one ends with.
            ends = END if self.info.songs is not None else ""
            learned = vocabulary.encode(kept[-MOST_CHARACTERS:] + ends)
        return evaluate(
            model.to(computing.device),
            vocabulary,
            text,
            recall=self._recall if share else None,
            share=share,
            learned=learned,
            dynamic=dynamic,
            on_progress=on_progress,
            threads=computing.threads,
        )
