"""The n-gram model that a comparison is held against: counted from the same text, never trained."""

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from charlstm.checks import check_real
from charlstm.errors import CharLSTMError
from charlstm.figures import ENDLESS, LARGEST, perplexity
from charlstm.files import parse, read_bytes, write_whole
from charlstm.model.recall.ngram import nats_of
from charlstm.sessions.fitting import Fitted
from charlstm.sessions.plan import Plan

NAME = "ngram"
"""What it is called among the trials."""


@dataclass(frozen=True)
class Counted:
    """How well an n-gram model, modified Kneser-Ney, does without any network.

    Attributes:
        order: of how many characters its longest grams are.
        grams: how many it has.
        seconds: what counting took, and finding how strongly the text holds to what it expects.
        loss: of the held-out text, in nats a predicted symbol.
        recall_loss: of what it comes to with the song so far.
    """

    order: int
    grams: int
    seconds: float
    loss: float
    recall_loss: float

    @property
    def perplexity(self) -> float:
        """Of the held-out text."""
        return perplexity(self.loss)

    @property
    def recall_perplexity(self) -> float:
        """Of the held-out text, with the song so far."""
        return perplexity(self.recall_loss)


def counted_from(plan: Plan) -> Counted | None:
    """Count the training text of a plan and measure its held-out text; ``None`` without any."""
    fitted = Fitted(
        plan.corpus, replace(plan.recipe, recall=1.0), plan.training_characters, plan.vocabulary
    )
    ids = np.asarray(fitted.measured[:])
    if len(ids) < 2:
        return None
    began = time.monotonic()
    recall = fitted.recall()
    seconds = time.monotonic() - began
    assert recall is not None, "all of it is asked for"
    assert recall.ngram is not None, "its grams as well"
    measured = recall.measure(ids)
    counted = slice(None) if recall.unpredicted is None else ~recall.unpredicted[ids[1:]]
    nothing = np.zeros(len(ids) - 1)  # which is all that the network, without a share, gives
    losses = (
        float(nats_of(found[counted]).mean())
        for found in (measured.static(nothing, 1.0), measured.blended(nothing, 1.0))
    )
    return Counted(
        recall.ngram.order,
        sum(len(level.symbols) for level in recall.ngram.levels),
        round(seconds, 3),
        *losses,
    )


def write_counted(path: Path, counted: Counted) -> None:
    """Keep the figures, so that a comparison that goes on says the same."""
    write_whole(path, (json.dumps(asdict(counted)) + "\n").encode())


def read_counted(path: Path) -> Counted | None:
    """Return the figures that were kept; ``None`` if none were, or what is there is something else.

    They are only shown; where something is wrong with them they are counted anew with the next
    trial.
    """
    try:
        value = parse(path, read_bytes(path))
        counted = Counted(**value) if isinstance(value, dict) else None
        for name, number in ({} if counted is None else asdict(counted)).items():
            check_real(name, number, 0, ENDLESS if name == "seconds" else LARGEST)
    except (CharLSTMError, TypeError):
        return None
    return counted
