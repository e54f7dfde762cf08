"""Who is let in by a server, how it begins and how it ends."""

import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import module, python
from faults.patience import HANGS_AFTER
from faults.serving import serve_and_disturb
from servers import Answer, Served, serving

from charlstm.api import train
from charlstm.serve.guard import LARGEST_BODY

ADDRESS = r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}"


@pytest.fixture(scope="module")
def where(song: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a run in it."""
    where = tmp_path_factory.mktemp("served")
    text = where / "song.txt"
    text.write_text(song * 3, encoding="utf-8")
    train(text, root=where / "checkpoints", name="song", epochs=1, hidden=12, embedding=4)
    return where


@pytest.fixture(scope="module")
def server(where: Path) -> Iterator[Served]:
    with serving(where, "--port", "0", "--allow-origin", "https://friend.example") as server:
        yield server


def test_an_address_is_printed_that_opens_the_page_and_hides_the_token(server: Served) -> None:
    assert re.fullmatch(ADDRESS, server.address)
    opened = server.ask(f"/?token={server.token}", token=None)
    assert opened.status == 303
    assert opened.headers["location"] == "/"
    cookie = opened.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    shown = cookie.partition(";")[0]
    page = server.ask("/", headers={"Cookie": shown}, token=None)
    assert page.status == 200
    assert server.token.encode() not in page.body


@pytest.mark.parametrize("token", [None, "wrong", "wröng"])
def test_without_the_token_nothing_is_answered(server: Served, token: str | None) -> None:
    for path in ("/", "/v1/models", "/page/index.html", "/api/runs", "/nothing"):
        shown = None if token is None else token.encode().decode("latin-1")
        answer = server.ask(path, token=shown)
        assert answer.status == 401
        assert "token is missing or wrong" in answer.error
    assert server.ask("/?token=wrong", token=None).status == 401


def test_a_browser_without_the_token_is_told_where_to_find_it(server: Served) -> None:
    answer = server.ask("/", headers={"Accept": "text/html"}, token=None)
    assert answer.status == 401
    assert "charlstm serve" in answer.body.decode()


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "ü", "", "[", "[::1"]
)
def test_a_name_that_is_not_the_servers_is_refused(server: Served, host: str) -> None:
    answer = server.ask("/v1/models", headers={"Host": host.encode().decode("latin-1")})
    assert answer.status in (400, 421)  # the parser refuses some of them before the guard does


@pytest.mark.parametrize("host", ["localhost:1", "[::1]:99", "127.0.0.1"])
def test_a_machine_may_be_called_by_its_numbers(server: Served, host: str) -> None:
    assert server.ask("/v1/models", headers={"Host": host}).status == 200


def test_pages_of_other_origins_get_no_answer_unless_they_were_allowed(server: Served) -> None:
    for origin in ("https://evil.example", "null", f"http://127.0.0.1:{server.port + 1}"):
        answer = server.ask("/v1/models", headers={"Origin": origin})
        assert (answer.status, "of this origin" in answer.error) == (403, True)
        assert "access-control-allow-origin" not in answer.headers
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    assert server.ask("/v1/models", headers=own).status == 200
    friend = {"Origin": "https://friend.example"}
    answer = server.ask("/v1/models", headers=friend)
    assert answer.headers["access-control-allow-origin"] == friend["Origin"]
    before = server.ask("/v1/completions", method="OPTIONS", headers=friend, token=None)
    assert before.status == 204
    assert "authorization" in before.headers["access-control-allow-headers"]


def test_only_json_is_taken(server: Served) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = server.ask("/v1/completions", b"{}", headers={"Content-Type": kind})
        assert (answer.status, answer.error) == (
            415,
            f"The content type is {kind}: send application/json.",
        )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "The request is not JSON"),
        (b"[]", "must be a JSON object"),
        (b"\xff", "The request is not UTF-8: byte 0"),
        (b"[" * 100_000, "The request is not JSON"),
        (b"", "The request is not JSON"),
    ],
)
def test_what_is_no_request_is_refused_in_a_sentence(
    server: Served, body: bytes, said: str
) -> None:
    answer = server.ask("/v1/completions", body)
    assert answer.status == 400
    assert said in answer.error


def test_every_answer_forbids_what_a_page_of_ours_never_does(server: Served) -> None:
    for answer in (server.ask("/"), server.ask("/v1/models"), server.ask("/nothing")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("name", ["..%2f..%2fpyproject.toml", "..", "%00", "server.py", "a/b"])
def test_no_file_is_served_but_those_of_the_page(server: Served, name: str) -> None:
    assert server.ask(f"/page/{name}").status == 404


def test_a_request_that_is_too_large_is_refused_before_it_has_come(server: Served) -> None:
    with server.connect() as connection:
        connection.sendall(server.head("/v1/completions", 100_000_000))
        told = connection.recv(4096).decode()
    assert told.startswith("HTTP/1.1 413")


def test_a_request_that_does_not_say_how_large_it_is_ends_where_it_is_too_large(
    server: Served,
) -> None:
    head = server.head("/v1/completions", 0).replace(
        b"Content-Length: 0", b"Transfer-Encoding: chunked"
    )
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with server.connect() as connection:
        connection.sendall(head)
        try:
            for _ in range(2 * LARGEST_BODY // 0x10000):
                connection.sendall(piece)
        except OSError:
            pass  # it is refused already
        else:
            assert connection.recv(4096).startswith(b"HTTP/1.1 413")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows what a process has loaded")
def test_a_server_that_only_writes_never_loads_torch(server: Served) -> None:
    server.complete(model="song", max_tokens=5, logprobs=1, echo=True)
    server.complete(model="song", form={"lines": 1})
    page = {"before": "", "text": "分开\n", "settings": {}}
    for asked in ("propose", "continue", "read"):
        assert server.ask(f"/api/runs/song/{asked}", page).status == 200
    for shown in ("/", "/api/runs", "/api/runs/song", "/v1/models"):
        assert server.ask(shown).status == 200
    loaded = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "numpy" in loaded
    assert "libtorch" not in loaded


def test_the_token_stays_the_same_and_only_its_owner_can_read_it(where: Path) -> None:
    addresses = []
    for _ in range(2):
        with serving(where, "--port", "0") as server:
            addresses.append(server.token)
    assert addresses[0] == addresses[1]
    if os.name == "posix":
        mode = (where / "checkpoints" / ".serve-token").stat().st_mode
        assert stat.S_IMODE(mode) == 0o600


def test_others_can_reach_it_only_with_a_key(where: Path) -> None:
    refused = module("serve", "--no-browser", "--host", "0.0.0.0", where=where)
    assert refused.code == 1
    assert "choose a key for them with --api-key" in refused.stderr
    short = module("serve", "--no-browser", "--api-key", "abc", where=where)
    assert "--api-key must have 8 to 200" in short.stderr
    options = ("--host", "0.0.0.0", "--api-key", "a-long-key", "--port", "0")
    with serving(where, *options) as server:
        assert server.token == "a-long-key"
        assert server.ask("/v1/models").status == 200


@pytest.mark.parametrize("library", ["uvicorn", "starlette"])
def test_what_has_to_be_installed_is_told(library: str, tmp_path: Path) -> None:
    code = (
        f"import sys; sys.modules[{library!r}] = None; sys.argv = ['charlstm', 'serve'];"
        "from charlstm.cli import main; main()"
    )
    refused = python("-c", code, where=tmp_path)
    assert refused.code == 1
    assert refused.stderr == (
        "error: The desk needs libraries that are not installed: pip install 'charlstm[serve]'.\n"
    )


def test_an_address_holds_any_key(where: Path) -> None:
    with serving(where, "--api-key", "a+b&c#d%41e", "--port", "0") as server:
        address = server.address.partition("/?")[2]
        assert server.ask(f"/?{address}", token=None).status == 303


def test_an_origin_is_one_or_is_refused(where: Path) -> None:
    for origin in ("example.org", "*", "https://example.org/page"):
        told = module("serve", "--no-browser", "--allow-origin", origin, where=where)
        assert told.code == 1
        assert told.stderr == (
            f"error: --allow-origin needs an origin such as https://example.org, not {origin}.\n"
        )
    with serving(where, "--port", "0", "--allow-origin", "HTTPS://Example.org/") as server:
        page = {"Origin": "https://example.org"}
        assert server.ask("/v1/models", headers=page).status == 200


def test_a_port_that_is_taken_is_told(where: Path, server: Served) -> None:
    refused = module("serve", "--no-browser", "--port", str(server.port), where=where)
    assert refused.code == 1
    assert f"Nothing can listen at port {server.port} of 127.0.0.1" in refused.stderr
    assert "--port" in refused.stderr


def test_a_root_that_is_no_directory_is_told(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("", encoding="utf-8")
    refused = module("serve", "--no-browser", "--port", "0", where=tmp_path)
    assert (refused.code, "is not a directory" in refused.stderr) == (1, True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_streams_be_finished_and_ends_the_server(
    where: Path, how: signal.Signals
) -> None:
    with serving(where, "--port", "0") as server:
        body = {"model": "song", "lines": 40, "seed": 1, "stream": True}
        expected = server.complete(**{**body, "stream": False})["choices"][0]["text"]
        with server.listen("/v1/completions", body) as stream:
            first = stream.readline()
            server.process.send_signal(how)
            rest = stream.read()
        assert server.process.wait(HANGS_AFTER) == 0
    events = Answer(200, {}, first + rest).events
    assert "".join(event["choices"][0]["text"] for event in events) == expected


def test_a_killed_server_leaves_its_port_to_the_next(where: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with serving(where, "--port", port) as server:
        assert server.ask("/v1/models").status == 200
        server.process.kill()
        server.process.wait(HANGS_AFTER)
    with serving(where, "--port", port) as server:
        assert server.ask("/v1/models").status == 200


def test_whatever_is_asked_and_however_often_everybody_else_is_answered() -> None:
    counts = serve_and_disturb(1)
    assert counts.texts_together == 30
    assert counts.slow_readers == 3
    assert counts.half_requests == 20
    assert counts.left_in_the_middle == 10
    assert (counts.huge_bodies, counts.huge_prompts) == (1, 2)
    assert counts.no_requests == 26
    assert (counts.wrong_tokens, counts.foreign_names) == (5, 10)
