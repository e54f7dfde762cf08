"""How much memory there is, so that what cannot fit is refused before it is asked for."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

_GROUP = Path("/proc/self/cgroup")
_GROUPS = Path("/sys/fs/cgroup")


def machine_bytes() -> int | None:
    """Return how much memory this process could have at most, in bytes.

    That is all that the machine has, whether or not it is in use now, or what the process's
    control groups allow (a container's limit is one), if that is less. So more than this can never
    work here, and a refusal based on it does not depend on what else runs;
    less than this may still turn out to be too much. Swap space is not counted, nor is the memory
    of a GPU. Finding out takes a few hundredths of a second the first time.

    Returns:
        ``None`` if the system does not say.
    """
    import psutil

    known = list(_group_limits())
    with contextlib.suppress(OSError, psutil.Error):
        known.append(psutil.virtual_memory().total)
    return min(known, default=None)


def _group_limits() -> Iterator[int]:
    """Yield the limits of this process's control groups and of those that contain them."""
    with contextlib.suppress(OSError, ValueError):
        for line in _GROUP.read_text(encoding="utf-8", errors="replace").splitlines():
            # Version 2 has one hierarchy, without a name; in version 1 memory has its own.
            _, kinds, place = line.split(":", 2)
            if kinds == "":
                yield from _limits(_GROUPS, place, "memory.max")
            elif "memory" in kinds.split(","):
                yield from _limits(_GROUPS / "memory", place, "memory.limit_in_bytes")


def _limits(top: Path, place: str, name: str) -> Iterator[int]:
    inner = top / place.strip("/")
    # In a container its own group is the topmost, and the path to it is not visible.
    for path in {inner, *inner.parents} - set(top.parents):
        # ValueError: the word "max" for no limit.
        with contextlib.suppress(OSError, ValueError):
            yield int((path / name).read_text(encoding="ascii"))
