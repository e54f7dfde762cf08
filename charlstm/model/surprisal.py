"""How much each character of a text surprises a model: its negative log-likelihood, in nats."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from charlstm.model.charlm import CharLM
from charlstm.model.recall.measured import Measured
from charlstm.model.rows import Rows
from charlstm.model.threads import Threads
from charlstm.text.vocabulary import Ids


def surprisal(
    model: CharLM,
    ids: Ids,
    *,
    streams: int = 1,
    run_up: int = 512,
    threads: Threads | None = None,
) -> Tensor:
    """Return the negative log-likelihood of every character of a text but the first.

    The state is carried through the whole text. With several streams the text is cut into as
    many pieces that are read side by side, each after the `run_up` characters before it, which are
    read but not counted: by then a forgetful network has the state that one pass would have had. In
    a text of songs any network has, as soon as a song has begun among those characters.

    Args:
        model: nothing is dropped, and nothing in it changes.
        ids: ``[N]`` the text, N >= 2.
        streams: how many pieces.
        run_up: characters read before each piece.
        threads: chooses with how many torch computes; ``None`` leaves them alone.

    Returns:
        ``[N - 1]`` float32 on the CPU, in nats.
    """
    result = torch.empty(len(ids) - 1)
    for part in _read(model, ids, streams, run_up, threads):
        nats = part.nats[part.skipped :]
        result[part.counted : part.counted + len(nats)] = nats
    return result


Sums = NDArray[np.float64]
"""``[streams, 3]``: nats of the network, nats of the blend, and of how many characters."""


class Means(NamedTuple):
    """Mean negative log-likelihoods of a text, in nats a character.

    Attributes:
        network: of the network alone.
        blended: of what it is blended with; the same where that is nothing.
    """

    network: float
    blended: float


def mean_surprisal(
    model: CharLM,
    ids: Ids,
    *,
    streams: int = 1,
    run_up: int = 512,
    unpredicted: NDArray[np.bool_] | None = None,
    measured: Measured | None = None,
    share: float = 0.0,
    deal: Callable[[int], Rows] = Rows.dealt,
    together: Callable[[Sums], Sums] = lambda sums: sums,
) -> Means:
    """Return the mean of what `surprisal` returns, without ever holding it whole.

    Args:
        model: see there.
        ids: see there.
        streams: see there.
        run_up: see there.
        unpredicted: ``[V]``: the ids that are read and do not count; ``None`` if all do.
        measured: what the text is to a recall, if the model is blended with one.
        share: of that.
        deal: returns which of so many streams are read here; all of them where nobody else reads.
        together: returns the sums of all streams, given those of the streams that are read here,
            with zeros for the others.
    """
    # Each stream has its own, so that the mean does not depend on who has read which.
    sums = np.zeros((streams, 3))
    # Of each stream: how much the n-gram model leads.
    leads = defaultdict[int, float](float)
    for part in _read(model, ids, streams, run_up, deal=deal):
        stream, nats = part.stream, part.nats.double().numpy()
        both = nats
        if measured is not None:
            both, leads[stream] = measured.surprisal(nats, share, part.start, leads[stream])
        nats, both = nats[part.skipped :], both[part.skipped :]
        if unpredicted is not None:
            first = part.counted + 1
            predicted = ~unpredicted[ids[first : first + len(nats)]]
            nats, both = nats[predicted], both[predicted]
        sums[stream] += nats.sum(), both.sum(), len(nats)
    network, blended, counted = map(float, together(sums).sum(axis=0))
    return Means(network / max(counted, 1), blended / max(counted, 1))


class _Part(NamedTuple):
    """A part of what one stream has read.

    Attributes:
        stream: which.
        start: the place of its first character in the text, less one.
        nats: ``[M]``, of each character.
        skipped: how many of them, at the beginning, another stream counts.
    """

    stream: int
    start: int
    nats: Tensor
    skipped: int

    @property
    def counted(self) -> int:
        """Where those begin that count."""
        return self.start + self.skipped


@torch.no_grad()
def _read(
    model: CharLM,
    ids: Ids,
    streams: int,
    run_up: int,
    threads: Threads | None = None,
    deal: Callable[[int], Rows] = Rows.dealt,
) -> Iterator[_Part]:
    """Yield stretches of a text's surprisal, in the order of each stream.

    Every place of the streams that are read here counts once.
    """
    total = len(ids) - 1
    streams = max(1, min(streams, total // max(2 * run_up, 1)))
    # The first stream counts all that it reads, run_up + length; each of the others, length more.
    length = -(-(total - run_up) // streams) if streams > 1 else total
    reach = run_up + length if streams > 1 else total
    starts = [min(k * length, total - reach) for k in range(streams)]
    # Where the stream before ends, counted from where this one begins.
    uncounted = [0, *(starts[k - 1] + reach - starts[k] for k in range(1, streams))]

    device = model.head.weight.device
    rows = deal(streams)
    if not rows.number:
        return
    state = model.zero_state(rows.number)
    # Whatever is largest at a position, the logits or a layer's gates and states: about 32 MB for
    # all streams, so that pieces end where they end however many are read here.
    widest = max(model.vocabulary_size, 8 * model.architecture.hidden)
    piece = max(1, (1 << 23) // (streams * widest))
    for at in range(0, reach, piece):
        end = min(at + piece, reach)
        read = [ids[start + at : start + end + 1] for start in starts[rows.part]]
        text = torch.from_numpy(np.stack(read, axis=1).astype(np.int64)).to(device)
        # Only whole pieces take equally long.
        whole = end - at == piece
        with threads.piece() if threads is not None and whole else nullcontext():
            logits, state = model(text[:-1], state)
        loss = functional.cross_entropy(logits.flatten(0, 1), text[1:].flatten(), reduction="none")
        nats = loss.view(-1, rows.number).cpu()
        for column, k in enumerate(range(streams)[rows.part]):
            skipped = min(max(uncounted[k] - at, 0), end - at)
            yield _Part(k, starts[k] + at, nats[:, column], skipped)
