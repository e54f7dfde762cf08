"""What the units of a network follow, how long they remember, and what they are needed for.

A unit is one place of a layer's state. Whether it follows something that a reader knows is a
correlation over a text, and a figure alone proves little: of many units one always agrees with
something by chance. So each stands beside what the best of all units comes to on the same text in
another order, cut into pieces that are put together anew, so that neighbours stay neighbours
(compare Politis and Romano 1994 on resampling what depends on its past).
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.evaluation.known import things
from charlstm.model.network import Network
from charlstm.recipes.architecture import Architecture
from charlstm.text.songs import END, SYMBOL

Floats = NDArray[np.floating[Any]]
OnProgress = Callable[[int], object]

CLOSELY = 0.7
"""From this correlation on, one explains half of what varies in the other: it follows closely."""

# What a unit follows shows on so many characters, and more would only take longer; of many units
# fewer, so that no more numbers than this are kept of all of them.
_MOST_CHARACTERS, _MOST_NUMBERS = 20_000, 20_480_000
# So many characters are read between two looks.
_PIECE = 500
# How often the text is put together anew, and how long the pieces are.
_SHUFFLES = 100
_SHORTEST, _LONGEST = 20, 80
# Chance is what is surpassed in one of twenty shuffles.
_RARELY = 0.95
# So many units are switched off in one reading, each in a stream of its own: more would take more
# memory and no less time.
_TOGETHER = 512
# A unit that varies less than this does not vary.
_STILL = 1e-6
# No unit is said to remember more than a million characters.
_LEAST_GOING = 1e-6


@dataclass(frozen=True)
class Unit:
    """One place of the state.

    Attributes:
        layer: from 0, as in the names of the weights.
        number: within the layer, from 0.
    """

    layer: int
    number: int

    def __str__(self) -> str:
        return f"{self.layer}.{self.number}"


def all_units(architecture: Architecture) -> list[Unit]:
    """Return all units of a network, layer by layer."""
    layers, hidden = architecture.layers, architecture.hidden
    return [Unit(layer, number) for layer in range(layers) for number in range(hidden)]


def most_characters(architecture: Architecture) -> int:
    """Return how many characters of a text are enough to see what units follow."""
    units = architecture.layers * architecture.hidden
    return min(_MOST_CHARACTERS, max(_MOST_NUMBERS // units, 2))


@dataclass(frozen=True)
class Followed:
    """A thing that a reader knows, and the unit that follows it most closely.

    Attributes:
        thing: what it is called.
        unit: which.
        correlation: Pearson's, from -1 to 1, of the unit's memory with the thing.
        by_chance: what the best of all units comes to where the text is shuffled, in one of
            twenty shuffles or less.
    """

    thing: str
    unit: Unit
    correlation: float
    by_chance: float

    @property
    def certain(self) -> bool:
        """Whether the unit follows it more closely than chance would have it."""
        return abs(self.correlation) > self.by_chance


@dataclass(frozen=True)
class Gates:
    """What was found of all units on a text.

    Attributes:
        characters: how many were looked at.
        followed: for each thing that tells the text's characters apart, the most closely
            followed first.
        closest: ``[L, H]``: of each unit, its largest correlation with any thing, without sign.
        more_than_chance: ``[L, H]``: whether any of them is more than chance.
        remembered: ``[L, H]``: for how many characters each unit remembers, 1/(1 - mean of the
            gate that keeps); ``None`` for a cell without one.
    """

    characters: int
    followed: list[Followed]
    closest: Floats
    more_than_chance: NDArray[np.bool_]
    remembered: Floats | None

    def remembers(self, unit: Unit) -> float | None:
        """Return for how many characters a unit remembers; ``None`` where no gate says that."""
        if self.remembered is None:
            return None
        return float(self.remembered[unit.layer, unit.number])

    @property
    def units(self) -> int:
        """How many there are."""
        return self.closest.size

    @property
    def named(self) -> int:
        """How many follow anything closely, and more than by chance."""
        return int((self.more_than_chance & (self.closest >= CLOSELY)).sum())


def look(
    network: Network,
    ids: NDArray[np.integer],
    text: str,
    *,
    random: np.random.Generator,
    on_progress: OnProgress = lambda characters: None,
) -> Gates:
    """Hold every unit of a network against what a reader knows of a text.

    Args:
        network: whose memory is looked at: c, or h for a cell that has no other state.
        ids: ``[N]`` the text, with the marks that are read in it.
        text: the same, character by character.
        random: shuffles the text.
        on_progress: called now and then with the number of characters read since.
    """
    memory, keeping = _read(network, ids, on_progress)
    L, N, H = memory.shape
    table = memory.transpose(1, 0, 2).reshape(N, L * H)
    # Labels are read and are no part of a line; the end of a song is, and is no character.
    plain = np.array([SYMBOL.match(character) is None for character in text])
    read = SYMBOL.sub("", text)
    shown = np.array([character != END for character in read])
    known = things(read)
    names = [thing.name for thing in known]
    columns = np.stack([thing.values[shown] for thing in known], axis=1) if known else None
    table = table[plain][shown]
    if columns is None:
        correlations, chance = np.zeros((0, L * H)), np.zeros(0)
    else:
        correlations, chance = _correlations(_standardized(columns), _standardized(table), random)
    followed = []
    for name, row, least in zip(names, correlations, chance, strict=True):
        best = int(np.abs(row).argmax())
        followed.append(Followed(name, Unit(*divmod(best, H)), float(row[best]), float(least)))
    followed.sort(key=lambda one: -abs(one.correlation))
    sizes = np.abs(correlations)
    return Gates(
        characters=len(table),
        followed=followed,
        closest=sizes.max(axis=0, initial=0.0).reshape(L, H),
        more_than_chance=(sizes > chance[:, None]).any(axis=0).reshape(L, H),
        remembered=None if keeping is None else 1 / np.maximum(1 - keeping, _LEAST_GOING),
    )


def _read(
    network: Network, ids: NDArray[np.integer], on_progress: OnProgress
) -> tuple[Floats, Floats | None]:
    """Return the memory of all units, ``[L, N, H]``, and the means of their gates that keep."""
    state = network.start()
    memory, keeping = [], []
    for start in range(0, len(ids), _PIECE):
        piece = ids[start : start + _PIECE]
        layers = network.inside(state, piece).layers
        memory.append(np.stack([layer.memory for layer in layers]))
        gates = [layer.keeping for layer in layers]
        keeping.append([gate.sum(axis=0) for gate in gates if gate is not None])
        on_progress(len(piece))
    sums = np.sum(keeping, axis=0)
    return np.concatenate(memory, axis=1), sums / len(ids) if sums.size else None


def _standardized(columns: Floats) -> Floats:
    """Return columns of mean 0 and deviation 1; of zeros where nothing varies."""
    around: Floats = columns - columns.mean(axis=0)
    deviation = around.std(axis=0)
    varies = deviation > _STILL
    around[:, ~varies] = 0.0
    return around / np.where(varies, deviation, 1.0)


def _correlations(
    known: Floats, table: Floats, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the correlations ``[K, U]``, and for each thing what the best unit has by chance."""
    N = len(known)
    best = []
    for _ in range(_SHUFFLES):
        anew = known[_order(N, random)]
        best.append(np.abs(anew.T @ table).max(axis=1) / N)
    return (known.T @ table / N).astype(np.float64), np.quantile(best, _RARELY, axis=0)


def _order(length: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Return the places of a text whose pieces are put together in another order."""
    cuts = random.integers(_SHORTEST, _LONGEST + 1, length // _SHORTEST).cumsum()
    pieces = np.split(np.arange(length), cuts[cuts < length])
    random.shuffle(pieces)
    return np.concatenate(pieces)


def worth(
    network: Network,
    ids: NDArray[np.integer],
    units: Sequence[Unit],
    *,
    unpredicted: NDArray[np.bool_] | None = None,
    on_progress: OnProgress = lambda characters: None,
) -> NDArray[np.float64]:
    """Return how much worse a network predicts a text while a unit is switched off.

    That a unit follows something does not say that it is used; this does. The rest of the network
    is as it was trained, with the unit.

    Args:
        network: what predicts.
        ids: ``[N]`` the text, N >= 2.
        units: those to switch off, each by itself.
        unpredicted: ``[V]``: the ids that are read and not counted; ``None`` if all are.
        on_progress: called with 1 after each character that is read; see `readings`.

    Returns:
        Of each unit, bits a character; below 0 where the network does better without.
    """
    groups = [units[start : start + _TOGETHER] for start in range(0, len(units), _TOGETHER)]
    found = [_without(network, ids, group, unpredicted, on_progress) for group in groups]
    more: NDArray[np.float64] = np.concatenate([*found, np.zeros(0)])
    return more


def readings(units: int) -> int:
    """Return how often `worth` reads a text to switch off so many units."""
    return math.ceil(units / _TOGETHER)


def _without(
    network: Network,
    ids: NDArray[np.integer],
    units: Sequence[Unit],
    unpredicted: NDArray[np.bool_] | None,
    on_progress: OnProgress,
) -> NDArray[np.float64]:
    """Return what `worth` does of units that are switched off in one reading."""
    off = network.without([(unit.layer, unit.number) for unit in units])
    state = off.start(len(units) + 1)  # the last has all its units
    nats, counted = np.zeros(len(units) + 1), 0
    for character, following in itertools.pairwise(ids.tolist()):
        logits = off.step(state, character)
        on_progress(1)
        if unpredicted is not None and unpredicted[following]:
            continue
        likeliest = logits.max(axis=1)
        total = np.exp(logits - likeliest[:, None]).sum(axis=1)
        nats += np.log(total) + likeliest - logits[:, following]
        counted += 1
    more: NDArray[np.float64] = (nats[:-1] - nats[-1]) / max(counted, 1) / math.log(2)
    return more
