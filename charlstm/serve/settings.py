"""The settings of a song as the page has them, and as the library has them."""

from typing import Any

from charlstm.checks import check_real, check_whole, shown
from charlstm.errors import RecipeError
from charlstm.serve.answers import Refused, named
from charlstm.serve.parts import texts_of
from charlstm.writing.decoding import Decoding
from charlstm.writing.draft import Settings
from charlstm.writing.form import Form

TEMPERATURE = 0.8
"""The temperature of a song, unless another one is asked for."""

_LINES = ("line_length", "rhyme", "acrostic", "acrostic_end")


def settings_of(body: dict[str, Any]) -> Settings:
    """Return the settings that a request holds; what is missing or ``null`` is as usual.

    Raises:
        Refused: they are not what they must be.
        RecipeError: one is out of its range, or two cannot be combined.
    """
    given = body.get("settings")
    given = {} if given is None else given
    if not isinstance(given, dict):
        told = f'"settings" must be an object, not {shown(given)}.'
        raise Refused(told, param="settings")
    texts = {name: given.get(name) or "" for name in _LINES}
    for name, text in texts.items():
        if not isinstance(text, str):
            raise Refused(f'"{name}" must be a text, not {shown(text)}.', param=name)
    recall, max_copy = given.get("recall"), given.get("max_copy") or 0
    if recall is not None:
        check_real("recall", recall, 0, 1)
    check_whole("max_copy", max_copy, 0)
    temperature = given.get("temperature")
    must = tuple(word for word in texts_of(given, "must") if word.strip())
    parts = {**{name: _clean(texts[name]) for name in texts}, "lines": given.get("lines")}
    return Settings(
        _form({**parts, "must": must}),
        Decoding(TEMPERATURE if temperature is None else temperature),
        max_copy,
        label_of(given),
        recall,
    )


def _form(parts: dict[str, Any]) -> Form:
    """Return a form.

    Raises:
        Refused: a part of it cannot be, and which.
        RecipeError: two cannot be combined.
    """
    try:
        return Form(**parts)
    except RecipeError:
        for name, part in parts.items():
            try:
                Form(**{name: part})
            except RecipeError as error:
                raise Refused(error.message.told(named), param=name) from None
        raise


def label_of(body: dict[str, Any]) -> dict[str, str]:
    """Return the label that a request holds: the values by their names, those that are given.

    Raises:
        Refused: it is something else.
    """
    label = body.get("label")
    if label is None:
        return {}
    if not isinstance(label, dict) or not all(
        value is None or isinstance(value, str) for value in label.values()
    ):
        told = f'"label" must be an object of texts, not {shown(label)}.'
        raise Refused(told, param="label")
    return {name: value for name, value in label.items() if value}


def told(settings: Settings | None) -> dict[str, Any]:
    """Return settings as the page has them; the usual ones for ``None``."""
    if settings is None:
        settings = Settings(Form(), Decoding(TEMPERATURE), 0, {}, None)
    form = settings.form
    return {
        "temperature": settings.decoding.temperature,
        "recall": settings.recall,
        "max_copy": settings.max_copy,
        "lines": form.lines,
        **{name: getattr(form, name) for name in _LINES},
        "must": list(form.must),
        "label": dict(settings.label),
    }


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
