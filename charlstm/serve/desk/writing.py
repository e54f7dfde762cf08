"""Lines for a song, what would follow in one, and what there is to say of all of them."""

from functools import partial

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charlstm.serve.answers import Refused, answer, asked
from charlstm.serve.desk.settings import label_of, settings_of
from charlstm.serve.desk.shared import client_of, desk_of
from charlstm.serve.fields import Fields

# What is read while somebody waits for an answer.
_LONGEST = 50_000
_LONGEST_LINE = 2_000
_MOST_LINES, _MOST_WITHOUT, _MOST_LINES_SEEN = 20, 500, 100_000


def routes() -> list[Route]:
    """Return what is answered here."""
    of = "/api/runs/{run}"
    return [
        Route(of + "/propose", _propose, methods=["POST"]),
        Route(of + "/continue", _continue, methods=["POST"]),
        Route(of + "/read", _read, methods=["POST"]),
    ]


async def _propose(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    count, seed = fields.whole("count", 1, _MOST_LINES) or 5, fields.whole("seed", 0)
    begun = fields.text("begun", most=_LONGEST_LINE) or ""
    if "\n" in begun:
        raise Refused('"begun" is a part of one line, so it has no line breaks.', param="begun")
    without = fields.texts("without", _MOST_LINES_SEEN)[-_MOST_WITHOUT:]
    before, after = _around(fields)
    if before and not before.endswith("\n"):
        before += "\n"
    directory = desk.models.directory(request.path_params["run"])
    if fields.has("client"):
        desk.leases.renew(directory, client_of(fields))
    work = partial(
        desk.songwriters.propose,
        directory.name,
        before,
        settings_of(fields),
        begun=begun,
        after=after,
        count=count,
        without=without,
        seed=seed,
    )
    return answer(await anyio.to_thread.run_sync(work, limiter=desk.heavy))


async def _continue(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    before, after = _around(fields)
    if after.split("\n")[0].strip():  # something stands there already
        return answer({"text": ""})
    work = partial(desk.songwriters.go_on, request.path_params["run"], before, settings_of(fields))
    return answer({"text": await anyio.to_thread.run_sync(work, limiter=desk.quick)})


async def _read(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    text = fields.needed("text", most=_LONGEST)
    work = partial(desk.songwriters.read, request.path_params["run"], text, label_of(fields))
    return answer(await anyio.to_thread.run_sync(work, limiter=desk.heavy))


def _around(fields: Fields) -> tuple[str, str]:
    """Return the text before a place, and the text after it."""
    before, after = (fields.text(name, most=_LONGEST) for name in ("before", "after"))
    return before or "", after or ""
