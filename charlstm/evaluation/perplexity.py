"""How well a model predicts a text, and what to compare that figure with."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from charlstm.errors import CorpusError, count
from charlstm.evaluation.adapting import adapting_surprisal
from charlstm.evaluation.dynamic import dynamic_surprisal
from charlstm.evaluation.labels import Worth, worth
from charlstm.figures import bits, perplexity
from charlstm.model.charlm import CharLM
from charlstm.model.recall.learning import count_ngram, newest
from charlstm.model.recall.measured import Measured
from charlstm.model.recall.ngram import Real, nats_of
from charlstm.model.recall.recall import Recall
from charlstm.model.surprisal import surprisal
from charlstm.model.threads import Threads
from charlstm.text.corpus import IdArray
from charlstm.text.songs import END
from charlstm.text.vocabulary import UNKNOWN, Vocabulary

PIECES = 20
"""Of so many pieces of a text a standard error is made."""

# Each of at least so many symbols.
_LEAST = 20


@dataclass(frozen=True)
class Evaluation:
    """The figures of one text under one model.

    Attributes:
        loss: mean negative log-likelihood in nats a predicted symbol: a character, or the end of a
            song. It is that of what writes: of the blend, or of the network where it is alone.
        characters: how many were predicted: all but the first; in songs, all.
        utf8_bytes: what those characters take in UTF-8; the end of a song takes none.
        unknown_share: the share of them that the vocabulary lacks; each was predicted as
            ``<unk>``.
        uniform_perplexity: of the model that finds every id as likely as any other: V.
        unigram_perplexity: of the model that knows only how often each character appeared in the
            training text (with one added to each count).
        surprisal: ``[characters]``, in bits: -log2 of the probability of each character but the
            first. Their mean is `bits_per_character`.
        dynamic_loss: the loss of the network alone that goes on learning from the text as it reads,
            see `charlstm.evaluation.dynamic`; ``None`` if it was not asked for.
        ends: how many ends of songs were predicted.
        end_loss: mean negative log-likelihood of those, in nats; 0 if there were none.
        labels: what the labels of the songs are worth; ``None`` without labels. They are read and
            count nowhere else.
        network_loss: of the network alone; ``None`` where that is what writes.
        recall_loss: of the network and the n-gram model of the training text, without what the song
            so far has said; ``None`` where there is no such model.
        five_gram_loss: of a 5-gram model of the training text alone; ``None`` where that is not
            kept.
        adapting_loss: of the blend that goes on counting and learning, see
            `charlstm.evaluation.adapting`, or `dynamic_loss` where there is no blend; ``None`` if
            it was not asked for.
    """

    loss: float
    characters: int
    utf8_bytes: int
    unknown_share: float
    uniform_perplexity: float
    unigram_perplexity: float
    surprisal: NDArray[np.float32] = field(repr=False, compare=False)
    dynamic_loss: float | None = None
    ends: int = 0
    end_loss: float = 0.0
    labels: Worth | None = None
    network_loss: float | None = None
    recall_loss: float | None = None
    five_gram_loss: float | None = None
    adapting_loss: float | None = None

    @property
    def character_loss(self) -> float:
        """The loss of the characters alone, without the ends of songs."""
        total = self.loss * (self.characters + self.ends) - self.end_loss * self.ends
        return total / self.characters

    @property
    def perplexity(self) -> float:
        """exp(loss): among how many equally likely characters the model hesitates."""
        return perplexity(self.loss)

    @property
    def bits_per_character(self) -> float:
        """Loss / ln 2."""
        return bits(self.loss)

    @property
    def bits_per_byte(self) -> float:
        """All bits / all UTF-8 bytes: the figure that compares across vocabularies."""
        return bits(self.loss) * (self.characters + self.ends) / self.utf8_bytes

    @property
    def standard_error(self) -> float | None:
        """How far from `loss` that of other text of the same kind may well be, in nats.

        The standard error by batch means: the text is cut into 20 pieces, because neighbours depend
        on each other and pieces hardly do (Schmeiser 1982, "Batch Size Effects in the Analysis of
        Simulation Output", recommends 10 to 30). ``None`` where a piece would have fewer than 20
        symbols.
        """
        if len(self.surprisal) < PIECES * _LEAST:
            return None
        pieces = np.array_split(self.surprisal.astype(np.float64), PIECES)
        means = np.array([piece.mean() for piece in pieces]) * math.log(2)
        return float(means.std(ddof=1)) / math.sqrt(PIECES)

    @property
    def parts(self) -> dict[str, float | None]:
        """The losses of the parts of the blend and of simpler models, by name; see `to_json`."""
        adapting = {} if self.dynamic_loss is None else {"adapting": self.adapting_loss}
        return {
            "lstm": self.loss if self.network_loss is None else self.network_loss,
            "recall": self.recall_loss,
            "so_far": None if self.network_loss is None else self.loss,
            "five_gram": self.five_gram_loss,
            "unigram": math.log(self.unigram_perplexity),
            "uniform": math.log(self.uniform_perplexity),
            **adapting,
        }

    def to_json(self) -> dict[str, Any]:
        """Return every figure of the whole text by its name."""
        dynamic = {}
        if self.dynamic_loss is not None:
            dynamic = {
                "dynamic_loss": self.dynamic_loss,
                "dynamic_perplexity": perplexity(self.dynamic_loss),
                "dynamic_bits_per_character": bits(self.dynamic_loss),
            }
        return {
            "loss": self.loss,
            "perplexity": self.perplexity,
            "bits_per_character": self.bits_per_character,
            "bits_per_byte": self.bits_per_byte,
            "characters": self.characters,
            "ends": self.ends,
            "character_loss": self.character_loss,
            "standard_error": self.standard_error,
            "unknown_share": self.unknown_share,
            "uniform_perplexity": self.uniform_perplexity,
            "unigram_perplexity": self.unigram_perplexity,
            **({} if self.labels is None else self.labels.to_json()),
            **dynamic,
            **{name: _figures(loss) for name, loss in self.parts.items()},
        }


def evaluate(
    model: CharLM,
    vocabulary: Vocabulary,
    text: str,
    *,
    recall: Recall | None = None,
    share: float = 0.0,
    learned: IdArray | None = None,
    dynamic: bool = False,
    on_progress: Callable[[int], object] | None = None,
    threads: Sequence[int] = (),
) -> Evaluation:
    """Measure `model` on `text`, read in one pass with its state carried from end to end.

    Args:
        model: any backend, any device; it is not changed.
        vocabulary: the model's own.
        text: normalised as the training text was, and with the ends of songs and their labels if
            that had them; see `charlstm.text.songs.with_ends`.
        recall: what the network is blended with; ``None`` for the network alone.
        share: of that.
        learned: the training text, for the 5-gram model and for what goes on counting; ``None``
            where it is not kept.
        dynamic: whether to measure by dynamic evaluation as well, which takes far longer.
        on_progress: called after each segment of dynamic evaluation with its number of characters.
        threads: the numbers of threads that torch may choose from; nothing leaves them alone.

    Raises:
        CorpusError: the text has fewer than two characters.
    """
    if len(text) < 2:
        raise CorpusError(
            f"A text of {count(len(text), 'character')} cannot be measured: at least 2 are needed, "
            "since the first is only read."
        )
    ids = vocabulary.encode(text)
    asked = _Asked(model, share, tuple(threads))
    # Labels change nothing in what is remembered.
    recalled = None if recall is None else recall.measure(ids)
    of_network = asked.network(ids)
    each = asked.both(of_network, recalled)
    # Labels are read and never predicted.
    label = vocabulary.unpredicted
    counted = np.ones(len(each), dtype=bool) if label is None else ~label[ids[1:]]
    if not counted.any():
        raise CorpusError("A text of nothing but labels cannot be measured: it has no characters.")
    labels = worth(vocabulary, ids, each, lambda ids: asked.both(asked.network(ids), recalled))

    def mean(nats: NDArray[np.floating[Any]]) -> float:
        return float(nats[counted].astype(np.float64).mean())

    recall_loss = five_gram_loss = dynamic_loss = adapting_loss = None
    if recalled is not None and recalled.ngram is not None:
        recall_loss = mean(nats_of(recalled.static(np.exp(-of_network), share)))
    if learned is not None:
        five_gram_loss = mean(_of_five_gram(vocabulary, learned, ids))
    if dynamic:
        of_dynamic = asked.learning(ids, label, on_progress)
        dynamic_loss = adapting_loss = mean(of_dynamic)
        if recall is not None and recalled is not None:
            adapting = adapting_surprisal(recall, recalled, learned, ids, of_network, of_dynamic)
            adapting_loss = mean(adapting)
    targets, each = ids[1:][counted], each[counted]
    nats = each.astype(np.float64)
    is_end = targets == (-1 if vocabulary.end is None else vocabulary.end)
    ends = int(is_end.sum())
    written = vocabulary.labels.stripped(text[1:].replace(END, "") if ends else text[1:])
    return Evaluation(
        loss=float(nats.sum()) / len(nats),
        characters=len(nats) - ends,
        ends=ends,
        end_loss=float(nats[is_end].sum()) / max(ends, 1),
        utf8_bytes=len(written.encode("utf-8", "surrogatepass")),
        unknown_share=float(np.mean(targets == UNKNOWN)),
        uniform_perplexity=float(len(vocabulary) - (0 if label is None else label.sum())),
        unigram_perplexity=perplexity(_unigram_loss(vocabulary, targets, label)),
        surprisal=each / np.float32(math.log(2)),
        dynamic_loss=dynamic_loss,
        labels=labels,
        network_loss=None if recalled is None else mean(of_network),
        recall_loss=recall_loss,
        five_gram_loss=five_gram_loss,
        adapting_loss=adapting_loss,
    )


@dataclass(frozen=True)
class _Asked:
    """What is asked about a text; see `evaluate`. All answers are nats, ``[N - 1]``."""

    model: CharLM
    share: float
    threads: tuple[int, ...]

    def network(self, ids: IdArray) -> Real:
        """Return the surprisal of the network alone."""
        return surprisal(self.model, ids, threads=self._threads()).double().numpy()

    def both(self, of_network: Real, recalled: Measured | None) -> NDArray[np.float32]:
        """Return the surprisal of what writes, by that of the network."""
        if recalled is None:
            return of_network.astype(np.float32)
        return recalled.surprisal(of_network, self.share)[0].astype(np.float32)

    def learning(
        self,
        ids: IdArray,
        unpredicted: NDArray[np.bool_] | None,
        on_progress: Callable[[int], object] | None,
    ) -> NDArray[np.float32]:
        """Return the surprisal of a network that goes on learning."""
        return dynamic_surprisal(
            self.model,
            ids,
            unpredicted=unpredicted,
            on_progress=on_progress,
            threads=self._threads(),
        ).numpy()

    def _threads(self) -> Threads | None:
        return Threads(self.threads) if self.threads else None


def _of_five_gram(vocabulary: Vocabulary, learned: IdArray, ids: IdArray) -> Real:
    """Return the surprisal of a 5-gram model of a training text."""
    never = vocabulary.unpredicted
    five_gram = count_ngram(
        newest(learned, never), len(vocabulary), order=5, end=vocabulary.end, unpredicted=never
    )
    return nats_of(five_gram.probabilities(ids))


def _figures(loss: float | None) -> dict[str, float] | None:
    if loss is None:
        return None
    return {"loss": loss, "perplexity": perplexity(loss), "bits_per_character": bits(loss)}


def _unigram_loss(
    vocabulary: Vocabulary, targets: IdArray, unpredicted: NDArray[np.bool_] | None
) -> float:
    counts = np.array(vocabulary.counts, dtype=np.float64) + 1
    if unpredicted is not None:
        counts[unpredicted] = 0
    nats = math.log(counts.sum()) - np.log(counts, where=counts > 0, out=np.zeros(len(counts)))
    return float(nats[targets].sum()) / len(targets)
