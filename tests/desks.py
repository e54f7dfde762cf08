"""A server as the page talks to it: in this process, with the token and over no network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from charlstm.serve.app import make_app
from charlstm.serve.guard import Rules

TOKEN = "a-token-for-tests"
CLIENT = "tab-1"


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
            client.portal.call(app.state.desk.close)
