"""Training a model from the page, and watching it."""

import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charlstm.checks import check_real
from charlstm.runs.names import check_name
from charlstm.serve.answers import Refused, answer, asked
from charlstm.serve.desk.shared import Desk, desk_of
from charlstm.serve.desk.trainings import OVER, BusyError
from charlstm.serve.fields import Fields
from charlstm.serve.streams import EventStream

# How often a watcher looks for news, and after how long it says that it is still there, in seconds.
_LOOK = 0.1
_STILL_THERE = 10.0
# A year: nobody means more.
_MOST_MINUTES = 525_600


def routes() -> list[Route]:
    """Return what is answered here."""
    return [
        Route("/api/training", _begin, methods=["POST"]),
        Route("/api/training", _show, methods=["GET"]),
        Route("/api/training/stop", _stop, methods=["POST"]),
        Route("/api/training/events", _watch, methods=["GET"]),
    ]


async def _begin(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    minutes = fields.take("minutes")
    if minutes is not None:
        check_real("minutes", minutes, 0, _MOST_MINUTES, above=True)
    if desk.trainings.is_running:
        raise _busy(None)
    if fields.has("text") == fields.has("run"):
        raise Refused('A training needs a "text" to learn, or a "run" to go on with.', param="text")
    job = await anyio.to_thread.run_sync(_job, desk, fields)
    try:
        told = desk.trainings.begin(**job, minutes=minutes)
    except BusyError as error:
        raise _busy(error) from None
    return answer(told)


def _job(desk: Desk, fields: Fields) -> dict[str, Any]:
    """Return what is to be trained.

    Raises:
        RunError, CorpusError: there is no such run or text, or nothing in it.
    """
    if fields.has("run"):
        directory = desk.models.directory(fields.needed("run"))
        places = desk.uploads.places_of(directory.read_info())
        return {"name": directory.name, "places": places, "resume": True}
    upload = desk.uploads.find(fields.needed("text"))
    name = fields.text("name") or upload.name
    check_name(name)
    places = upload.places()
    desk.uploads.learning(upload)
    return {"name": name, "places": places, "resume": False}


def _busy(error: BusyError | None) -> Refused:
    told = "A training is running already: wait until it ends, or stop it, and begin then."
    return Refused(told if error is None else str(error), 409, code="training")


async def _stop(request: Request) -> Response:
    desk_of(request).trainings.stop()
    return answer({})


async def _show(request: Request) -> Response:
    return answer(desk_of(request).trainings.told or {"training": None})


async def _watch(request: Request) -> Response:
    return EventStream(_news(request))


async def _news(request: Request) -> AsyncIterator[dict[str, Any] | str]:
    """Yield what happens in the training, until it or the server ends."""
    trainings, closing = desk_of(request).trainings, request.app.state.served.closing
    seen, told_at = 0, time.monotonic()
    while True:
        seen, events = trainings.since(seen)
        for event in events:
            yield event
        now = time.monotonic()
        if events:
            told_at = now
        elif now - told_at > _STILL_THERE:
            yield ": still there\n\n"
            told_at = now
        told = trainings.told
        if told is None or (told["state"] in OVER and not events) or closing.is_set():
            return
        await anyio.sleep(_LOOK)
