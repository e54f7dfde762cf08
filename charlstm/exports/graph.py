"""A network as an ONNX graph, which other programs run in other languages.

The graph is one step: it takes the ids that B streams read and their state, and gives the logits of
what comes next and the next state. Every layer is one operator of the standard's, LSTM, GRU or RNN,
whose gates and inputs stand in another order than those of a checkpoint.

See https://onnx.ai/onnx/operators/ for what each operator computes.
"""

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import MissingLibraryError, RunError
from charlstm.exports.told import Figures, told_labels
from charlstm.outputs import MAKER
from charlstm.recipes.architecture import Architecture
from charlstm.runs.info import RunInfo
from charlstm.runs.tensors import Arrays
from charlstm.text.songs import END
from charlstm.text.vocabulary import UNKNOWN

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

# Those of ONNX 1.9 (2021): nothing here needs younger ones, and older programs read them.
_OPSET, _FORMAT = 14, 7
# A file of protobuf has at most 2 GiB, and the coupled cell takes one block in three more here.
_MOST_WEIGHTS = 400_000_000


class _Operator(NamedTuple):
    """How a cell is told to the standard.

    Attributes:
        name: of the operator.
        order: the checkpoint's blocks in the operator's order: i, o, f, c of LSTM, z, r, h of GRU.
        attributes: of the operator, where they are not the usual ones.
    """

    name: str
    order: tuple[int, ...]
    attributes: dict[str, int]


_OPERATORS = {
    "lstm": _Operator("LSTM", (0, 3, 1, 2), {}),
    "peephole": _Operator("LSTM", (0, 3, 1, 2), {}),
    # The standard couples i and f without a word on which one is made from the other. So i has the
    # weights of f, negated: 1 - sigmoid(x) = sigmoid(-x), and either way round it is the same.
    "coupled": _Operator("LSTM", (0, 2, 0, 1), {"input_forget": 1}),
    # The reset gate after the product.
    "gru": _Operator("GRU", (1, 0, 2), {"linear_before_reset": 1}),
    "rnn": _Operator("RNN", (0,), {}),
}
# The peepholes of i, f, o, in the operator's order i, o, f.
_PEEPHOLES = (0, 2, 1)


def write_graph(info: RunInfo, weights: Arrays, name: str, version: str) -> bytes:
    """Return an ONNX file with a network in it.

    Inputs are ``ids``, ``[B]`` int64, and the state ``h``, ``[L, B, H]`` float32, with ``c`` where
    the cell has one: zeros before the first character. Outputs are ``logits``, ``[B, V]``, and
    ``next_h``, ``next_c``. Its metadata are JSON; see ``docs/runs.md``.

    Args:
        info: what ``run.json`` says of its run.
        weights: of the model, float32.
        name: of the run.
        version: of charlstm.

    Raises:
        MissingLibraryError: ``charlstm[onnx]`` is not installed.
        RunError: it is too large for such a file.
    """
    try:
        import onnx
    except ImportError:
        raise MissingLibraryError(
            "ONNX files need the library onnx, and that is not installed: "
            "pip install 'charlstm[onnx]'."
        ) from None
    size = info.recipe.architecture.parameter_count(len(info.vocabulary))
    if size > _MOST_WEIGHTS:
        raise RunError(
            f"The model has {size:,} weights, and an ONNX file of one piece has room for "
            f"{_MOST_WEIGHTS:,}."
        )
    model = _model(info, weights, version)
    onnx.helper.set_model_props(
        model, {key: json.dumps(value) for key, value in _told(info, name).items()}
    )
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString()
    return data


def _model(info: RunInfo, weights: Arrays, version: str) -> "ModelProto":
    from onnx import TensorProto, helper

    architecture, V = info.recipe.architecture, len(info.vocabulary)
    graph = _Graph()
    _draw_step(graph, architecture, weights, info.vocabulary.end)
    shape = (architecture.layers, "B", architecture.hidden)
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["B"])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["B", V])]
    for part in architecture.state_names:
        inputs.append(helper.make_tensor_value_info(part, TensorProto.FLOAT, shape))
        outputs.append(helper.make_tensor_value_info(f"next_{part}", TensorProto.FLOAT, shape))
    return helper.make_model(
        helper.make_graph(graph.nodes, "step", inputs, outputs, graph.constants),
        producer_name=MAKER,
        producer_version=version,
        doc_string=_description(info),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_FORMAT,
    )


class _Graph:
    """Nodes and constants as they are gathered, each named by what it gives."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        """Add a constant; return its name."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def whole(self, name: str, value: int, *, many: bool = False) -> str:
        """Add a whole number, or a row of one; return its name."""
        return self.constant(name, np.array([value] if many else value, dtype=np.int64))

    def node(self, operator: str, inputs: list[str], *outputs: str, **attributes: Any) -> str:
        """Add a node; return the name of its first output, or of the second where that has none."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, list(outputs), **attributes))
        return next(filter(None, outputs))


def _draw_step(graph: _Graph, architecture: Architecture, weights: Arrays, end: int | None) -> None:
    """Draw one step of all layers and of the head.

    What an operator gives as its last state has the shape of one step of its output,
    ``[1, B, H]``, so that is what the next layer reads.
    """
    parts, L = architecture.state_names, architecture.layers
    first = graph.whole("first", 0, many=True)
    state = {part: part for part in parts}
    if end is not None:
        state = _begun(graph, parts, end)
    layers = {part: [f"{part}_l{layer}" for layer in range(L)] for part in parts}
    for part in parts:
        graph.node("Split", [state[part]], *layers[part], axis=0)
    if architecture.embedding:
        table = graph.constant("embedding", weights["embedding.weight"])
        x = graph.node("Gather", [table, "ids"], "read")
    else:
        # The operators multiply what they read by their matrix. A table of such rows would have
        # V * V numbers; all products but one are 0, so nothing is rounded.
        depth = graph.whole("V", len(weights["head.weight"]))
        values = graph.constant("off_on", np.array([0, 1], dtype=np.float32))
        x = graph.node("OneHot", ["ids", depth, values], "read")
    x = graph.node("Unsqueeze", [x, first], "x_l0")
    for layer in range(L):
        before = [layers[part][layer] for part in parts]
        x = _draw_layer(graph, architecture, weights, layer, [x, *before])
    h = graph.node("Squeeze", [x, first], "h_top")
    head = graph.constant("head.weight", weights["head.weight"])
    bias = graph.constant("head.bias", weights["head.bias"])
    graph.node("Gemm", [h, head, bias], "logits", transB=1)
    for part in parts:
        after = [f"next_{part}_l{layer}" for layer in range(L)]
        graph.node("Concat", after, f"next_{part}", axis=0)


def _begun(graph: _Graph, parts: tuple[str, ...], end: int) -> dict[str, str]:
    """Draw that streams which read the end mark begin anew; return the names of their state."""
    mark = graph.whole("end", end)
    zero = graph.constant("zero", np.zeros((), dtype=np.float32))
    second = graph.whole("second", 1, many=True)
    ends = graph.node("Equal", ["ids", mark], "ends")
    begins = graph.node("Unsqueeze", [ends, second], "begins")
    return {part: graph.node("Where", [begins, zero, part], f"{part}_begun") for part in parts}


def _draw_layer(
    graph: _Graph, architecture: Architecture, weights: Arrays, layer: int, inputs: list[str]
) -> str:
    """Draw a layer; return the name of its output.

    Args:
        graph: that it is added to.
        architecture: whose layer it is.
        weights: of the model.
        layer: which.
        inputs: what it reads, and its state.
    """
    operator = _OPERATORS[architecture.cell]
    into = {
        kind: _arranged(architecture, weights[f"recurrent.{kind}_l{layer}"])
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    bias = np.concatenate((into["bias_ih"], into["bias_hh"]), axis=1)
    W = graph.constant(f"W_l{layer}", into["weight_ih"])
    R = graph.constant(f"R_l{layer}", into["weight_hh"])
    B = graph.constant(f"B_l{layer}", bias)
    x, *state = inputs
    inputs = [x, W, R, B, "", *state]  # without the lengths of sequences: all have one step
    if architecture.cell == "peephole":
        peepholes = weights[f"recurrent.weight_peephole_l{layer}"]
        inputs.append(graph.constant(f"P_l{layer}", peepholes[list(_PEEPHOLES)].reshape(1, -1)))
    after = [f"next_{part}_l{layer}" for part in architecture.state_names]
    return graph.node(
        operator.name,
        inputs,
        "",
        *after,
        hidden_size=architecture.hidden,
        **operator.attributes,
    )


def _arranged(architecture: Architecture, rows: NDArray[Any]) -> NDArray[Any]:
    """``[G*H, ...]`` as in the checkpoint -> ``[1, ..., ...]`` as the operator has it."""
    blocks = rows.reshape(architecture.blocks, architecture.hidden, *rows.shape[1:])
    arranged = blocks[list(_OPERATORS[architecture.cell].order)]
    if architecture.cell == "coupled":
        arranged[0] *= -1
    return arranged.reshape(1, -1, *rows.shape[1:])


def _told(info: RunInfo, name: str) -> dict[str, Any]:
    """Return what a program has to know of a network beside its graph."""
    architecture, vocabulary, text = info.recipe.architecture, info.vocabulary, info.recipe.text
    marks = {UNKNOWN, *vocabulary.marks.tolist()}
    ends = set() if info.songs is None else {vocabulary.end}
    figures = Figures.of(info)
    return {
        "name": name,
        "cell": architecture.cell,
        "hidden": architecture.hidden,
        "layers": architecture.layers,
        "embedding": architecture.embedding,
        "weights": architecture.parameter_count(len(vocabulary)),
        # In the order of the ids; what stands for no character is null.
        "characters": [
            None if place in marks else character
            for place, character in enumerate(("", *vocabulary.characters))
        ],
        "unknown": UNKNOWN,
        "end": vocabulary.end,
        "labels": told_labels(vocabulary),
        "begin": _begin(info),
        "never": sorted(marks - ends),
        "text": {
            "normalize": text.normalize,
            "newline": text.newline,
            "tidy": text.tidy,
            "line_ends": text.line_ends,
            "letters_only": text.letters_only,
        },
        "learned": info.training_characters,
        "held_out_perplexity": {"alone": figures.alone, "with_recall": figures.blend},
        "recall": info.recall is not None,
    }


def _begin(info: RunInfo) -> list[int]:
    """Return the ids that are read before a text; see `charlstm.writing.beginning.marks_before`."""
    vocabulary = info.vocabulary
    song = END + vocabulary.labels.none
    text = song
    if info.songs is None:
        text = "\n" if "\n" in vocabulary else ""
        if vocabulary.labels and text:  # a line has the labels of its song
            text = song + text
    return [int(one) for one in vocabulary.encode(text)]


def _description(info: RunInfo) -> str:
    told = (
        "One step of a character-level language model: the ids that are read and the state, in; "
        "the logits of the next character and the next state, out. The network alone."
    )
    if info.recall is not None:
        told += " What its run remembers of its text, and of the song so far, is not in it."
    return told
