"""What `charlstm eval perplexity` and `charlstm inspect` look at, and the pages that they make."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from charlstm.cli.console import progress_bar, say_guesses, say_left_out
from charlstm.cli.options import told_encoding
from charlstm.cli.streams import open_inputs

if TYPE_CHECKING:
    from charlstm.outputs import Output
    from charlstm.text.corpus import Corpus
    from charlstm.trained import TrainedModel


def read_text(
    model: "TrainedModel", text: list[str] | None, encoding: list[str] | None, field: str | None
) -> "tuple[Corpus | None, str]":
    """Return a TEXT and what it is called; ``None`` where it is the model's held-out text."""
    if not text:
        return None, model.held_out_title
    corpus = model.read_corpus(text, encoding=told_encoding(encoding), field=field)
    say_guesses(corpus.sources)
    say_left_out(corpus.sources)
    return corpus, ", ".join(text)


def page_output(
    html: Path, model: "TrainedModel", text: list[str] | None, *, force: bool
) -> "Output":
    """Return where a page goes, checked before what may take long."""
    from charlstm.outputs import PAGE, Output
    from charlstm.text.locations import Locations

    texts = Locations(text).files if text else []
    kept: list[Path | int] = [*texts, *open_inputs(), *model.directory.files]
    output = Output(html, kept, [PAGE], force)
    output.check()
    return output


@contextmanager
def progress(characters: int, title: str) -> Iterator[Callable[[int], object]]:
    """Show a bar on a terminal while this many characters are read."""
    bar = progress_bar(characters, title=title)
    try:
        yield (lambda read: None) if bar is None else bar.update
    finally:
        if bar is not None:
            bar.close()
