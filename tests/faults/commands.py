"""The charlstm command as a process that can be killed, a hundred times in a minute.

Importing torch takes longer than a small training. So one process imports everything and runs
nothing, and every command is forked from it: a process of its own from there on, that reads its
arguments, catches signals and ends as one that was started from a shell.
"""

import contextlib
import gc
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .patience import HANGS_AFTER


class Ended(NamedTuple):
    """A command that has ended.

    Attributes:
        code: its exit code; below 0 the number of the signal that killed it.
        out: what it wrote to standard output.
        errors: what it wrote to standard error.
    """

    code: int
    out: str
    errors: str


class Command:
    """A command that runs; made by `Commands.start`.

    Attributes:
        pid: its process id.
        out: its standard output to read from, or ``None`` where that was lent.
        errors: its standard error, likewise.
    """

    def __init__(self, pid: int, commands: "Commands", out: int | None, errors: int | None) -> None:
        self.pid = pid
        self.out = None if out is None else os.fdopen(out, encoding="utf-8")
        self.errors = None if errors is None else os.fdopen(errors, encoding="utf-8")
        self._commands = commands

    def send(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def end(self) -> Ended:
        """Wait until it has ended; read what it wrote, its errors first."""
        errors = "" if self.errors is None or self.errors.closed else self.errors.read()
        out = "" if self.out is None or self.out.closed else self.out.read()
        code = self._commands.wait(self.pid)
        for stream in (self.out, self.errors):
            if stream is not None:
                stream.close()
        return Ended(code, out, errors)


class Commands:
    """Starts commands; a context, at whose end none of them is left."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(HANGS_AFTER)
        with theirs:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "faults.commands", str(theirs.fileno())],
                cwd=Path(__file__).parents[1],
                env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                pass_fds=[theirs.fileno()],
            )

    def __enter__(self) -> "Commands":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._server.wait(HANGS_AFTER)

    def start(
        self,
        *arguments: str,
        where: Path,
        before: str | None = None,
        given: int | None = None,
        out: int | None = None,
        errors: int | None = None,
        to_the_end: bool = False,
        **options: Any,
    ) -> Command:
        """Start ``charlstm`` with these arguments.

        Args:
            arguments: as they would be typed.
            where: its working directory.
            before: a function of `faults.inside` that it calls first, with `options`.
            given: a file to read as standard input; nothing where ``None``.
            out: a file to write to; a pipe where ``None``.
            errors: likewise for standard error.
            to_the_end: whether Python takes itself apart at the end, as it does where it was not
                forked; that takes longer than most commands.
            options: of `before`.
        """
        read: list[int | None] = [None, None]
        made = [os.open(os.devnull, os.O_RDONLY)] if given is None else []
        files = [made[0] if given is None else given]
        for place, file in enumerate((out, errors)):
            if file is None:
                read[place], file = os.pipe()
                made.append(file)
            files.append(file)
        request = {
            "arguments": arguments,
            "where": str(where.resolve()),
            "before": before,
            "options": options,
            "to_the_end": to_the_end,
        }
        socket.send_fds(self._socket, [json.dumps(request).encode()], files)
        pid = self._answer()
        for file in made:
            os.close(file)
        return Command(pid, self, read[0], read[1])

    def run(self, *arguments: str, where: Path, **more: Any) -> Ended:
        """Start a command and wait until it has ended; see `start`."""
        return self.start(*arguments, where=where, **more).end()

    def wait(self, pid: int) -> int:
        """Wait for a command; return its exit code."""
        socket.send_fds(self._socket, [json.dumps({"wait": pid}).encode()], [])
        return os.waitstatus_to_exitcode(self._answer())

    def _answer(self) -> int:
        return int(self._socket.recv(100))


def serve(requests: socket.socket) -> Callable[[], None] | None:
    """Start a process for every request.

    Returns:
        In a new process what it is there for; in this one ``None``, when nobody asks any more.
    """
    running: set[int] = set()
    while True:
        data, files, _, _ = socket.recv_fds(requests, 1 << 16, 3)
        if not data:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            return None
        request = json.loads(data)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            running.discard(request["wait"])
            requests.send(str(status).encode())
            continue
        pid = os.fork()
        if pid == 0:
            requests.close()
            return lambda: _become(request, files)
        running.add(pid)
        for file in files:
            os.close(file)
        requests.send(str(pid).encode())


def _become(request: dict[str, Any], files: Sequence[int]) -> None:
    from charlstm.cli import main
    from faults import inside

    signal.alarm(HANGS_AFTER)
    os.chdir(request["where"])
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    # As Python itself would have made them for these files.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.argv = ["charlstm", *request["arguments"]]
    if request["before"] is not None:
        getattr(inside, request["before"])(**request["options"])
    try:
        main()
    except SystemExit as end:
        if request["to_the_end"] or not isinstance(end.code, int):
            raise
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        os._exit(end.code)


def _prepare() -> None:
    """Import whatever a command will need, and run nothing of torch, which would start threads."""
    import threading

    import torch._dynamo  # noqa: F401, which the first optimiser imports

    import charlstm.evaluation.perplexity
    import charlstm.sessions.restarts
    import charlstm.sessions.start  # noqa: F401
    from charlstm.cli import main
    from charlstm.figures import Report
    from charlstm.sessions.curve import draw_curve

    # Some is imported only when it is used.
    draw_curve([Report(1, 1, 1.0, 1, 1.0, None, 1.0)])
    for mistake in (["train", "--hidden", "?"], ["generate", "--length", "?"]):
        sys.argv = ["charlstm", *mistake]
        with contextlib.suppress(SystemExit), contextlib.redirect_stderr(io.StringIO()):
            main()
    assert threading.active_count() == 1, "only a process with one thread can be forked"
    gc.freeze()  # a collection would copy all of it into every process


if __name__ == "__main__":
    requests = socket.socket(fileno=int(sys.argv[1]))
    _prepare()
    if become := serve(requests):
        become()
