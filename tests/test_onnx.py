"""A network as an ONNX graph computes in onnxruntime what it computes in NumPy."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onepages import LABELS, LYRICS, a_model

from charlstm.errors import RunError
from charlstm.exports.graph import write_graph
from charlstm.model.network import Network, State
from charlstm.outputs import GRAPH
from charlstm.recipes.architecture import CELLS, Architecture
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.runs.tensors import Arrays
from charlstm.text.corpus import TextOptions
from charlstm.text.songs import END
from charlstm.writing.beginning import marks_before
from charlstm.writing.sampler import make_sampler

STEPS, AGREE = 30, 1e-5
Array = NDArray[np.float32]


class Graph:
    """A graph in onnxruntime, and the state that it is in.

    Attributes:
        session: of onnxruntime.
        state: by the names of its inputs.
        told: its metadata.
    """

    def __init__(self, data: bytes, streams: int = 1) -> None:
        self.session = onnxruntime.InferenceSession(data)
        ids, *state = self.session.get_inputs()
        assert (ids.name, ids.type, ids.shape) == ("ids", "tensor(int64)", ["B"])
        self.state: dict[str, Array] = {}
        for one in state:
            layers, batch, hidden = one.shape
            assert batch == "B"
            self.state[one.name] = np.zeros((layers, streams, hidden), np.float32)
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.told = {name: json.loads(value) for name, value in metadata.items()}

    def step(self, ids: NDArray[np.int64]) -> Array:
        logits, *state = self.session.run(None, {"ids": ids, **self.state})
        self.state = dict(zip(self.state, state, strict=True))
        return np.asarray(logits)


def a_graph(**settings: Any) -> bytes:
    return write_graph(*a_model(**settings), "song", "1")


def in_numpy(info: RunInfo, weights: Arrays) -> Network:
    vocabulary = info.vocabulary
    return Network(info.recipe.architecture, weights, len(vocabulary), vocabulary.end)


def differences(graph: Graph, logits: Array, network: Network, state: State) -> float:
    """Return the largest difference of the logits and of what both remember."""
    found = [np.abs(logits - network.logits(state)).max()]
    for layer, remembered in enumerate(state.layers):
        for part, values in graph.state.items():
            found.append(np.abs(values[layer] - getattr(remembered, part)).max())
    return float(max(found))


@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("embedding", [0, 8])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_computes_what_numpy_does(
    cell: str, layers: int, embedding: int, streams: int
) -> None:
    # 23 is a multiple of nothing, so the products have rests.
    architecture = Architecture(cell, hidden=23, layers=layers, embedding=embedding)
    info, weights = a_model(architecture, songs=True)
    network, graph = (
        in_numpy(info, weights),
        Graph(write_graph(info, weights, "song", "1"), streams),
    )
    state = network.start(streams)
    assert tuple(graph.state) == architecture.state_names
    random = np.random.default_rng(3)
    assert info.vocabulary.end is not None
    for step in range(STEPS):
        ids = random.integers(0, len(info.vocabulary), streams)
        if step in (11, 20):
            ids[step % streams] = info.vocabulary.end
        network.step(state, ids)
        assert differences(graph, graph.step(ids), network, state) < AGREE


@pytest.mark.parametrize("cell", CELLS)
def test_a_stream_that_reads_the_end_of_a_song_begins_anew_and_those_beside_it_do_not(
    cell: str,
) -> None:
    info, weights = a_model(Architecture(cell, hidden=16, layers=2, embedding=5), songs=True)
    data, end = write_graph(info, weights, "song", "1"), info.vocabulary.end
    graph, alone = Graph(data, 2), Graph(data)
    graph.step(np.array([3, 3]))
    before = alone.step(np.array([end]))
    first, second = graph.step(np.array([end, 4]))
    # One stream and two are multiplied in other orders.
    assert np.abs(first - before[0]).max() < AGREE
    assert np.abs(second - before[0]).max() > 0.01
    # Whatever was remembered is gone, even what is no number.
    for values in graph.state.values():
        values[:, 0] = np.nan
    assert np.abs(graph.step(np.array([end, 4]))[0] - before[0]).max() < AGREE


def test_a_text_of_one_piece_has_no_mark_that_begins_anew() -> None:
    info, weights = a_model()
    graph, network = Graph(write_graph(info, weights, "song", "1")), in_numpy(info, weights)
    state = network.start()
    for one in info.vocabulary.encode(LYRICS[:STEPS]).astype(np.int64):
        network.step(state, int(one))
        assert differences(graph, graph.step(one[None]), network, state) < AGREE
    assert graph.told["end"] is None
    operators = {node.op_type for node in onnx.load_from_string(a_graph()).graph.node}
    assert "Where" not in operators


def test_a_run_that_has_learned_computes_what_numpy_does() -> None:
    run = RunDirectory(Path(__file__).parent / "data" / "format-4")
    info = run.read_info()
    weights = run.read_model(info)
    graph, network = Graph(write_graph(info, weights, "song", "1")), in_numpy(info, weights)
    state = network.start()
    for one in info.vocabulary.encode(run.read_held_out(info)).astype(np.int64):
        expected = network.step(state, int(one))
        assert np.abs(graph.step(one[None]) - expected).max() < AGREE
    assert graph.told["held_out_perplexity"]["alone"] == pytest.approx(24.13, abs=0.005)
    assert graph.told["held_out_perplexity"]["with_recall"] == pytest.approx(13.28, abs=0.005)
    assert graph.told["recall"]


# What stands beside the graph.


def test_a_program_finds_all_that_it_needs_in_the_file() -> None:
    options = TextOptions(newline="keep", tidy=True)
    info, weights = a_model(
        Architecture("gru", hidden=8), songs=True, labels=LABELS, options=options
    )
    graph = Graph(write_graph(info, weights, "分开\udc80", "1.2"))
    told, vocabulary = graph.told, info.vocabulary
    assert (told["cell"], told["hidden"], told["layers"], told["embedding"]) == ("gru", 8, 1, 0)
    assert told["name"] == "分开\udc80"
    assert len(told["characters"]) == len(vocabulary)
    for place, character in enumerate(told["characters"]):
        if character is not None:
            assert int(vocabulary.encode(character)[0]) == place
    nameless = {place for place, one in enumerate(told["characters"]) if one is None}
    assert nameless == {told["end"], *told["never"]}
    assert told["unknown"] == 0
    (label,) = told["labels"]
    values = dict(label["values"])
    assert (label["name"], set(values)) == ("artist", {"Sappho", "李白"})
    assert set(told["never"]) == {0, label["none"], *values.values()}
    assert told["begin"] == [told["end"], label["none"]]
    normalised = TextOptions(**told["text"])
    assert normalised == dataclasses.replace(options, songs=normalised.songs)
    assert told["held_out_perplexity"] == {"alone": None, "with_recall": None}
    meta = graph.session.get_modelmeta()
    assert meta.producer_name == "charlstm"
    assert "The network alone." in meta.description
    model = onnx.load_from_string(write_graph(info, weights, "song", "1.2"))
    assert model.producer_version == "1.2"


@pytest.mark.parametrize(
    ("text", "songs", "labels"),
    [
        (LYRICS, False, None),
        (LYRICS, True, None),
        (LYRICS, True, LABELS),
        ("no lines", False, None),
        # Of a run that began with one of songs, and learned a text of one piece.
        (f"{LYRICS}{END}{LABELS.none}\U00100001", False, LABELS),
        (f"no lines{END}{LABELS.none}\U00100001", False, LABELS),
    ],
)
def test_what_is_read_before_a_text_is_what_a_sampler_reads(
    text: str, songs: bool, labels: Any
) -> None:
    info, weights = a_model(text=text, songs=songs, labels=labels)
    told = Graph(write_graph(info, weights, "song", "1")).told
    sampler = make_sampler(in_numpy(info, weights), None, 0.0, info)
    read = "".join(marks_before(sampler, ""))
    assert told["begin"] == info.vocabulary.encode(read).tolist()
    never = {0, *info.vocabulary.marks.tolist()} - ({told["end"]} if songs else set())
    assert set(told["never"]) == never


@pytest.mark.parametrize("songs", [False, True])
@pytest.mark.parametrize("embedding", [0, 8])
def test_nothing_is_in_the_file_that_is_not_used(songs: bool, embedding: int) -> None:
    architecture = Architecture("peephole", hidden=8, layers=2, embedding=embedding)
    model = onnx.load_from_string(a_graph(architecture=architecture, songs=songs))
    used = {name for node in model.graph.node for name in node.input}
    made = {name for node in model.graph.node for name in node.output}
    assert {one.name for one in model.graph.initializer} <= used
    wanted = {one.name for one in model.graph.output}
    assert made - used - {""} == wanted
    assert not model.functions


def test_who_made_it_stands_at_the_beginning() -> None:
    assert a_graph()[2:].startswith(GRAPH)
    assert GRAPH == b"\x12\x08charlstm"


def test_a_model_that_no_such_file_has_room_for_is_one_sentence() -> None:
    info, weights = a_model(Architecture(hidden=24, embedding=6))
    recipe = dataclasses.replace(info.recipe, architecture=Architecture(hidden=10_100))
    with pytest.raises(RunError, match=r"^The model has 409,\d{3},\d{3} weights, and an ONNX file"):
        write_graph(dataclasses.replace(info, recipe=recipe), weights, "song", "1")


@pytest.mark.parametrize("coupling", [0, 1])
def test_the_coupled_cell_is_the_same_whichever_gate_is_made_from_the_other(coupling: int) -> None:
    info, weights = a_model(Architecture("coupled", hidden=16))
    model = onnx.load_from_string(write_graph(info, weights, "song", "1"))
    (cell,) = (node for node in model.graph.node if node.op_type == "LSTM")
    (attribute,) = (one for one in cell.attribute if one.name == "input_forget")
    # Without it the operator computes both gates.
    attribute.i = coupling
    graph, network = Graph(model.SerializeToString()), in_numpy(info, weights)
    state = network.start()
    for one in info.vocabulary.encode(LYRICS[:STEPS]).astype(np.int64):
        network.step(state, int(one))
        assert differences(graph, graph.step(one[None]), network, state) < AGREE
