"""What other programs ask: ``/v1/models``, ``/v1/completions`` and ``/v1/chat/completions``."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from charlstm.runs.known import saved_at
from charlstm.serve.answers import BROKEN, Refused, answer, asked, refusal
from charlstm.serve.fields import Fields
from charlstm.serve.programs.asked import (
    Asked,
    asked_of,
    biased,
    likeliest_of,
    likeliest_of_chat,
    messages_of,
    prompts_of,
)
from charlstm.serve.programs.engine import Asking
from charlstm.serve.programs.told import (
    CHAT,
    COMPLETION,
    Prepared,
    Shape,
    choice,
    choices_of,
    delta,
    figures_of,
    last,
    new_of,
    part,
    reason_of,
    whole,
)
from charlstm.serve.streams import EventStream, unless_gone
from charlstm.trained import TrainedModel
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


async def _complete(request: Request) -> Response:
    fields = Fields(await asked(request))
    prompts = prompts_of(fields)
    wish = asked_of(fields, prompts, likeliest_of(fields))
    return await _answered(request, wish, COMPLETION)


async def _chat(request: Request) -> Response:
    fields = Fields(await asked(request))
    prompts = messages_of(fields)
    wish = asked_of(fields, prompts, likeliest_of_chat(fields))
    if wish.echo:
        raise Refused('A chat has no "echo": leave it out.', param="echo")
    return await _answered(request, wish, CHAT)


async def _answered(request: Request, wish: Asked, shape: Shape) -> Response:
    served = request.app.state.served
    prepared = await anyio.to_thread.run_sync(_prepare, served.models, wish, shape)
    if wish.form is not None:
        texts = await unless_gone(request, _composed(prepared, served.forms))
        if wish.stream:
            return EventStream(_events_of_form(prepared, texts, shape))
        choices = [choice(k, text, "stop", None, shape) for k, text in enumerate(texts)]
        written = sum(map(len, texts))
        return answer(whole(prepared, choices, written, shape))
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
    choices, written = choices_of(prepared, asking.texts, shape)
    return answer(whole(prepared, choices, written, shape))


def _opened(models: Any, name: str | None) -> TrainedModel:
    """Return the model of a name, the newest for none.

    Raises:
        Refused: there is none.
        RunError: it is damaged.
    """
    if name is None:
        paths = models.trained()
        if not paths:
            raise Refused("There is no model yet: train one first.", 404, code="model_not_found")
        name = paths[0].name
    model: TrainedModel = models.get(name)
    return model


def _prepare(models: Any, wish: Asked, shape: Shape) -> Prepared:
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
    return Prepared(wish, model, sampler.recall, tasks, head)


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
        raise Refused(BROKEN, 500)
    for text in asking.texts:
        if text.error is not None:
            raise refusal(text.error)


async def _composed(prepared: Prepared, limiter: anyio.CapacityLimiter) -> list[str]:
    """Return texts in a form, those of each prompt one after the other."""
    wish = prepared.wish
    assert wish.form is not None
    written = []
    for task, echoed in zip(prepared.tasks, prepared.echoed, strict=True):
        for number in range(wish.samples):
            compose = _composing(prepared, task, number)
            written.append(echoed + await anyio.to_thread.run_sync(compose, limiter=limiter))
    return written


def _composing(prepared: Prepared, task: Task, number: int) -> Callable[[], str]:
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
    prepared: Prepared, texts: Sequence[str], shape: Shape
) -> AsyncIterator[dict[str, Any] | str]:
    for k, text in enumerate(texts):
        yield part(prepared, [delta(k, text, "stop", None, shape, first=True)], shape)
    for event in last(prepared, sum(map(len, texts)), shape):
        yield event


async def _events(
    prepared: Prepared, asking: Asking, shape: Shape
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
            # In this order: a last character is added before it is said to be the last.
            ended = text.is_over
            new = new_of(text)
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
                figures = figures_of(drawn, offset, shape)
            piece = new[before or 0 :]
            if before is None:
                piece = prepared.echoed[index // wish.best_of] + piece
            reason = reason_of(text) if ended else None
            choices.append(delta(index, piece, reason, figures, shape, first=before is None))
            seen[index], over[index] = len(new), ended
        _check(asking)  # what has ended may have failed
        if choices:
            yield part(prepared, choices, shape)
            await asyncio.sleep(_BETWEEN_SECONDS)
    written = sum(each or 0 for each in seen)
    for event in last(prepared, written, shape):
        yield event
