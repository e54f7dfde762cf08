"""The runs of a root as the page lists them: named, removed, handed on."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

import anyio
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from charlstm.errors import RunError
from charlstm.figures import finite
from charlstm.files import is_file, read_bytes
from charlstm.runs import keeping
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.runs.known import newest_first
from charlstm.runs.listing import Listed
from charlstm.runs.names import check_name
from charlstm.serve.answers import Refused, answer, asked, named
from charlstm.serve.desk.child import entry, samples
from charlstm.serve.desk.shared import Desk, desk_of
from charlstm.serve.fields import Fields
from charlstm.writing.draft import Draft

_PIECE = 1 << 18
# A stranger's run may have more of these than anybody wants to read.
_MOST_SAMPLES = 40
_LARGEST_SAMPLES = 8 << 20


def routes() -> list[Route]:
    """Return what is answered here."""
    return [
        Route("/api/runs", _list, methods=["GET"]),
        Route("/api/runs/{run}", _show, methods=["GET"]),
        Route("/api/runs/{run}/rename", _rename, methods=["POST"]),
        Route("/api/runs/{run}/remove", _remove, methods=["POST"]),
        Route("/api/runs/{run}/export", _export, methods=["GET"]),
    ]


async def _list(request: Request) -> Response:
    desk = desk_of(request)
    return answer(await anyio.to_thread.run_sync(_all, desk))


def _all(desk: Desk) -> dict[str, Any]:
    runs = []
    for path in newest_first(desk.root):
        try:
            check_name(path.name)
        except RunError:  # nothing here could ask for it
            continue
        runs.append(_told(desk, RunDirectory(path)))
    training = desk.trainings.told
    return {"runs": runs, "training": training, "root": str(desk.root)}


async def _show(request: Request) -> Response:
    desk = desk_of(request)
    return answer(await anyio.to_thread.run_sync(_whole, desk, request.path_params["run"]))


def _whole(desk: Desk, name: str) -> dict[str, Any]:
    directory = desk.models.directory(name)
    history: list[dict[str, Any]] = []
    written: list[str] = []
    if is_file(directory.path / "history.jsonl"):
        try:
            history = [entry(report) for report in directory.read_history()]
        except RunError:  # the curve is the least that a run has
            history = []
    path = directory.path / "samples.txt"
    if is_file(path):
        try:
            text = read_bytes(path, _LARGEST_SAMPLES).decode("utf-8", "replace")
        except RunError:
            text = ""
        written = [sample["text"] for sample in samples(text)][-_MOST_SAMPLES:]
    whole = {**_told(desk, directory), "history": history, "samples": written}
    told: dict[str, Any] = finite(whole)
    return told


async def _rename(request: Request) -> Response:
    desk, fields = desk_of(request), Fields(await asked(request))
    name = fields.needed("name", most=1000).strip()
    return answer(await anyio.to_thread.run_sync(_renamed, desk, request.path_params["run"], name))


def _renamed(desk: Desk, old: str, name: str) -> dict[str, Any]:
    directory = desk.models.directory(old)
    check_name(name)
    _check_free(desk, directory)
    with _conflict():
        return _told(desk, keeping.rename(directory, name))


async def _remove(request: Request) -> Response:
    desk = desk_of(request)
    await asked(request)
    await anyio.to_thread.run_sync(_removed, desk, request.path_params["run"])
    return answer({})


def _removed(desk: Desk, name: str) -> None:
    directory = desk.models.directory(name)
    _check_free(desk, directory)
    learned = desk.uploads.learned_by(directory.path)
    with _conflict():
        keeping.remove(directory)
    desk.uploads.forget(learned)


def _check_free(desk: Desk, directory: RunDirectory) -> None:
    """Check that nobody uses a run here.

    Raises:
        Refused: somebody does.
    """
    if desk.leases.has(directory):
        raise Refused(
            f"A song of {directory.name} is open in a tab: close it first.", 409, code="in_use"
        )
    if desk.trainings.run == directory.name:
        raise Refused(
            f"{directory.name} is learning: stop that first, or wait until it ends.",
            409,
            code="training",
        )


@contextlib.contextmanager
def _conflict() -> Iterator[None]:
    """Turn what cannot be done to a run now into a conflict."""
    try:
        yield
    except RunError as error:
        raise Refused(error.message.told(named), 409) from None


async def _export(request: Request) -> Response:
    desk, name = desk_of(request), request.path_params["run"]
    directory = desk.models.directory(name)
    file, size = await anyio.to_thread.run_sync(_packed, directory)
    # Every browser knows the second form; the first is for what does not.
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    disposition = f"attachment; filename=\"{plain}.zip\"; filename*=UTF-8''{quote(name)}.zip"
    headers = {"Content-Disposition": disposition, "Content-Length": str(size)}
    return StreamingResponse(_pieces(file), media_type="application/zip", headers=headers)


def _packed(directory: RunDirectory) -> tuple[IO[bytes], int]:
    file = tempfile.TemporaryFile()  # noqa: SIM115, closed when it is sent
    try:
        keeping.write_zip(directory, file)
    except OSError as error:
        file.close()
        raise Refused(f"{directory.name} cannot be packed: {error.strerror}.", 500) from None
    except BaseException:
        file.close()
        raise
    size = file.tell()
    file.seek(0)
    return file, size


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    with file:
        while piece := await anyio.to_thread.run_sync(file.read, _PIECE):
            yield piece


def _told(desk: Desk, directory: RunDirectory) -> dict[str, Any]:
    """Return what the page shows of a run."""
    listed = Listed.of(directory, training=desk.trainings.run == directory.name)
    info = listed.info
    return {
        **listed.to_json(named),
        "can_resume": info is not None and listed.may_go_on and _has_text(desk, info),
        "is_kept": directory.has_index,
        "drafts": len(Draft.all_of(directory.path)),
    }


def _has_text(desk: Desk, info: RunInfo) -> bool:
    """Whether the text is still there that a run would go on with."""
    places = info.places
    there = bool(places) and all(Path(place).exists() for place in places)
    return there or bool(desk.uploads.places_of(info))
