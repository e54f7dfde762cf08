"""Models of which every probability is known."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from charlstm.model.network import Network
from charlstm.recipes.architecture import Architecture
from charlstm.text.corpus import TextOptions
from charlstm.text.songs import Songs
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.sampler import Sampler


def bigrams(
    chances: Mapping[str, Mapping[str, float]], *, songs: Songs | None = None, **options: Any
) -> Sampler:
    """Return a model of which every probability is known: the next character after each."""
    text = "".join(chances)
    vocabulary = Vocabulary(text, [0, *[1] * len(text)])
    V = len(vocabulary)
    head = np.full((V, V), -40.0, dtype=np.float32)
    for before, following in chances.items():
        for after, chance in following.items():
            head[1 + text.index(after), 1 + text.index(before)] = math.log(chance)
    weights = {
        # A state that is 1 where the last character is, and 0 elsewhere.
        "recurrent.weight_ih_l0": np.eye(V, dtype=np.float32) * 30,
        "recurrent.weight_hh_l0": np.zeros((V, V), dtype=np.float32),
        "recurrent.bias_ih_l0": np.zeros(V, dtype=np.float32),
        "recurrent.bias_hh_l0": np.zeros(V, dtype=np.float32),
        "head.weight": head,
        "head.bias": np.zeros(V, dtype=np.float32),
    }
    network = Network(Architecture(cell="rnn", hidden=V), weights, V, vocabulary.end)
    return Sampler(network, vocabulary, TextOptions(**options), songs)


def uniform(text: str, **options: Any) -> Sampler:
    """Return a model that finds every character of `text` as likely as any other, anywhere."""
    everywhere = dict.fromkeys(text, 1 / len(text))
    return bigrams(dict.fromkeys(text, everywhere), **options)
