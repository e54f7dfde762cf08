"""What a reader knows of a text, and whether units follow it, remember and are needed."""

import math
from typing import Any

import numpy as np
import pytest
from bigrams import bigrams

import charlstm.evaluation.gates as gates_module
from charlstm.evaluation.gates import Gates, Unit, all_units, look, most_characters, worth
from charlstm.evaluation.known import things
from charlstm.model.network import Network
from charlstm.recipes.architecture import Architecture
from charlstm.text.songs import END

# So many times a text is repeated that nothing in it is too rare to look at.
MANY = 24


def known(text: str) -> dict[str, list[int]]:
    """Return what a reader knows of the first of many repetitions of a text."""
    found = {thing.name: thing.values.astype(int).tolist() for thing in things(text * MANY)}
    assert all(len(values) == len(text) * MANY for values in found.values())
    return {name: values[: len(text)] for name, values in found.items()}


def test_places_in_lines_are_counted_from_both_ends() -> None:
    found = known("ab\nc\n\n")
    assert found["place in the line"] == [1, 2, 3, 1, 2, 1]
    assert found["distance to the line's end"] == [2, 1, 0, 1, 0, 0]


def test_a_stanza_begins_after_an_empty_line_and_a_song_after_its_mark() -> None:
    assert known("ab\ncd\n \n")["first line of a stanza"] == [1, 1, 1, 0, 0, 0, 0, 0]
    assert known(f"ab\ncd\n{END}")["first line of a stanza"] == [1, 1, 1, 0, 0, 0, 0]


def test_the_last_word_rhymes_in_latin_and_the_last_character_in_han() -> None:
    assert known("a don't!\n分开，\n")["rhyme position"] == [0, 0, *[1] * 5, 0, 0, 0, 1, 0, 0]


def test_brackets_are_inside_from_the_first_to_before_the_last() -> None:
    assert known("a(b[c]d)e《分》\n")["inside brackets"] == [0, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 0, 0]
    assert "inside brackets" not in known("a)b\n")


def test_what_was_never_closed_ends_with_the_stanza() -> None:
    assert known("(a\nb\n\nc\n")["inside brackets"] == [1, 1, 1, 1, 1, 0, 0, 0]


def test_quotes_are_told_from_apostrophes() -> None:
    assert known('it\'s “on” "x" 「分」\n')["inside quotes"] == [
        *[0] * 5,
        *[1, 1, 1, 0, 0],
        *[1, 1, 0, 0],
        *[1, 1, 0, 0],
    ]


def test_punctuation_lasts_through_spaces_and_no_apostrophe_is_any() -> None:
    assert known("it's, a。\n")["after punctuation"] == [0, 0, 0, 0, 1, 1, 0, 1, 0]


def test_letters_words_and_scripts_are_told_apart() -> None:
    found = known("It's 分A\n")
    assert found["place in the word"] == [1, 2, 3, 4, 0, 0, 1, 0]
    assert found["capital letter"] == [1, 0, 0, 0, 0, 0, 1, 0]
    assert found["Latin letter"] == [1, 1, 0, 1, 0, 0, 1, 0]
    assert found["Han character"] == [0, 0, 0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("text", ["", "a", "分" * 500, "\n" * 500, "ab" * 9 + "(c)"])
def test_what_tells_no_places_apart_is_left_out(text: str) -> None:
    assert {thing.name for thing in things(text)} <= {
        "place in the line",
        "distance to the line's end",
        "place in the word",
    }


def looked(network: Network, ids: Any, text: str) -> Gates:
    return look(network, ids, text, random=np.random.default_rng(1))


def test_the_unit_that_follows_a_thing_is_found() -> None:
    # Of this model, each unit is 1 where the last character is its own.
    text = "Baa b. caB\n" * 30
    sampler = bigrams({one: {one: 1.0} for one in sorted(set(text))})
    ids = sampler.vocabulary.encode(text)
    network = sampler.network
    assert isinstance(network, Network)
    gates = looked(network, ids, text)
    best = {one.thing: one for one in gates.followed}
    capital = best["capital letter"]
    assert capital.unit == Unit(0, int(sampler.vocabulary.encode("B")[0]))
    assert capital.correlation == pytest.approx(1, abs=1e-4)
    assert capital.certain
    assert [abs(one.correlation) for one in gates.followed] == sorted(
        (abs(one.correlation) for one in gates.followed), reverse=True
    )
    assert (gates.characters, gates.units) == (len(text), network.vocabulary_size)
    assert gates.remembered is None
    assert gates.remembers(capital.unit) is None
    # «B» follows capitals wholly, «.» what comes after punctuation in part, «\n» the ends of lines.
    assert 1 <= gates.named < gates.units


def test_units_that_hear_nothing_follow_no_more_than_chance() -> None:
    # A network that never hears its text, but does as it likes.
    random = np.random.default_rng(3)
    text = "".join(random.choice(list("abC (d)\n"), 4_000))
    architecture = Architecture("rnn", hidden=30)
    shapes = architecture.parameter_shapes(9)
    weights = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    weights["recurrent.weight_hh_l0"] = random.normal(0, 1.2, (30, 30)).astype(np.float32)
    weights["recurrent.bias_hh_l0"] = random.normal(0, 0.3, 30).astype(np.float32)
    network = Network(architecture, weights, 9)
    gates = looked(network, np.zeros(len(text), np.int64), text)
    assert len(gates.followed) >= 7
    assert sum(one.certain for one in gates.followed) <= 1
    assert all(0.02 < one.by_chance < 0.15 for one in gates.followed)
    assert gates.named == 0


def test_lines_of_the_same_length_do_not_make_chance_look_like_skill() -> None:
    text = "abcdefg\n" * 200
    sampler = bigrams({one: {one: 1.0} for one in sorted(set(text))})
    assert isinstance(sampler.network, Network)
    gates = looked(sampler.network, sampler.vocabulary.encode(text), text)
    place = next(one for one in gates.followed if one.thing == "place in the line")
    # Whole lines that trade places would all be as before.
    assert place.by_chance < 0.3 < abs(place.correlation)


def lstm(forget: float) -> Network:
    """Return a network whose forget gate is the same at every character."""
    architecture = Architecture(hidden=3)
    shapes = architecture.parameter_shapes(4)
    random = np.random.default_rng(0)
    weights = {name: random.normal(0, 0.5, shape) for name, shape in shapes.items()}
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        weights[f"recurrent.{name}_l0"][3:6] = 0
    weights["recurrent.bias_ih_l0"][3:6] = math.log(forget / (1 - forget))
    return Network(architecture, {k: v.astype(np.float32) for k, v in weights.items()}, 4, end=3)


def test_a_unit_remembers_as_long_as_its_forget_gate_says() -> None:
    ids = np.array([0, 1, 2, 1] * 30)
    gates = looked(lstm(0.9), ids, "abcb" * 30)
    assert gates.remembered is not None
    np.testing.assert_allclose(gates.remembered, 10, rtol=1e-4)
    assert gates.remembers(Unit(0, 2)) == pytest.approx(10, rel=1e-4)


def test_marks_are_read_and_are_no_characters_to_look_at() -> None:
    text = f"{END}\U00100001ab\nba\n" * 20
    ids = np.array([3, 0, 1, 2, 0, 2, 1, 0] * 20)
    gates = looked(lstm(0.5), ids, text)
    assert gates.characters == 6 * 20
    # A label is no part of the line that it stands before.
    assert {one.thing for one in gates.followed} >= {"place in the line", "rhyme position"}


def test_a_text_of_nothing_in_particular_is_looked_at_all_the_same() -> None:
    gates = looked(lstm(0.5), np.array([0, 1]), "ab")
    assert gates.followed == []
    assert gates.named == 0


def bits(network: Network, ids: list[int], counted: list[bool]) -> float:
    """Return the bits a character of a text, in plain float64."""
    state, nats = network.start(), []
    for before, after, counts in zip(ids, ids[1:], counted[1:], strict=False):
        logits = network.step(state, before)[0].astype(np.float64)
        if counts:
            nats.append(math.log(np.exp(logits).sum()) - logits[after])
    return float(np.mean(nats) / math.log(2))


def test_what_a_unit_is_needed_for_is_what_is_lost_without_it() -> None:
    architecture = Architecture(hidden=5, layers=2, embedding=3)
    random = np.random.default_rng(4)
    shapes = architecture.parameter_shapes(6)
    weights = {k: random.normal(0, 0.9, shape).astype("f4") for k, shape in shapes.items()}
    network = Network(architecture, weights, 6, end=5)
    ids = [5, 0, 1, 2, 2, 4, 1, 5, 3, 0, 2, 1, 4, 4, 0, 5]
    unpredicted = np.array([False, False, False, False, True, False])
    counted = [not unpredicted[one] for one in ids]
    units = [Unit(0, 1), Unit(1, 4)]
    found = worth(network, np.array(ids), units, unpredicted=unpredicted)
    whole = bits(network, ids, counted)
    for unit, more in zip(units, found, strict=True):
        cut = {name: array.copy() for name, array in weights.items()}
        cut[f"recurrent.weight_hh_l{unit.layer}"][:, unit.number] = 0
        cut["head.weight" if unit.layer else "recurrent.weight_ih_l1"][:, unit.number] = 0
        without = bits(Network(architecture, cut, 6, end=5), ids, counted)
        assert more == pytest.approx(without - whole, abs=1e-5)
        assert abs(more) > 1e-4


def test_many_units_are_switched_off_in_several_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    network, ids = lstm(0.8), np.array([3, 0, 1, 2, 1, 0, 3, 2, 2, 0])
    units = all_units(network.architecture)
    at_once = worth(network, ids, units)
    monkeypatch.setattr(gates_module, "_TOGETHER", 2)
    heard: list[int] = []
    np.testing.assert_allclose(
        worth(network, ids, units, on_progress=heard.append), at_once, atol=1e-6
    )
    assert sum(heard) == gates_module.readings(len(units)) * (len(ids) - 1) == 18
    assert worth(network, ids, []).shape == (0,)


def test_of_large_networks_less_of_a_text_is_read() -> None:
    assert most_characters(Architecture(hidden=512)) == 20_000
    assert most_characters(Architecture(hidden=2048, layers=5)) == 2_000


def test_units_have_the_names_of_the_weights() -> None:
    assert [str(unit) for unit in all_units(Architecture(hidden=2, layers=2))] == [
        "0.0",
        "0.1",
        "1.0",
        "1.1",
    ]
