"""The songs of a run: opened in one tab at a time, and kept where `charlstm write` keeps them."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charlstm.checks import shown
from charlstm.errors import CharLSTMError, RunError
from charlstm.runs.directory import RunDirectory
from charlstm.serve.answers import Refused, answer, asked, named
from charlstm.serve.desk.leases import InUseError
from charlstm.serve.desk.settings import settings_of, told
from charlstm.serve.desk.shared import Desk, client_of, desk_of
from charlstm.serve.fields import Fields
from charlstm.writing.draft import Draft, revision_of
from charlstm.writing.tree import Tree

# Of a longer first line, this much is its title.
_TITLE = 200
_LONGEST = 1_000_000


def routes() -> list[Route]:
    """Return what is answered here."""
    of = "/api/runs/{run}/songs"
    return [
        Route(of, _list, methods=["GET"]),
        Route(of, _new, methods=["POST"]),
        Route(of + "/{song}/open", _open, methods=["POST"]),
        Route(of + "/{song}/save", _save, methods=["POST"]),
        Route(of + "/{song}/alive", _alive, methods=["POST"]),
        Route(of + "/{song}/close", _close, methods=["POST"]),
        Route(of + "/{song}/remove", _remove, methods=["POST"]),
    ]


async def _list(request: Request) -> Response:
    desk, run = desk_of(request), request.path_params["run"]
    return answer(await anyio.to_thread.run_sync(_listed, desk, run))


def _listed(desk: Desk, run: str) -> dict[str, Any]:
    directory = desk.models.directory(run)
    songs = []
    for draft in Draft.all_of(directory.path):
        try:
            lines = [line for line in draft.read().split("\n") if line.strip()]
        except RunError:  # which opening it tells
            lines = []
        title = lines[0].strip()[:_TITLE] if lines else ""
        song = {"id": draft.name, "title": title, "lines": len(lines), "saved": draft.saved}
        songs.append(song)
    return {"songs": songs}


async def _new(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    text = fields.text("text", most=_LONGEST) or ""
    run = request.path_params["run"]
    return answer({"id": await anyio.to_thread.run_sync(_made, desk, run, text)})


def _made(desk: Desk, run: str, text: str) -> str:
    directory = desk.models.directory(run)
    with _in_use(), desk.leases.alone(directory, None, None):
        return Draft.new(directory.path, text).name


async def _open(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    client, over = client_of(fields), fields.flag("take_over")
    run, song = request.path_params["run"], request.path_params["song"]
    return answer(await anyio.to_thread.run_sync(_opened, desk, run, song, client, over))


def _opened(desk: Desk, run: str, song: str, client: str, over: bool) -> dict[str, Any]:
    directory = desk.models.directory(run)
    draft = _there(directory, song)
    with _in_use():
        desk.leases.come(directory, song, client)
        lease, _ = desk.leases.take(directory, song, client, over=over)
    try:
        text, revision = draft.read(aside=("Save it as UTF-8 first.",)), draft.revision
    except RunError:
        desk.leases.give_back(directory, song, client)
        raise
    lease.revision = revision
    problems = []
    try:
        settings = draft.read_settings()
    except RunError as error:
        problems.append(error.message.told(named))
        settings = None
    try:
        tree = draft.read_tree(text)
    except RunError as error:
        problems.append(error.message.told(named))
        tree = Tree.begun(text, draft.saved)
    return {
        "text": text,
        "settings": told(settings),
        "tree": tree.to_json(),
        "revision": revision,
        "problem": " ".join(problems) or None,
    }


async def _save(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    run, song = request.path_params["run"], request.path_params["song"]
    return answer(await anyio.to_thread.run_sync(_saved, desk, run, song, fields))


def _saved(desk: Desk, run: str, song: str, fields: Fields) -> dict[str, Any]:
    directory = desk.models.directory(run)
    with desk.leases.saving(directory, song):
        return _saved_alone(desk, directory, song, fields)


def _saved_alone(desk: Desk, directory: RunDirectory, song: str, fields: Fields) -> dict[str, Any]:
    client, text = client_of(fields), fields.needed("text", most=_LONGEST)
    revision = fields.whole("revision", 0)
    if revision is None:
        raise Refused('"revision" is missing.', param="revision")
    draft = Draft(directory.path, song)
    with _in_use():
        lease, had = desk.leases.take(directory, song, client)
    found = draft.revision
    if found is None and not had:
        desk.leases.give_back(directory, song, client)
        _there(directory, song)
    # Two saves may be on their way at once, the second of which was sent before the first was
    # answered.
    known = revision, lease.revision if had else desk.leases.left_with(directory, song, client)
    if found is not None and found not in known:
        if desk.leases.has_left(directory, song, client):
            desk.leases.give_back(directory, song, client)
        raise Refused(
            f"{draft} was changed elsewhere meanwhile, so nothing was written over it.",
            409,
            code="changed",
        )
    # Whatever else is wrong with them, the words are kept.
    problems, settings, tree = [], None, None
    if fields.has("settings"):
        try:
            settings = settings_of(fields)
        except (CharLSTMError, Refused) as error:
            problems.append(_sentence(error))
    if fields.has("tree"):
        try:
            tree = Tree.from_json(fields.take("tree")).grown(text, time.time())
        except (CharLSTMError, KeyError, TypeError) as error:
            known_error = isinstance(error, CharLSTMError)
            problems.append(_sentence(error) if known_error else '"tree" is not one.')
    try:
        draft.write(text, settings, tree)
    except RunError as error:
        raise Refused(error.message.told(named), 500, code="unwritable") from None
    finally:
        if draft.kept:
            lease.revision = revision_of(text.encode(errors="replace"))
        # A tab that goes away sends its last words and closes the song, which arrive in any order.
        if desk.leases.has_left(directory, song, client):
            desk.leases.give_back(directory, song, client)
    return {"revision": lease.revision, "problem": " ".join(problems) or None}


def _sentence(error: Exception) -> str:
    if isinstance(error, CharLSTMError):
        return error.message.told(named)
    return str(error)


async def _alive(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    run, song = request.path_params["run"], request.path_params["song"]
    await anyio.to_thread.run_sync(_renewed, desk, run, song, client_of(fields))
    return answer({})


def _renewed(desk: Desk, run: str, song: str, client: str) -> None:
    directory = desk.models.directory(run)
    _there(directory, song)
    if desk.leases.has_left(directory, song, client):
        return
    with _in_use():
        desk.leases.take(directory, song, client)


async def _close(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    client, song = client_of(fields), request.path_params["song"]
    directory = desk.models.directory(request.path_params["run"])
    await anyio.to_thread.run_sync(desk.leases.give_back, directory, song, client)
    return answer({})


async def _remove(request: Request) -> Response:
    fields, desk = Fields(await asked(request)), desk_of(request)
    run, song = request.path_params["run"], request.path_params["song"]
    client = client_of(fields) if fields.has("client") else None
    await anyio.to_thread.run_sync(_removed, desk, run, song, client)
    return answer({})


def _removed(desk: Desk, run: str, song: str, client: str | None) -> None:
    directory = desk.models.directory(run)
    draft = _there(directory, song)
    with _in_use(), desk.leases.alone(directory, song, client):
        draft.remove()


def _there(directory: RunDirectory, song: str) -> Draft:
    """Return a song.

    Raises:
        Refused: there is none.
    """
    with contextlib.suppress(RunError):  # there can be none that is called so
        draft = Draft(directory.path, song)
        if draft.is_there:
            return draft
    raise Refused(f"{directory.name} has no song called {shown(song)}.", 404, param="song")


@contextlib.contextmanager
def _in_use() -> Iterator[None]:
    """Turn a song that is open elsewhere into a conflict."""
    try:
        yield
    except InUseError as error:
        raise Refused(error.message.told(named), 409, code="in_use") from None
