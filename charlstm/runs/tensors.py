"""Reading tensors from a file that anybody may have made."""

import errno
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from charlstm.checks import shown
from charlstm.errors import RunError
from charlstm.files import (
    ADVICE,
    LARGEST_JSON,
    check_memory,
    one_line,
    opened_in_place,
    unreadable,
)

# Nothing that was learned is as large, and whatever is smaller can be multiplied: a product of two
# matrices of such numbers is still far below what a float32 can hold.
_LARGEST_WEIGHT = 1e15

Arrays = dict[str, NDArray[Any]]
"""Tensors by name."""


class WholeNumbers(NamedTuple):
    """A row of whole numbers.

    Attributes:
        kind: ``"U16"`` or ``"U32"``.
        size: how many.
    """

    kind: str
    size: int


Shapes = dict[str, tuple[int, ...] | WholeNumbers | None]
"""The shapes of float32 tensors by name, or what else they are; ``None`` is a row of bytes."""


def read_tensors(path: Path, expect: Callable[[dict[str, str]], Shapes]) -> Arrays:
    """Return the tensors of a file: float32 that can be computed with, whole numbers, or bytes.

    No memory is taken before the header is known to name what is expected and nothing else.

    Args:
        path: of the file.
        expect: returns what must be in it, given its metadata.

    Raises:
        RunError: it cannot be read, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        _check_header(path)
        with safe_open(str(path), framework="numpy") as file:
            shapes = expect(file.metadata() or {})
            names = file.keys()
            if set(names) != shapes.keys():
                odd = min(shapes.keys() ^ set(names))
                what = "lacks {}, which run.json asks for"
                if odd not in shapes:
                    what = "has {}, which run.json does not ask for"
                raise RunError(f"{path} is damaged: it {what.format(one_line(odd))}. {ADVICE}")
            for name, shape in shapes.items():
                entry = file.get_slice(name)
                kind, size = entry.get_dtype(), entry.get_shape()
                wanted = f"F32 {list(shape or ())}"
                fits = kind == "F32" and tuple(size) == shape
                if isinstance(shape, WholeNumbers):
                    wanted = f"{shape.kind} [{shape.size}]"
                    fits = kind == shape.kind and size == [shape.size]
                if shape is None:
                    wanted = f"U8 [{LARGEST_JSON}] at most"
                    fits = kind == "U8" and len(size) == 1 and size[0] <= LARGEST_JSON
                if not fits:
                    raise RunError(
                        f"{path} is damaged: its {name} is {kind} {shown(size)}, and run.json asks "
                        f"for {wanted}. {ADVICE}"
                    )
            # Whoever uses them lays them out in another way, and holds them twice for a while.
            check_memory(path, 2 * 4 * sum(map(_numbers, shapes.values())))
            arrays = {name: file.get_tensor(name) for name in shapes}
    except (OSError, SafetensorError) as error:
        raise unreadable(path, error) from None
    except MemoryError:
        raise RunError(f"{path} takes more memory than there is.") from None
    for name, array in arrays.items():
        if shapes[name] is None or isinstance(shapes[name], WholeNumbers):
            continue
        most = math.inf if name.startswith("moments/") else _LARGEST_WEIGHT
        # A NaN is neither above nor below.
        if not (-most < array.min() and array.max() < most):
            raise RunError(f"{path} is damaged: the numbers of {name} are out of range. {ADVICE}")
    return arrays


def _numbers(shape: tuple[int, ...] | WholeNumbers | None) -> int:
    return shape.size if isinstance(shape, WholeNumbers) else math.prod(shape or ())


def _check_header(path: Path) -> None:
    """Check that what describes the tensors of a file is not too long to be read.

    Raises:
        OSError: it cannot be read, or is too long.
    """
    with opened_in_place(path) as file:
        length = int.from_bytes(file.read(8) or b"", "little")
    if length > LARGEST_JSON:
        raise OSError(errno.EFBIG, f"its header cannot have {length:,} bytes")
