"""What reads a text character by character and says what comes next: a network, or a blend."""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from charlstm.model.cells import Array
from charlstm.model.network import Temperature


class Standing(Protocol):
    """Where N streams stand; see `charlstm.model.network.State`."""

    @property
    def logits(self) -> Array:
        """``[N, V]``, of the next character, in memory that the next step overwrites."""

    def copy(self) -> Any:
        """Return an independent state that stands at the same place."""

    def take(self, streams: Sequence[int] | NDArray[np.integer[Any]]) -> Any:
        """Return an independent state whose stream k stands where stream ``streams[k]`` is here."""

    def remember(self) -> Any:
        """Return the least that `Reader.gather` needs to make a state like this one."""


class Reader(Protocol):
    """Its methods are those of `charlstm.model.network.Network`.

    Attributes:
        vocabulary_size: V.
        end: the id of the mark between songs; ``None`` for a text of one piece.
        line: how many characters of what it has written it may write again in a row, because it
            remembers them; 0 for a network, which does not.
    """

    vocabulary_size: int
    end: int | None
    line: int

    def at(self, temperature: Temperature) -> "Reader":
        """Return the same reader, whose logits will be divided by a temperature, or by N."""

    def apart(self) -> "Reader":
        """Return the same reader, in which no stream of several depends on those beside it."""

    def logits(self, state: Any) -> Array:
        """Return ``[N, V]`` logits of the next character at temperature 1."""

    def start(self, streams: int = 1) -> Any:
        """Return the state before any character, for `streams` streams."""

    def take(self, state: Any, streams: Sequence[int] | NDArray[np.integer[Any]]) -> Any:
        """Return what ``state.take`` does, with logits that are to be divided as this reader's are.

        The state may be one of the same reader at another temperature.
        """

    def gather(self, streams: Sequence[tuple[Any, int]]) -> Any:
        """Return an independent state of streams that were remembered at different places."""

    def step(self, state: Any, ids: int | NDArray[np.integer[Any]]) -> Array:
        """Read one character in each stream; `state` advances."""

    def read(self, state: Any, ids: Iterable[int]) -> None:
        """Read characters one after the other, the same in each stream; `state` advances."""
