"""What is served where."""

import asyncio
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from charlstm.errors import CharLSTMError
from charlstm.serve.answers import BROKEN, Refused, failed, refusal
from charlstm.serve.desk import measuring, runs, songs, texts, training, writing
from charlstm.serve.desk.shared import Desk
from charlstm.serve.guard import Guard, Rules
from charlstm.serve.opened import Models
from charlstm.serve.programs import completions
from charlstm.serve.programs.engine import Engine
from charlstm.serve.streams import Gone

_DESK = (runs, texts, training, songs, writing, measuring)
_PAGE = files("charlstm.serve") / "page"
# Said here, because what a system says of them may be wrong, and a browser obeys it.
_KINDS = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_FORMS = 2


@dataclass
class Served:
    """What all answers share.

    Attributes:
        models: those that were opened.
        desk: what the page asks for.
        engine: that writes.
        forms: lets a few texts in a form be written at a time, so that threads are left for others.
        closing: set when the server is asked to end; whoever sends something endless stops.
    """

    models: Models
    desk: Desk
    engine: Engine
    forms: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_FORMS))
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> "Served":
        return self

    async def __aexit__(self, *_: object) -> None:
        """End what goes on beside the answers."""
        self.engine.close()
        await self.desk.close()


def make_app(root: Path, rules: Rules, engine: Engine | None = None) -> Starlette:
    """Return the app.

    Args:
        root: where runs live.
        rules: who may ask.
        engine: that writes; the usual one where ``None``.
    """
    app = Starlette(
        routes=[
            Route("/", _index),
            Route("/page/{name}", _file),
            *completions.routes(),
            *(route for room in _DESK for route in room.routes()),
        ],
        exception_handlers={
            Refused: _refused,
            CharLSTMError: _mistaken,
            HTTPException: _not_there,
            Gone: _unheard,
            ClientDisconnect: _unheard,
            Exception: _broken,
        },
    )
    app.add_middleware(Guard, rules=rules)
    models = Models(root)
    app.state.served = Served(models, Desk(models), engine or Engine())
    return app


async def _index(_: Request) -> Response:
    return _of_page("index.html")


async def _file(request: Request) -> Response:
    return _of_page(request.path_params["name"])


def _of_page(name: str) -> Response:
    """Return one of the files in the folder of the page, and no other."""
    known = {path.name: path for path in _PAGE.iterdir() if path.is_file()}
    if name not in known:
        raise HTTPException(404)
    return Response(known[name].read_bytes(), media_type=_KINDS[Path(name).suffix])


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return failed(error)


async def _mistaken(_: Request, error: Exception) -> Response:
    assert isinstance(error, CharLSTMError)
    return failed(refusal(error))


async def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = f"There is nothing at {request.method} {request.url.path}."
    return failed(Refused(told, error.status_code))


async def _unheard(_: Request, _error: Exception) -> Response:
    return Response(status_code=499)  # which nobody hears


async def _broken(_: Request, _error: Exception) -> Response:
    return failed(Refused(BROKEN, 500))
