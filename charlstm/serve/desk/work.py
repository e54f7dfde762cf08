"""A process beside the server, and what it says; see `charlstm.serve.desk.child`."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import charlstm.errors

_PACKAGES = Path(charlstm.errors.__file__).parents[1]


class Work:
    """A process that does one job.

    Args:
        job: what; see `charlstm.serve.desk.child`.
        hear: called with each event, in a thread of its own.
        ended: called with the exit code, after the last event.

    Raises:
        OSError: no process can be started.
    """

    def __init__(
        self,
        job: dict[str, Any],
        hear: Callable[[dict[str, Any]], None],
        ended: Callable[[int], None],
    ) -> None:
        self._hear, self._ended = hear, ended
        paths = [str(_PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
        # Of threads a server that writes wants one, and a training as many as are fastest.
        environment = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
        # What lies in the folder that the server was started in is no program of ours. A terminal
        # that is closed, or Ctrl-C in it, is for the server alone.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "charlstm.serve.desk.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )
        self._say(json.dumps(job))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """Ask it to end; what is to be saved is saved first."""
        self._say("stop")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for its end, but not longer than this; return whether it has ended."""
        self._reader.join(seconds)
        return not self._reader.is_alive()

    def kill(self) -> None:
        """End it at once; what was not saved is lost."""
        with contextlib.suppress(OSError):
            self._process.kill()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None, "it was asked for"
        with contextlib.suppress(OSError):  # it has ended already
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def _read(self) -> None:
        assert self._process.stdout is not None, "it was asked for"
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # it was killed in the middle
                self._hear(json.loads(line))
        self._process.stdout.close()
        code = self._process.wait()
        with contextlib.suppress(OSError):
            self._process.stdin and self._process.stdin.close()
        self._ended(code)
