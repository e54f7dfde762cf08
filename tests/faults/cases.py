"""Thousands of cases, each in a process that can hang, be killed and be replaced.

What is tried in a case either works or is refused with one sentence, within ten seconds and a
gigabyte. Whatever else happens is an offence.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

from charlstm.cli import main as charlstm_main
from charlstm.errors import CharLSTMError

SECONDS = 10.0
BYTES = 1 << 30

# A worker's highest memory is only known since it began, so it begins anew now and then.
_CASES_A_WORKER = 400


@dataclass
class Outcome:
    """What came of one case.

    Attributes:
        kind: what was wrong in it.
        number: which case it is.
        worked: what could be done all the same.
        refused: the sentences that refused the rest.
        offences: what must not happen.
        seconds: that it took.
        growth: how many bytes the process grew by at its highest.
    """

    kind: str
    number: int = -1
    worked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    offences: list[str] = field(default_factory=list)
    seconds: float = 0.0
    growth: int = 0

    def attempt(self, name: str, do: Callable[[], object]) -> bool:
        """Do something that may be refused; return whether it was done."""
        with self._watched(name):
            try:
                do()
            except CharLSTMError as error:
                sentence = str(error)
                self.refused.append(f"{name}: {sentence}")
                if len(sentence.splitlines()) != 1 or not sentence.endswith("."):
                    self.offences.append(f"{name}: not a sentence: {sentence[:500]!r}")
                return False
            self.worked.append(name)
            return True
        return False

    def command(self, *arguments: str, stdin: bytes = b"") -> bool:
        """Run the command line, which may refuse; return whether it did what it was asked."""
        name = arguments[0]
        with self._watched(name):
            code, out, errors = command(*arguments, stdin=stdin)
            self.offences += [f"{name}: {wrong}" for wrong in judge(code, out, errors)]
            if code == 0:
                self.worked.append(name)
            else:
                self.refused.append(f"{name}: {errors}")
            return code == 0
        return False

    @contextlib.contextmanager
    def _watched(self, name: str) -> Iterator[None]:
        try:
            yield
        except TooLong:
            raise
        except BaseException:
            self.offences.append(f"{name}: {traceback.format_exc(limit=-4)}")

    @contextlib.contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Take the time and the memory of what is tried, and end it where it hangs."""
        high, began = _highest(), time.monotonic()
        before = signal.signal(signal.SIGALRM, _too_long)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        except TooLong:
            self.offences.append(f"over {seconds:g} s: {traceback.format_exc(limit=-6)}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        self.seconds = time.monotonic() - began
        self.growth = _highest() - high
        if self.growth > BYTES:
            self.offences.append(f"{self.growth / 1e9:.1f} GB of memory")


class TooLong(BaseException):
    """A case hangs."""


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TooLong


def _highest() -> int:
    """Return the most memory that this process ever had, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def command(*arguments: str, stdin: bytes = b"") -> tuple[object, str, str]:
    """Run the command line in this process; return its exit code and what it wrote."""
    streams = [
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace")
        for _ in range(2)
    ]
    before, code = (sys.argv, sys.stdin), 0
    sys.argv, sys.stdin = ["charlstm", *arguments], io.TextIOWrapper(io.BytesIO(stdin))
    try:
        with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
            charlstm_main()
    except SystemExit as end:
        code = end.code or 0  # type: ignore[assignment]
    finally:
        sys.argv, sys.stdin = before
    for stream in streams:
        stream.flush()
        stream.seek(0)
    return code, streams[0].read(), streams[1].read()


def judge(code: object, out: str, errors: str) -> list[str]:
    """Return what is wrong with the way in which a command ended."""
    lines = errors.split("\n")[:-1]
    told = [line for line in lines if line.startswith("error: ")]
    wrong = []
    if "Traceback" in errors or "Warning:" in errors:
        wrong.append(f"on standard error: {errors[-600:]}")
    if code not in (0, 1):
        wrong.append(f"exit code {code}: {errors[-300:]}")
    if code == 1 and (len(told) != 1 or lines[-1] != told[0]):
        wrong.append(f"not one sentence: {errors[-600:]!r}")
    if code == 0 and told:
        wrong.append(f"an error that is none: {told}")
    if code == 1 and out:
        wrong.append(f"half a result: {out[:200]!r}")
    commands = [
        sign for sign in errors if sign not in "\n\t" and (sign < " " or "\x7f" <= sign < "\xa0")
    ]
    if commands:
        wrong.append(f"signs that command a terminal, {commands[:9]}: {errors[-600:]!r}")
    return wrong


Case = Callable[[int, Path], Outcome]
"""Makes the case of a number in an empty directory, which it leaves empty, and tries it."""


def outcomes(case: Case, numbers: Iterable[int]) -> Iterator[Outcome]:
    """Run cases in processes of their own, one after the other."""
    context = multiprocessing.get_context("fork")
    left = list(numbers)
    while left:
        mine, theirs = context.Pipe()
        worker = context.Process(target=_work, args=(theirs, case, left[:_CASES_A_WORKER]))
        worker.start()
        theirs.close()
        running: int | None = None
        try:
            while mine.poll(2 * SECONDS):
                running, outcome = mine.recv()
                if outcome is not None:
                    left.remove(running)
                    outcome.number = running
                    yield outcome
                    if outcome.growth > BYTES // 4:
                        break  # the next one's peak would not be seen
            else:
                worker.kill()
                assert running is not None
                left.remove(running)
                yield Outcome("?", running, offences=["hangs where no signal is heard"])
        except EOFError:
            worker.join()
            if worker.exitcode:
                assert running is not None
                left.remove(running)
                yield Outcome("?", running, offences=[f"the process died: {worker.exitcode}"])
        worker.kill()
        worker.join()


def _work(pipe: Connection, case: Case, numbers: list[int]) -> None:
    os.fsync = lambda fd: None  # what is on the disk is not the question
    with tempfile.TemporaryDirectory() as place:
        for number in numbers:
            pipe.send((number, None))
            pipe.send((number, case(number, Path(place))))


def arguments_of(description: str | None) -> argparse.Namespace:
    """Read the arguments that every such script has."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run this case alone and print all of it")
    return parser.parse_args()


def report(case: Case, arguments: argparse.Namespace) -> bool:
    """Run cases, print counts and every offender; return whether there was none."""
    began = time.monotonic()
    numbers = list(range(arguments.cases)) if arguments.only is None else [arguments.only]
    cases: Counter[str] = Counter()
    worked: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    offences: Counter[str] = Counter()
    slowest, hungriest = Outcome(""), Outcome("")
    for outcome in outcomes(case, numbers):
        cases[outcome.kind] += 1
        worked[outcome.kind] += bool(outcome.worked)
        refused[outcome.kind] += bool(outcome.refused)
        slowest = max(slowest, outcome, key=lambda one: one.seconds)
        hungriest = max(hungriest, outcome, key=lambda one: one.growth)
        if outcome.offences:
            offences[outcome.kind] += 1
            print(f"--- seed {arguments.seed}, case {outcome.number}, {outcome.kind}")
            print("\n".join(outcome.offences), flush=True)
        if arguments.only is not None:
            print(outcome)
    titles = ("kind", "cases", "worked", "refused", "offences")
    print("\n{:<32}{:>9}{:>9}{:>9}{:>10}".format(*titles))
    for kind in [*sorted(cases), None]:
        counts = (
            counter.total() if kind is None else counter[kind]
            for counter in (cases, worked, refused, offences)
        )
        print("{:<32}{:>9,}{:>9,}{:>9,}{:>10,}".format(kind or "all", *counts))
    print(
        f"slowest {slowest.seconds:.2f} s ({slowest.kind}, case {slowest.number}); most memory "
        f"{hungriest.growth / 1e6:,.0f} MB ({hungriest.kind}, case {hungriest.number}); all in "
        f"{time.monotonic() - began:,.0f} s"
    )
    return not offences
