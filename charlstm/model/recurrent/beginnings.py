"""Where the streams of a window begin anew: a song depends on no song before it."""

from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor


class Beginnings(NamedTuple):
    """Before which steps of a window the state of which streams is zero.

    Attributes:
        streams: by step, in ascending order: the streams that begin, int64. A step at which none
            does is not in it.
        places: ``[K]`` int64, the same steps and streams in a window flattened to ``[T*B]``.
    """

    streams: dict[int, Tensor]
    places: Tensor


def beginnings(ids: Tensor, end: int) -> Beginnings | None:
    """Return where ``[T, B]`` ids are `end`; ``None`` where nowhere.

    Whoever runs a window must know at which steps something is to be done, so this waits for a
    GPU, once a window.
    """
    places = (ids == end).flatten().nonzero().squeeze(1)
    if not len(places):
        return None
    B = ids.shape[1]
    # In the order of the window, so those of a step stand together.
    steps = [(t, len(list(group))) for t, group in groupby(place // B for place in places.tolist())]
    streams = torch.split(places % B, [count for _, count in steps])
    return Beginnings(dict(zip((t for t, _ in steps), streams, strict=True)), places)


def by_step(begins: Beginnings | None, steps: int) -> list[Tensor | None]:
    """Return the streams that begin at each of so many steps, ``None`` where there are none."""
    return [None if begins is None else begins.streams.get(t) for t in range(steps)]
