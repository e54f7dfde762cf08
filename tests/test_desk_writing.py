from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from desks import Page, desk
from songs import LINES, LYRICS, learn

from charlstm.trained import TrainedModel
from charlstm.writing.rhyme import rhyme

BEFORE = f"{LINES[0]}\n{LINES[1]}\n"
RUN = "/api/runs/song"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    return learn(tmp_path_factory.mktemp("writing"), epochs=25)


@pytest.fixture
def page(model: TrainedModel) -> Iterator[Page]:
    with desk(model.directory.path.parent) as page:
        yield page


def proposed(page: Page, before: str = BEFORE, **asked: Any) -> dict[str, Any]:
    told: dict[str, Any] = page.post(f"{RUN}/propose", {"before": before, "seed": 3, **asked})
    return told


def lines(told: dict[str, Any]) -> list[str]:
    return [proposal["line"] for proposal in told["proposals"]]


def test_lines_are_proposed_with_what_there_is_to_say_of_them(page: Page) -> None:
    told = proposed(page, count=4, client="tab-1")
    assert len(set(lines(told))) == 4
    assert told["problem"] is None
    assert told["end_probability"] is None  # it has learned a single text
    likely = [proposal["probability"] for proposal in told["proposals"]]
    assert likely == sorted(likely, reverse=True)
    for proposal in told["proposals"]:
        line, unit, copied = proposal["line"], proposal["rhyme"], proposal["copied"]
        assert line[unit["start"] : unit["end"]] == line[-1]
        if proposal["rhymes_with"] is not None:
            assert rhyme(line, proposal["rhymes_with"])
        if copied is not None:
            start = max(copied["start"], 0)
            assert line[start : copied["end"]].strip("\n") in copied["source"]


def test_the_same_seed_proposes_the_same_wherever_the_model_stood_before(
    page: Page, model: TrainedModel
) -> None:
    first = proposed(page)
    proposed(page, BEFORE + "他在花下不相见\n")
    proposed(page, "完全不同的\n", seed=9)
    assert proposed(page) == first
    with desk(model.directory.path.parent) as other:
        assert proposed(other) == first
    assert proposed(page, seed=4) != first
    assert proposed(page, seed=None)["proposals"]


def test_others_are_proposed_than_were_proposed_before(page: Page) -> None:
    first = lines(proposed(page))
    assert not set(first) & set(lines(proposed(page, without=first)))


def test_a_line_that_is_begun_is_ended(page: Page) -> None:
    told = proposed(page, begun="他在窗")
    assert lines(told)
    assert all(line.startswith("他在窗") for line in lines(told))
    assert page.refused(f"{RUN}/propose", {"begun": "a\nb"}).startswith('"begun" is a part of one')


def test_the_form_is_kept_and_what_cannot_be_asked_for_is_told(page: Page) -> None:
    told = proposed(page, settings={"rhyme": "AABB", "line_length": "7"}, before=f"{LINES[0]}\n")
    assert all(len(line) == 7 and rhyme(line, LINES[0]) for line in lines(told))
    told = proposed(page, settings={"must": ["我"], "acrostic": "你"}, before="")
    assert all(line.startswith("你") and "我" in line for line in lines(told))
    for settings, why in (
        ({"rhyme": "ABCD"}, "No two lines of the rhyme scheme ABCD have the same letter"),
        ({"line_length": "x"}, "A line length is a number from 1 to 100"),
        ({"temperature": -1}, '"temperature" must be a number from 0 to 100, not -1.'),
        ({"acrostic": "龘"}, "The model has never seen"),
        ({"label": {"artist": "x"}}, "The model has learned no labels"),
        ({"recall": 2}, '"recall" must be a number from 0 to 1, not 2.'),
        ({"must": 5}, '"must" must be a text or a list of up to 64 texts, not 5.'),
        ({"lines": 0}, '"lines" must be a whole number from 1 up, not 0.'),
    ):
        assert why in page.refused(f"{RUN}/propose", {"before": "", "settings": settings})
    # The part of the form that is wrong is named, so that the page can show which.
    wrong: dict[str, Any] = {"settings": {"must": ["我"], "line_length": "x"}}
    assert page.post(f"{RUN}/propose", wrong, 400)["error"]["param"] == "line_length"
    wrong = {"settings": {"rhyme": "AABB", "lines": 1}}
    assert page.post(f"{RUN}/propose", wrong, 400)["error"]["param"] == "lines"
    # No line at all is no mistake, and says why.
    none = {"rhyme": "AA", "line_length": "1", "acrostic": "我你"}
    told = proposed(page, settings=none, before=f"{LINES[0]}\n")
    assert told["proposals"] == []
    assert told["problem"].startswith("No line 2")
    assert "Ask for less" in told["problem"]


def test_settings_that_failed_do_not_stay(page: Page) -> None:
    first = proposed(page)
    page.refused(f"{RUN}/propose", {"before": BEFORE, "settings": {"acrostic": "龘"}})
    assert proposed(page) == first


def test_a_line_between_others_is_one_that_leads_on_to_them(page: Page) -> None:
    at = 12
    before, after = "\n".join(LINES[at - 3 : at]) + "\n", "\n".join(LINES[at + 1 : at + 3])
    told = proposed(page, before, after=after, settings={"rhyme": "ABAB"}, count=3)
    assert lines(told)
    # What has to rhyme with the line after next does so already.
    told = proposed(page, "", after=f"{LINES[2]}\n{LINES[0]}\n", settings={"rhyme": "AAB"})
    assert all(rhyme(line, LINES[2]) for line in lines(told))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"count": 0}, 400),
        ({"count": 21}, 400),
        ({"before": 5}, 400),
        ({"seed": -1}, 400),
        ({"seed": 1.5}, 400),
        ({"without": [5]}, 400),
        ({"client": "a b"}, 400),
        ({"before": "x" * 50_001}, 413),
    ],
)
def test_what_is_no_request_for_lines_is_refused(
    page: Page, body: dict[str, Any], status: int
) -> None:
    page.refused(f"{RUN}/propose", body, status)


# What would follow.


def test_what_would_follow_goes_to_the_end_of_the_line_and_is_always_the_same(page: Page) -> None:
    asked = {"before": BEFORE + "他在窗", "after": "", "settings": {"line_length": "7"}}
    text = page.post(f"{RUN}/continue", asked)["text"]
    assert len(text) == 4
    assert "\n" not in text
    page.post(f"{RUN}/continue", {**asked, "before": "我"})
    proposed(page)
    assert page.post(f"{RUN}/continue", asked)["text"] == text
    assert page.post(f"{RUN}/continue", {**asked, "after": " \n下一行"})["text"] == text
    assert page.post(f"{RUN}/continue", {**asked, "after": "前"})["text"] == ""
    assert page.post(f"{RUN}/continue", {"before": BEFORE})["text"]


# What there is to say of a whole song.


def test_a_song_is_read_character_by_character(page: Page, model: TrainedModel) -> None:
    text = f"{LINES[0]}\n{LINES[1]}\n\n我龘的🎵\n"
    told = page.post(f"{RUN}/read", {"text": text})
    assert len(told["surprisal"]) == len(text)
    state = model.sampler.read()
    expected = -model.sampler.log_probabilities(text, state=state) / np.log(2)
    assert told["surprisal"] == pytest.approx(list(expected), abs=1e-3)
    assert told["unknown"] == [text.index(c) for c in "龘的🎵"]
    assert told["bits_per_character"] == pytest.approx(expected.mean(), abs=1e-3)
    assert told["perplexity"] == pytest.approx(2 ** expected.mean(), rel=1e-3)
    first = told["copies"][0]
    assert text[first["start"] : first["end"]] == first["text"]
    assert first["text"] in LYRICS
    assert 0 < told["copied_share"] < 1
    rhymed = {text[one["start"] : one["end"]] for one in told["rhymes"]}
    assert rhymed <= {LINES[0][-1], LINES[1][-1]}


def test_a_song_that_was_changed_is_read_as_if_it_were_new(page: Page, model: TrainedModel) -> None:
    texts = [BEFORE, BEFORE + LINES[5], LINES[5] + "\n" + BEFORE, BEFORE, "", "\n\n", LINES[5]]
    changed = [page.post(f"{RUN}/read", {"text": text}) for text in texts]
    for text, told in zip(texts, changed, strict=True):
        with desk(model.directory.path.parent) as other:
            assert other.post(f"{RUN}/read", {"text": text}) == told


def test_letters_that_are_written_in_parts_have_their_own_bits(page: Page) -> None:
    whole = page.post(f"{RUN}/read", {"text": "你é来"})["surprisal"]
    parts = page.post(f"{RUN}/read", {"text": "你e\u0301来"})["surprisal"]
    assert len(parts) == 4
    assert parts[1] == parts[2] == pytest.approx(whole[1] / 2, abs=1e-3)
    assert parts[3] == pytest.approx(whole[2], abs=1e-3)


def test_nothing_that_a_text_may_hold_breaks_the_reading(page: Page) -> None:
    text = "\ufdd0\U0010fffd\r\n\u2028\ud800x\x00\x85我"
    answer = page.client.post(
        f"{RUN}/read",
        content=b'{"text": "\\ufdd0\\udbff\\udffd\\r\\n\\u2028\\ud800x\\u0000\\u0085\\u6211"}',
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 200
    assert len(answer.json()["surprisal"]) == len(text)
    page.refused(f"{RUN}/read", {})
    page.refused(f"{RUN}/read", {"text": "x", "label": {"artist": "x"}})
    assert page.post(f"{RUN}/read", {"text": ""})["bits_per_character"] is None


def test_where_no_text_is_kept_copies_are_not_known_and_the_rest_is(
    tmp_path: Path,
) -> None:
    learn(tmp_path, epochs=1, index=False)
    with desk(tmp_path / "checkpoints") as page:
        told = page.post(f"{RUN}/read", {"text": BEFORE})
        assert told["copies"] is None
        assert told["copied_share"] is None
        assert told["copies_problem"] == "Copies were not looked for: the run keeps no index."
        assert len(told["surprisal"]) == len(BEFORE)
        assert all(one["copied"] is None for one in proposed(page)["proposals"])
        refused = page.refused(f"{RUN}/propose", {"settings": {"max_copy": 5}})
        assert "no training text to look for copies in" in refused
        page.refused(f"{RUN}/novelty", {"texts": ["x"]})
