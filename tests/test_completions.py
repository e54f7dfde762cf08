"""What other programs ask a server, and what they are told."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faults.patience import until
from servers import Served, serving

from charlstm.api import train
from charlstm.trained import TrainedModel


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("completions")


@pytest.fixture(scope="module")
def model(song: str, where: Path) -> TrainedModel:
    stanzas = [part for part in song.split("\n\n") if part]
    songs = ["\n".join(stanzas[k : k + 2]) for k in range(len(stanzas) - 1)]
    root = where / "checkpoints"
    small: dict[str, Any] = {"epochs": 2, "hidden": 12, "embedding": 4}
    train(text=songs, root=root, name="older", recall=0, seed=9, **small)
    return train(text=songs, root=root, name="newer", recall=0.4, **small)


@pytest.fixture(scope="module")
def server(where: Path, model: TrainedModel) -> Iterator[Served]:
    assert model.directory.name == "newer"
    with serving(where, "--port", "0") as server:
        yield server


def text_of(answer: Any, index: int = 0) -> str:
    return str(answer["choices"][index]["text"])


def test_the_models_are_the_runs_that_can_write(server: Served) -> None:
    listed = server.ask("/v1/models").json
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["newer", "older"]
    assert server.ask("/v1/models/older").json["id"] == "older"
    for name in ("other", "..", "%2e%2e", "a%2fb", ".hidden"):
        assert server.ask(f"/v1/models/{name}").status == 404


def test_a_network_alone_writes_what_the_command_line_writes(
    server: Served, model: TrainedModel
) -> None:
    answer = server.complete(model="newer", prompt="分开", seed=7, recall=0, max_tokens=30)
    assert "分开" + text_of(answer) == model.generate("分开", seed=7, recall=0, length=30)
    assert answer["seed"] == 7


def test_the_newest_model_writes_where_none_is_named(server: Served) -> None:
    assert server.complete(prompt="分开", max_tokens=2)["model"] == "newer"


def test_null_is_the_default(server: Served) -> None:
    names = ("model", "n", "best_of", "stop", "temperature", "logprobs", "echo", "max_copy", "form")
    nothing = dict.fromkeys(names)
    assert text_of(server.complete(**nothing, seed=1)) == text_of(server.complete(seed=1))


def test_the_same_seed_writes_the_same_text_alone_and_beside_others(server: Served) -> None:
    alone = [text_of(server.complete(seed=seed, max_tokens=40)) for seed in (3, 4, 5)]
    beside = server.complete(prompt=["", ""], n=3, seed=3, max_tokens=40)
    assert [text_of(beside, index) for index in range(3)] == alone


def test_prompts_are_answered_one_after_the_other(server: Served) -> None:
    answer = server.complete(prompt=["分开", "车站"], n=2, echo=True, seed=1, max_tokens=5)
    begun = [text_of(answer, index)[:2] for index in range(4)]
    assert begun == ["分开", "分开", "车站", "车站"]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    written = answer["usage"]
    assert written["prompt_tokens"] == 4
    assert written["completion_tokens"] == sum(
        len(choice["text"]) - 2 for choice in answer["choices"]
    )
    assert written["total_tokens"] == written["prompt_tokens"] + written["completion_tokens"]


def test_a_text_says_why_it_has_ended(server: Served) -> None:
    reasons = [
        server.complete(seed=1, max_tokens=3),
        server.complete(seed=1, lines=9, stop="我"),
        server.complete(seed=1, lines=9, stop=["我", "在"]),
        server.complete(seed=1),
    ]
    assert [answer["choices"][0]["finish_reason"] for answer in reasons] == [
        "length",
        "stop",
        "stop",
        "stop",
    ]
    assert "我" not in text_of(reasons[1])


def test_characters_are_told_with_how_likely_they_were(server: Served, model: TrainedModel) -> None:
    asked: dict[str, Any] = {"prompt": "分开", "seed": 2, "max_tokens": 8, "lines": 9}
    answer = server.complete(**asked, logprobs=3, echo=True)
    figures, text = answer["choices"][0]["logprobs"], text_of(answer)
    assert "".join(figures["tokens"]) == text
    assert figures["text_offset"] == list(range(len(text)))
    new = text.removeprefix("分开")
    expected = model.sampler.log_probabilities(new, "分开")
    assert figures["token_logprobs"][2:] == pytest.approx(list(expected), abs=1e-4)
    for token, likely, others in zip(
        figures["tokens"], figures["token_logprobs"], figures["top_logprobs"], strict=True
    ):
        assert others[token] == likely
        assert len(others) in (3, 4)
    assert server.complete(**asked)["choices"][0]["logprobs"] is None
    none = server.complete(**asked, logprobs=0)["choices"][0]["logprobs"]
    assert [list(others) for others in none["top_logprobs"]] == [[each] for each in none["tokens"]]


def test_a_text_is_scored_as_harnesses_do(server: Served, model: TrainedModel) -> None:
    text = "分开的第一天 我在车站等你"
    answer = server.complete(prompt=text, max_tokens=0, logprobs=1, echo=True)
    assert text_of(answer) == text
    scored = answer["choices"][0]["logprobs"]["token_logprobs"]
    # A harness leaves out what the prompt begins with, and adds up the rest.
    read = model.sampler.log_probabilities(text[4:], text[:4])
    assert math.fsum(scored[4:]) == pytest.approx(float(read.sum()), abs=1e-3)
    assert answer["usage"]["completion_tokens"] == 0


def test_the_best_of_several_are_given(server: Served) -> None:
    every = server.complete(seed=1, n=6, logprobs=0)
    best = server.complete(seed=1, n=2, best_of=6, logprobs=0)

    def likelihood(choice: Any) -> float:
        figures = choice["logprobs"]["token_logprobs"]
        return math.fsum(figures) / len(figures)

    ranked = sorted(every["choices"], key=likelihood, reverse=True)
    assert [choice["text"] for choice in best["choices"]] == [
        choice["text"] for choice in ranked[:2]
    ]


def test_logits_are_moved_as_a_request_wishes(server: Served) -> None:
    asked: dict[str, Any] = {"seed": 1, "max_tokens": 20, "lines": 9}
    barred = server.complete(**asked, logit_bias={"我": -100, "在": -100, "\n": -100})
    assert not set(text_of(barred)) & set("我在\n")
    forced = server.complete(**asked, logit_bias={"站": 100}, allow_loops=True)
    assert text_of(forced) == "站" * 20
    told = server.refused(logit_bias={"☃": 1})
    assert told == '"logit_bias" names "☃", a character that the model has never seen.'


def test_what_is_streamed_is_what_is_told_at_once(server: Served) -> None:
    asked: dict[str, Any] = {
        **{"prompt": ["分开", ""], "n": 2, "seed": 4, "max_tokens": 30},
        **{"echo": True, "logprobs": 1},
    }
    whole = server.complete(**asked)
    options = {"include_usage": True}
    answer = server.ask("/v1/completions", {**asked, "stream": True, "stream_options": options})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.body.endswith(b"data: [DONE]\n\n")
    texts: dict[int, list[Any]] = {}
    for event in answer.events:
        for choice in event["choices"]:
            texts.setdefault(choice["index"], []).append(choice)
    for choice in whole["choices"]:
        parts = texts[choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        assert [part["finish_reason"] for part in parts[:-1]] == [None] * (len(parts) - 1)
        assert parts[-1]["finish_reason"] == choice["finish_reason"]
        for name, figures in choice["logprobs"].items():
            assert [one for part in parts for one in part["logprobs"][name]] == figures
    assert answer.events[-1]["usage"] == whole["usage"]
    assert answer.events[-1]["choices"] == []


def test_a_chat_goes_on_from_what_was_said(server: Served) -> None:
    messages = [
        {"role": "system", "content": "分开的第一天"},
        {"role": "user", "content": [{"type": "text", "text": "我在"}]},
    ]
    asked = {"messages": messages, "seed": 1, "max_tokens": 10}
    answer = server.ask("/v1/chat/completions", {**asked, "logprobs": True, "top_logprobs": 2}).json
    (choice,) = answer["choices"]
    plain = server.complete(prompt="分开的第一天\n我在", seed=1, max_tokens=10)
    assert choice["message"]["content"] == text_of(plain)
    assert choice["message"]["role"] == "assistant"
    told = choice["logprobs"]["content"]
    assert "".join(each["token"] for each in told) == text_of(plain)
    assert all(len(each["top_logprobs"]) == 2 for each in told)
    stream = server.ask("/v1/chat/completions", {**asked, "stream": True})
    deltas = [event["choices"][0]["delta"] for event in stream.events]
    assert "".join(delta["content"] for delta in deltas) == text_of(plain)
    assert deltas[0]["role"] == "assistant"


def test_lines_are_written_to_a_form(server: Served, model: TrainedModel) -> None:
    form = {"lines": 2, "line_length": "6", "must": ["站"]}
    answer = server.complete(form=form, seed=3, n=2)
    for index in range(2):
        lines = text_of(answer, index).split("\n")
        assert [len(line.replace(" ", "")) for line in lines] == [6, 6]
        assert "站" in text_of(answer, index)
    stream = server.ask("/v1/completions", {"form": form, "seed": 3, "stream": True})
    assert stream.events[0]["choices"][0]["text"] == text_of(answer)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"prompt": "分☃"},
            "The model has never seen '☃' of the prefix. Change the prefix, or use",
        ),
        ({"prompt": 5}, '"prompt" must be a text or a list of up to 64 texts, not 5.'),
        ({"prompt": [1, 2]}, "a character is a token here, so send the text itself."),
        ({"prompt": ["a"] * 65}, '"prompt" must be a text or a list of up to 64 texts'),
        ({"model": 3}, '"model" must be a text, not 3.'),
        ({"n": 0}, '"n" must be a whole number from 1 to 64, not 0.'),
        ({"n": True}, '"n" must be a whole number from 1 to 64, not true.'),
        ({"max_tokens": -1}, '"max_tokens" must be a whole number from 0 to 100,000, not -1.'),
        ({"best_of": 2, "n": 3}, '"best_of" must be at least "n".'),
        ({"best_of": 2, "stream": True}, '"stream" needs "best_of" to be "n".'),
        ({"prompt": "我" * 100_000, "n": 21}, "2,000,000 are the most: send shorter ones"),
        ({"prompt": ["a"] * 9, "n": 40}, "That is 360 texts, and at most 256"),
        ({"stop": ["a"] * 5}, '"stop" must be a text or a list of up to 4 texts'),
        ({"temperature": "hot"}, '"temperature" must be a number from 0 to 100'),
        ({"top_p": 0}, '"top_p" must be a number above 0 and at most 1, not 0.'),
        ({"seed": -1}, '"seed" must be a whole number from 0'),
        ({"logprobs": 21}, '"logprobs" must be a whole number from 0 to 20, not 21.'),
        ({"logit_bias": {"ab": 1}}, '"logit_bias" names characters, one each, and not "ab".'),
        ({"logit_bias": {"a": 101}}, '"logit_bias" must be an object of numbers from -100 to 100'),
        ({"presence_penalty": 0.5}, '"presence_penalty" is not honoured here'),
        ({"suffix": "x"}, '"suffix" is not honoured here'),
        ({"tools": [{}]}, '"tools" is not honoured here'),
        ({"response_format": {"type": "json_object"}}, '"response_format" is not honoured here'),
        ({"max_lenght": 5}, '"max_lenght" is not honoured here'),
        ({"stream_options": {"x": True}}, '"stream_options" has x'),
        ({"unknown": "maybe"}, '"unknown" must be error, skip or map'),
        ({"recall": 2}, '"recall" must be a number from 0 to 1, not 2.'),
        ({"label": {"artist": "x"}}, "label"),
        ({"form": 4}, '"form" must be an object'),
        ({"form": {"rime": "AA"}}, '"rime" is not honoured here'),
        ({"form": {"lines": 2}, "max_tokens": 5}, 'leave "max_tokens" out, or "form".'),
        ({"form": {"lines": 2, "rhyme": "A"}}, "rhyme"),
        ({"refrain": True}, '"refrain"'),
    ],
)
def test_what_cannot_be_asked_for_is_refused_in_a_sentence(
    server: Served, fields: dict[str, Any], said: str
) -> None:
    assert said in server.refused(**fields)


def test_what_asks_for_nothing_is_no_mistake(server: Served) -> None:
    nothing = {"presence_penalty": 0, "frequency_penalty": 0.0, "suffix": None, "user": "me"}
    assert server.complete(seed=1, **nothing)["choices"]


def test_an_error_names_what_was_wrong_for_programs_too(server: Served) -> None:
    error = server.ask("/v1/completions", {"prompt": "☃"}).json["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", "prompt")
    missing = server.ask("/v1/completions", {"model": "other"})
    assert missing.status == 404
    assert missing.json["error"]["code"] == "model_not_found"
    assert "newer, older" in missing.error


def test_half_a_character_is_none_and_breaks_nothing(server: Served) -> None:
    for body in (b'{"prompt": "\\ud83d"}', b'{"logit_bias": {"\\ud83d": 1}}', b'{"\\ud83d": 1}'):
        answer = server.ask("/v1/completions", body)
        assert (answer.status, bool(answer.error)) == (400, True)


def test_an_error_in_a_stream_is_its_last_event(server: Served) -> None:
    # After 40 different pairs of characters there is none left that was not written before.
    body = {"no_repeat": 1, "max_tokens": 400, "lines": 90, "stream": True, "seed": 1}
    answer = server.ask("/v1/completions", body)
    assert answer.status == 200
    *before, last = answer.events
    assert before
    assert "No character is left that may follow" in last["error"]["message"]
    assert b"[DONE]" not in answer.body


def test_the_places_of_those_who_leave_are_free_at_once(server: Served) -> None:
    body = {"max_tokens": 100_000, "lines": 90_000, "stream": True, "n": 64}
    for _ in range(3):
        with server.listen("/v1/completions", body) as stream:
            assert stream.readline().startswith(b"data: ")
    # The engine has nothing else to write: one text takes no longer than it does alone.
    until(lambda: server.complete(max_tokens=200, lines=90)["choices"])


def test_a_run_that_has_learned_more_is_opened_anew(
    where: Path, server: Served, model: TrainedModel
) -> None:
    asked: dict[str, Any] = {
        "model": "older",
        "prompt": "分开",
        "echo": True,
        "max_tokens": 0,
        "logprobs": 0,
    }
    before = server.complete(**asked)["choices"]
    # As a training writes it: under another name first.
    runs = where / "checkpoints"
    beside = runs / "older" / "beside"
    beside.write_bytes((runs / "newer" / "model.safetensors").read_bytes())
    beside.replace(runs / "older" / "model.safetensors")
    assert server.complete(**asked)["choices"] != before
