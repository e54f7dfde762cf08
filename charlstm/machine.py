"""The machine: what is to compute on it, and how much memory it has."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charlstm.checks import check_choice, check_whole

BACKENDS = ("scratch", "torch")
DEVICES = ("cpu", "cuda", "mps")

_GROUP = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Machine:
    """What computes, and with how much care.

    Attributes:
        backend: ``"scratch"``, our own layers; ``"torch"``, the library's; or ``"auto"``.
        device: ``"cpu"``, ``"cuda"``, ``"mps"`` or ``"auto"``.
        threads: of torch, in this process; ``None`` for what is found to be fastest, now and then
            anew.
        deterministic: whether the same seed, machine and threads must give the same weights: by
            deterministic algorithms alone, in this process from now on, and with nothing chosen by
            timing.

    Raises:
        SettingError: one of them is not what it must be.
    """

    backend: str = "auto"
    device: str = "auto"
    threads: int | None = None
    deterministic: bool = False

    def __post_init__(self) -> None:
        check_choice("backend", self.backend, ("auto", *BACKENDS))
        check_choice("device", self.device, ("auto", *DEVICES))
        if self.threads is not None:
            check_whole("threads", self.threads, 1)


def machine_bytes(group: Path = _GROUP, groups: Path = _GROUPS) -> int | None:
    """Return how much memory this process could have at most, in bytes.

    That is all that the machine has, whether or not it is in use now, or what the process's
    control groups allow (a container's limit is one), if that is less. So more than this can never
    work here, and a refusal based on it does not depend on what else runs;
    less than this may still turn out to be too much. Swap space is not counted, nor is the memory
    of a GPU. Finding out takes a few hundredths of a second the first time.

    Args:
        group: the file that names this process's control groups.
        groups: where the control groups are.

    Returns:
        ``None`` if the system does not say.
    """
    import psutil

    known = list(_group_limits(group, groups))
    with contextlib.suppress(OSError, psutil.Error):
        known.append(psutil.virtual_memory().total)
    return min(known, default=None)


def _group_limits(group: Path, groups: Path) -> Iterator[int]:
    """Yield the limits of this process's control groups and of those that contain them."""
    with contextlib.suppress(OSError, ValueError):
        for line in group.read_text(encoding="utf-8", errors="replace").splitlines():
            # Version 2 has one hierarchy, without a name; in version 1 memory has its own.
            _, kinds, place = line.split(":", 2)
            if kinds == "":
                yield from _limits(groups, place, "memory.max")
            elif "memory" in kinds.split(","):
                yield from _limits(groups / "memory", place, "memory.limit_in_bytes")


def _limits(top: Path, place: str, name: str) -> Iterator[int]:
    inner = top / place.strip("/")
    # In a container its own group is the topmost, and the path to it is not visible.
    for path in {inner, *inner.parents} - set(top.parents):
        # ValueError: the word "max" for no limit.
        with contextlib.suppress(OSError, ValueError):
            yield int((path / name).read_text(encoding="ascii"))
