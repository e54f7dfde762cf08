"""How texts that were written are told: as a completion, as a chat, whole or in parts.

The names and shapes are those that clients of such servers know. A token is a character.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charlstm.serve.programs.asked import Asked
from charlstm.text.songs import END
from charlstm.trained import TrainedModel
from charlstm.writing.company import Drawn, Text
from charlstm.writing.task import Task


@dataclass(frozen=True)
class Shape:
    """How an answer is told: as a completion, or as a chat.

    Attributes:
        id: what its name begins with.
        whole: the kind of a whole answer.
        part: the kind of a part of a stream.
        is_chat: whether it is a chat.
    """

    id: str
    whole: str
    part: str
    is_chat: bool


COMPLETION = Shape("cmpl", "text_completion", "text_completion", is_chat=False)
CHAT = Shape("chatcmpl", "chat.completion", "chat.completion.chunk", is_chat=True)


@dataclass(frozen=True)
class Prepared:
    """What is to be written, checked.

    Attributes:
        wish: what was asked for.
        model: that writes.
        share: of what it remembers.
        tasks: one for each prompt.
        head: what every part of the answer begins with.
    """

    wish: Asked
    model: TrainedModel
    share: float
    tasks: tuple[Task, ...]
    head: dict[str, Any]

    @property
    def echoed(self) -> list[str]:
        """What each text begins with, as it is told."""
        wish = self.wish
        if not wish.echo:
            return [""] * len(self.tasks)
        # With figures for each character there are as many as the model has read.
        told = wish.likeliest is not None
        return [task.prefix.read if told else task.prefix.given for task in self.tasks]


def choices_of(
    prepared: Prepared, texts: Sequence[Text], shape: Shape
) -> tuple[list[dict[str, Any]], int]:
    """Return what is told of texts that are written, and how many characters were written."""
    wish, choices, written = prepared.wish, list[dict[str, Any]](), 0
    for number, echoed in enumerate(prepared.echoed):
        of_prompt = texts[number * wish.best_of : (number + 1) * wish.best_of]
        written += sum(len(new_of(text)) for text in of_prompt)
        if wish.best_of > wish.samples:
            of_prompt = sorted(of_prompt, key=_likelihood, reverse=True)[: wish.samples]
        for text in of_prompt:
            new = new_of(text)
            figures = None
            if wish.likeliest is not None:
                drawn = text.drawn[: len(new)]
                if wish.echo:
                    drawn = [*text.read, *drawn]
                figures = figures_of(drawn, 0, shape)
            choices.append(choice(len(choices), echoed + new, reason_of(text), figures, shape))
    return choices, written


def new_of(text: Text) -> str:
    """Return what was written after the prefix."""
    return text.new


def _likelihood(text: Text) -> float:
    """Return the mean log-probability of a text's characters."""
    drawn = [each.log_probability for each in text.drawn]
    return float(np.mean(drawn)) if drawn else -np.inf


def reason_of(text: Text) -> str:
    """Return why a text has ended, as such interfaces say it."""
    return "length" if text.reason == "length" else "stop"


def figures_of(drawn: Sequence[Drawn], offset: int, shape: Shape) -> dict[str, Any]:
    """Return how likely characters were, as such interfaces tell it.

    Args:
        drawn: the characters.
        offset: where the first of them stands in its text.
        shape: of the answer.
    """
    if shape.is_chat:
        return {
            "content": [
                {
                    **_of_chat(each.character, each.log_probability),
                    "top_logprobs": [_of_chat(*likely) for likely in each.likeliest],
                }
                for each in drawn
            ]
        }
    return {
        "tokens": [_named(each.character) for each in drawn],
        "token_logprobs": [each.log_probability for each in drawn],
        # The character itself is always told, as it is elsewhere.
        "top_logprobs": [
            {
                _named(one): likely
                for one, likely in (*each.likeliest, (each.character, each.log_probability))
            }
            for each in drawn
        ],
        "text_offset": list(range(offset, offset + len(drawn))),
    }


def _of_chat(character: str, log_probability: float) -> dict[str, Any]:
    token = _named(character)
    encoded = list(token.encode(errors="replace"))
    return {"token": token, "logprob": log_probability, "bytes": encoded}


def _named(character: str) -> str:
    """Return a character; the end of a song is none, and has the name that it has elsewhere."""
    return "<|endoftext|>" if character == END else character


def choice(
    index: int,
    text: str,
    reason: str | None,
    figures: dict[str, Any] | None,
    shape: Shape,
) -> dict[str, Any]:
    """Return one text of an answer.

    Args:
        index: its number.
        text: itself.
        reason: why it has ended, if it has.
        figures: of its characters, if they are told.
        shape: of the answer.
    """
    content: dict[str, Any] = {"text": text}
    if shape.is_chat:
        content = {"message": {"role": "assistant", "content": text, "refusal": None}}
    return {"index": index, **content, "logprobs": figures, "finish_reason": reason}


def _usage(prepared: Prepared, written: int) -> dict[str, int]:
    read = sum(len(task.prefix.read) for task in prepared.tasks)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def whole(
    prepared: Prepared, choices: list[dict[str, Any]], written: int, shape: Shape
) -> dict[str, Any]:
    """Return a whole answer, whose texts have so many characters together."""
    kind = {"object": shape.whole}
    usage = _usage(prepared, written)
    return {**prepared.head, **kind, "choices": choices, "usage": usage}


def delta(
    index: int,
    text: str,
    reason: str | None,
    figures: dict[str, Any] | None,
    shape: Shape,
    *,
    first: bool,
) -> dict[str, Any]:
    """Return what is new of a text."""
    if not shape.is_chat:
        return choice(index, text, reason, figures, shape)
    delta = {"role": "assistant", "content": text} if first else {"content": text}
    return {"index": index, "delta": delta, "logprobs": figures, "finish_reason": reason}


def part(prepared: Prepared, choices: list[dict[str, Any]], shape: Shape) -> dict[str, Any]:
    """Return a part of a stream."""
    usage = {"usage": None} if prepared.wish.usage else {}
    return {**prepared.head, "object": shape.part, "choices": choices, **usage}


def last(prepared: Prepared, written: int, shape: Shape) -> list[dict[str, Any] | str]:
    """Return what a stream ends with."""
    events: list[dict[str, Any] | str] = ["data: [DONE]\n\n"]
    if prepared.wish.usage:
        usage = {"usage": _usage(prepared, written)}
        events.insert(0, {**part(prepared, [], shape), **usage})
    return events
