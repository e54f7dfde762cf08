import os

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

# Our models are so small that a second thread costs more than it gives. The variable is for the
# processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True)
def _one_thread_and_ordinary_floats() -> None:
    torch.set_num_threads(1)
    # A training in this process rounds the smallest floats to zero, for Python's own as well.
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def song() -> str:
    lines = [
        f"分开的第{day}天 我在{place}等你\n不分开，我们说好不分开\n{place}很安静 la la\n\n"
        for day in "一二三四五六"
        for place in ("车站", "桥上", "窗前")
    ]
    return "".join(lines)


@pytest.fixture(scope="session")
def stream() -> NDArray[np.uint16]:
    """Return 241 ids below 7: a rhythm that can be learned, with every seventh id at random."""
    noise = np.random.default_rng(8).integers(0, 7, size=241)
    place = np.arange(241)
    return np.where(place % 7 == 6, noise, place % 4).astype(np.uint16)
