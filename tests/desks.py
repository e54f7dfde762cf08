"""A server as the page talks to it: in this process and over no network, or as a command."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
from faults.patience import HANGS_AFTER
from starlette.testclient import TestClient

from charlstm.serve.app import make_app
from charlstm.serve.guard import Rules

TOKEN = "a-token-for-tests"


class Page:
    """What a page asks, and what it is answered."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def get(self, address: str, status: int = 200) -> Any:
        """Return an answer, which must have this status."""
        return self._answer(self.client.get(address), status)

    def post(self, address: str, body: object = None, status: int = 200) -> Any:
        """Tell the server something and return its answer, which must have this status."""
        return self._answer(self.client.post(address, json=body or {}), status)

    def refused(self, address: str, body: object = None, status: int = 400) -> str:
        """Return the sentence with which something is refused."""
        error = self.post(address, body, status)["error"]
        assert set(error) == {"message", "type", "param", "code"}
        return str(error["message"])

    @staticmethod
    def _answer(response: Any, status: int) -> Any:
        assert response.status_code == status, response.text
        return response.json()


@contextmanager
def desk(root: Path) -> Iterator[Page]:
    """Serve a root; its desk is closed in the end, as when the server ends."""
    app = make_app(root, Rules(TOKEN, cookie="charlstm"))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with TestClient(app, base_url="http://localhost", headers=headers) as client:
        try:
            yield Page(client)
        finally:
            assert client.portal is not None
            client.portal.call(app.state.served.desk.close)


class Server:
    """`charlstm serve` in a process of its own, as a page talks to it."""

    def __init__(self, place: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "charlstm", "serve", "--no-browser", "--port", "0"],
            cwd=place,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        address = self.process.stdout.readline().strip()
        found = re.fullmatch(r"(http://127\.0\.0\.1:\d+)/\?token=(\S+)", address)
        assert found, address
        headers = {"Authorization": f"Bearer {found[2]}"}
        self.client = httpx.Client(base_url=found[1], headers=headers, timeout=HANGS_AFTER)

    def post(self, address: str, body: object = None, status: int = 200) -> Any:
        """Tell the server something and return its answer, which must have this status."""
        answer = self.client.post(address, json=body or {})
        assert answer.status_code == status, answer.text
        return answer.json()

    def get(self, address: str) -> Any:
        """Return an answer."""
        answer = self.client.get(address)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield what happens in the training."""
        with self.client.stream("GET", "/api/training/events") as answer:
            for line in answer.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

    def end(self, *, kill: bool = False) -> None:
        """End it as a signal does, or at once."""
        self.client.close()
        (self.process.kill if kill else self.process.terminate)()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process.wait(HANGS_AFTER)
