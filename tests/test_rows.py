"""What each of several workers reads and drops, without any of the others: tests in one process."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trainers import V

from charlstm.model.charlm import CharLM
from charlstm.model.recurrent.dropout import drop
from charlstm.model.rows import Rows
from charlstm.model.surprisal import Sums, mean_surprisal
from charlstm.recipes.architecture import CELLS, LIBRARY_CELLS, Architecture
from charlstm.training.batches import Labelled, Window, Windows

BOTH = [(cell, "scratch") for cell in CELLS] + [(cell, "torch") for cell in LIBRARY_CELLS]

BATCH, LENGTH = 5, 11
# Songs of 13 characters, the first of which is their label.
SONG = np.array([5, 1, 2, 3, 1, 2, 3, 4, 3, 2, 1, 2, 6])
IDS = np.tile(SONG, 40).astype(np.uint16)
ENDS = np.flatnonzero(IDS == 6)
LABELLED = Labelled(np.where(np.arange(V) == 5, 0, -1), np.array([0]), ENDS)


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(1, 20))
def test_every_row_has_one_worker_and_no_worker_two_more_than_another(
    whole: int, count: int
) -> None:
    shares = [Rows.dealt(whole, rank, count) for rank in range(count)]
    assert [row for rows in shares for row in range(whole)[rows.part]] == list(range(whole))
    numbers = [rows.number for rows in shares]
    assert numbers == [len(range(whole)[rows.part]) for rows in shares]
    assert max(numbers) - min(numbers) <= 1


def epoch(rows: Rows | None, sampling: str, labels: Labelled | None, start: int) -> list[Window]:
    source = Windows(
        IDS,
        batch=BATCH,
        window=LENGTH,
        sampling=sampling,
        seed=3,
        labels=labels,
        ends=ENDS,
        rows=rows,
    )
    assert source.characters(source.steps) >= len(IDS) - BATCH * LENGTH
    return list(source.epoch(2, start))


@pytest.mark.parametrize("labels", [None, LABELLED], ids=["plain", "labelled"])
@pytest.mark.parametrize("sampling", ["consecutive", "songs", "random"])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_side_by_side_the_windows_of_all_workers_are_those_of_one(
    count: int, sampling: str, labels: Labelled | None
) -> None:
    shares = [Rows.dealt(BATCH, rank, count) for rank in range(count)]
    dealt = [epoch(rows, sampling, labels, 1) for rows in shares]
    for whole, *parts in zip(epoch(None, sampling, labels, 1), *dealt, strict=True):
        assert torch.equal(torch.cat([part.inputs for part in parts], dim=1), whole.inputs)
        assert torch.equal(torch.cat([part.targets for part in parts], dim=1), whole.targets)
        assert sum(part.counted for part in parts) == whole.counted
        assert {part.fresh for part in parts} == {whole.fresh}


@pytest.mark.parametrize("shape", [(4, BATCH, 3), (1, BATCH, 1), (7, BATCH, 2, 5)])
def test_of_some_rows_is_dropped_what_would_be_dropped_if_all_were_there(
    shape: tuple[int, ...],
) -> None:
    x = 1 + torch.arange(float(np.prod(shape))).view(shape)
    whole = drop(x, 0.4, torch.Generator().manual_seed(1))
    assert 0 < int((whole == 0).sum()) < x.numel() or x.numel() < 20
    for rank in range(3):
        rows = Rows.dealt(BATCH, rank, 3)
        part = drop(x[:, rows.part], 0.4, torch.Generator().manual_seed(1), rows)
        assert torch.equal(part, whole[:, rows.part])


@pytest.mark.parametrize(("cell", "backend"), BOTH)
@pytest.mark.parametrize("embedding", [0, 4])
def test_a_model_reads_and_drops_in_its_rows_what_it_would_in_all(
    cell: str, backend: str, embedding: int
) -> None:
    architecture = Architecture(cell=cell, hidden=6, layers=3, embedding=embedding)
    model = CharLM(architecture, V, backend=backend, dropout=0.5, end=6).double()
    torch.manual_seed(2)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)
    ids = torch.from_numpy(IDS[:60].astype(np.int64)).view(12, BATCH)

    def read(rows: Rows, generator: torch.Generator | None) -> tuple[torch.Tensor, ...]:
        state = tuple(0.5 + memory[:, rows.part] for memory in model.zero_state(BATCH))
        logits, after = model(ids[:, rows.part], state, generator, rows)
        return logits.detach(), *(memory.detach() for memory in after)

    everything = Rows.dealt(BATCH)
    whole = read(everything, torch.Generator().manual_seed(7))
    assert not torch.equal(whole[0], read(everything, None)[0])
    for rank in range(2):
        rows = Rows.dealt(BATCH, rank, 2)
        part = read(rows, torch.Generator().manual_seed(7))
        for found, expected in zip(part, whole, strict=True):
            torch.testing.assert_close(found, expected[:, rows.part], rtol=0, atol=1e-12)


# More workers than there are streams, too.
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_the_mean_of_a_text_does_not_depend_on_who_reads_which_of_its_streams(count: int) -> None:
    torch.manual_seed(4)
    model = CharLM(Architecture(hidden=6, embedding=4), V, end=6).double()
    unpredicted = np.arange(V) == 5
    read = partial(mean_surprisal, model, IDS, streams=7, run_up=20, unpredicted=unpredicted)
    expected = read()
    known: list[Sums] = []

    def keep(sums: Sums) -> Sums:
        known.append(sums)
        return sums

    for rank in range(count):
        read(deal=partial(Rows.dealt, rank=rank, count=count), together=keep)
    counts = np.array(known)[:, :, 2]
    assert ((counts > 0).sum(axis=0) == 1).all()
    assert counts.sum() == (IDS[1:] != 5).sum()
    assert (counts.sum(axis=1) == 0).sum() == max(count - 7, 0)
    found = read(together=lambda _: np.sum(known, axis=0))
    assert found == pytest.approx(expected, rel=1e-14)
