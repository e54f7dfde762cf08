"""Where torch computes, with how many threads, and what the device is good at."""

import os

import torch

from charlstm.errors import RecipeError
from charlstm.recipes.architecture import LIBRARY_CELLS, Architecture
from charlstm.recipes.recipe import DEVICES


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


def prepare_cpu(threads: int | None) -> None:
    """Let torch use this many threads in this process; ``None`` leaves the choice to torch.

    Numbers too small for a float's normal range become zero from here on: they carry nothing, and
    many processors take far longer over them.

    Raises:
        RecipeError: fewer than 1.
    """
    # Before the first parallel work, because the workers adopt the setting when they start.
    torch.set_flush_denormal(True)
    if threads is None:
        return
    if threads < 1:
        raise RecipeError(f"threads must be a whole number from 1 up, not {threads}.")
    torch.set_num_threads(threads)


def prepare_to_compute_deterministically() -> None:
    """Set the workspace of products on a GPU, which is read once, before the first of them."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def compute_deterministically() -> None:
    """Let torch use only algorithms that give the same result every time, in this process.

    On a CPU those used here do anyway, with the same number of threads. On a GPU some others are
    faster.
    """
    torch.use_deterministic_algorithms(True)


def may_have_fast_bfloat16(device: torch.device, backend: str) -> bool:
    """Return whether trying bfloat16 products on `device` is worth the time it takes."""
    if device.type == "cuda":
        # Under autocast torch hands cuDNN's layers float16, whatever was asked for.
        return backend == "scratch" and bool(torch.cuda.is_bf16_supported())
    # Processors with the instructions for it have those of AVX-512 as well.
    capability: str = torch.backends.cpu.get_cpu_capability()
    return device.type == "cpu" and capability.startswith(("AVX512", "AMX"))


def choose_backend(wish: str, architecture: Architecture, device: torch.device) -> str:
    """Return the backend that ``auto`` stands for: the one place where this is decided.

    According to ``benchmarks/``, on a CPU our LSTM is faster with one-hot input, which it does not
    multiply, and the library's layers with an embedding; on a GPU cuDNN is.
    """
    if wish != "auto":
        return wish
    if architecture.cell not in LIBRARY_CELLS:
        return "scratch"
    one_hot_lstm = architecture.cell == "lstm" and not architecture.embedding
    return "scratch" if one_hot_lstm and device.type == "cpu" else "torch"
