"""What a request to complete a text asks for, checked field by field."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from charlstm.model.cells import Array
from charlstm.serve.answers import Refused
from charlstm.serve.fields import Fields, form_of, wrong
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.decoding import Decoding, Processor
from charlstm.writing.form import Form

MOST_PROMPTS = 64
MOST_TEXTS = 256
MOST_CHARACTERS = 100_000
MOST_READ = 2_000_000
_MOST_STOPS = 4
_MOST_LIKELIEST = 20
_STRONGEST_BIAS = 100.0
_MISSING = object()
# What cannot change what is written, whatever it is.
_WITHOUT_EFFECT = ("user", "metadata", "safety_identifier")
# What is honoured only where it asks for nothing.
_NOTHING: Mapping[str, Any] = {
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "store": False,
    "suffix": "",
    "tools": [],
    "functions": [],
    "response_format": {"type": "text"},
}
_DECODING = tuple(field.name for field in fields(Decoding))


@dataclass(frozen=True)
class Asked:
    """What a request asks for.

    Attributes:
        model: the name of a run; the newest where ``None``.
        prompts: what to go on from, each.
        samples: how many texts are given for each.
        best_of: how many are written for each, of which those are given.
        echo: whether each text begins with its prompt.
        likeliest: how many characters are told in the place of each; ``None`` tells nothing.
        stream: whether the texts are sent while they are written.
        usage: whether a stream tells at its end how many characters it had.
        length: how many characters are written at most; as `generate` does where ``None``.
        stop: texts to end before.
        seed: of the first text; random where ``None``.
        lines: how many lines are written; any number where ``None``.
        refrain: whether a stanza returns.
        recall: the share of what is remembered; the recipe's own where ``None``.
        label: what is read before the song.
        unknown: what is done with characters that the model has never seen.
        max_copy: how many letters in a row may be copied; any number where ``None``.
        bias: what is added to the logits of some characters.
        decoding: how characters are drawn.
        form: what the lines must be, if they are to be in a form.
    """

    model: str | None
    prompts: tuple[str, ...]
    samples: int
    best_of: int
    echo: bool
    likeliest: int | None
    stream: bool
    usage: bool
    length: int | None
    stop: tuple[str, ...]
    seed: int | None
    lines: int | None
    refrain: bool
    recall: float | None
    label: Mapping[str, str] | None
    unknown: str
    max_copy: int | None
    bias: Mapping[str, float]
    decoding: Mapping[str, Any]
    form: Form | None

    @property
    def texts(self) -> int:
        """How many texts are written."""
        return len(self.prompts) * self.best_of


def asked_of(fields: Fields, prompts: Sequence[str], likeliest: int | None) -> Asked:
    """Return what a request asks for.

    Args:
        fields: those that have not been taken yet.
        prompts: what to go on from.
        likeliest: see `Asked`.

    Raises:
        Refused: something cannot be asked for.
    """
    samples = fields.whole("n", 1, MOST_PROMPTS) or 1
    best_of = fields.whole("best_of", 1, MOST_PROMPTS) or samples
    options = fields.mapping("stream_options", "flags", lambda value: isinstance(value, bool)) or {}
    length = fields.whole("max_tokens", 0, MOST_CHARACTERS)
    longer = fields.whole("max_completion_tokens", 0, MOST_CHARACTERS)
    length = length if longer is None else longer
    stop = fields.texts("stop", _MOST_STOPS)
    form = form_of(fields)
    asked = Asked(
        model=fields.text("model"),
        prompts=tuple(prompts),
        samples=samples,
        best_of=best_of,
        echo=fields.flag("echo"),
        likeliest=likeliest,
        stream=fields.flag("stream"),
        usage=options.pop("include_usage", False),
        length=length,
        stop=tuple(text for text in stop if text),
        seed=fields.take("seed"),
        lines=fields.whole("lines", 1, MOST_CHARACTERS),
        refrain=fields.flag("refrain"),
        recall=fields.take("recall"),
        label=fields.mapping("label", "texts", lambda value: isinstance(value, str)),
        unknown=fields.text("unknown") or "error",
        max_copy=fields.take("max_copy"),
        bias=_bias(fields),
        decoding={name: value for name in _DECODING if (value := fields.take(name)) is not None},
        form=form,
    )
    if options:
        raise Refused(
            f'"stream_options" has {", ".join(options)}, of which nothing is known here.',
            param="stream_options",
        )
    fields.end(_NOTHING, _WITHOUT_EFFECT)
    _check(asked)
    return asked


def _check(asked: Asked) -> None:
    """Refuse what cannot be asked for together."""
    if asked.best_of < asked.samples:
        raise Refused('"best_of" must be at least "n".', param="best_of")
    if asked.texts > MOST_TEXTS:
        raise Refused(
            f"That is {asked.texts:,} texts, and at most {MOST_TEXTS} can be asked for at once: "
            'send fewer prompts, or a smaller "n" or "best_of".',
            param="n",
        )
    read = sum(map(len, asked.prompts)) * asked.best_of
    if read > MOST_READ:
        raise Refused(
            f"The prompts have {read:,} characters, counted for each text that goes on from them, "
            f"and {MOST_READ:,} are the most: send shorter ones, or ask for fewer texts.",
            param="prompt",
        )
    if asked.stream and asked.best_of > asked.samples:
        raise Refused(
            'Which texts are the best shows at their ends: "stream" needs "best_of" to be "n".',
            param="best_of",
        )
    if asked.form is None:
        return
    given = {
        "max_tokens": asked.length,
        "stop": asked.stop,
        "lines": asked.lines,
        "logprobs": asked.likeliest is not None,
        "logit_bias": asked.bias,
        "refrain": asked.refrain,
        "best_of": asked.best_of > asked.samples,
    }
    for name, value in given.items():
        if value:
            raise Refused(
                f'A form says itself what is written: leave "{name}" out, or "form".', param=name
            )


def _bias(fields: Fields) -> dict[str, float]:
    def is_bias(value: object) -> bool:
        real = isinstance(value, int | float) and not isinstance(value, bool)
        return real and -_STRONGEST_BIAS <= value <= _STRONGEST_BIAS  # type: ignore[operator]

    bias = fields.mapping(
        "logit_bias", f"numbers from {-_STRONGEST_BIAS:g} to {_STRONGEST_BIAS:g}", is_bias
    )
    for character in bias or {}:
        if len(character) != 1:
            raise Refused(
                '"logit_bias" names characters, one each, and not '
                f"{json.dumps(character[:40], ensure_ascii=False)}.",
                param="logit_bias",
            )
    return bias or {}


class Biased:
    """Adds to the logits of some characters, as a request wishes.

    Args:
        bias: what to add, to each; -100 rules a character out.
        vocabulary: of the logits.

    Raises:
        Refused: the model has never seen one of them.
    """

    def __init__(self, bias: Mapping[str, float], vocabulary: Vocabulary) -> None:
        for character in bias:
            if character not in vocabulary:
                shown = json.dumps(character, ensure_ascii=False)
                raise Refused(
                    f'"logit_bias" names {shown}, a character that the model has never seen.',
                    param="logit_bias",
                )
        self._ids = vocabulary.encode("".join(bias))
        added = np.array(list(bias.values()), dtype=np.float32)
        self._added = np.where(added <= -_STRONGEST_BIAS, -np.inf, added)

    def __call__(self, _written: str, logits: Array) -> None:
        """Add in place; see `charlstm.writing.decoding.Processor`."""
        logits[self._ids] += self._added


def biased(bias: Mapping[str, float], vocabulary: Vocabulary) -> tuple[Processor, ...]:
    """Return what adds to the logits of some characters, if anything does."""
    return (Biased(bias, vocabulary),) if bias else ()


def prompts_of(fields: Fields) -> tuple[str, ...]:
    """Return what a request for a completion goes on from."""
    value = fields.take("prompt")
    if isinstance(value, list) and any(type(each) is int for each in value):
        raise Refused(
            '"prompt" is a list of numbers; a character is a token here, so send the text itself.',
            param="prompt",
        )
    given = Fields({"prompt": value}).texts("prompt", MOST_PROMPTS)
    return given or ("",)


def likeliest_of(fields: Fields) -> int | None:
    """Return how many characters a request for a completion wants told in the place of each."""
    return fields.whole("logprobs", 0, _MOST_LIKELIEST)


def likeliest_of_chat(fields: Fields) -> int | None:
    """Return the same of a request for a chat, which says so in two fields."""
    told, many = fields.flag("logprobs"), fields.whole("top_logprobs", 0, _MOST_LIKELIEST)
    if many is not None and not told:
        raise Refused('"top_logprobs" needs "logprobs": true.', param="top_logprobs")
    return (many or 0) if told else None


def messages_of(fields: Fields) -> tuple[str, ...]:
    """Return what a chat goes on from: the contents of its messages, one after the other."""
    messages = fields.take("messages")
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", "a list of messages", messages)
    return ("\n".join(_content(message) for message in messages),)


def _content(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    parts = [content] if isinstance(content, str) else content
    if isinstance(parts, list):
        found = [part.get("text") if isinstance(part, dict) else part for part in parts]
        texts = [text for text in found if isinstance(text, str)]
        if len(texts) == len(found):
            return "".join(texts)
    raise wrong("messages", 'a list of messages with texts, such as {"content": "分开"}', message)
