"""Texts that a model is to learn: dropped on the page, and looked at before anything is trained."""

from typing import Any

import anyio
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charlstm.errors import CharLSTMError, Setting
from charlstm.recipes.wish import Wish
from charlstm.serve.answers import Refused, answer, asked, named
from charlstm.serve.desk.shared import Desk, desk_of
from charlstm.serve.desk.uploads import Upload
from charlstm.text.corpus import Corpus
from charlstm.text.mapped import DIRECTORY, open_corpus
from charlstm.text.separators import FILES, separator_named, separator_of
from charlstm.text.songs import END
from charlstm.text.tidying import SPACES
from charlstm.text.tidying import notes as alike
from charlstm.text.told import left_out, text_lines

# How long one may let a model learn, in minutes, and what is offered first.
_MINUTES, _USUAL = [1, 5, 20], 5
_FILES, _LINES, _EXCERPT = 50, 12, 4_000


def routes() -> list[Route]:
    """Return what is answered here."""
    return [
        Route("/api/texts", _begin, methods=["POST"]),
        Route("/api/texts/{text}/files", _receive, methods=["POST"]),
        Route("/api/texts/{text}/look", _look, methods=["POST"]),
        Route("/api/texts/{text}/remove", _remove, methods=["POST"]),
    ]


async def _begin(request: Request) -> Response:
    await asked(request)
    return answer({"id": await anyio.to_thread.run_sync(desk_of(request).uploads.begin)})


async def _receive(request: Request) -> Response:
    body, uploads = await asked(request), desk_of(request).uploads
    text, files = request.path_params["text"], body.get("files")
    return answer(await anyio.to_thread.run_sync(uploads.receive, text, files))


async def _remove(request: Request) -> Response:
    await asked(request)
    uploads = desk_of(request).uploads
    await anyio.to_thread.run_sync(uploads.remove, request.path_params["text"])
    return answer({})


async def _look(request: Request) -> Response:
    await asked(request)
    desk = desk_of(request)
    upload = desk.uploads.find(request.path_params["text"])
    return answer(await anyio.to_thread.run_sync(_seen, desk, upload, limiter=desk.slow))


def _seen(desk: Desk, upload: Upload) -> dict[str, Any]:
    """Return what is in a text.

    Raises:
        Refused: it cannot be read.
    """
    try:
        corpus = open_corpus(upload.places(), cache=desk.root / DIRECTORY, options=Wish().text)
    except CharLSTMError as error:
        raise Refused(upload.plainly(error.message.told(named)), param="text") from None
    songs = corpus.songs
    counts = corpus.counts()
    kept = counts if set(SPACES) & counts.keys() else {}
    guessed = [source for source in corpus.sources if source.guess is not None]
    what = left_out(corpus.sources)
    characters, distinct = corpus.characters, len(set(counts) - {END})
    return {
        "name": upload.name,
        "characters": characters,
        "distinct": distinct,
        "songs": None if songs is None else songs.number,
        "files": [
            {
                "path": upload.plainly(source.name),
                "encoding": source.encoding,
                "characters": source.characters,
            }
            for source in corpus.sources[:_FILES]
        ],
        "more_files": max(len(corpus.sources) - _FILES, 0),
        "left_out": [*([f"Left out: {what}."] if what else []), *upload.left_out()],
        "notes": [
            _apart(corpus),
            *(upload.plainly("\n".join(text_lines(source))) for source in guessed[:_FILES]),
            *(note.told(_in_place) for note in alike(corpus.changed, kept)),
        ],
        "excerpt": _excerpt(corpus),
        "minutes": _MINUTES,
        "usual": _USUAL,
    }


def _apart(corpus: Corpus) -> str:
    """Say what tells songs apart."""
    songs = corpus.songs
    if songs is None:
        return "No songs are told apart: the text is one stream."
    separator = separator_named(songs.parted) or separator_of(corpus.options.songs)
    if songs.parted == FILES:
        return f"Songs: {separator.told}."
    return f"Songs are told apart by {separator.told}."


def _in_place(part: Any) -> str:
    # There is no such setting on the page, and the sentence is one about what could be set.
    return named(part) if not isinstance(part, Setting) else f"the setting {part.name}"


def _excerpt(corpus: Corpus) -> str:
    begin = corpus.alphabet.decode(np.asarray(corpus.ids[:_EXCERPT]))
    plain = corpus.labels.stripped(begin).replace(END, "\n").strip("\n")
    return "\n".join(plain.split("\n")[:_LINES])
