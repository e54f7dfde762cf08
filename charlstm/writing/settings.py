"""How a model is asked to write, by the names of the settings; every one may be left out."""

from collections.abc import Sequence
from typing import TypedDict

from charlstm.text.labels import Label
from charlstm.writing.constraints import Constraint
from charlstm.writing.decoding import Processor


class WritingSettings(TypedDict, total=False):
    """How a model writes; every part may be left out.

    Attributes:
        temperature: see `charlstm.writing.decoding.Decoding`, as for the next five.
        top_k: see there.
        top_p: see there.
        min_p: see there.
        no_repeat: see there.
        allow_loops: see there.
        max_copy: never write more than this many letters, as people see them, in a row that appear
            in this order in the training text; ``None`` does not look.
        processors: what else may change the logits; see `charlstm.writing.decoding`.
        seed: the same one writes the same text; by default a random one.
        unknown: see `charlstm.writing.task.SamplingSettings`.
        recall: the share of what is remembered of the training text, from 0, the network alone,
            to 1; the recipe's own where ``None``.
        label: what the model reads before a song, by the names of the labels that it learned:
            ``{"artist": "Sappho"}``; see `charlstm.writing.sampler.Sampler.labelled`.
    """

    temperature: float
    top_k: int
    top_p: float
    min_p: float
    no_repeat: int
    allow_loops: bool
    max_copy: int | None
    processors: Sequence[Processor]
    seed: int | None
    unknown: str
    recall: float | None
    label: Label | None


class GenerationSettings(WritingSettings, total=False):
    """How a model continues a prefix; every part may be left out.

    Attributes:
        length: see `charlstm.writing.task.SamplingSettings`, as for the next two.
        lines: see there.
        stop: see there.
        refrain: whether the stanza that comes back in the training songs does so in these too, and
            at the same place; see `charlstm.writing.refrain`.
    """

    length: int | None
    lines: int | None
    stop: Sequence[str]
    refrain: bool


class FormSettings(WritingSettings, total=False):
    """How a model writes to a form; every part may be left out.

    Attributes:
        constraints: what else each line must meet.
    """

    constraints: Sequence[Constraint]
