"""The ways that a song has gone: every state of it that was kept, and from which one it came."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from charlstm.checks import check_real, check_whole
from charlstm.errors import RecipeError
from charlstm.figures import ENDLESS, LARGEST

MOST_NODES = 500
"""Of more states than this, the oldest that nothing came of are forgotten."""

# A file of more comes from a stranger; putting them in order would take long.
_MOST_READ = 4 * MOST_NODES

HOW = ("start", "typed", "taken", "other", "anew")
"""How a state came about: the song began with it, somebody typed it, took a line that was
proposed, took another one in its place, or had a line written anew."""


@dataclass(frozen=True)
class Node:
    """A state of a song.

    Attributes:
        id: its number, which no other has.
        parent: the number of the state that it came from; ``None`` for a beginning.
        text: the whole song.
        at: when it came about, in seconds since 1970.
        how: one of `HOW`.

    Raises:
        SettingError, RecipeError: one of them is not what it must be.
    """

    id: int
    parent: int | None
    text: str
    at: float
    how: str

    def __post_init__(self) -> None:
        check_whole("id", self.id, 0, LARGEST)
        if self.parent is not None:
            check_whole("parent", self.parent, 0, LARGEST)
        check_real("at", self.at, 0, ENDLESS)
        if not isinstance(self.text, str):
            raise RecipeError("A state of a song must have its text.")
        if self.how not in HOW:
            raise RecipeError(f"A state of a song comes about as one of {', '.join(HOW)}.")


@dataclass(frozen=True)
class Tree:
    """All states of a song.

    Attributes:
        nodes: each after the one that it came from.
        current: the number of the one that the song is in.

    Raises:
        RecipeError: two have one number, or a number is not there.
    """

    nodes: tuple[Node, ...]
    current: int

    def __post_init__(self) -> None:
        met: set[int] = set()
        for node in self.nodes:
            if node.id in met:
                raise RecipeError(f"Two states of a song have the number {node.id}.")
            # So there is no circle either.
            if node.parent is not None and node.parent not in met:
                raise RecipeError(
                    f"State {node.id} of a song comes from {node.parent}, which is not before it."
                )
            met.add(node.id)
        check_whole("current", self.current, 0, LARGEST)
        if self.current not in met:
            raise RecipeError(f"State {self.current} of a song is not there.")

    @classmethod
    def begun(cls, text: str, at: float) -> "Tree":
        """Return the tree of a song that has no other state yet."""
        return cls((Node(1, None, text, at, "start"),), 1)

    @classmethod
    def from_json(cls, value: Any) -> "Tree":
        """Rebuild and check what `to_json` returned.

        The states may stand in any order.

        Raises:
            KeyError, TypeError, CharLSTMError: it is something else.
        """
        if len(value["nodes"]) > _MOST_READ:
            raise RecipeError(f"A song has more than {_MOST_READ:,} states, which is too many.")
        nodes = [
            Node(one["id"], one["parent"], one["text"], one["at"], one["how"])
            for one in value["nodes"]
        ]
        return cls(tuple(_in_order(nodes)), value["current"])

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {"nodes": [vars(node) for node in self.nodes], "current": self.current}

    @property
    def text(self) -> str:
        """The song as it is now."""
        return next(node.text for node in self.nodes if node.id == self.current)

    def grown(self, text: str, at: float, how: str = "typed") -> "Tree":
        """Return this tree, in which the song has gone on to another text.

        Args:
            text: of the song.
            at: see `Node`.
            how: see there.
        """
        if text == self.text:
            return self
        new = Node(max(node.id for node in self.nodes) + 1, self.current, text, at, how)
        return Tree((*self.nodes, new), new.id).pruned()

    def pruned(self, most: int = MOST_NODES) -> "Tree":
        """Return this tree with at most so many states.

        The oldest of those that nothing came of go first; the one that the song is in stays, with
        the way that led there.
        """
        nodes = {node.id: node for node in self.nodes}
        children = dict.fromkeys(nodes, 0)
        for node in self.nodes:
            if node.parent is not None:
                children[node.parent] += 1
        kept = set(_way(nodes, self.current))
        while len(nodes) > max(most, 1):
            leaves = [n for n in nodes.values() if not children[n.id] and n.id not in kept]
            if not leaves:  # it is one long way: what it began with goes
                first = next(node.id for node in nodes.values() if node.parent is None)
                del nodes[first]
                for node in list(nodes.values()):
                    if node.parent == first:
                        nodes[node.id] = Node(node.id, None, node.text, node.at, node.how)
                continue
            oldest = min(leaves, key=lambda node: (node.at, node.id))
            del nodes[oldest.id]
            if oldest.parent is not None:
                children[oldest.parent] -= 1
        return Tree(tuple(nodes.values()), self.current)

    def to_bytes(self) -> bytes:
        """Return what its file holds."""
        return json.dumps(self.to_json(), ensure_ascii=False).encode(errors="replace")


def _in_order(nodes: list[Node]) -> Iterator[Node]:
    """Yield nodes, each after the one that it came from; those in a circle come last."""
    waiting = list(nodes)
    met: set[int] = set()
    while waiting:
        ready = [node for node in waiting if node.parent is None or node.parent in met]
        if not ready:
            yield from waiting
            return
        for node in ready:
            met.add(node.id)
            yield node
        done = set(map(id, ready))
        waiting = [node for node in waiting if id(node) not in done]


def _way(nodes: dict[int, Node], current: int) -> Iterator[int]:
    """Yield the numbers of a state and of those that it came from."""
    place: int | None = current
    while place is not None:
        yield place
        place = nodes[place].parent
