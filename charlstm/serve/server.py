"""The server itself: where it listens, the token, and how it ends."""

import asyncio
import contextlib
import os
import re
import secrets
import signal
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from urllib.parse import quote

import uvicorn

from charlstm.errors import RecipeError, RunError, Setting, shortened
from charlstm.serve.app import Served, make_app
from charlstm.serve.guard import rules
from charlstm.serve.programs.engine import Engine

HOST = "127.0.0.1"
"""Where it listens by default: on this machine alone."""

PORT = 8642
"""Where it listens by default, or at the next free port."""

_TOKEN = ".serve-token"
# Where the usual port is taken, so many after it are tried.
_PORTS = 20
# What is being answered when the server is asked to end has so many seconds.
_FINISHING_SECONDS = 10
# A thread that computes lets others go first after so many seconds.
_SWITCH_SECONDS = 0.001
# More connections than the system would keep waiting are refused anyway.
_WAITING = 512


class Server:
    """A server on its way; entered, it listens.

    Args:
        root: where runs live; made if it is missing.
        host: where to listen.
        port: the same; the usual one or the next free one where ``None``.
        key: what others show instead of the token.
        origins: of pages elsewhere that may read its answers.
        engine: that writes; the usual one where ``None``.

    Attributes:
        address: what opens it in a browser, with the token.

    Raises:
        RecipeError: it would be open to others without a key.
        RunError: the root cannot be written, or nothing can listen there.
    """

    def __init__(
        self,
        root: Path,
        *,
        host: str = HOST,
        port: int | None = None,
        key: str | None = None,
        origins: Iterable[str] = (),
        engine: Engine | None = None,
    ) -> None:
        if key is None and not is_here(host):
            raise RecipeError(
                "Whoever reaches ",
                Setting("host", host),
                " could use this server: choose a key for them with ",
                Setting("api_key"),
                ".",
            )
        if key is not None and not re.fullmatch(r"[!-~]{8,200}", key):
            raise RecipeError(
                Setting("api_key"),
                " must have 8 to 200 letters, digits and signs, and no spaces.",
            )
        allowed = [_origin(origin) for origin in origins]
        token = kept_token(root) if key is None else key
        self._socket = listen(host, port)
        number = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{number}/?token={quote(token, safe='')}"
        app = make_app(root, rules(token, host=host, port=number, origins=allowed), engine)
        self._served: Served = app.state.served
        config = uvicorn.Config(
            app,
            http="h11",
            ws="none",
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_WAITING,
            timeout_graceful_shutdown=_FINISHING_SECONDS,
        )
        self._server = _Uvicorn(config, self._served.closing)

    def serve(self) -> None:
        """Serve until a signal ends it: Ctrl-C, SIGTERM or SIGHUP."""
        # Whoever asks must not wait for what is being written for others.
        sys.setswitchinterval(_SWITCH_SECONDS)
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        async with self._served:
            await self._server.serve(sockets=[self._socket])


class _Uvicorn(uvicorn.Server):
    """Uvicorn that says when it ends, and leaves the exit code to the command line."""

    def __init__(self, config: uvicorn.Config, closing: asyncio.Event) -> None:
        super().__init__(config)
        self._closing = closing

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End: what is endless at once, what is being written when it is finished."""
        asyncio.get_running_loop().call_soon_threadsafe(self._closing.set)
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let a signal end the server, and not the process after it."""
        before = {each: signal.signal(each, self.handle_exit) for each in _SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


_SIGNALS = [signal.SIGINT, signal.SIGTERM]
if hasattr(signal, "SIGHUP"):  # Windows has none
    _SIGNALS.append(signal.SIGHUP)


def _origin(given: str) -> str:
    """Return an origin as browsers tell it.

    Raises:
        RecipeError: it is none.
    """
    origin = given.rstrip("/").lower()
    if not re.fullmatch(r"https?://[a-z0-9.\[\]:-]+", origin):
        raise RecipeError(
            Setting("allow_origin"),
            f" needs an origin such as https://example.org, not {shortened(given, 60)}.",
        )
    return origin


def is_here(host: str) -> bool:
    """Return whether only programs of this machine reach a host."""
    return host in ("localhost", "::1") or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None


def kept_token(root: Path) -> str:
    """Return the token of a root, made when it is first asked for, so that an address stays valid.

    Only the owner of the file can read it.

    Raises:
        RunError: it cannot be written.
    """
    path = root / _TOKEN
    try:
        root.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            token = path.read_text(encoding="ascii", errors="replace").strip()
            if re.fullmatch(r"[\w-]{20,100}", token):
                path.chmod(0o600)
                return token
        token = secrets.token_urlsafe(24)
        path.unlink(missing_ok=True)
        new = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(new, "w", encoding="ascii") as file:
            file.write(f"{token}\n")
    except FileExistsError as error:
        if error.filename == str(root):
            raise RunError(f"{root} is not a directory, so no run can live there.") from None
        return kept_token(root)  # another server has just begun
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}.") from None
    return token


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: where.
        port: the same; 0 for any free one, ``None`` for the usual one or the next that is free.

    Raises:
        RunError: nothing can.
    """
    ports = range(PORT, PORT + _PORTS) if port is None else [port]
    try:
        family, kind, protocol, _, _ = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise RunError(f"Nothing can listen at {host}: {error.strerror}.") from None
    for number in ports:
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name != "nt":  # where it would let two listen at the same port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((host, number))
            listening.listen(_WAITING)
        except OSError as error:
            listening.close()
            reason = error.strerror
            continue
        return listening
    told = f"port {ports[0]}" if len(ports) == 1 else f"any port from {ports[0]} to {ports[-1]}"
    raise RunError(
        f"Nothing can listen at {told} of {host}: {reason}. Name another with ",
        Setting("port"),
        ".",
    )
