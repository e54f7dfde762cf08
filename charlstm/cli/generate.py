"""`charlstm generate`: continue a prefix."""

import itertools
import json
import sys
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer

from charlstm.cli.console import is_terminal, loading, notes, visible, write_result
from charlstm.cli.options import RunOption


def generate(
    prefix: Annotated[str, typer.Option(help="What to continue; may be left out.")] = "",
    length: Annotated[int, typer.Option(min=0, help="How many characters to write.")] = 200,
    temperature: Annotated[
        float,
        typer.Option(min=0.0, help="Below 1 plays safe, above 1 takes risks; 0 never risks."),
    ] = 0.8,
    top_k: Annotated[
        int, typer.Option(min=0, help="Choose among the K likeliest characters only; 0 for all.")
    ] = 0,
    top_p: Annotated[
        float,
        typer.Option(help="Choose among the likeliest that together reach this probability."),
    ] = 1.0,
    samples: Annotated[
        int,
        typer.Option(
            min=1, help="How many texts to write; sample k has the seed of the first + k."
        ),
    ] = 1,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Write the same text again.", show_default="fresh, and told"),
    ] = None,
    run: RunOption = None,
    unknown: Annotated[
        Literal["error", "skip", "map"],
        typer.Option(
            help="Characters the model has never seen: stop and say so, leave them out, or read "
            "the nearest it knows.",
        ),
    ] = "error",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object a text instead of the text.")
    ] = False,
) -> None:
    """Continue a prefix with the newest model, or with the one that --run names."""
    with loading():
        from charlstm.api import load
        from charlstm.sampling import fresh_seed

    model = load(run)
    seed = fresh_seed() if seed is None else seed
    settings: dict[str, Any] = {
        "length": length,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "unknown": unknown,
    }
    if samples > 1 or as_json:
        texts = model.generate_many(prefix, samples=samples, seed=seed, **settings)
        _print_all(texts, prefix, seed, settings, str(model.directory.path), as_json=as_json)
    else:
        _print_as_written(prefix, model.stream(prefix, seed=seed, **settings))
    if not as_json:
        notes().print(f"run {model.directory.name}, seed {seed}", style="dim", markup=False)


def _print_all(
    texts: list[str],
    prefix: str,
    seed: int,
    settings: dict[str, Any],
    run: str,
    *,
    as_json: bool,
) -> None:
    for number, text in enumerate(texts):
        if as_json:
            answer = {"text": text, "prefix": prefix, "seed": seed + number, **settings, "run": run}
            write_result(json.dumps(answer, ensure_ascii=False) + "\n")
        else:
            separator = "" if number == 0 else "\n"
            shown = visible(text) if is_terminal(sys.stdout) else text
            write_result(f"{separator}{shown}\n")


def _print_as_written(prefix: str, written: Iterator[str]) -> None:
    if is_terminal(sys.stdout):
        for piece in itertools.chain([prefix], written, ["\n"]):
            write_result(visible(piece))
    else:
        # A pipe gets every character exactly as the model wrote it.
        write_result(prefix + "".join(written) + "\n")
