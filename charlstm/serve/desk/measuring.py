"""How good a model is, what it copies from what it has learned, and what happens inside of it."""

from collections.abc import Sequence
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charlstm.serve.answers import Refused, answer, asked
from charlstm.serve.desk.shared import Desk, desk_of
from charlstm.serve.fields import Fields
from charlstm.text.songs import as_read

_MOST_TEXTS = 64
_MOST_CHARACTERS = 1_000_000
_OF_PAGE = "sandbox allow-scripts; frame-ancestors 'none'"
# As for the command line: more would hardly change the figures.
_HELD_OUT = 100_000


def routes() -> list[Route]:
    """Return what is answered here."""
    return [
        Route("/api/runs/{run}/measure", _measure, methods=["POST"]),
        Route("/api/runs/{run}/novelty", _novelty, methods=["POST"]),
        Route("/api/runs/{run}/inside", _look_inside, methods=["POST"]),
        Route("/api/inside/{called}", _inside, methods=["GET"]),
    ]


async def _measure(request: Request) -> Response:
    await asked(request)
    desk, run = desk_of(request), request.path_params["run"]
    # It waits for a process and takes no time of this one.
    return answer(await anyio.to_thread.run_sync(desk.measures.of, run))


async def _novelty(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    texts = fields.texts("texts", _MOST_TEXTS)
    if not any(text.strip() for text in texts):
        raise Refused('"texts" holds no text.', param="texts")
    if sum(map(len, texts)) > _MOST_CHARACTERS:
        told = f'"texts" may have {_MOST_CHARACTERS:,} characters together.'
        raise Refused(told, 413, param="texts")
    run = request.path_params["run"]
    return answer(await anyio.to_thread.run_sync(_novel, desk, run, texts, limiter=desk.slow))


async def _look_inside(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    text = fields.text("text", most=_MOST_CHARACTERS) or ""
    fields.end()
    run = request.path_params["run"]
    called = await anyio.to_thread.run_sync(desk.measures.look_inside, run, text)
    return answer({"run": run, "page": f"/api/inside/{called}"})


async def _inside(request: Request) -> Response:
    page = desk_of(request).measures.page(request.path_params["called"])
    if page is None:
        raise Refused("This page is no longer here: look inside once more.", 404)
    # The page says itself what may run in it: what it was made with. The desk is none of its
    # business.
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": _OF_PAGE})


def _novel(desk: Desk, run: str, texts: Sequence[str]) -> dict[str, Any]:
    model = desk.models.get(run)
    plain = [as_read(model.info.recipe.text.apply(text)) for text in texts]
    novelty = model.novelty(*plain)
    training = model.learned.text
    held_out = as_read(model.info.labels.stripped(model.directory.read_held_out(model.info)))
    beside = None
    if held_out:
        compared = min(len(held_out), _HELD_OUT)
        figures = model.novelty(held_out[:_HELD_OUT]).to_json()
        beside = {"characters": len(held_out), "compared": compared, **figures}
    answered = novelty.to_json()
    for passage in answered["passages"]:
        number, source = training.line_at(passage["place"])
        passage |= {"line": number, "source": source.strip()}
    return {**answered, "network_alone": None, "held_out": beside, "run": run}
