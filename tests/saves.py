"""What a training is resumed from, taken apart and put together again, sound or damaged."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

_LOG = ("history", "samples")


def read_save(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the tensors of a ``resume.safetensors``, and where it says that training stood."""
    with safe_open(str(path), framework="numpy") as file:
        position = json.loads(file.metadata()["position"])
        names = file.keys()
        tensors = {name: file.get_tensor(name) for name in names}
    return tensors, position | json.loads(tensors.pop("log").tobytes())


def write_save(path: Path, tensors: Mapping[str, NDArray[Any]], position: dict[str, Any]) -> None:
    """Write a ``resume.safetensors`` that holds what `read_save` returns, whatever that is."""
    log = {name: position[name] for name in _LOG if name in position}
    counters = {name: value for name, value in position.items() if name not in _LOG}
    written = {**tensors, "log": np.frombuffer(json.dumps(log).encode(), np.uint8)}
    save_file(written, path, {"charlstm": "2", "position": json.dumps(counters)})
