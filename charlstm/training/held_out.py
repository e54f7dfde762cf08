"""The held-out text of a training, and how good a model is on it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from charlstm.model.charlm import CharLM
from charlstm.model.recall.measured import Measured
from charlstm.model.recall.recall import Recall
from charlstm.model.surprisal import mean_surprisal
from charlstm.text.vocabulary import Ids
from charlstm.training.distributed import ALONE, Workers

# It is read in up to this many streams at once while training; `eval` reads it in one.
_STREAMS = 64


@dataclass(frozen=True)
class Losses:
    """Mean negative log-likelihoods of a held-out text, in nats a character.

    Attributes:
        used: of what will write: of the blend, or of the network if that is alone; ``None`` where
            nothing is held out.
        network: of the network alone where `used` is of a blend; ``None`` otherwise.
    """

    used: float | None = None
    network: float | None = None


@dataclass
class HeldOut:
    """A text that is measured and never learned from.

    Attributes:
        ids: ``[N]``; empty for none.
        unpredicted: ``[V]``: the ids that are read and do not count; ``None`` if all do.
        recall: of the training text, where the loss is to be that of the blend; ``None`` for the
            network alone.
        share: of that.
        workers: who measures it together.
    """

    ids: Ids
    unpredicted: NDArray[np.bool_] | None = None
    recall: Recall | None = None
    share: float = 0.0
    workers: Workers = ALONE
    _recalled: Measured | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        # What is remembered does not change while the network learns.
        if self.recall is not None and len(self.ids) > 1:
            self._recalled = self.recall.measure(self.ids)

    def losses(self, model: CharLM) -> Losses:
        """Measure a model, which is the same for all workers; all do at the same moment.

        Raises:
            WorkerError: another worker is gone.
        """
        if len(self.ids) < 2:
            return Losses()
        means = mean_surprisal(
            model,
            self.ids,
            streams=_STREAMS,
            unpredicted=self.unpredicted,
            measured=self._recalled,
            share=self.share,
            deal=self.workers.deal,
            together=self.workers.total,
        )
        return Losses(means.blended, None if self._recalled is None else means.network)
