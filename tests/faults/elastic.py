"""Let machines of a training die, come and go, and show that it ends like one never disturbed.

    python -m tests.faults.elastic --minutes 5

Two machines, each a directory with its own text and runs, train together under torchrun. Workers
are killed at random moments, and machines are killed, sent away and brought back, some of them
with an empty disk; one always stays. Now and then all are stopped, and another launch resumes.
After each of these the training must go on from a step that is not before the newest save, and at
its end it must have the steps, the epochs and the held-out loss of a training left alone.
"""

import argparse
import functools
import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

import psutil
from torch.distributed import TCPStore  # type: ignore[attr-defined]

import charlstm
from charlstm.runs.marks import read_mark, saved_step

from .patience import HANGS_AFTER

_SETTINGS = (
    *("--hidden", "12", "--embedding", "6", "--batch", "5", "--window", "16", "--threads", "1"),
    *("--precision", "float32", "--backend", "torch", "--songs", "off", "--patience", "0"),
    *("--sample-every", "0", "--name", "big"),
)
_RESUME = ("train", "--resume", "--name", "big", "--threads", "1")
_TORCHRUN = (
    *("-m", "torch.distributed.run", "--nnodes", "1:2", "--nproc-per-node", "1"),
    *("--rdzv-backend", "c10d", "--max-restarts", "99", "--monitor-interval", "0.1"),
    # As a machine of its own would be noticed, only sooner.
    *("--rdzv-conf", "last_call_timeout=1,keep_alive_interval=1,keep_alive_max_attempt=3"),
)
_STEP_SECONDS = 0.04
"""So long each step takes at least, while machines come and go."""
_TOKEN = "CHARLSTM_TEST_OF_FAULTS"
"""A variable that all processes of one test share."""
_PLAN = re.compile(r"^resumed: at step ([\d,]+) of", re.M)


@dataclass
class Counts:
    """What was done, and what came of it."""

    workers_killed: int = 0
    machines_killed: int = 0
    launchers_killed: int = 0
    machines_sent_away: int = 0
    machines_added: int = 0
    launched_again: int = 0
    disks_emptied: int = 0
    launchers_lost: int = 0
    restarts: int = 0
    saves_found: int = 0
    slowest_seconds: float = 0.0

    @property
    def disturbances(self) -> int:
        """How often something was done."""
        return sum(getattr(self, field.name) for field in fields(self)[:6])

    def __str__(self) -> str:
        """Return the counts as a table."""
        return "\n".join(
            f"{field.name.replace('_', ' '):<20}{getattr(self, field.name):>6.4g}"
            for field in fields(self)
        )


class _Machine:
    """A machine: a directory, and a launcher while it takes part."""

    def __init__(self, where: Path, song: str) -> None:
        self.where = where
        where.mkdir()
        (where / "song.txt").write_text(song, encoding="utf-8")
        self.log = where / "log"
        self.log.touch()
        self.launcher: subprocess.Popen[bytes] | None = None

    @property
    def run(self) -> Path:
        return self.where / "checkpoints" / "big"

    @property
    def here(self) -> bool:
        return self.launcher is not None

    @property
    def keeps_a_save(self) -> bool:
        """Whether it has a save that its launcher would go on with."""
        mark = read_mark(self.run)
        if self.launcher is None or mark is None or not saved_step(self.run):
            return False
        return any(f", {self.launcher.pid}, " in launcher for launcher in mark.launchers)

    @property
    def resumed_at(self) -> list[int]:
        """At which steps its workers went on, when they led."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [int(step.replace(",", "")) for step in _PLAN.findall(text)]

    def workers(self) -> list[psutil.Process]:
        assert self.launcher is not None
        with suppress(psutil.Error):
            children = psutil.Process(self.launcher.pid).children()
            return [child for child in children if "RANK" in child.environ()]
        return []


class Disturbed:
    """A training that is disturbed.

    Args:
        where: an empty directory.
        seed: of what happens, and when.
        seconds: how long.
    """

    def __init__(self, where: Path, *, seed: int, seconds: float) -> None:
        self.counts = Counts()
        self.complaints: list[str] = []
        self._chance = random.Random(seed)
        self._seconds = seconds
        self._token = secrets.token_hex(8)
        self._calm = where / "calm"
        song = _song(self._chance)
        epochs = 4 + int(seconds / _STEP_SECONDS / _steps_of(song))
        self._arguments = ("train", "song.txt", *_SETTINGS, "--epochs", str(epochs))
        self._command: Sequence[str] = self._arguments
        self._launch = secrets.token_hex(8)
        self._machines = [_Machine(where / f"machine-{number}", song) for number in (1, 2)]
        self._alone = _Machine(where / "alone", song)
        # Where they meet must be there as long as any of them.
        self._store = TCPStore("localhost", 0, is_master=True, wait_for_workers=False)

    def run(self) -> None:
        """Disturb it, let it end, and compare."""
        alone = subprocess.Popen(
            [sys.executable, "-m", "charlstm", *self._arguments],
            cwd=self._alone.where,
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            for machine in self._machines:
                self._add(machine)
            self._wait_for_progress(0)
            until = time.monotonic() + self._seconds
            while time.monotonic() < until and not self.complaints:
                self._disturb()
            self._calm.touch()
            assert alone.wait(HANGS_AFTER) == 0
            self._end()
        finally:
            left = list(self._processes())
            for process in left:
                process.kill()
            psutil.wait_procs(left, timeout=5)
        self._compare()

    def _disturb(self) -> None:
        """Do something, and see it go on from the newest save."""
        here = [machine for machine in self._machines if machine.here]
        before, saved = len(self._resumed), max(saved_step(machine.run) for machine in here)
        began = time.monotonic()
        self._do_something(here)
        if self._chance.random() < 0.2:  # and again before it has recovered
            time.sleep(self._chance.uniform(0, 4))
            self._do_something([machine for machine in self._machines if machine.here])
        while len(self._resumed) == before and time.monotonic() < began + HANGS_AFTER / 5:
            self._replace_lost_launchers()
            time.sleep(0.05)
        new = self._resumed[before:]
        if not new:
            self.complaints.append(f"nothing has gone on {HANGS_AFTER / 5:.0f} seconds later")
            return
        if min(new) < saved:
            self.complaints.append(f"it went on at step {min(new)}, with a save of step {saved}")
        self.counts.slowest_seconds = max(self.counts.slowest_seconds, time.monotonic() - began)
        self._wait_for_progress(max(new))
        time.sleep(self._chance.uniform(0, 2))

    def _replace_lost_launchers(self) -> None:
        """Launch again where launchers have ended by themselves.

        Those of torch 2.13 do, after a minute, when another one dies at the moment at which they
        tell each other their ranks.
        """
        here = [machine for machine in self._machines if machine.launcher is not None]
        if any(machine.launcher and machine.launcher.poll() is not None for machine in here):
            self.counts.launchers_lost += 1
            self._launch_again(here)

    @property
    def _resumed(self) -> list[int]:
        """At which steps there was a restart so far; the order holds within a machine."""
        self._seen: list[int] = getattr(self, "_seen", [])
        found = [step for machine in self._machines for step in machine.resumed_at]
        for step in self._seen:
            found.remove(step)
        self._seen += found
        return self._seen

    def _do_something(self, here: list[_Machine]) -> None:
        counts, away = self.counts, [one for one in self._machines if not one.here]
        # One stays that has a save.
        leaving = [
            machine
            for machine in here
            if any(other.keeps_a_save for other in here if other is not machine)
        ]
        what = self._chance.choice(
            ["worker"]
            + 4 * ["add"] * bool(away)
            + ["kill", "launcher", "leave"] * bool(leaving)
            + ["again"]
        )
        if what == "worker":
            for worker in self._chance.choice(here).workers():
                counts.workers_killed += 1
                with suppress(psutil.Error):
                    worker.kill()
        elif what == "again":
            counts.launched_again += 1
            self._launch_again(here)
        elif what == "add":
            if self._chance.random() < 0.5:
                shutil.rmtree(away[0].where / "checkpoints", ignore_errors=True)
                counts.disks_emptied += 1
            counts.machines_added += 1
            self._add(away[0])
        else:
            machine = self._chance.choice(leaving)
            workers, launcher = machine.workers(), machine.launcher
            assert launcher is not None
            machine.launcher = None
            if what == "leave":
                counts.machines_sent_away += 1
                launcher.send_signal(signal.SIGTERM)
            else:
                launcher.kill()
                counts.launchers_killed += what == "launcher"
                counts.machines_killed += what == "kill"
            if what == "kill":
                for worker in workers:
                    with suppress(psutil.Error):
                        worker.kill()
            launcher.wait(HANGS_AFTER)
            if what == "launcher":  # its worker leaves by itself
                psutil.wait_procs(workers, timeout=HANGS_AFTER / 5)

    def _launch_again(self, here: Sequence[_Machine]) -> None:
        """Send all away, and let all resume, the one first that may have fallen behind."""
        self._command, self._launch = _RESUME, secrets.token_hex(8)
        for machine in here:
            assert machine.launcher is not None
            machine.launcher.send_signal(signal.SIGTERM)
        for machine in here:
            assert machine.launcher is not None
            machine.launcher.wait(HANGS_AFTER)
        for machine in sorted(self._machines, key=lambda machine: machine in here):
            self._add(machine)

    def _add(self, machine: _Machine) -> None:
        endpoint = f"localhost:{self._store.port}"
        meet = ("--rdzv-endpoint", endpoint, "--rdzv-id", self._launch)
        worker = ("-m", "faults.elastic", str(self._calm))
        with machine.log.open("ab") as log:
            machine.launcher = subprocess.Popen(
                [sys.executable, *_TORCHRUN, *meet, *worker, *self._command],
                cwd=machine.where,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def _environment(self) -> dict[str, str]:
        tests = Path(__file__).parents[1]
        return {
            **os.environ,
            _TOKEN: self._token,
            "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)]),
            "PYTHONIOENCODING": "utf-8",
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": "1",
            # Or machines that come later would not be told where all meet.
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
        }

    def _wait_for_progress(self, step: int) -> None:
        """Wait until every machine that takes part has saved a later step."""
        until = time.monotonic() + HANGS_AFTER / 5
        while time.monotonic() < until:
            here = [machine for machine in self._machines if machine.here]
            if all(machine.keeps_a_save and saved_step(machine.run) > step for machine in here):
                return
            time.sleep(0.05)
        self.complaints.append(f"after step {step} it was not saved on all machines")

    def _end(self) -> None:
        until = time.monotonic() + HANGS_AFTER
        for machine in self._machines:
            if machine.launcher is not None:
                try:
                    code = machine.launcher.wait(max(until - time.monotonic(), 0.1))
                except subprocess.TimeoutExpired:
                    self.complaints.append(f"{machine.where.name} does not end")
                    continue
                if code:
                    self.complaints.append(f"{machine.where.name} has ended with {code}")
        names = [" ".join(process.cmdline()) for process in self._processes()]
        self.complaints += [f"a process is left: {name}" for name in names]

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(_TOKEN) == self._token:
                    yield process

    def _compare(self) -> None:
        """Compare what each machine has with a training that was left alone."""
        self.counts.restarts = len(self._resumed)
        self.counts.saves_found = sum(step > 0 for step in self._resumed)
        expected = charlstm.load(self._alone.run)
        history = expected.directory.read_history()
        for machine in self._machines:
            if not machine.here:
                continue
            runs = [path.name for path in (machine.where / "checkpoints").glob("*/run.json")]
            if len(runs) != 1:
                self.complaints.append(f"{machine.where.name} has {len(runs)} runs")
            run = charlstm.load(machine.run)
            found = run.directory.read_history()
            if [(one.epoch, one.step) for one in found] != [
                (one.epoch, one.step) for one in history
            ]:
                self.complaints.append(f"{machine.where.name} has other epochs")
            elif any(
                abs((one.network_loss or 0) - (other.network_loss or 0)) > 1e-3
                for one, other in zip(found, history, strict=True)
            ):
                self.complaints.append(f"{machine.where.name} has other held-out losses")
            if run.info.finished != expected.info.finished:
                self.complaints.append(f"{machine.where.name} ended as {run.info.finished}")
            if not run.generate("", length=5, seed=1):
                self.complaints.append(f"{machine.where.name} writes nothing")


def _song(chance: random.Random) -> str:
    words = ["red", "river", "letter", "we", "wait", "in the", "kitchen", "la la", "nobody", "asks"]
    return "".join(" ".join(chance.choices(words, k=5)) + "\n" for _ in range(160))


def _steps_of(song: str) -> float:
    """Return about how many steps an epoch has: batch 5, window 16, nine tenths of the text."""
    return 0.9 * len(song) / (5 * 16)


def _work(calm: str, *arguments: str) -> None:
    """Be a worker that saves often, and hurries only once a file is there."""
    import charlstm.sessions.copying
    import charlstm.sessions.resume
    import charlstm.sessions.session
    import charlstm.sessions.start
    import charlstm.training.joining
    import charlstm.training.trainer
    from charlstm.cli import main

    often = functools.partial(charlstm.sessions.session.Session, save_every=0.5)
    for room in (charlstm.sessions.start, charlstm.sessions.resume):
        room.Session = often  # type: ignore[attr-defined]
    charlstm.sessions.copying._LEAST_SECONDS = 0.2
    charlstm.training.joining._GATHERING_AGAIN = 20
    charlstm.sessions.session.draw_curve = (  # type: ignore[attr-defined]
        lambda reports, title="": b"<svg/>"
    )
    made = charlstm.training.trainer.Trainer._made_step

    def slowly(self: charlstm.training.trainer.Trainer) -> object:
        if not Path(calm).exists():
            time.sleep(_STEP_SECONDS)
        return made(self)

    charlstm.training.trainer.Trainer._made_step = slowly  # type: ignore[assignment,method-assign]
    sys.argv = ["charlstm", *arguments]
    main()


def main() -> None:
    """Disturb a training, print the counts, and exit with 1 where something is wrong."""
    parser = argparse.ArgumentParser(description="Disturb a training, and look what comes of it.")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as where:
        training = Disturbed(Path(where), seed=options.seed, seconds=60 * options.minutes)
        training.run()
    print(training.counts, flush=True)
    print(f"{time.monotonic() - began:.0f} seconds", file=sys.stderr)
    for complaint in training.complaints:
        print(complaint, file=sys.stderr)
    raise SystemExit(1 if training.complaints else 0)


if __name__ == "__main__":
    if "RANK" in os.environ:
        _work(*sys.argv[1:])
    else:
        main()
