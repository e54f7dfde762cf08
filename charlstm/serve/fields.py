"""The fields of a request, each checked for what it must be."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from charlstm.errors import RecipeError
from charlstm.serve.answers import Refused, named
from charlstm.writing.form import Form

_MOST_WORDS = 64
_MISSING = object()

FORM = ("line_length", "acrostic", "acrostic_end", "rhyme")
"""The parts of a form that are texts."""


class Fields:
    """The fields of a request, taken one after the other; ``null`` is the default.

    Args:
        body: the request.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        self._left = {name: value for name, value in body.items() if value is not None}

    def take(self, name: str) -> Any:
        """Return the value of a field, ``None`` where there is none."""
        return self._left.pop(name, None)

    def has(self, name: str) -> bool:
        """Return whether a field is there and was not taken yet."""
        return name in self._left

    def text(self, name: str, *, most: int | None = None) -> str | None:
        """Return a text.

        Args:
            name: of the field, as for all that follow.
            most: how many characters it may have; ``None`` for any number.

        Raises:
            Refused: it is something else or too long, as for all that follow.
        """
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise wrong(name, "a text", value)
        if most is not None and len(value) > most:
            told = f'"{name}" has {len(value):,} characters, and {most:,} are the most.'
            raise Refused(told, 413, param=name)
        return whole_characters(value)

    def needed(self, name: str, *, most: int | None = None) -> str:
        """Return a text that must be there."""
        value = self.text(name, most=most)
        if value is None:
            raise Refused(f'"{name}" is missing.', param=name)
        return value

    def flag(self, name: str) -> bool:
        """Return whether something is asked for."""
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise wrong(name, "true or false", value)
        return bool(value)

    def whole(self, name: str, low: int, high: int = 1 << 63) -> int | None:
        """Return a whole number in a range, whose ends are part of it."""
        value = self.take(name)
        if value is None:
            return None
        # A number of another language may have a point in it and be whole.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            end = f"to {high:,}" if high < 1 << 63 else "up"
            raise wrong(name, f"a whole number from {low:,} {end}", value)
        return value

    def texts(self, name: str, most: int) -> tuple[str, ...]:
        """Return a text, or a list of up to `most`, as a list."""
        value = self.take(name)
        if value is None:
            return ()
        given = [value] if isinstance(value, str) else value
        if (
            not isinstance(given, list)
            or len(given) > most
            or not all(isinstance(text, str) for text in given)
        ):
            raise wrong(name, f"a text or a list of up to {most} texts", value)
        return tuple(map(whole_characters, given))

    def mapping(self, name: str, of: str, is_one: Callable[[Any], bool]) -> dict[str, Any] | None:
        """Return an object whose values are all of a kind."""
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, dict) or not all(map(is_one, value.values())):
            raise wrong(name, f"an object of {of}", value)
        return value

    def object(self, name: str) -> "Fields | None":
        """Return the fields of an object."""
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise wrong(name, "an object", value)
        return Fields(value)

    def end(self, nothing: Mapping[str, Any] = {}, without_effect: Sequence[str] = ()) -> None:
        """Check that nothing else is asked for.

        Args:
            nothing: fields that are honoured only where they ask for nothing, and what that is.
            without_effect: fields that change nothing, whatever they are.

        Raises:
            Refused: something is, which would not be honoured.
        """
        for name, value in self._left.items():
            if name not in without_effect and nothing.get(name, _MISSING) != value:
                raise Refused(
                    f'"{name[:100]}" is not honoured here, and what is asked for is never '
                    "ignored: leave it out.",
                    param=name,
                    code="unsupported_parameter",
                )


def form_of(fields: Fields, name: str = "form") -> Form | None:
    """Return the form that a field describes, if it is there.

    Raises:
        Refused: it is none, and which part of it is wrong.
        RecipeError: two parts of it cannot be combined.
    """
    given = fields.object(name)
    if given is None:
        return None
    form = form_in(given)
    given.end()
    return form


def form_in(fields: Fields) -> Form:
    """Return the form that some fields describe; see `form_of`."""
    parts: dict[str, Any] = {
        "lines": fields.take("lines"),
        **{part: fields.text(part) or "" for part in FORM},
        "must": tuple(word for word in fields.texts("must", _MOST_WORDS) if word.strip()),
    }
    try:
        return Form(**parts)
    except RecipeError:
        for part, value in parts.items():
            try:
                Form(**{part: value})
            except RecipeError as error:
                raise Refused(error.message.told(named), param=part) from None
        raise


def whole_characters(text: str) -> str:
    """Return a text without halves of characters, as JavaScript can send them."""
    return text.encode("utf-8", "replace").decode()


def wrong(name: str, expected: str, found: object) -> Refused:
    """Return the refusal of a field that is not what it must be."""
    shown = json.dumps(found, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
    return Refused(f'"{name}" must be {expected}, not {shown}.', param=name)
