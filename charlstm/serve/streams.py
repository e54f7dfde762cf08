"""Answers that are sent while they are made, and questions that are taken back."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from charlstm.serve.answers import Refused

_T = TypeVar("_T")


class Gone(Exception):  # noqa: N818 (nothing went wrong)
    """Whoever asked does not wait any more."""


class EventStream(Response):
    """Server-sent events, ended as soon as nobody listens.

    Args:
        events: the data of each: an object, or a text that is sent as it is.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncIterator[dict[str, Any] | str]) -> None:
        super().__init__()
        del self.headers["content-length"]
        # Some programs between a server and its reader would wait for more of it.
        self.headers["X-Accel-Buffering"] = "no"
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them; see `starlette.responses.Response`."""
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await task

    async def _send(self, send: Send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(head)
        try:
            async for event in self._events:
                await send(_body(_encoded(event)))
        except Refused as refused:  # the head has said 200
            await send(_body(_encoded(refused.body)))
        await send(_body(b"", more=False))


def _encoded(event: dict[str, Any] | str) -> bytes:
    if isinstance(event, dict):
        event = f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
    return event.encode(errors="replace")


def _body(data: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """Return what comes of some work, which ends as soon as nobody waits for it.

    Raises:
        Gone: nobody does.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_until_gone(request.receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise Gone
    finally:
        for task in (working, leaving):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
