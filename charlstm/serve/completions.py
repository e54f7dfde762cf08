"""What other programs ask: ``/v1/models``, ``/v1/completions`` and ``/v1/chat/completions``.

The names and shapes are those that clients of such servers know. A token is a character.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charlstm.errors import RunError
from charlstm.runs.known import saved_at
from charlstm.serve.answers import Refused, answer, asked, refusal
from charlstm.serve.asked import (
    Asked,
    Fields,
    asked_of,
    biased,
    likeliest_of,
    likeliest_of_chat,
    messages_of,
    prompts_of,
)
from charlstm.serve.engine import Asking
from charlstm.serve.streams import EventStream, unless_gone
from charlstm.trained import TrainedModel
from charlstm.writing.company import Drawn, Text
from charlstm.writing.decoding import Decoding
from charlstm.writing.drawer import first_seed
from charlstm.writing.task import Task

# So many seconds pass between two events of a stream: nobody reads faster.
_BETWEEN_SECONDS = 0.02


def routes() -> list[Route]:
    """Return what is answered where."""
    return [
        Route("/v1/models", _models),
        Route("/v1/models/{name}", _model),
        Route("/v1/completions", _complete, methods=["POST"]),
        Route("/v1/chat/completions", _chat, methods=["POST"]),
    ]


async def _models(request: Request) -> Response:
    paths = await anyio.to_thread.run_sync(request.app.state.served.models.trained)
    return answer({"object": "list", "data": [_described(path) for path in paths]})


async def _model(request: Request) -> Response:
    name = request.path_params["name"]
    model = await anyio.to_thread.run_sync(_opened, request.app.state.served.models, name)
    return answer(_described(model.directory.path))


def _described(path: Path) -> dict[str, Any]:
    created = int(saved_at(path))
    return {"id": path.name, "object": "model", "created": created, "owned_by": "charlstm"}


@dataclass(frozen=True)
class _Shape:
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


_COMPLETION = _Shape("cmpl", "text_completion", "text_completion", is_chat=False)
_CHAT = _Shape("chatcmpl", "chat.completion", "chat.completion.chunk", is_chat=True)


async def _complete(request: Request) -> Response:
    fields = Fields(await asked(request))
    prompts = prompts_of(fields)
    wish = asked_of(fields, prompts, likeliest_of(fields))
    return await _answered(request, wish, _COMPLETION)


async def _chat(request: Request) -> Response:
    fields = Fields(await asked(request))
    prompts = messages_of(fields)
    wish = asked_of(fields, prompts, likeliest_of_chat(fields))
    if wish.echo:
        raise Refused('A chat has no "echo": leave it out.', param="echo")
    return await _answered(request, wish, _CHAT)


@dataclass(frozen=True)
class _Prepared:
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


async def _answered(request: Request, wish: Asked, shape: _Shape) -> Response:
    served = request.app.state.served
    prepared = await anyio.to_thread.run_sync(_prepare, served.models, wish, shape)
    if wish.form is not None:
        texts = await unless_gone(request, _composed(prepared))
        if wish.stream:
            return EventStream(_events_of_form(prepared, texts, shape))
        choices = [_choice(k, text, "stop", None, shape) for k, text in enumerate(texts)]
        written = sum(map(len, texts))
        return answer(_whole(prepared, choices, written, shape))
    asking = served.engine.ask(
        prepared.model,
        prepared.share,
        prepared.tasks,
        wish.best_of,
        likeliest=0 if wish.likeliest is None and wish.best_of > wish.samples else wish.likeliest,
        told_prefix=wish.echo,
    )
    if wish.stream:
        return EventStream(
            _left(_events(prepared, asking, shape), lambda: served.engine.leave(asking))
        )
    try:
        await unless_gone(request, _finished(asking))
    finally:
        served.engine.leave(asking)
    choices, written = _choices(prepared, asking.texts, shape)
    return answer(_whole(prepared, choices, written, shape))


def _opened(models: Any, name: str | None) -> TrainedModel:
    """Return the model of a name, the newest for none."""
    try:
        if name is None:
            paths = models.trained()
            if not paths:
                raise RunError("There is no model yet: train one first.")
            name = paths[0].name
        model: TrainedModel = models.get(name)
    except RunError as error:
        refused = refusal(error)
        raise Refused(refused.message, 404, param="model", code="model_not_found") from None
    return model


def _prepare(models: Any, wish: Asked, shape: _Shape) -> _Prepared:
    """Check what was asked for against the model; what it needs is read here, if not before."""
    model = _opened(models, wish.model)
    first = first_seed(wish.seed)
    sampler = model.recalling(wish.recall).labelled(wish.label)
    processors = (
        *biased(wish.bias, sampler.vocabulary),
        *model.learned.processors(wish.max_copy),
    )
    decoding = Decoding(**wish.decoding)
    tasks = tuple(
        sampler.task(
            prompt,
            length=wish.length,
            lines=wish.lines,
            stop=wish.stop,
            decoding=decoding,
            processors=processors,
            refrain=model.learned.refrain if wish.refrain else None,
            seed=first + number * wish.best_of,
            unknown=wish.unknown,
        )
        for number, prompt in enumerate(wish.prompts)
    )
    head = {
        "id": f"{shape.id}-{secrets.token_hex(12)}",
        "created": int(time.time()),
        "model": model.directory.name,
        "seed": first,
    }
    return _Prepared(wish, model, sampler.recall, tasks, head)


async def _finished(asking: Asking) -> None:
    """Wait until all texts are written.

    Raises:
        Refused: one of them could not be.
    """
    while not asking.is_over:
        await asking.changed.wait()
        asking.changed.clear()
        _check(asking)
    _check(asking)


def _check(asking: Asking) -> None:
    if asking.broken:
        raise Refused(
            "Something in charlstm is broken; what, stands where charlstm serve was started.", 500
        )
    for text in asking.texts:
        if text.error is not None:
            raise refusal(text.error)


def _choices(
    prepared: _Prepared, texts: Sequence[Text], shape: _Shape
) -> tuple[list[dict[str, Any]], int]:
    """Return what is told of texts that are written, and how many characters were written."""
    wish, choices, written = prepared.wish, list[dict[str, Any]](), 0
    for number, echoed in enumerate(prepared.echoed):
        of_prompt = texts[number * wish.best_of : (number + 1) * wish.best_of]
        written += sum(len(_new(text)) for text in of_prompt)
        if wish.best_of > wish.samples:
            of_prompt = sorted(of_prompt, key=_likelihood, reverse=True)[: wish.samples]
        for text in of_prompt:
            new = _new(text)
            figures = None
            if wish.likeliest is not None:
                drawn = text.drawn[: len(new)]
                if wish.echo:
                    drawn = [*text.read, *drawn]
                figures = _figures(drawn, 0, shape)
            choices.append(_choice(len(choices), echoed + new, _reason(text), figures, shape))
    return choices, written


def _new(text: Text) -> str:
    """Return what was written after the prefix."""
    return text.written[len(text.task.prefix.normalised) :]


def _likelihood(text: Text) -> float:
    """Return the mean log-probability of a text's characters."""
    drawn = [each.log_probability for each in text.drawn]
    return float(np.mean(drawn)) if drawn else -np.inf


def _reason(text: Text) -> str:
    return "length" if text.reason == "length" else "stop"


def _figures(drawn: Sequence[Drawn], offset: int, shape: _Shape) -> dict[str, Any]:
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
        "tokens": [each.character for each in drawn],
        "token_logprobs": [each.log_probability for each in drawn],
        # The character itself is always told, as it is elsewhere.
        "top_logprobs": [
            {**dict(each.likeliest), each.character: each.log_probability} for each in drawn
        ],
        "text_offset": list(range(offset, offset + len(drawn))),
    }


def _of_chat(character: str, log_probability: float) -> dict[str, Any]:
    encoded = list(character.encode(errors="replace"))
    return {"token": character, "logprob": log_probability, "bytes": encoded}


def _choice(
    index: int,
    text: str,
    reason: str | None,
    figures: dict[str, Any] | None,
    shape: _Shape,
) -> dict[str, Any]:
    content: dict[str, Any] = {"text": text}
    if shape.is_chat:
        content = {"message": {"role": "assistant", "content": text, "refusal": None}}
    return {"index": index, **content, "logprobs": figures, "finish_reason": reason}


def _usage(prepared: _Prepared, written: int) -> dict[str, int]:
    read = sum(len(task.prefix.read) for task in prepared.tasks)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def _whole(
    prepared: _Prepared, choices: list[dict[str, Any]], written: int, shape: _Shape
) -> dict[str, Any]:
    kind = {"object": shape.whole}
    usage = _usage(prepared, written)
    return {**prepared.head, **kind, "choices": choices, "usage": usage}


async def _composed(prepared: _Prepared) -> list[str]:
    """Return texts in a form, those of each prompt one after the other."""
    wish = prepared.wish
    assert wish.form is not None
    written = []
    for task, echoed in zip(prepared.tasks, prepared.echoed, strict=True):
        for number in range(wish.samples):
            compose = _composing(prepared, task, number)
            written.append(echoed + await anyio.to_thread.run_sync(compose))
    return written


def _composing(prepared: _Prepared, task: Task, number: int) -> Callable[[], str]:
    wish = prepared.wish
    assert wish.form is not None
    form = wish.form

    def compose() -> str:
        point = prepared.model.compose_point(
            form,
            task.prefix,
            seed=task.seed + number,
            recall=prepared.share,
            label=task.label,
            max_copy=wish.max_copy,
            unknown=wish.unknown,
            **wish.decoding,
        )
        return point.text[point.given :]

    return compose


async def _left(
    events: AsyncIterator[dict[str, Any] | str], leave: Callable[[], None]
) -> AsyncIterator[dict[str, Any] | str]:
    """Yield events, and leave whatever happens to who listens."""
    try:
        async for event in events:
            yield event
    finally:
        leave()


async def _events_of_form(
    prepared: _Prepared, texts: Sequence[str], shape: _Shape
) -> AsyncIterator[dict[str, Any] | str]:
    for k, text in enumerate(texts):
        yield _part(prepared, [_delta(k, text, "stop", None, shape, first=True)], shape)
    for event in _last(prepared, sum(map(len, texts)), shape):
        yield event


async def _events(
    prepared: _Prepared, asking: Asking, shape: _Shape
) -> AsyncIterator[dict[str, Any] | str]:
    """Yield what is new of each text, again and again.

    Raises:
        Refused: one of them cannot go on.
    """
    wish = prepared.wish
    seen: list[int | None] = [None] * wish.texts
    over = [False] * wish.texts
    while not all(over):
        await asking.changed.wait()
        asking.changed.clear()
        _check(asking)
        choices = []
        for index, text in enumerate(asking.texts):
            new, ended = _new(text), text.is_over
            before = seen[index]
            if over[index] or (len(new) == (before or 0) and not ended):
                continue
            figures = None
            if wish.likeliest is not None:
                drawn, offset = text.drawn[before or 0 : len(new)], before or 0
                if wish.echo:
                    echoed = len(text.read)
                    drawn = drawn if before is not None else [*text.read, *drawn]
                    offset = offset + echoed if before is not None else 0
                figures = _figures(drawn, offset, shape)
            piece = new[before or 0 :]
            if before is None:
                piece = prepared.echoed[index // wish.best_of] + piece
            reason = _reason(text) if ended else None
            choices.append(_delta(index, piece, reason, figures, shape, first=before is None))
            seen[index], over[index] = len(new), ended
        if choices:
            yield _part(prepared, choices, shape)
            await asyncio.sleep(_BETWEEN_SECONDS)
    written = sum(each or 0 for each in seen)
    for event in _last(prepared, written, shape):
        yield event


def _delta(
    index: int,
    text: str,
    reason: str | None,
    figures: dict[str, Any] | None,
    shape: _Shape,
    *,
    first: bool,
) -> dict[str, Any]:
    """Return what is new of a text."""
    if not shape.is_chat:
        return _choice(index, text, reason, figures, shape)
    delta = {"role": "assistant", "content": text} if first else {"content": text}
    return {"index": index, "delta": delta, "logprobs": figures, "finish_reason": reason}


def _part(prepared: _Prepared, choices: list[dict[str, Any]], shape: _Shape) -> dict[str, Any]:
    usage = {"usage": None} if prepared.wish.usage else {}
    return {**prepared.head, "object": shape.part, "choices": choices, **usage}


def _last(prepared: _Prepared, written: int, shape: _Shape) -> list[dict[str, Any] | str]:
    """Return what a stream ends with."""
    events: list[dict[str, Any] | str] = ["data: [DONE]\n\n"]
    if prepared.wish.usage:
        usage = {"usage": _usage(prepared, written)}
        events.insert(0, {**_part(prepared, [], shape), **usage})
    return events
