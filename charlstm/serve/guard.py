"""Who may ask, and how much: looked at before anything else sees a request.

A server on one's own machine is reached by every page that one's browser shows. So each request
needs the token; the name that it was sent to must not be one that a stranger's name server could
lead here (DNS rebinding); a page of another origin gets no answer that it could read; and only JSON
is taken, which no form of another page can send.
"""

import asyncio
import hmac
import ipaddress
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from charlstm.serve.answers import Refused, failed

LARGEST_BODY = 8 << 20
"""No request has more bytes."""

# A sender who pauses for so many seconds in the middle of a request has gone.
_PATIENCE_SECONDS = 30.0
# Of a request that is too large so much is listened to, and for so long, after it was refused.
_DRAINED = 256 << 20
_DRAINING_SECONDS = 5.0
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_CLOSED = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>charlstm</title>"
    "<p>This desk opens with the address that <code>charlstm serve</code> has printed: it holds "
    "the key.</p>"
    "<p lang=zh-Hans>请打开 <code>charlstm serve</code> 打印的完整网址，钥匙就在其中。</p>"
)


@dataclass(frozen=True)
class Rules:
    """What a server asks of those who ask.

    Attributes:
        token: without it nothing is answered.
        names: by which it may be reached besides ``localhost`` and addresses that are numbers.
        origins: of pages elsewhere that may read its answers, such as ``https://example.org``.
        cookie: by which the page shows the token.
    """

    token: str
    names: frozenset[str] = frozenset()
    origins: frozenset[str] = frozenset()
    cookie: str = field(default="charlstm")


class Guard:
    """Lets requests through to an app; see the head of this file."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        with_headers = _Answering(send, origin if origin in self._rules.origins else None)
        try:
            refused = self._looked_at(scope, headers)
        except Refused as error:
            refused = failed(error)
        if refused is None:
            body = _Body(receive, headers)
            try:
                await self._app(scope, body.receive, with_headers.send)
            except Refused as error:
                if with_headers.begun:
                    raise
                refused = failed(error)
        if refused is not None:
            if refused.status_code == 413:
                await _while_it_comes(refused, receive, with_headers.send)
            else:
                await refused(scope, receive, with_headers.send)

    def _looked_at(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer to what is not let through.

        Raises:
            Refused: it is not allowed, and a program should know why.
        """
        self._check_host(headers.get("host", ""))
        origin = headers.get("origin")
        if origin is not None:
            self._check_origin(scope, headers, origin)
            if scope["method"] == "OPTIONS":
                return Response(status_code=204)
        shown = self._token_in_address(scope)
        if shown is not None:
            return shown
        if not self._has_token(headers):
            if scope["path"] == "/" and "text/html" in headers.get("accept", ""):
                return HTMLResponse(_CLOSED, 401)
            raise Refused(
                "The token is missing or wrong: send 'Authorization: Bearer TOKEN' with the one "
                "that charlstm serve has printed, or the key that it was started with.",
                401,
                code="invalid_api_key",
            )
        if scope["method"] in ("POST", "PUT", "PATCH", "DELETE"):
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise Refused(
                    f"The content type is {kind or 'missing'}: send application/json.", 415
                )
            length = headers.get("content-length", "0")
            if not length.isascii() or not length.isdigit() or int(length) > LARGEST_BODY:
                raise _too_large()
        return None

    def _check_host(self, host: str) -> None:
        try:
            name = urlsplit(f"//{host}").hostname if host.isascii() else None
        except ValueError:  # half an address
            name = None
        if name == "localhost" or name in self._rules.names or _is_number(name):
            return
        raise Refused(
            "This server is not called so: use localhost, its address in numbers, or the name "
            "that it was told to listen at.",
            421,
            code="unknown_host",
        )

    def _check_origin(self, scope: Scope, headers: Headers, origin: str) -> None:
        own = f"{scope['scheme']}://{headers['host']}"
        if origin != own and origin not in self._rules.origins:
            raise Refused(
                "Pages of this origin may not ask unless the server was told so when it began.",
                403,
                code="origin_not_allowed",
            )

    def _token_in_address(self, scope: Scope) -> Response | None:
        """Turn the token of the address that was printed into a cookie, and out of sight."""
        if scope["path"] != "/" or scope["method"] != "GET" or not scope["query_string"]:
            return None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if not given:
            return None
        if not self._is_token(given):
            return HTMLResponse(_CLOSED, 401)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._rules.cookie, given, httponly=True, samesite="strict", path="/")
        return answer

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self._is_token(given.strip())
        cookies = cookie_parser(headers.get("cookie", ""))
        return self._is_token(cookies.get(self._rules.cookie, ""))

    def _is_token(self, given: str) -> bool:
        # In a time that does not tell how much of it was right.
        return hmac.compare_digest(given.encode(), self._rules.token.encode())


class _Answering:
    """Sends an answer with the headers that all have."""

    def __init__(self, send: Send, origin: str | None) -> None:
        self._send = send
        self._origin = origin
        self.begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            if self._origin is not None:
                headers["Access-Control-Allow-Origin"] = self._origin
                headers["Access-Control-Allow-Headers"] = "authorization, content-type"
                headers["Access-Control-Allow-Methods"] = "GET, POST"
                headers["Access-Control-Max-Age"] = "600"
                headers["Cross-Origin-Resource-Policy"] = "cross-origin"
            headers.add_vary_header("Origin")
        await self._send(message)


class _Body:
    """Receives a request, no more of it than is allowed, and not forever."""

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive = receive
        self._left = LARGEST_BODY
        self._ended = headers.get("content-length", "0") == "0" and (
            "transfer-encoding" not in headers
        )

    async def receive(self) -> Message:
        if self._ended:  # what comes now is that the sender has gone
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), _PATIENCE_SECONDS)
        except TimeoutError:
            raise Refused("The request did not arrive whole: send it again.", 408) from None
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            if self._left < 0:
                raise _too_large()
        return message


async def _while_it_comes(answer: Response, receive: Receive, send: Send) -> None:
    """Answer a request that is still on its way, and let some more of it come.

    A connection that is closed at once is reset, and who has not said all never hears why.
    """
    head = {"status": answer.status_code, "headers": answer.raw_headers}
    await send({"type": "http.response.start", **head})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    left = _DRAINED
    with suppress(TimeoutError):
        async with asyncio.timeout(_DRAINING_SECONDS):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if not message.get("more_body", False):
                    break
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _too_large() -> Refused:
    return Refused(f"The request is larger than {LARGEST_BODY >> 20} MiB: send less at once.", 413)


def _is_number(name: str | None) -> bool:
    try:
        ipaddress.ip_address(name or "")
    except ValueError:
        return False
    return True


def rules(token: str, *, host: str, port: int, origins: Iterable[str] = ()) -> Rules:
    """Return the rules of a server.

    Args:
        token: see `Rules`.
        host: where it listens.
        port: the same.
        origins: see there.
    """
    # Cookies know no ports, and two desks may be open.
    return Rules(token, frozenset((host.lower(),)), frozenset(origins), f"charlstm-{port}")
