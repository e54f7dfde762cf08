"""The settings of a song as the page has them, and as the library has them."""

from typing import Any

from charlstm.checks import check_real, check_whole
from charlstm.serve.fields import FORM, Fields, form_in
from charlstm.writing.decoding import Decoding
from charlstm.writing.draft import Settings
from charlstm.writing.form import Form

TEMPERATURE = 0.8
"""The temperature of a song, unless another one is asked for."""


def settings_of(fields: Fields) -> Settings:
    """Return the settings that a request holds; what is missing or ``null`` is as usual.

    Raises:
        Refused: they are not what they must be.
        RecipeError: one is out of its range, or two cannot be combined.
    """
    given = fields.object("settings") or Fields({})
    recall, max_copy = given.take("recall"), given.take("max_copy") or 0
    if recall is not None:
        check_real("recall", recall, 0, 1)
    check_whole("max_copy", max_copy, 0)
    temperature = given.take("temperature")
    decoding = Decoding(TEMPERATURE if temperature is None else temperature)
    return Settings(form_in(given), decoding, max_copy, label_of(given), recall)


def label_of(fields: Fields) -> dict[str, str]:
    """Return the label that a request holds: the values by their names, those that are given.

    Raises:
        Refused: it is something else.
    """
    label = fields.mapping("label", "texts", lambda value: value is None or isinstance(value, str))
    return {name: value for name, value in (label or {}).items() if value}


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
        **{name: getattr(form, name) for name in FORM},
        "must": list(form.must),
        "label": dict(settings.label),
    }
