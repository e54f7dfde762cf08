import os

# Our models are so small that a second thread costs more than it gives. The libraries read this
# when they are imported, and the processes that tests start inherit it.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import numpy as np
import pytest
import torch
from commandline import Charlstm, Result, forked, module
from faults.commands import Commands
from numpy.typing import NDArray

from charlstm.cli import main
from docs.pictures.browser import browsing

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A shell starts what is to run in the background deaf to Ctrl-C, and so are all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How fast a machine is, and what else it does, is no property of what is tested.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")


# What takes long comes first, or all others would wait for it at the end.
LONG = (
    "test_faults.py",
    "test_workers.py",
    "test_launching.py",
    "test_elastic.py",
    "test_session.py",
    "test_desk.py",
    "test_benchmarks.py",
    "test_desk_training.py",
    "test_cli.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """Let a file's tests run in one process, which then trains what they share only once."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


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


@pytest.fixture
def corpus(tmp_path: Path, song: str) -> Path:
    """Return a file with `song` in it."""
    path = tmp_path / "song.txt"
    path.write_text(song, encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return where runs are to be made; it is not there yet."""
    return tmp_path / "checkpoints"


@pytest.fixture(scope="session")
def stream() -> NDArray[np.uint16]:
    """Return 241 ids below 7: a rhythm that can be learned, with every seventh id at random."""
    noise = np.random.default_rng(8).integers(0, 7, size=241)
    place = np.arange(241)
    return np.where(place % 7 == 6, noise, place % 4).astype(np.uint16)


@pytest.fixture
def charlstm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Charlstm:
    """Return what runs a command in this process, in its working directory."""

    def call(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["charlstm", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return Result(end.value.code or 0, *capsys.readouterr())

    return call


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """Return a real browser."""
    with browsing() as browser:
        yield browser


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """Return what starts commands in processes of their own, without the wait for an import."""
    if sys.platform != "linux":
        pytest.skip("only on Linux can a process be forked that has imported torch")
    with Commands() as commands:
        yield commands


@pytest.fixture(scope="session")
def process(request: pytest.FixtureRequest) -> Charlstm:
    """Return what runs a command in a process of its own, in the directory that it is told."""
    if sys.platform != "linux":
        return module
    return partial(forked, request.getfixturevalue("commands"))
