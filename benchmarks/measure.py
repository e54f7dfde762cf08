"""Timing things in turn, and showing the figures."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        work: what was measured.
        against: what it was compared with.
        ours: its median figure.
        theirs: the other's.
        unit: of both.
        ratio: how many times better ours is: the median of the ratios, pair by pair.
        reach: the ratio that was aimed at, if one was.
        below: the ratio should stay below `reach` rather than reach it.
    """

    work: str
    against: str
    ours: float
    theirs: float
    unit: str
    ratio: float
    reach: float | None
    below: bool = False

    @property
    def reached(self) -> bool:
        """Whether the aim was met, if there was one."""
        if self.reach is None:
            return True
        return self.ratio <= self.reach if self.below else self.ratio >= self.reach


def in_turn(
    works: Sequence[Callable[[], object]], rounds: int, *, warm_up: bool = True
) -> list[list[float]]:
    """Run every work once to warm up, then `rounds` times in turn; return the seconds of each."""
    for work in works if warm_up else ():
        work()
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, times in zip(works, seconds, strict=True):
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
    return seconds


def faster(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return how many times as fast ours is: the median over pairs of seconds."""
    return statistics.median(their / our for our, their in zip(ours, theirs, strict=True))


def machine(device: str = "cpu") -> str:
    """Describe what this runs on in one line."""
    import torch

    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.is_file():
        names = [line for line in information.read_text().splitlines() if "model name" in line]
        model = names[0].split(":")[1].strip() if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, "
        f"{torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
    )


def show(title: str, rows: Sequence[Row], file: Path | None, device: str = "cpu") -> None:
    """Print the rows, and write them as JSON where `file` is given."""
    table = Table(title=title, caption=machine(device), title_justify="left")
    table.add_column("work")
    table.add_column("against")
    for column in ("ours", "theirs", "ratio", "aim"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.work,
            row.against,
            f"{row.ours:,.4g} {row.unit}",
            f"{row.theirs:,.4g} {row.unit}",
            f"[{'green' if row.reached else 'red'}]{row.ratio:.2f}[/]",
            "–" if row.reach is None else f"{'≤' if row.below else '≥'} {row.reach:g}",
        )
    Console().print(table)
    if file is not None:
        answer = {"machine": machine(device), "rows": [asdict(row) for row in rows]}
        file.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
