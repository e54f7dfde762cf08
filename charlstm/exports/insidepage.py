"""A page that shows what the units of a model did while it read a text.

What went into each gate, and each state, stands in the page as one byte a unit and a character;
all else is computed from them in the browser, by the JavaScript in ``inside/``.
"""

import html
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.evaluation.gates import Gates, OnProgress, all_units, readings, worth
from charlstm.evaluation.highlight import SONG_END
from charlstm.exports.standalone import as_base64, as_json, assemble, language
from charlstm.model.inside import LETTERS, QUANTITIES, Inside, Steps
from charlstm.model.network import Network
from charlstm.recipes.architecture import Architecture
from charlstm.runs.info import RunInfo
from charlstm.text.songs import END, SYMBOL
from charlstm.text.vocabulary import UNKNOWN, Vocabulary

_SCRIPTS = ("activations", "letters", "character", "phrases", "units", "main")
# More characters nobody looks through, and more bytes make a page slow to open.
_CHARACTERS, _BYTES = 3_000, 4_000_000
# So many units times characters are read to find what each is needed for: half a minute or less.
_READ = 400_000
# How many of the likeliest next characters are told.
_LIKELIEST = 5
# The bytes lie on a curve: close together near 0, as 127 log(1 + 2|x|) does.
_CURVE = 2.0
# What stands for a label, which is read before a song.
_LABEL = "◆"


class Shown(NamedTuple):
    """What a page shows.

    Attributes:
        title: what the text is called.
        text: N characters, with the marks that are read in it.
        gates: of all units.
        measured: what `gates` was found on.
    """

    title: str
    text: str
    gates: Gates
    measured: str


def room(architecture: Architecture) -> int:
    """Return how many characters of a text a page has room for."""
    # What goes into each gate, and the memory, unless that follows from it.
    arrays = {*LETTERS[architecture.cell], QUANTITIES[architecture.cell][0]}
    states = len(arrays) * architecture.layers * architecture.hidden
    return min(_CHARACTERS, max(_BYTES // states, 1))


def beginning(text: str, most: int) -> str:
    """Return as many whole lines of a text as have room, but at least half of what has."""
    if len(text) <= most:
        return text
    end = max(text.rfind("\n", 0, most), text.rfind(END, 0, most)) + 1
    return text[: end if end > most // 2 else most]


def write_inside(
    info: RunInfo,
    network: Network,
    run: str,
    shown: Shown,
    *,
    on_progress: OnProgress = lambda characters: None,
) -> bytes:
    """Return a page.

    Args:
        info: what ``run.json`` says of the run.
        network: of the run.
        run: its name.
        shown: what to show; two characters or more.
        on_progress: called now and then with the number of characters read since; see `reads`.
    """
    vocabulary, architecture = info.vocabulary, info.recipe.architecture
    ids = vocabulary.encode(shown.text)
    inside = network.inside(network.start(), ids)
    on_progress(len(ids))
    units = all_units(architecture)
    over = _over(len(ids), len(units))
    needed = worth(
        network,
        ids[:over],
        units,
        unpredicted=vocabulary.unpredicted,
        on_progress=on_progress,
    )
    arrays, packed = _states(inside)
    expected = _expected(inside, ids, vocabulary)
    rows, scales = _head(network, expected.ids, vocabulary)
    gates = shown.gates
    told = {
        "run": run,
        "title": shown.title,
        "model": architecture.title,
        "cell": architecture.cell,
        "quantities": QUANTITIES[architecture.cell],
        "layers": architecture.layers,
        "hidden": architecture.hidden,
        "language": language(vocabulary),
        "text": [_mark(character) for character in shown.text],
        # Before these the state is all zeros.
        "begins": [0, *(k for k, one in enumerate(shown.text) if k and one == END)],
        "unknown": int((ids == UNKNOWN).sum()),
        "curve": _CURVE,
        "label": _LABEL,
        "end": SONG_END,
        "arrays": arrays,
        "characters": [_named(int(one), vocabulary) for one in expected.ids],
        "scales": scales,
        "likeliest": expected.likeliest.tolist(),
        "probabilities": np.round(expected.probabilities, 5).tolist(),
        "came": expected.came.tolist(),
        "measured": shown.measured,
        "looked_at": gates.characters,
        "named": gates.named,
        "followed": [
            [one.thing, one.unit.layer, one.unit.number, one.correlation, one.by_chance]
            for one in gates.followed
        ],
        "remembered": None if gates.remembered is None else _rounded(gates.remembered, 2),
        "needed": _rounded(needed.reshape(gates.closest.shape), 5),
        "needed_over": over,
    }
    parts = {
        "title": html.escape(f"{shown.title} · {run}"),
        "told": as_json(told),
        "bytes": as_base64(packed + rows),
    }
    return assemble("inside", _SCRIPTS, parts)


def reads(info: RunInfo, characters: int) -> int:
    """Return how many characters of a text of so many are read to show it, and to switch units off.

    What is read to find out what units follow comes besides.
    """
    architecture = info.recipe.architecture
    shown, units = min(characters, room(architecture)), architecture.layers * architecture.hidden
    return shown + (_over(shown, units) - 1) * readings(units)


def _over(characters: int, units: int) -> int:
    """Return how many characters are read to find out what each unit is needed for."""
    return min(characters, max(_READ // units, 2))


def _states(inside: Inside) -> tuple[list[Any], bytes]:
    """Return of each array its layer, its letter and its units' largest numbers, and all bytes."""
    arrays, packed = [], b""
    for layer, steps in enumerate(inside.layers):
        for letter, values in _numbers(steps).items():
            largest = np.maximum(np.abs(values).max(axis=0), 1e-6).round(6)
            size = np.log1p(_CURVE * np.abs(values)) / np.log1p(_CURVE * largest)
            codes = np.rint(127 * size) * np.sign(values)
            # A unit's own numbers lie side by side.
            packed += np.ascontiguousarray(codes.T, dtype=np.int8).tobytes()
            arrays.append([layer, letter, largest.astype(float).tolist()])
    return arrays, packed


def _numbers(steps: Steps) -> dict[str, NDArray[np.float32]]:
    if "c" in steps.values:
        return {**steps.sums, "c": steps.values["c"]}
    # Of a plain network, what goes into the tanh says all.
    return {"h": steps.values["h"], **steps.sums}


class _Expected(NamedTuple):
    """What a network expects after each of T characters.

    Attributes:
        ids: ``[M]``, of all characters that are told of.
        likeliest: ``[T, K]``, the likeliest ones, by their places in `ids`.
        probabilities: ``[T, K + 1]``, of those, and of what came.
        came: ``[T]``, what came, by its place in `ids`; -1 after the last character, and where it
            is nothing that is predicted.
    """

    ids: NDArray[np.intp]
    likeliest: NDArray[np.intp]
    probabilities: NDArray[np.float64]
    came: NDArray[np.intp]


def _expected(inside: Inside, ids: NDArray[np.integer], vocabulary: Vocabulary) -> _Expected:
    logits = inside.logits.astype(np.float64)
    following = np.append(ids[1:], -1)
    if vocabulary.unpredicted is not None:
        logits[:, vocabulary.unpredicted] = -np.inf
        following[vocabulary.unpredicted[following] & (following >= 0)] = -1
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    likeliest = np.argsort(-chances, axis=1, kind="stable")[:, :_LIKELIEST]
    told, places = np.unique(np.append(likeliest, following[following >= 0]), return_inverse=True)
    came = np.full(len(ids), -1, dtype=np.intp)
    came[following >= 0] = places[likeliest.size :]
    both = np.column_stack((likeliest, np.maximum(following, 0)))
    probabilities = np.take_along_axis(chances, both, axis=1)
    return _Expected(told, places[: likeliest.size].reshape(likeliest.shape), probabilities, came)


def _head(network: Network, ids: NDArray[np.intp], vocabulary: Vocabulary) -> tuple[bytes, Any]:
    """Return what a unit adds to the logits of some characters, in bytes, and a scale for each.

    A logit counts only beside the others, so what a unit adds to all of them is taken off.
    """
    rows = network.head
    predicted = slice(None) if vocabulary.unpredicted is None else ~vocabulary.unpredicted
    told = rows[ids] - rows[predicted].mean(axis=0)
    scales = np.maximum(np.abs(told).max(axis=1), 1e-12) / 127
    codes = np.rint(told / scales[:, None]).astype(np.int8)
    return codes.tobytes(), [float(scale) for scale in scales]


def _mark(character: str) -> str:
    """Return what stands for a character of the text."""
    return SONG_END if character == END else _LABEL if SYMBOL.match(character) else character


def _named(number: int, vocabulary: Vocabulary) -> str:
    """Return what stands for a character that may come next."""
    return "<unk>" if number == UNKNOWN else _mark(vocabulary.decode([number]))


def _rounded(values: NDArray[np.floating[Any]], digits: int) -> list[list[float]]:
    return [[round(float(one), digits) for one in row] for row in values]
