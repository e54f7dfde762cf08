"""The command line as tests run it: in this process, where that shows as much, or in its own."""

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from faults.commands import Commands
from faults.patience import HANGS_AFTER


class Result(NamedTuple):
    """What came of a command.

    Attributes:
        code: its exit code.
        stdout: what it wrote to standard output.
        stderr: what it wrote to standard error.
    """

    code: object
    stdout: str
    stderr: str

    def answers(self) -> list[dict[str, Any]]:
        """Return what stands in each line of JSON."""
        assert self.code == 0, self.stderr
        return [json.loads(line) for line in self.stdout.splitlines()]

    def tables(self) -> list[list[str]]:
        """Return the lines of every table of proposals."""
        found: list[list[str]] = []
        row = r"^(\d)  +[\d.]+%  +(?:(?:all|\d+)  +)?(\S+)"
        for number, line in re.findall(row, self.stderr, re.M):
            if number == "1":
                found.append([])
            found[-1].append(str(line))
        return found


Charlstm = Callable[..., Result]
"""Runs a command with these arguments; see the fixtures `charlstm` and `process`."""


def python(*arguments: str | Path, where: Path | None = None, stdin: bytes | None = None) -> Result:
    """Run Python with these arguments, in a process that knows nothing of this one."""
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=where,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        timeout=HANGS_AFTER,
        check=False,
    )
    return Result(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def module(*arguments: str, where: Path, stdin: bytes | None = None) -> Result:
    """Run ``python -m charlstm``, which takes seconds of imports: see `forked`."""
    return python("-m", "charlstm", *arguments, where=where, stdin=stdin)


def forked(commands: Commands, *arguments: str, where: Path, stdin: bytes | None = None) -> Result:
    """Run a command in a process of its own that finds everything imported."""
    reading, writing = os.pipe()
    command = commands.start(*arguments, where=where, given=reading)
    os.close(reading)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe:
        pipe.write(stdin or b"")
    return Result(*command.end())
