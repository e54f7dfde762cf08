"""Kill trainings at random moments, and show that nothing is lost.

    python -m tests.faults.kills --kills 100

Each training is killed by SIGKILL, once or several times over, half of the times at a moment
chosen by the clock and half at one of its writes: before it, after it, or with half of a file
written. After every kill the run must open and write, and at its end, resumed, it must be the same
bit for bit as one that was never killed.
"""

import argparse
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from safetensors.numpy import load_file

import charlstm

from .commands import Commands, Ended
from .inside import MARK

_SAVE_EVERY = 0.02
_SAVE_SELDOM = 0.3
"""Seconds between two saves: most kills should meet one, and some a training that has none yet."""
_TRAIN = (
    *("train", "song.txt", "--threads", "1", "--precision", "float32", "--backend", "torch"),
    *("--hidden", "16", "--layers", "2", "--embedding", "8", "--dropout", "0.3"),
    *("--batch", "6", "--window", "16", "--lr", "0.02", "--validation", "0.1"),
)
_RESUME = ("train", "--resume", "--name", "song", "--threads", "1")
_MOST_KILLS = 4
"""Of one training, before it is left alone."""


@dataclass
class Counts:
    """How many kills there were, and what was found after them.

    The first five are moments, of which every kill has one; what follows should each be as many
    as `expected` says.
    """

    kills: int = 0
    before_directory: int = 0
    before_first_save: int = 0
    during_save: int = 0
    between_saves: int = 0
    saved: int = 0
    opened: int = 0
    generated: int = 0
    begun: int = 0
    resumed: int = 0
    same_weights: int = 0

    @property
    def expected(self) -> dict[str, int]:
        """What the counts after the moments must be."""
        return {
            "opened": self.saved,
            "generated": self.saved,
            "resumed": self.begun,
            "same_weights": self.kills,
        }

    @property
    def right(self) -> bool:
        """Whether they are."""
        return all(getattr(self, name) == count for name, count in self.expected.items())

    def __str__(self) -> str:
        """Return the counts as a table."""
        moments = {field.name: getattr(self, field.name) for field in fields(self)[:5]}
        lines = [f"{name.replace('_', ' '):<18}{count:>5}" for name, count in moments.items()]
        lines += [
            f"{name.replace('_', ' '):<18}{getattr(self, name):>5} of {count}"
            for name, count in self.expected.items()
        ]
        return "\n".join(lines)


def kill_trainings(
    commands: Commands, where: Path, *, kills: int, seed: int, epochs: int = 6
) -> tuple[Counts, list[str]]:
    """Kill trainings and count what is left of them.

    Args:
        commands: what starts them.
        where: an empty directory.
        kills: how many, at the least.
        seed: of the text and of the moments.
        epochs: of each training; six take half a second.

    Returns:
        The counts, and a sentence about everything that was not as it must be.
    """
    killer = _Killer(commands, where, random.Random(seed), ("--epochs", str(epochs)))
    while killer.counts.kills < kills:
        killer.kill_one_training(min(_MOST_KILLS, kills - killer.counts.kills))
    return killer.counts, killer.complaints


class _Killer:
    def __init__(
        self, commands: Commands, where: Path, chance: random.Random, settings: Sequence[str]
    ) -> None:
        self.counts = Counts()
        self.complaints: list[str] = []
        self._commands = commands
        self._where = where
        self._chance = chance
        self._trainings = 0
        self._song = _song(chance)
        self._anew = (*_TRAIN, *settings)
        unbroken = self._fresh("unbroken")
        commands.run("--help", where=where)  # returns when the imports are done
        began = time.monotonic()
        ended = self._train(self._anew, unbroken, count_in="calls")
        self._seconds = time.monotonic() - began
        assert ended.code == 0, ended.errors
        self._calls = (unbroken / "calls").stat().st_size
        self._weights = _tensors(unbroken)

    def kill_one_training(self, most: int) -> None:
        """Kill a training up to `most` times, let it end, and compare."""
        self._trainings += 1
        where = self._fresh(f"killed-{self._trainings}")
        kills = begun = 0
        arguments: Sequence[str] = self._anew
        for _ in range(self._chance.randint(1, most)):
            ended = self._killed(arguments, where)
            if ended.code != -signal.SIGKILL:  # it was faster
                break
            kills += 1
            if self._look(where):
                begun += 1
                arguments = _RESUME
        else:
            ended = self._train(arguments, where)
        if ended.code:
            self._complain(where, f"it ended with {ended.code}: {ended.errors}")
            return
        self.counts.resumed += begun
        try:
            same = _tensors(where) == self._weights
        except OSError as error:
            self._complain(where, f"it left no weights: {error}")
            return
        if same:
            self.counts.same_weights += kills
        else:
            self._complain(where, "its weights are not those of the training never killed")

    def _killed(self, arguments: Sequence[str], where: Path) -> Ended:
        """Start a training, and kill it if it does not end before."""
        if self._chance.random() < 0.5:
            return self._train(
                arguments,
                where,
                place=self._chance.randrange(self._calls),
                moment=self._chance.choice(("before", "half", "half", "after")),
            )
        moment = time.monotonic() + self._chance.uniform(0, self._seconds)
        command = self._commands.start(
            *arguments,
            where=where,
            before="watched",
            save_every=self._chance.choice((_SAVE_EVERY, _SAVE_SELDOM)),
        )
        time.sleep(max(0.0, moment - time.monotonic()))
        command.send(signal.SIGKILL)
        return command.end()

    def _look(self, where: Path) -> bool:
        """Count in what moment a training was killed, and what is left; is there a run?"""
        run, counts = where / "checkpoints" / "song", self.counts
        counts.kills += 1
        if not run.is_dir():
            counts.before_directory += 1
            return False
        if not (run / "run.json").is_file():
            self._complain(where, "there is a run directory without its run.json")
            counts.before_first_save += 1
            return False
        counts.begun += 1
        if (where / MARK).read_bytes() == b"1":
            counts.during_save += 1
            (where / MARK).write_bytes(b"0")
        elif (run / "resume.safetensors").is_file():
            counts.between_saves += 1
        else:
            counts.before_first_save += 1
        if (run / "model.safetensors").is_file():
            counts.saved += 1
            self._open(where)
        return True

    def _open(self, where: Path) -> None:
        try:
            text = charlstm.load(root=where / "checkpoints").generate("", length=5, seed=1)
            self.counts.opened += len(text) == 5
        except charlstm.CharLSTMError as error:
            self._complain(where, f"it does not open: {error}")
        ended = self._commands.run("generate", "--length", "5", where=where)
        if ended.code == 0 and ended.out:
            self.counts.generated += 1
        else:
            self._complain(where, f"generate ends with {ended.code}: {ended.errors}")

    def _train(self, arguments: Sequence[str], where: Path, **options: object) -> Ended:
        return self._commands.run(
            *arguments, where=where, before="watched", save_every=_SAVE_EVERY, **options
        )

    def _fresh(self, name: str) -> Path:
        where = self._where / name
        where.mkdir()
        (where / "song.txt").write_text(self._song, encoding="utf-8")
        return where

    def _complain(self, where: Path, text: str) -> None:
        self.complaints.append(f"{where.name}: {text}")


def _song(chance: random.Random) -> str:
    words = ["分开", "我们", "说好", "不", "雨停了", "车站", "等你", "la la"]
    return "".join(" ".join(chance.choices(words, k=5)) + "\n" for _ in range(250))


def _tensors(where: Path) -> dict[str, bytes]:
    """Return every tensor of a run, the optimiser's and the state included, but for its times."""
    run = where / "checkpoints" / "song"
    return {
        f"{name}: {key}": array.tobytes()
        for name in ("model.safetensors", "resume.safetensors")
        for key, array in load_file(run / name).items()
        if key != "log"
    }


def main() -> None:
    """Kill, print the counts, and exit with 1 where one is not what it must be."""
    parser = argparse.ArgumentParser(description="Kill trainings and look at what is left.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as where, Commands() as commands:
        counts, complaints = kill_trainings(
            commands, Path(where), kills=options.kills, seed=options.seed
        )
    print(counts, flush=True)
    print(f"{time.monotonic() - began:.0f} seconds", file=sys.stderr)
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    raise SystemExit(0 if counts.right and not complaints else 1)


if __name__ == "__main__":
    main()
