"""Where torch computes, with whose layers and how many threads, and what the device is good at."""

import os
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from charlstm.errors import RecipeError, Setting
from charlstm.machine import Machine
from charlstm.model.threads import counts_to_choose_from
from charlstm.recipes.architecture import LIBRARY_CELLS, Architecture


@dataclass(frozen=True)
class Computing:
    """What a `Machine` comes to here.

    Attributes:
        backend: ``"scratch"`` or ``"torch"``.
        device: where torch computes.
        threads: the numbers of threads to choose from; one of them where that is settled.
    """

    backend: str
    device: torch.device
    threads: tuple[int, ...] = (1,)


def prepare(machine: Machine, architecture: Architecture) -> Computing:
    """Prepare this process to compute as `machine` says; return what its choices come to.

    Raises:
        RecipeError: the device is not on this machine.
    """
    prepare_cpu(machine.threads)
    device = choose_device(machine.device)
    threads: tuple[int, ...] = (torch.get_num_threads(),)
    if machine.threads is None and not machine.deterministic and device.type == "cpu":
        threads = counts_to_choose_from(torch.get_num_threads())
    return Computing(choose_backend(machine.backend, architecture, device), device, threads)


def choose_device(wish: str) -> torch.device:
    """Return the device that `wish` names; ``auto`` is cuda where there is one, else the cpu.

    Apple's GPU is taken only when asked for: on layers of this size it has not been measured.

    Raises:
        RecipeError: it is not on this machine.
    """
    if wish == "auto":
        wish = "cuda" if torch.cuda.is_available() else "cpu"
    if (wish == "cuda" and not torch.cuda.is_available()) or (
        wish == "mps" and not torch.backends.mps.is_available()
    ):
        raise RecipeError(
            f"This machine, or its build of torch, has no {wish}; try ",
            Setting("device", "cpu"),
            ".",
        )
    return torch.device(wish)


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


def prepare_cpu(threads: int | None) -> None:
    """Let torch use this many threads in this process; ``None`` leaves the choice to torch.

    Numbers too small for a float's normal range become zero from here on: they carry nothing, and
    many processors take far longer over them.
    """
    # numpy before 2.4 looks once for the smallest numbers, and warns where they are zero by then.
    for kind in (np.float32, np.float64):
        np.finfo(kind)
    # Before the first parallel work, because the workers adopt the setting when they start.
    torch.set_flush_denormal(True)
    if threads is not None:
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


def check_precision(precision: str, cell: str, computing: Computing) -> None:
    """Check that the layers of a backend can compute in a precision here.

    Raises:
        RecipeError: they cannot.
    """
    if precision != "bfloat16" or computing.backend != "torch":
        return
    if computing.device.type == "cuda":
        why = "On a GPU the library's layers would use float16, not bfloat16"
    elif computing.device.type == "cpu" and cell == "lstm" and not library_has_bfloat16():
        why = "The library's LSTM has no bfloat16 on this processor"
    else:
        return
    raise RecipeError(
        f"{why}; use ",
        Setting("backend", "scratch"),
        ", or for a new run ",
        Setting("precision", "float32"),
        ".",
    )


@cache
def library_has_bfloat16() -> bool:
    """Return whether the library's LSTM computes in bfloat16 on this processor: it is tried.

    Not every processor has what its kernel needs, and no list of processors would stay true.
    """
    layer = torch.nn.LSTM(1, 1)
    try:
        with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            outputs, _ = layer(torch.zeros(1, 1, 1))
        torch.autograd.backward(outputs.sum())
    except RuntimeError:
        return False
    return True


def may_have_fast_bfloat16(device: torch.device, backend: str) -> bool:
    """Return whether trying bfloat16 products on `device` is worth the time it takes."""
    if device.type == "cuda":
        # Under autocast torch hands cuDNN's layers float16, whatever was asked for.
        return backend == "scratch" and bool(torch.cuda.is_bf16_supported())
    # Processors with the instructions for it have those of AVX-512 as well.
    capability: str = torch.backends.cpu.get_cpu_capability()
    return device.type == "cpu" and capability.startswith(("AVX512", "AMX"))
