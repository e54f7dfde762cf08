"""Lines for a song, what would follow in one, and what there is to say of all of them."""

from functools import partial
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charlstm.checks import check_whole
from charlstm.serve.answers import Refused, answer, asked
from charlstm.serve.desk import desk_of
from charlstm.serve.parts import client_of, optional, text_of, texts_of, whole_of
from charlstm.serve.settings import label_of, settings_of

# What is read while somebody waits for an answer.
_LONGEST = 50_000
_LONGEST_LINE = 2_000
_MOST_LINES, _MOST_WITHOUT = 20, 500


def routes() -> list[Route]:
    """Return what is answered here."""
    of = "/api/runs/{run}"
    return [
        Route(of + "/propose", _propose, methods=["POST"]),
        Route(of + "/continue", _continue, methods=["POST"]),
        Route(of + "/read", _read, methods=["POST"]),
    ]


async def _propose(request: Request) -> Response:
    body, desk = await asked(request), desk_of(request)
    count = body.get("count", 5)
    check_whole("count", count, 1, _MOST_LINES)
    seed = optional(body, "seed", whole_of)
    if seed is not None:
        check_whole("seed", seed, 0)
    begun = _optional_text(body, "begun", _LONGEST_LINE)
    if "\n" in begun:
        raise Refused('"begun" is a part of one line, so it has no line breaks.', param="begun")
    without = texts_of(body, "without")[-_MOST_WITHOUT:]
    before, after = _optional_text(body, "before"), _optional_text(body, "after")
    if before and not before.endswith("\n"):
        before += "\n"
    directory = desk.models.directory(request.path_params["run"])
    if body.get("client") is not None:
        desk.leases.renew(directory, client_of(body))
    work = partial(
        desk.songwriters.propose,
        directory.name,
        before,
        settings_of(body),
        begun=begun,
        after=after,
        count=count,
        without=without,
        seed=seed,
    )
    return answer(await anyio.to_thread.run_sync(work, limiter=desk.heavy))


async def _continue(request: Request) -> Response:
    body, desk = await asked(request), desk_of(request)
    before, after = _optional_text(body, "before"), _optional_text(body, "after")
    if after.split("\n")[0].strip():  # something stands there already
        return answer({"text": ""})
    work = partial(desk.songwriters.go_on, request.path_params["run"], before, settings_of(body))
    return answer({"text": await anyio.to_thread.run_sync(work, limiter=desk.quick)})


async def _read(request: Request) -> Response:
    body, desk = await asked(request), desk_of(request)
    text = text_of(body, "text", most=_LONGEST)
    work = partial(desk.songwriters.read, request.path_params["run"], text, label_of(body))
    return answer(await anyio.to_thread.run_sync(work, limiter=desk.heavy))


def _optional_text(body: dict[str, Any], name: str, most: int = _LONGEST) -> str:
    if body.get(name) is None:
        return ""
    return text_of(body, name, most=most)
