"""Where torch computes, and with how many threads."""

import torch

from charlstm.errors import RecipeError
from charlstm.recipes import DEVICES


def choose_device(wish: str) -> torch.device:
    """Return the device that `wish` names; ``auto`` is cuda where there is one, else the cpu.

    Apple's GPU is taken only when asked for: on layers of this size it has not been measured.

    Raises:
        RecipeError: there is no such device, or not on this machine.
    """
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "cpu"
    if wish not in DEVICES:
        raise RecipeError(f"device must be one of auto, {', '.join(DEVICES)}, not {wish!r}.")
    if (wish == "cuda" and not torch.cuda.is_available()) or (
        wish == "mps" and not torch.backends.mps.is_available()
    ):
        raise RecipeError(f"This machine, or its build of torch, has no {wish}; try --device cpu.")
    return torch.device(wish)


def use_threads(threads: int | None) -> None:
    """Let torch use so many threads in this process; ``None`` leaves it its own choice.

    Raises:
        RecipeError: fewer than 1.
    """
    if threads is None:
        return
    if threads < 1:
        raise RecipeError(f"threads must be a whole number from 1 up, not {threads}.")
    torch.set_num_threads(threads)
