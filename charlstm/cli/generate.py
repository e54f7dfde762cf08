"""`charlstm generate`: continue a prefix."""

import itertools
import json
import sys
from typing import Annotated, Literal

import typer

from charlstm.cli.console import notes, visible
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
        bool, typer.Option("--json", help="Print one JSON object instead of the bare text.")
    ] = False,
) -> None:
    """Continue a prefix with the newest model, or with the one that --run names."""
    from charlstm.api import load
    from charlstm.sampling import fresh_seed

    model = load(run)
    seed = fresh_seed() if seed is None else seed
    written = model.stream(
        prefix,
        length=length,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        unknown=unknown,
    )
    if as_json:
        answer = {
            "text": prefix + "".join(written),
            "prefix": prefix,
            "seed": seed,
            "temperature": temperature,
            "top_k": top_k,
            "top_p": top_p,
            "run": str(model.directory.path),
        }
        print(json.dumps(answer, ensure_ascii=False))
        return
    if sys.stdout.isatty():
        for piece in itertools.chain([prefix], written):
            print(visible(piece), end="", flush=True)
        print()
    else:
        # A pipe gets every character exactly as the model wrote it.
        sys.stdout.write(prefix + "".join(written) + "\n")
    notes().print(f"run {model.directory.name}, seed {seed}", style="dim", markup=False)
