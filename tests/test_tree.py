import json
from pathlib import Path
from typing import Any

import pytest

from charlstm.errors import CharLSTMError, RunError
from charlstm.writing.draft import Draft
from charlstm.writing.tree import MOST_NODES, Node, Tree


def way(*texts: str) -> Tree:
    """Return a tree that has gone from one text to the next."""
    tree = Tree.begun("", 0.0)
    for at, text in enumerate(texts, start=1):
        tree = tree.grown(text, float(at))
    return tree


def test_a_song_that_goes_on_keeps_where_it_came_from() -> None:
    tree = way("一\n", "一\n二\n")
    assert [(node.id, node.parent, node.text) for node in tree.nodes] == [
        (1, None, ""),
        (2, 1, "一\n"),
        (3, 2, "一\n二\n"),
    ]
    assert tree.text == "一\n二\n"
    assert tree.grown("一\n二\n", 9.0) is tree


def test_what_is_kept_is_read_back_in_whatever_order_it_stands() -> None:
    value = json.loads(way("a", "b", "c").to_bytes())
    value["nodes"].reverse()
    assert Tree.from_json(value) == way("a", "b", "c")


@pytest.mark.parametrize(
    "changes",
    [
        {"current": 7},
        {"current": None},
        {"nodes": []},
        {"nodes": "all"},
        {"nodes": [{"id": 1, "parent": 1, "text": "", "at": 0, "how": "start"}]},
        {"nodes": [{"id": 1, "parent": None, "text": 5, "at": 0, "how": "start"}]},
        {"nodes": [{"id": 1, "parent": None, "text": "", "at": -1, "how": "start"}]},
        {"nodes": [{"id": 1, "parent": None, "text": "", "at": 0, "how": "stolen"}]},
        {"nodes": [{"id": 1, "parent": None, "text": "", "at": 0}]},
        {"nodes": 2 * [{"id": 1, "parent": None, "text": "", "at": 0, "how": "start"}]},
        {"nodes": [[1]]},
    ],
)
def test_what_is_no_tree_is_refused(changes: dict[str, Any]) -> None:
    value = {**Tree.begun("", 0.0).to_json(), "current": 1, **changes}
    with pytest.raises((CharLSTMError, KeyError, TypeError)):
        Tree.from_json(value)


def test_a_circle_is_no_tree() -> None:
    nodes = [
        {"id": one, "parent": other, "text": "", "at": 0, "how": "typed"}
        for one, other in ((1, 2), (2, 1))
    ]
    with pytest.raises(CharLSTMError, match="State 1 of a song comes from 2, which is not before"):
        Tree.from_json({"nodes": nodes, "current": 1})


def test_of_too_many_states_the_oldest_that_nothing_came_of_go_first() -> None:
    tree = Tree.begun("", 0.0)
    nodes = [*tree.nodes]
    nodes += [Node(2 + k, 1, f"try {k}", 1.0 + k, "other") for k in range(5)]
    nodes += [Node(10, 2, "chosen", 9.0, "taken")]
    pruned = Tree(tuple(nodes), 10).pruned(4)
    # The way to where the song is stays, however old, and of the others the newest.
    assert [node.id for node in pruned.nodes] == [1, 2, 6, 10]


def test_a_long_way_forgets_its_beginning() -> None:
    tree = Tree.begun("", 0.0)
    for at in range(MOST_NODES + 20):
        tree = tree.grown(f"{at}", float(at))
    assert len(tree.nodes) == MOST_NODES
    assert tree.nodes[0].parent is None
    assert tree.text == f"{MOST_NODES + 19}"


def test_a_song_that_was_changed_elsewhere_has_gone_on(tmp_path: Path) -> None:
    draft = Draft.new(tmp_path, "一\n")
    draft.write("一\n", None, way("一\n"))
    assert draft.read_tree("一\n") == way("一\n")
    changed = draft.read_tree("一\n二\n")
    assert [node.text for node in changed.nodes] == ["", "一\n", "一\n二\n"]
    (tmp_path / "draft.tree.json").write_bytes(b"[]")
    with pytest.raises(RunError, match="so they begin anew; the words are all there"):
        draft.read_tree("一\n")


def test_a_run_has_several_songs_and_the_newest_is_listed_first(tmp_path: Path) -> None:
    drafts = [Draft.new(tmp_path, f"第{k}首\n") for k in range(3)]
    assert [draft.name for draft in drafts] == ["draft", "draft-1", "draft-2"]
    for name in ("draft-x.txt", "drafts.txt", "draft-01.txt"):
        (tmp_path / name).write_bytes(b"not one of ours")
    assert {draft.name for draft in Draft.all_of(tmp_path)} == {"draft", "draft-1", "draft-2"}
    drafts[1].remove()
    assert Draft.new(tmp_path).name == "draft-1"
    with pytest.raises(RunError, match=r"No song of .* is called so"):
        Draft(tmp_path, "../draft")


def test_a_song_that_is_put_aside_takes_its_ways_with_it(tmp_path: Path) -> None:
    draft = Draft.new(tmp_path, "一\n")
    draft.write("一\n", None, way("一\n"))
    assert draft.put_aside() == tmp_path / "draft-1.txt"
    assert Draft(tmp_path, "draft-1").read_tree("一\n") == way("一\n")
    assert not draft.is_there
    assert [path.name for path in tmp_path.glob("draft.*")] == []
