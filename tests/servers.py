"""A server in a process of its own, and what is sent to it as it is."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from faults.patience import HANGS_AFTER


@dataclass(frozen=True)
class Answer:
    """What was answered.

    Attributes:
        status: of HTTP.
        headers: with names in small letters.
        body: itself.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What the body says."""
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence of an error."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return str(error["message"])

    @property
    def events(self) -> list[Any]:
        """What a stream told; its last word is no JSON, and left out."""
        lines = self.body.decode().split("\n\n")
        told = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        return [json.loads(line) for line in told if line != "[DONE]"]


class Served:
    """A server that runs.

    Args:
        process: that it runs in.
        address: that it has printed.

    Attributes:
        port: where it listens.
        token: that it asks for.
    """

    def __init__(self, process: "subprocess.Popen[str]", address: str) -> None:
        parts = urlsplit(address)
        assert parts.port is not None
        self.process, self.address, self.port = process, address, parts.port
        self.token = parts.query.removeprefix("token=")

    def ask(
        self,
        path: str,
        body: object = None,
        *,
        method: str | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = "",
    ) -> Answer:
        """Ask something and return the answer.

        Args:
            path: of what.
            body: is sent as JSON, or as it is if it is bytes; nothing where ``None``.
            method: by default that which goes with a body, or with none.
            headers: besides those that are needed, or instead of them.
            token: the server's own by default; ``None`` shows none.
        """
        all_of_them = {"Content-Type": "application/json"}
        if token is not None:
            all_of_them["Authorization"] = f"Bearer {token or self.token}"
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGS_AFTER)
        try:
            how = method or ("GET" if body is None else "POST")
            connection.request(how, path, data, {**all_of_them, **(headers or {})})
            answer = connection.getresponse()
            named = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, named, answer.read())
        finally:
            connection.close()

    @contextmanager
    def listen(self, path: str, body: object) -> Iterator[http.client.HTTPResponse]:
        """Ask for a stream and yield it, when it has begun."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANGS_AFTER)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", path, json.dumps(body).encode(), headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def complete(self, **fields: object) -> Any:
        """Complete a text; return the whole answer."""
        answer = self.ask("/v1/completions", fields)
        assert answer.status == 200, answer.body
        return answer.json

    def refused(self, status: int = 400, **fields: object) -> str:
        """Return the sentence with which a completion is refused."""
        answer = self.ask("/v1/completions", fields)
        assert answer.status == status, answer.body
        return answer.error

    def connect(self) -> socket.socket:
        """Return a connection over which nothing was said yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=HANGS_AFTER)

    def head(self, path: str, length: int, kind: str = "application/json") -> bytes:
        """Return the head of a request with a body of so many bytes."""
        return (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {length}\r\n\r\n"
        ).encode()

    def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; return its exit code."""
        self.process.send_signal(how)
        return self.process.wait(HANGS_AFTER)


@contextmanager
def serving(where: Path, *options: str) -> Iterator[Served]:
    """Run ``charlstm serve`` in a directory, and end it if nobody has."""
    command = [sys.executable, "-m", "charlstm", "serve", "--no-browser", *options]
    process = subprocess.Popen(
        command,
        cwd=where,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise AssertionError(process.communicate(timeout=HANGS_AFTER)[1])
        yield Served(process, address)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=HANGS_AFTER)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
