"""A network blended with what it remembers: the parts' sum, and the same however it is read."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import charlstm
from charlstm.errors import RecipeError, RunError
from charlstm.model.charlm import CharLM
from charlstm.model.network import Network
from charlstm.model.reader import Reader
from charlstm.model.recall.blend import Blend, BlendState, blend
from charlstm.model.recall.learning import learn_recall
from charlstm.model.recall.measured import Measured, strength_of
from charlstm.model.recall.recall import Recall
from charlstm.model.recall.shares import leads, share_after
from charlstm.model.surprisal import mean_surprisal, surprisal
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.named import SHARE
from charlstm.runs.directory import RunDirectory

V, END, LABEL, NEWLINE = 12, 1, 2, 3
SHARES = (0.1, SHARE, 1.0)
UNPREDICTED = np.arange(V) == LABEL


Ids = NDArray[np.uint16]


def ids_of(*ids: int) -> Ids:
    return np.array(ids, dtype=np.uint16)


def songs(seed: int, number: int, labels: bool = True) -> Ids:
    """Return songs as ids: a mark, a label, lines of which one comes again and again."""
    rng = np.random.default_rng(seed)
    text = [END]
    for _ in range(number):
        text += [LABEL] if labels else []
        refrain = rng.integers(4, V - 1, size=7).tolist()
        for _ in range(4):
            text += [*rng.integers(4, 9, size=9).tolist(), NEWLINE, *refrain, NEWLINE]
        text.append(END)
    return ids_of(*text)


LEARNED, HELD_OUT = songs(1, 12), songs(2, 4)


@pytest.fixture(scope="module")
def recall() -> Recall:
    return learn_recall(LEARNED, V, newline=NEWLINE, end=END, unpredicted=UNPREDICTED)


@pytest.fixture(scope="module")
def model() -> CharLM:
    architecture = Architecture(hidden=10, embedding=4)
    model = CharLM(architecture, V, end=END)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, shape in architecture.parameter_shapes(V).items():
            model.get_parameter(name).copy_(0.7 * torch.randn(shape, generator=generator))
    return model.eval()


@pytest.fixture(scope="module")
def network(model: CharLM) -> Network:
    weights = {name: weight.numpy() for name, weight in model.state_dict().items()}
    return Network(model.architecture, weights, V, END)


def distribution(logits: NDArray[Any]) -> NDArray[np.float64]:
    shares = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def read(reader: Reader, ids: Ids) -> NDArray[np.float64]:
    """Return what a reader expects after each character: ``[N, V]``."""
    state = reader.start()
    return np.array([distribution(reader.step(state, np.array([one]))[0]) for one in ids])


def without_grams(recall: Recall) -> Recall:
    return replace(recall, ngram=None)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("grams", [True, False], ids=["grams", "no grams"])
def test_it_is_read_character_by_character_as_it_is_measured(
    network: Network, recall: Recall, share: float, grams: bool
) -> None:
    recall = recall if grams else without_grams(recall)
    both = read(Blend(network, recall, share), HELD_OUT)
    np.testing.assert_allclose(both.sum(axis=1), 1, rtol=0, atol=1e-6)
    places = np.arange(len(HELD_OUT) - 1)
    alone = read(network, HELD_OUT)[places, HELD_OUT[1:]]
    predicted = ~UNPREDICTED[HELD_OUT[1:]]
    measured = recall.measure(HELD_OUT).blended(alone, share)
    found = both[places, HELD_OUT[1:]]
    np.testing.assert_allclose(found[predicted], measured[predicted], rtol=0, atol=1e-5)
    assert (measured[predicted] > 0).all()
    # A model of what repeats, in a text that repeats: not a difference of some digits.
    assert np.abs(found - alone)[predicted].max() > 0.1


@pytest.mark.parametrize("share", SHARES)
def test_every_part_counts_with_its_share(network: Network, recall: Recall, share: float) -> None:
    assert recall.ngram is not None
    alone, both = read(network, HELD_OUT), read(Blend(network, recall, share), HELD_OUT)
    contexts, said = recall.ngram.start(), recall.so_far.start()
    begun = distribution(network.start().logits)
    # How likely the characters of the song so far were to each of the two.
    given: list[tuple[float, float]] = []
    shares = []
    for at, character in enumerate(HELD_OUT.tolist()):
        if character != LABEL:
            of_network = alone[at - 1] if at else begun[0]
            of_ngram = recall.ngram.expected(contexts)[0]
            given.append((of_network[character], of_ngram[character]))
            recall.ngram.step(contexts, [character])
            recall.so_far.step(said, [character])
        if character == END:
            given = []
        lead = sum(0.95**k * np.log(b / a) for k, (a, b) in enumerate(reversed(given)))
        now = share * np.exp(0.05 * lead) / (share * np.exp(0.05 * lead) + 1 - share)
        shares.append(now)
        expected = (1 - now) * alone[at : at + 1] + now * recall.ngram.expected(contexts)
        ending = recall.ngram.of_end(contexts)
        recall.so_far.add_to(expected, said, recall.pull, min(share / 0.4, 1), ending)
        np.testing.assert_allclose(both[at], expected[0], rtol=0, atol=1e-6)
    assert shares[0] == pytest.approx(share)
    # It moves, unless only one of the two is asked.
    assert (max(shares) - min(shares) > 0.01) == (share < 1)


def test_a_label_that_an_ended_text_draws_keeps_no_other_from_remembering(
    network: Network, recall: Recall
) -> None:
    reader = Blend(network, recall)
    many, one = reader.start(2), reader.start()
    for character in HELD_OUT[HELD_OUT != LABEL][:60].tolist():
        reader.step(many, np.array([LABEL, character]))
        reader.step(one, character)
    np.testing.assert_allclose(many.logits[1], one.logits[0], rtol=0, atol=1e-4)


def test_a_stretch_is_measured_as_in_the_whole(recall: Recall) -> None:
    measured = recall.measure(HELD_OUT)
    alone = np.random.default_rng(4).uniform(0.01, 0.5, len(HELD_OUT) - 1)
    whole, static = measured.blended(alone, 0.3), measured.static(alone, 0.3)
    lead = 0.0
    for start, stop in ((0, 5), (5, 60), (60, len(alone))):
        leads = measured.leads(alone[start:stop], start, lead)
        part = measured.blended(alone[start:stop], 0.3, start, leads)
        np.testing.assert_array_equal(part, whole[start:stop])
        part = measured.static(alone[start:stop], 0.3, start, leads)
        np.testing.assert_array_equal(part, static[start:stop])
        nats, lead = measured.surprisal(-np.log(alone[start:stop]), 0.3, start, lead)
        np.testing.assert_allclose(nats, -np.log(whole[start:stop]), atol=1e-9)
        assert lead == pytest.approx(leads[-1])


def test_a_text_in_pieces_is_measured_as_in_one(
    recall: Recall, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = songs(5, 30)
    assert len(text) > 2 * 1020
    whole = recall.measure(text)
    monkeypatch.setattr("charlstm.model.recall.recall._PIECE", 50)
    pieces = recall.measure(text)
    for name in ("ngram", "keep", "add"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), rtol=0, atol=1e-12)


def test_what_is_never_predicted_is_given_nothing(recall: Recall) -> None:
    measured = recall.measure(HELD_OUT)
    labels = np.flatnonzero(UNPREDICTED[HELD_OUT[1:]])
    assert len(labels) == 4
    assert measured.ngram is not None
    assert not measured.ngram[labels].any()
    assert not measured.add[labels].any()
    assert (measured.keep[labels] == 1).all()
    # And it changes nothing for what is.
    bare = recall.measure(songs(2, 4, labels=False))
    others = np.flatnonzero(~UNPREDICTED[HELD_OUT[1:]])
    np.testing.assert_array_equal(measured.keep[others], bare.keep)
    np.testing.assert_array_equal(measured.add[others], bare.add)


@pytest.mark.parametrize("text", [[END, 4], [END, LABEL], [LABEL, LABEL, 4], [LABEL, 4, 5]])
def test_the_shortest_texts_are_measured(recall: Recall, text: list[int]) -> None:
    measured = recall.measure(ids_of(*text))
    blended = measured.blended(np.full(len(text) - 1, 0.1), 0.4)
    assert blended.shape == (len(text) - 1,)
    assert ((blended > 0) & (blended < 1)).all()


@pytest.mark.parametrize("share", SHARES)
def test_the_loss_of_a_training_is_that_of_what_writes(
    model: CharLM, network: Network, recall: Recall, share: float
) -> None:
    means = mean_surprisal(
        model,
        HELD_OUT,
        unpredicted=UNPREDICTED,
        measured=recall.measure(HELD_OUT),
        share=share,
    )
    places = np.flatnonzero(~UNPREDICTED[HELD_OUT[1:]])
    for loss, reader in ((means.network, network), (means.blended, Blend(network, recall, share))):
        expected = read(reader, HELD_OUT)[places, HELD_OUT[1:][places]]
        assert loss == pytest.approx(-np.log(expected).mean(), abs=1e-5)


def test_without_a_recall_both_losses_are_the_networks(model: CharLM) -> None:
    means = mean_surprisal(model, HELD_OUT)
    assert means.network == means.blended
    assert means.network == pytest.approx(
        float(surprisal(model, HELD_OUT).double().mean()), abs=1e-6
    )


def test_where_nothing_is_remembered_the_network_reads_alone(
    network: Network, recall: Recall
) -> None:
    assert blend(network, recall, 0.0) is network
    assert blend(network, None, 0.4) is network
    assert isinstance(blend(network, recall, 0.1), Blend)


def test_the_share_follows_from_how_well_the_two_have_just_predicted() -> None:
    gains = np.array([2.0, -1.0, 0.5, 3.0])
    begins = np.array([True, False, True, False])
    found = leads(gains, begins, lead=7.0)
    np.testing.assert_allclose(found, [0, 2, 0, 0.5, 3.475])
    assert leads(gains, begins & False, lead=1.0)[1] == pytest.approx(2.95)
    assert leads(gains[:0], begins[:0], lead=1.5).tolist() == [1.5]
    for share in (0.0, 0.4, 1.0):
        np.testing.assert_allclose(share_after(np.zeros(2), share), share)
        assert share_after(np.array([20.0]), share)[0] >= share
        assert share_after(np.array([-20.0]), share)[0] <= share
    # A lead of 20 nats makes e times as much of the odds.
    assert share_after(np.array([20.0]), 0.5)[0] == pytest.approx(np.e / (1 + np.e))


def test_below_the_usual_share_the_song_so_far_counts_less_as_well() -> None:
    assert [strength_of(share) for share in (0, SHARE / 4, SHARE / 2)] == [0, 0.25, 0.5]
    assert strength_of(SHARE) == strength_of(0.9) == strength_of(1.0) == 1
    measured = Measured(np.array([0.5]), np.array([0.8]), np.array([0.2]), np.array([True]))
    network = np.array([0.1])
    assert measured.blended(network, 0.0)[0] == 0.1
    # 0.8 * (0.6 * 0.1 + 0.4 * 0.5) + 0.2
    assert measured.blended(network)[0] == pytest.approx(0.408)
    # Half of it: 0.9 * (0.8 * 0.1 + 0.2 * 0.5) + 0.1
    assert measured.blended(network, SHARE / 2)[0] == pytest.approx(0.262)
    # 0.8 * (0.2 * 0.1 + 0.8 * 0.5) + 0.2
    assert measured.blended(network, 0.8)[0] == pytest.approx(0.536)
    alone = replace(measured, ngram=None)
    assert alone.blended(network)[0] == pytest.approx(0.8 * 0.1 + 0.2)


@pytest.mark.parametrize("temperature", [0.5, 0.8, 1.3])
def test_a_temperature_shapes_what_is_expected_without_the_song(
    network: Network, recall: Recall, temperature: float
) -> None:
    assert recall.ngram is not None
    reader = Blend(network, recall, SHARE, temperature)
    assert reader.at(temperature).temperature == temperature
    state, alone = reader.start(), network.start()
    contexts, said = recall.ngram.start(), recall.so_far.start()
    at_one = Blend(network, recall, SHARE)
    plain = at_one.start()
    for character in HELD_OUT[:120].tolist():
        reader.step(state, character)
        at_one.step(plain, character)
        network.step(alone, character)
        if character != LABEL:
            recall.ngram.step(contexts, [character])
            recall.so_far.step(said, [character])
        share = share_after(state.lead, SHARE)
        expected = (1 - share) * distribution(alone.logits)
        expected += share * recall.ngram.expected(contexts)
        expected **= 1 / temperature
        expected /= expected.sum()
        recall.so_far.add_to(expected, said, recall.pull, ending=recall.ngram.of_end(contexts))
        found = distribution(state.logits / temperature)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
        # Whatever it is read at, how likely something is does not change.
        np.testing.assert_allclose(reader.logits(state), at_one.logits(plain), atol=1e-5)


def test_at_temperature_zero_there_is_no_division_by_zero(network: Network, recall: Recall) -> None:
    cold = Blend(network, recall).at(0)
    state = cold.start()
    cold.read(state, HELD_OUT[:50].tolist())
    assert np.isfinite(state.logits).all()


@pytest.mark.parametrize("grams", [True, False], ids=["grams", "no grams"])
def test_streams_copied_taken_and_gathered_go_on_as_each_would_alone(
    network: Network, recall: Recall, grams: bool
) -> None:
    reader = Blend(network, recall if grams else without_grams(recall))
    rng = np.random.default_rng(6)
    rows = rng.choice([END, NEWLINE, 4, 5], size=(30, 3), p=[0.05, 0.15, 0.4, 0.4])
    many = reader.start(3)
    for row in rows:
        reader.step(many, row)
    memory, one = many.remember(), reader.start()
    reader.step(one, 4)
    begun = [rows[:, 2].tolist(), rows[:, 0].tolist(), [4]]
    copied, before = many.copy(), many.logits.copy()
    mixed = reader.gather([(memory, 2), (memory, 0), (one.remember(), 0)])
    for stream, ids in enumerate(begun):
        alone = reader.start()
        reader.read(alone, ids)
        np.testing.assert_allclose(mixed.logits[stream], alone.logits[0], rtol=0, atol=1e-4)
    taken = many.take([2, 0, 0])
    np.testing.assert_array_equal(taken.logits, before[[2, 0, 0]])
    later = rng.choice([END, 4, 5, 6], size=(12, 3))
    for row in later:
        reader.step(mixed, row)
        reader.step(taken, row)
    np.testing.assert_allclose(taken.logits[:2], mixed.logits[:2], rtol=0, atol=1e-4)
    for stream, ids in enumerate(begun):
        alone = reader.start()
        reader.read(alone, [*ids, *later[:, stream].tolist()])
        np.testing.assert_allclose(mixed.logits[stream], alone.logits[0], rtol=0, atol=1e-4)
    # What they came from stands where it stood.
    for state in (many, copied):
        np.testing.assert_array_equal(state.logits, before)
        reader.step(state, rows[0])
    np.testing.assert_array_equal(many.logits, copied.logits)
    again: BlendState = reader.gather([(memory, stream) for stream in range(3)])
    np.testing.assert_allclose(again.logits, before, rtol=0, atol=1e-5)


def test_the_middle_line_is_found(recall: Recall) -> None:
    song = [END, 4, 5, NEWLINE, NEWLINE, 4, 5, 6, NEWLINE, 4, 4, 4, 4, 4, END]
    text = ids_of(*song * 3)
    assert learn_recall(text, V, newline=NEWLINE, end=END).line == 3
    assert learn_recall(text, V, end=END).line == 0
    assert recall.line in (7, 8, 9)


def test_a_text_of_characters_by_the_thousand_has_shorter_grams() -> None:
    rng = np.random.default_rng(7)
    letters = learn_recall(rng.integers(0, 20, 400, dtype=np.uint16), 500)
    words = learn_recall(rng.integers(0, 20, 400, dtype=np.uint16), 501)
    assert letters.ngram is not None
    assert words.ngram is not None
    assert (letters.ngram.order, words.ngram.order) == (7, 5)


def test_of_a_long_text_the_end_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("charlstm.model.recall.learning.MOST_CHARACTERS", 150)
    text = np.random.default_rng(8).integers(0, 9, 400, dtype=np.uint16)
    long, short = learn_recall(text, 9), learn_recall(text[-150:], 9)
    assert long.pull == short.pull
    assert long.ngram is not None
    assert short.ngram is not None
    for found, expected in zip(long.ngram.levels, short.ngram.levels, strict=True):
        np.testing.assert_array_equal(found.shares, expected.shares)


# What becomes of it in a run.

VERSES = "".join(
    f"我在{place}等你 第{day}天\n不分开 我们说好\nla la la\n"
    for day in "一二三四五六"
    for place in ("车站", "桥上", "窗前")
)
SMALL: dict[str, Any] = {
    **{"hidden": 8, "embedding": 4, "batch": 4, "window": 16, "steps": 4, "threads": 1},
    **{"backend": "scratch", "precision": "float32", "songs": "off", "seed": 1},
}


def learned(where: Path, text: str = VERSES, name: str = "song", **settings: Any) -> RunDirectory:
    (where / f"{name}.txt").write_text(text, encoding="utf-8")
    options = {**SMALL, "root": where / "checkpoints", **settings}
    return charlstm.train(where / f"{name}.txt", name=name, **options).directory


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return learned(tmp_path_factory.mktemp("recall"), sample_every=1, prefixes=["我"])


def test_grams_that_were_lost_are_counted_again_when_a_training_goes_on(
    run: RunDirectory, tmp_path: Path
) -> None:
    path = shutil.copytree(run.path, tmp_path / "copy")
    grams = path / "recall.safetensors"
    before = grams.read_bytes()
    grams.unlink()
    with pytest.raises(RunError, match=r"recall=0"):
        charlstm.load(path).generate(length=3)
    epochs = run.read_info().recipe.epochs + 1
    charlstm.resume(path, text=VERSES, epochs=epochs, progress=False)
    assert grams.read_bytes() == before


def test_what_is_held_out_is_not_looked_at(run: RunDirectory, tmp_path: Path) -> None:
    cut = run.read_info().training_characters
    backwards = VERSES[:cut] + VERSES[cut:][::-1]
    other = learned(tmp_path, backwards)
    name = "recall.safetensors"
    assert (run.path / name).read_bytes() == (other.path / name).read_bytes()
    assert run.read_info().recall == other.read_info().recall


def test_a_share_of_nothing_is_the_network_bit_for_bit(run: RunDirectory, tmp_path: Path) -> None:
    plain = learned(tmp_path, recall=0.0)
    assert not (plain.path / "recall.safetensors").exists()
    assert json.loads((plain.path / "run.json").read_bytes())["recall"] is None
    # Training is the same: what is remembered is no part of it.
    assert plain.read_info().recall is None
    one, other = charlstm.load(run.path), charlstm.load(plain.path)
    asked: dict[str, Any] = {"length": 80, "seed": 3}
    assert one.generate("我", recall=0.0, **asked) == other.generate("我", **asked)
    assert one.generate("我", **asked) != other.generate("我", **asked)
    alone = one.recalling(0.0).log_probabilities("我在桥上")
    np.testing.assert_array_equal(alone, other.sampler.log_probabilities("我在桥上"))


def test_the_likeliest_at_any_temperature_is_that_of_the_network_alone(run: RunDirectory) -> None:
    model = charlstm.load(run.path)
    alone: dict[str, Any] = {"length": 80, "seed": 3, "recall": 0}
    likeliest = model.generate("我", min_p=1, temperature=2, **alone)
    assert likeliest == model.generate("我", temperature=0, **alone)


def test_the_best_epoch_is_the_best_of_what_is_used(run: RunDirectory) -> None:
    history = run.read_history()
    losses = [report.validation_loss or 0.0 for report in history]
    assert run.read_info().best == history[losses.index(min(losses))]
    for report, loss in zip(history, losses, strict=True):
        assert report.network_loss is not None
        assert 0 < loss < report.network_loss


@pytest.mark.parametrize("share", [None, 0.2, 1.0])
def test_a_stored_recall_is_the_one_that_was_learned(
    run: RunDirectory, share: float | None
) -> None:
    model = charlstm.load(run.path)
    info, vocabulary = model.info, model.info.vocabulary
    ids = vocabulary.encode(VERSES[: info.training_characters])
    newline = int(vocabulary.encode("\n")[0])
    recall = learn_recall(ids, len(vocabulary), newline=newline)
    network = model.recalling(0.0).network
    assert isinstance(network, Network)
    anew = replace(model.sampler, network=blend(network, recall, share or SHARE))
    found = model.recalling(share).log_probabilities("我在桥上等你 la la")
    np.testing.assert_array_equal(found, anew.log_probabilities("我在桥上等你 la la"))


def test_samples_are_written_by_what_is_used(run: RunDirectory) -> None:
    last = (run.path / "samples.txt").read_text(encoding="utf-8").split("--- ")[-1]
    head, text = last.split("\n", 1)
    epoch = int(head.split(",")[0].removeprefix("epoch "))
    model = charlstm.load(run.path)
    written = model.generate("我", length=len(text) - 2, seed=SMALL["seed"] + epoch)
    assert text[:20] == written[:20]


def test_without_an_index_no_grams_are_kept(tmp_path: Path) -> None:
    run = learned(tmp_path, index=False)
    assert not (run.path / "recall.safetensors").exists()
    info = run.read_info()
    assert info.recall is not None
    assert info.recall.grams == ()
    model = charlstm.load(run.path)
    reader = model.sampler.network
    assert isinstance(reader, Blend)
    assert reader.share == 0
    assert reader.strength == 1
    assert len(model.generate("我", length=30)) == 31
    # What was said comes again: once it has begun to.
    said = model.sampler.log_probabilities("我们说好 la" * 2)
    alone = model.recalling(0.0).log_probabilities("我们说好 la" * 2)
    np.testing.assert_allclose(said[0], alone[0], rtol=0, atol=1e-5)
    assert said[-4:].sum() > alone[-4:].sum() + 1


def test_a_share_that_there_is_not_is_refused(run: RunDirectory, tmp_path: Path) -> None:
    model = charlstm.load(run.path)
    with pytest.raises(RecipeError, match=r"^recall must be "):
        model.generate("我", recall=1.5)
    plain = charlstm.load(learned(tmp_path, recall=0).path)
    assert plain.generate("我", recall=0, seed=1) == plain.generate("我", seed=1)
    with pytest.raises(RecipeError) as caught:
        plain.generate("我", recall=0.4)
    assert str(caught.value) == (
        "This run remembers nothing of its training text besides: it was made with recall=0 or by "
        "an older version. Train again, or leave recall out."
    )
