"""`charlstm generate`: continue a prefix, or write to a form."""

import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charlstm.cli.console import (
    is_terminal,
    loading,
    notes,
    shown_line,
    visible,
    write_json,
    write_result,
)
from charlstm.cli.names import option
from charlstm.cli.options import (
    AcrosticEndOption,
    AcrosticOption,
    LineLengthOption,
    MaxCopyOption,
    MustOption,
    RhymeOption,
    RunOption,
    TemperatureOption,
)
from charlstm.errors import CorpusError, RunError

if TYPE_CHECKING:
    from charlstm.api import TrainedModel
    from charlstm.evaluation.novelty import Passage
    from charlstm.writing.candidates import Place

_DRAWING = "How characters are drawn"
# Reading a larger index takes more than about a second, which nobody asked for.
_QUICK_TO_READ = 8_000_000
# No training keeps more characters, but a stranger's small index may unpack into gigabytes.
_MOST_CHARACTERS = 50_000_000


def generate(
    prefix: Annotated[str, typer.Option(help="What to continue; may be left out.")] = "",
    prefix_file: Annotated[
        Path | None,
        typer.Option(
            help="Continue every line of this file instead; - for standard input.",
            show_default=False,
        ),
    ] = None,
    length: Annotated[
        int | None,
        typer.Option(
            min=0, help="How many characters to write at most.", show_default="200, or as it needs"
        ),
    ] = None,
    lines: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many lines to write, not counting empty ones.", show_default=False
        ),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(help="Stop before this text; repeatable.", show_default=False),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(min=1, help="How many texts to write; sample k, from 0, uses seed + k."),
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Write the same text again.", show_default="random, printed"),
    ] = None,
    run: RunOption = None,
    unknown: Annotated[
        Literal["error", "skip", "map"],
        typer.Option(
            help="Characters that the model has never seen: stop and say so, leave them out, or "
            "read the nearest that it knows.",
        ),
    ] = "error",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each text instead.")
    ] = False,
    temperature: TemperatureOption = 0.8,
    top_k: Annotated[
        int,
        typer.Option(
            min=0,
            help="Choose among the K likeliest characters only; 0 for all.",
            rich_help_panel=_DRAWING,
        ),
    ] = 0,
    top_p: Annotated[
        float,
        typer.Option(
            help="Choose among the likeliest that together reach this probability.",
            rich_help_panel=_DRAWING,
        ),
    ] = 1.0,
    min_p: Annotated[
        float,
        typer.Option(
            help="Choose only among those with at least this share of the likeliest one's "
            "probability.",
            rich_help_panel=_DRAWING,
        ),
    ] = 0.0,
    no_repeat: Annotated[
        int,
        typer.Option(
            min=0,
            help="Never write the same N characters twice; 0 turns this off.",
            rich_help_panel=_DRAWING,
        ),
    ] = 0,
    allow_loops: Annotated[
        bool,
        typer.Option(
            "--allow-loops",
            help="Let a passage repeat itself more than three times in a row.",
            rich_help_panel=_DRAWING,
        ),
    ] = False,
    max_copy: MaxCopyOption = None,
    line_length: LineLengthOption = "",
    acrostic: AcrosticOption = "",
    acrostic_end: AcrosticEndOption = "",
    rhyme: RhymeOption = "",
    must: MustOption = None,
) -> None:
    """Continue a prefix with the newest model, or with the one that --run names."""
    if prefix and prefix_file is not None:
        raise typer.BadParameter("--prefix and --prefix-file cannot be combined.")
    with loading():
        from charlstm.api import load
        from charlstm.writing.form import Form
        from charlstm.writing.sampler import first_seed

    form = Form(lines, line_length, acrostic, acrostic_end, rhyme, tuple(must or ()))
    if form.has_constraints and (length is not None or stop):
        raise typer.BadParameter("a form determines its own length; leave --length and --stop out.")
    model = load(run)
    prefixes = [prefix]
    if prefix_file is not None:
        prefixes = _read_prefixes(prefix_file, model, unknown)
    first = first_seed(seed)
    settings: dict[str, Any] = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "no_repeat": no_repeat,
        "allow_loops": allow_loops,
        "max_copy": max_copy,
        "unknown": unknown,
    }
    ends: dict[str, Any] = {"length": length, "lines": lines, "stop": tuple(stop or ())}
    told = {**ends, **asdict(form), **settings}
    answers = _Answers(model, told, as_json=as_json)
    for number, begun in enumerate(prefixes):
        seed = first + number * samples
        if form.has_constraints:
            for k in range(samples):
                place = model.compose_place(form, begun, seed=seed + k, **settings)
                answers.give(place.text, begun, seed + k, place)
        elif samples == 1 and not as_json and is_terminal(sys.stdout):
            answers.give_as_written(model.stream(begun, seed=seed, **ends, **settings), begun)
        else:
            texts = model.generate_many(begun, samples=samples, seed=seed, **ends, **settings)
            for k, text in enumerate(texts):
                answers.give(text, begun, seed + k)
    if not as_json:
        run_name = visible(model.directory.name)
        notes().print(f"run {run_name}, seed {first}{answers.copied()}", style="dim", markup=False)


def _read_prefixes(path: Path, model: "TrainedModel", unknown: str) -> list[str]:
    """Return the lines of a file that are not empty, checked to be readable for the model."""
    from charlstm.text.encodings import decode
    from charlstm.text.unseen import readable

    name = "standard input" if str(path) == "-" else str(path)
    try:
        piped = sys.stdin.buffer if str(path) == "-" and sys.stdin is not None else None
        data = piped.read() if piped is not None else path.read_bytes()
        text, _ = decode(data, name=name)
    except OSError as error:
        raise CorpusError(f"{name} cannot be read: {error.strerror}.") from None
    except CorpusError:
        raise CorpusError(f"{name} cannot be decoded: save it as UTF-8.") from None
    options = model.info.recipe.text
    prefixes = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            what = f"line {number:,} of {name}"
            readable(options.apply(line), model.info.vocabulary, unknown, what=what)
            prefixes.append(line)
    if not prefixes:
        raise CorpusError(f"{name} is empty: it needs one prefix a line.")
    return prefixes


class _Answers:
    """Prints texts, and keeps the longest passage that one of them copied."""

    def __init__(self, model: "TrainedModel", settings: dict[str, Any], *, as_json: bool) -> None:
        self._model = model
        self._settings = settings
        self._as_json = as_json
        self._given = 0
        self._why_not = self._cannot_look(settings["max_copy"])
        self._looks = not self._why_not
        self._longest: Passage | None = None

    def _cannot_look(self, max_copy: int | None) -> str:
        """Say that copies are not looked for and why, if they are not."""
        index_bytes = self._model.directory.index_bytes
        if index_bytes is None:
            return "copies were not looked for: the run keeps no index"
        characters = self._model.info.training_characters
        # To limit copies, the training text is read anyway.
        if max_copy is None and (index_bytes > _QUICK_TO_READ or characters > _MOST_CHARACTERS):
            return (
                "the training text is long, so copies were not looked for: save the song and run "
                "charlstm eval novelty FILE"
            )
        try:
            _ = self._model.training_text
        except RunError as error:  # which is no reason not to write
            reason = error.message.told(option).rstrip(".")
            return f"copies were not looked for: {visible(reason)}"
        return ""

    def give(self, text: str, prefix: str, seed: int, place: "Place | None" = None) -> None:
        """Print a text.

        Args:
            text: prefix and what was written.
            prefix: what was given.
            seed: of this text.
            place: the place after it, if it was written to a form.
        """
        passage = self._look(text, prefix, place)
        if self._as_json:
            write_json(self._described(text, prefix, seed, passage, place))
            return
        separator = "\n" if self._given else ""
        # A pipe gets every character exactly as the model wrote it.
        shown = visible(text) if is_terminal(sys.stdout) else text
        write_result(f"{separator}{shown}\n")
        self._given += 1

    def give_as_written(self, pieces: Iterator[str], prefix: str) -> None:
        """Print a text while it is written."""
        write_result("\n" * bool(self._given) + visible(prefix))
        text = prefix
        for piece in pieces:
            write_result(visible(piece))
            text += piece
        write_result("\n")
        self._given += 1
        self._look(text, prefix)

    def copied(self) -> str:
        """Say which is the longest passage that was copied."""
        if not self._looks:
            return f"; {self._why_not}"
        if self._longest is None:
            return "; nothing of four characters or more is copied"
        line, _ = self._model.training_text.line_at(self._longest.place)
        return (
            f"; longest copy {len(self._longest.text)} characters, "
            f"{shown_line(self._longest.text)} (line {line:,} of the training text)"
        )

    def _look(self, text: str, prefix: str, place: "Place | None" = None) -> "Passage | None":
        """Return the longest passage that was copied, as it is shown or as the model read it."""
        if not self._looks:
            return None
        begun = self._model.info.recipe.text.apply(prefix)
        texts, given = [begun + text[len(prefix) :]], [len(begun)]
        if place is not None:
            read = place.read.removesuffix("\n")
            texts, given = [place.text, read], [place.given, len(self._read(prefix))]
        passage = self._model.novelty(*texts, after=given).longest
        if passage and (self._longest is None or len(passage.text) > len(self._longest.text)):
            self._longest = passage
        return passage

    def _read(self, prefix: str) -> str:
        """Return the prefix as the model reads it."""
        return self._model.sampler.readable(prefix, self._settings["unknown"])

    def _described(
        self, text: str, prefix: str, seed: int, passage: "Passage | None", place: "Place | None"
    ) -> dict[str, Any]:
        sampler = self._model.sampler
        state = sampler.read(prefix, self._settings["unknown"])
        written = text[len(prefix) :]
        if place is not None:  # not every line break that is shown was read
            read = place.read[len(self._read(prefix)) :]
            written = read[:-1] if read[-1:].isspace() else read
        found = sampler.log_probabilities(written, state=state)
        copy: dict[str, Any] | None = None
        if passage is not None:
            line, _ = self._model.training_text.line_at(passage.place)
            copy = {"characters": len(passage.text), "text": passage.text, "line": line}
        elif self._looks:
            copy = {"characters": 0, "text": "", "line": None}
        return {
            "text": text,
            "prefix": prefix,
            "seed": seed,
            "mean_log_probability": float(found.mean()) if len(found) else None,
            "longest_copy": copy,
            **self._settings,
            "run": str(self._model.directory.path),
        }
