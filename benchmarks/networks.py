"""Two workers on two machines with a slow network between them, on one machine.

    sudo python -m benchmarks.networks [--json FILE]

Each worker lives in a network namespace of its own (Linux, as root). The cable between the two is a
program: it holds every packet back for as long as it would be on its way. Against one worker of one
thread with the same batch, alone. On the slowest one they also train in the two ways that are not
exact. Everything is removed afterwards.
"""

import fcntl
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Process
from pathlib import Path
from select import select
from typing import Annotated

import typer

from benchmarks.measure import Row, show
from benchmarks.workers import LARGE, PLAIN, letters, step_milliseconds, trained

# <linux/if_tun.h>
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
# Packets as large as there can be: a program moves few large ones faster than many small ones.
_PACKET = 65_000
# What a cable holds back at most, as the buffers of a switch do.
_BUFFER = 16_000_000
_ENDS = ("charlstm0", "charlstm1")
_ADDRESSES = ("10.77.31.1", "10.77.31.2")
_PORT = 29_431


@dataclass(frozen=True)
class Cable:
    """A network between two machines.

    Attributes:
        megabits: how many a second it carries each way.
        milliseconds: how long a packet is on its way, once it has left.
    """

    megabits: float
    milliseconds: float

    def __str__(self) -> str:
        rate = f"{self.megabits / 1000:g} Gbit/s" if self.megabits >= 1000 else None
        return f"{rate or f'{self.megabits:g} Mbit/s'}, {self.milliseconds:g} ms"

    def carry(self, ends: Sequence[int]) -> None:
        """Move packets between two TUN devices, for as long as this process lives."""
        free = [0.0, 0.0]
        under_way: list[deque[tuple[float, bytes]]] = [deque(), deque()]
        held = [0, 0]
        while True:
            due = min((queue[0][0] for queue in under_way if queue), default=None)
            pause = None if due is None else max(due - time.perf_counter(), 0)
            ready, _, _ = select(ends, [], [], pause)
            for end in ready:
                here = ends.index(end)
                packet = os.read(end, _PACKET + 1000)
                if held[here] + len(packet) > _BUFFER:
                    continue  # lost, and sent again
                held[here] += len(packet)
                free[here] = max(free[here], time.perf_counter())
                free[here] += 8 * len(packet) / (1e6 * self.megabits)
                under_way[here].append((free[here] + self.milliseconds / 1000, packet))
            for here, queue in enumerate(under_way):
                while queue and queue[0][0] <= time.perf_counter():
                    _, packet = queue.popleft()
                    held[here] -= len(packet)
                    os.write(ends[1 - here], packet)


@contextmanager
def connected(cable: Cable) -> Iterator[None]:
    """Make two namespaces with a cable between them; remove them afterwards."""
    ends = []
    try:
        for name, address in zip(_ENDS, _ADDRESSES, strict=True):
            end = os.open("/dev/net/tun", os.O_RDWR)
            ends.append(end)
            fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH", name.encode(), _IFF_TUN | _IFF_NO_PI))
            for command in (
                f"netns add {name}",
                f"link set {name} netns {name}",
                f"-n {name} addr add {address}/24 dev {name}",
                f"-n {name} link set {name} mtu {_PACKET} up",
                f"-n {name} link set lo up",
            ):
                subprocess.run(["ip", *command.split()], check=True)
        carrier = Process(target=cable.carry, args=(ends,), daemon=True)
        carrier.start()
        try:
            yield
        finally:
            carrier.kill()
            carrier.join()
    finally:
        for name in _ENDS:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        for end in ends:
            os.close(end)


def apart(root: Path, arguments: Sequence[str]) -> float:
    """Train with two workers of one thread, in two namespaces."""
    processes, command = [], ("-m", "charlstm", *arguments)
    for rank, (name, address) in enumerate(zip(_ENDS, _ADDRESSES, strict=True)):
        launcher = (
            *("torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
            *("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{_ADDRESSES[0]}:{_PORT}"),
            *("--rdzv-id", "measured", "--local-addr", address),
            *("--rdzv-conf", f"is_host={int(rank == 0)}"),
        )
        processes.append(
            subprocess.Popen(
                ["ip", "netns", "exec", name, sys.executable, "-m", *launcher, *command],
                cwd=root,
                env={**os.environ, "GLOO_SOCKET_IFNAME": name, "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    # Launchers tell much that is nothing, unless they fail.
    told = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("\n".join(told))
    return step_milliseconds(root)


def main(
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    steps: Annotated[int, typer.Option(min=2)] = 24,
    file: Annotated[Path | None, typer.Option("--json")] = None,
) -> None:
    """Measure workers with a slow network between them."""
    began = time.perf_counter()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        text = letters(root / "letters.txt")
        settings = ("--precision", "float32", "--threads", "1", "--steps", str(steps))
        arguments = ("train", str(text), *LARGE, *PLAIN, *settings)
        for cable, way, reach in (
            (Cable(1000, 1), (), 1.5),
            (Cable(1000, 20), (), None),
            (Cable(100, 1), (), None),
            (Cable(100, 1), ("--compress", "bfloat16"), None),
            (Cable(100, 1), ("--sync-every", "8"), None),
            (Cable(100, 1), ("--compress", "bfloat16", "--sync-every", "8"), None),
        ):
            with connected(cable):
                pairs = [
                    (apart(root, [*arguments, *way]), trained(root, arguments))
                    for _ in range(rounds)
                ]
            ratio = statistics.median(one / two for two, one in pairs)
            two, one = (statistics.median(times) for times in zip(*pairs, strict=True))
            title = " ".join([f"2 workers, {cable}", *way])
            rows.append(Row(title, "1 worker", two, one, "ms", ratio, reach))
    title = f"Networks, V 65, H 512, B 64, T 100, float32 ({time.perf_counter() - began:.0f} s)"
    show(title, rows, file)


if __name__ == "__main__":
    typer.run(main)
