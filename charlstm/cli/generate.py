"""`charlstm generate`: continue a prefix, or write to a form."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from charlstm.cli.answers import Answers
from charlstm.cli.console import (
    is_terminal,
    loading,
    notes,
    visible,
)
from charlstm.cli.names import option
from charlstm.cli.options import (
    FORM,
    AcrosticEndOption,
    AcrosticOption,
    ForceOption,
    LabelOption,
    LineLengthOption,
    MaxCopyOption,
    MustOption,
    QuietOption,
    RecallOption,
    RhymeOption,
    RunOption,
    TemperatureOption,
    told_label,
)
from charlstm.cli.streams import be_quiet, check_redirection, open_inputs
from charlstm.errors import CorpusError, OutputError

if TYPE_CHECKING:
    from charlstm.outputs import Output
    from charlstm.text.unseen import Prefix
    from charlstm.writing.sampler import Sampler

_DRAWING = "How characters are drawn"
# No list of prefixes has more bytes.
_LONGEST_LIST = 1 << 24


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
            min=0,
            help="How many characters to write at most, as a person counts them.",
            show_default="200, or until the song ends",
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
        typer.Option(
            "--samples",
            "--songs",
            min=1,
            help="How many texts to write; number k, from 0, uses seed + k.",
        ),
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Write the same text again.", show_default="random, printed"),
    ] = None,
    run: RunOption = None,
    label: LabelOption = None,
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
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write to this file instead of standard output, whole or not at all.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write each text to a file of its own in this directory.",
            show_default=False,
        ),
    ] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
    temperature: TemperatureOption = 0.8,
    recall: RecallOption = None,
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
            help="Let a passage repeat itself more than three times in a row, and more than half a "
            "line come again.",
            rich_help_panel=_DRAWING,
        ),
    ] = False,
    max_copy: MaxCopyOption = None,
    refrain: Annotated[
        bool,
        typer.Option(
            "--refrain",
            help="Let a stanza return, as the one that comes back in the training songs does.",
            rich_help_panel=FORM,
        ),
    ] = False,
    line_length: LineLengthOption = "",
    acrostic: AcrosticOption = "",
    acrostic_end: AcrosticEndOption = "",
    rhyme: RhymeOption = "",
    must: MustOption = None,
) -> None:
    """Continue a prefix with the newest model, or with the one that --run names."""
    if prefix and prefix_file is not None:
        raise typer.BadParameter("--prefix and --prefix-file cannot be combined.")
    if output is not None and out is not None:
        raise typer.BadParameter("--output and --out cannot be combined.")
    if as_json and out is not None:
        raise typer.BadParameter("--json and --out cannot be combined: --json tells all at once.")
    if force and output is None and out is None:
        raise typer.BadParameter("--force is for --output or --out, and neither was given.")
    told_labels = told_label(label)
    be_quiet(quiet)
    if prefix_file is not None:
        check_redirection(prefix_file)
    with loading():
        from charlstm.api import load
        from charlstm.writing.drawer import first_seed
        from charlstm.writing.form import Form

    form = Form(lines, line_length, acrostic, acrostic_end, rhyme, tuple(must or ()))
    if form.has_constraints and (length is not None or stop):
        raise typer.BadParameter("a form determines its own length; leave --length and --stop out.")
    if form.has_constraints and refrain:
        raise typer.BadParameter("a form is one stanza, which cannot return; leave --refrain out.")
    model = load(run)
    sampler = model.recalling(recall)
    read: list[Path | int] = [
        *([prefix_file] if prefix_file else []),
        *open_inputs(),
        *model.directory.files,
    ]
    files = [] if output is None else _checked([output], read, force=force)
    if prefix_file is None:
        prefixes = [sampler.prefix(prefix, unknown)]
    else:
        prefixes = _read_prefixes(prefix_file, sampler, unknown)
    many = len(prefixes) * samples
    if out is not None:
        files = _checked(_in_directory(out, many), read, force=force)
    for number, begun in enumerate(prefixes, start=1):
        what = "the prefix" if prefix_file is None else f"prefix {number:,}"
        if (changes := begun.changes(what)) is not None:
            notes().print(visible(changes.told(option)), style="yellow", markup=False)
    first = first_seed(seed)
    settings: dict[str, Any] = {
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "no_repeat": no_repeat,
        "allow_loops": allow_loops,
        "recall": sampler.recall,
        "max_copy": max_copy,
        "unknown": unknown,
        "label": told_labels,
    }
    ends: dict[str, Any] = {"length": length, "lines": lines, "stop": tuple(stop or ())}
    ends["refrain"] = refrain
    told = {**ends, **asdict(form), **settings}
    may_end = model.info.songs is not None and lines is None and not form.has_constraints
    answers = Answers(model, told, many, may_end, as_json=as_json, kept=bool(files))
    for number, begun in enumerate(prefixes):
        of_first = first + number * samples
        if form.has_constraints:
            for k in range(samples):
                point = model.compose_point(form, begun, seed=of_first + k, **settings)
                answers.give(point.text, begun, of_first + k, point)
        elif samples == 1 and not as_json and not files and is_terminal(sys.stdout):
            pieces = model.stream(begun, seed=of_first, **ends, **settings)
            answers.give_as_written(pieces, begun, of_first)
        else:
            texts = model.write_many(begun, samples=samples, seed=of_first, **ends, **settings)
            for k, written in enumerate(texts):
                answers.give(written.text, begun, of_first + k, ended=written.ended)
    _write(files, answers.kept, as_json=as_json)
    if not as_json:
        told_last = f"run {model.directory.name}, seed {first}{answers.ended()}{answers.copied()}"
        notes().print(visible(told_last), style="dim", markup=False)


def _in_directory(directory: Path, many: int) -> list[Path]:
    """Return as many files in a directory, which is made if it is not there."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{directory} cannot be made: {reason}.") from None
    digits = max(len(str(many)), 3)
    return [directory / f"{number:0{digits}}.txt" for number in range(1, many + 1)]


def _checked(paths: list[Path], read: "list[Path | int]", *, force: bool) -> "list[Output]":
    """Return files that can be written, which is looked at before anything takes long."""
    from charlstm.outputs import Output

    files = [Output(path, read, force=force) for path in paths]
    for file in files:
        file.check()
    return files


def _write(files: "list[Output]", texts: list[str], *, as_json: bool) -> None:
    """Write all texts to the one file, or each to its own."""
    several = len(texts) > 1
    if len(files) == 1:
        texts = [("" if as_json else "\n").join(texts)]
    for file, text in zip(files, texts, strict=False):  # there may be no file
        file.write(text.encode(errors="backslashreplace"))
    if files:
        more = f" to {files[-1].path}" if len(files) > 1 else ""
        told = f"{'songs' if several else 'song'}: {files[0].path}{more}"
        notes().print(visible(told), style="dim", markup=False)


def _read_prefixes(path: Path, sampler: "Sampler", unknown: str) -> "list[Prefix]":
    """Return the lines of a file that are not empty, as the model reads them."""
    from charlstm.text.encodings import decode, find_encoding
    from charlstm.text.locations import read_short

    name = "standard input" if str(path) == "-" else str(path)
    data = read_short(path, _LONGEST_LIST)
    try:
        found = find_encoding(lambda: [data], name=name)
        text, _ = decode(data, name=name, encoding=found.encoding)
    except CorpusError:
        raise CorpusError(f"{name} cannot be decoded: save it as UTF-8.") from None
    if (guess := found.guess) is not None:
        notes().print(
            f"{visible(name)} is read as {guess.encoding}, guessed, {guess.sure:.0%} sure; UTF-8 "
            "would be certain",
            style="yellow",
            markup=False,
        )
    prefixes = []
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            what = f"line {number:,} of {name}"
            prefixes.append(sampler.prefix(line, unknown, what=what))
    if not prefixes:
        raise CorpusError(f"{name} is empty: it needs one prefix a line.")
    return prefixes
