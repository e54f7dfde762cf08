"""Songs that small models learn in a second, and a model that has learned one."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from charlstm.api import train
from charlstm.trained import TrainedModel

_ENDS = """
等你来 看花开 看大海 说我爱 人不在 在天外 到明天 过一年 不相见 在河边 向前 走得远
一起看 风和光 在楼上 开了窗 不要想 夜很长 不能忘 花很香 听见心 一个人
"""
ENDS = _ENDS.split()
PLACES = ("车站", "海上", "窗前", "桥边", "山外", "花下")
LINES = [f"{'我你他'[k % 3]}在{PLACES[k % 6]}{ENDS[k * 7 % len(ENDS)]}" for k in range(66)]
# In stanzas of four lines.
LYRICS = "".join(line + "\n" + "\n" * (k % 4 == 3) for k, line in enumerate(LINES)) * 3
# As poems are printed: two verses to a line.
VERSE = "".join(f"{one}，{two}。\n" for one, two in pairwise(LINES))


def learn(where: Path, text: str = LYRICS, *, name: str = "song", **settings: Any) -> TrainedModel:
    """Train a small model on a text, in ``checkpoints/`` below a directory."""
    corpus = where / f"{name}.txt"
    corpus.write_text(text, encoding="utf-8")
    small = {"hidden": 48, "embedding": 16, "batch": 8, "window": 16, "dropout": 0.0, "threads": 1}
    settings = {"epochs": 40, "validation": 0.0, **small, **settings}
    return train(corpus, root=where / "checkpoints", name=name, **settings)
