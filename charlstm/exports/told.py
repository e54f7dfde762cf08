"""What is told of a model that is taken along: what it is worth, and the labels that it reads."""

from dataclasses import dataclass
from typing import Any

from charlstm.runs.info import RunInfo
from charlstm.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Figures:
    """The held-out perplexities that a run has told, ``None`` where nothing was measured.

    Attributes:
        alone: of the network alone.
        blend: of the network and what is remembered, if the run writes so.
    """

    alone: float | None
    blend: float | None

    @classmethod
    def of(cls, info: RunInfo) -> "Figures":
        """Return those of the weights that a run writes with."""
        report = info.best or info.last
        if report is None:
            return cls(None, None)
        if info.recall is None:
            return cls(report.validation_perplexity, None)
        return cls(report.network_perplexity, report.validation_perplexity)


def told_labels(vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """Return the names of the labels, the id of none of each, and its values with their ids."""
    labels = vocabulary.labels
    return [
        {
            "name": name,
            "none": int(vocabulary.encode(none)[0]),
            "values": [
                [value, int(vocabulary.encode(symbol)[0])]
                for value, symbol in labels.values[name].items()
            ],
        }
        for name, none in zip(labels.names, labels.none, strict=True)
    ]
