"""The formats of ``run.json``, and what those before the present one leave unsaid.

What an older run does not say was done as it was done then: whoever reads the run reads the same
text, and goes on with the same training.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

FORMAT = 5
"""The version that is written."""

OLDEST = 2
"""The oldest version that is read."""

# The fields that each format brought, by the path of the object that they stand in, and the value
# that means what was done before. A new field gets a line here.
_BROUGHT: Mapping[int, Mapping[tuple[str, ...], Mapping[str, Any]]] = MappingProxyType(
    {
        3: {
            ("recipe", "text"): {
                "tidy": False,
                "line_ends": "plain",
                "songs": "off",
                "field": None,
                "labels": [],
            },
            # Some of format 2, those of 0.2.0, say whether files are apart.
            ("corpus",): {"apart": False, "songs": None, "suffixes": [".txt"], "labels": {}},
        },
        4: {("recipe",): {"recall": 0.0}, (): {"recall": None}},
        5: {
            ("recipe",): {"compress": None, "sync_every": 1, "layout": "even"},
            ("recipe", "text"): {"letters_only": False},
        },
    }
)


def completed(value: dict[str, Any], version: int) -> dict[str, Any]:
    """Return what ``run.json`` holds with all that the present format says.

    Args:
        value: what it holds; stays as it is. Where it is not what it must be, so is what is
            returned.
        version: its format, from `OLDEST` to `FORMAT`.
    """
    for later in range(version + 1, FORMAT + 1):
        for path, fields in _BROUGHT[later].items():
            value = _with_fields(value, path, fields)
    return value


def _with_fields(value: Any, path: tuple[str, ...], fields: Mapping[str, Any]) -> Any:
    if not isinstance(value, dict):
        return value
    if not path:
        return {**fields, **value}
    first, *rest = path
    if first not in value:
        return value
    return {**value, first: _with_fields(value.get(first), tuple(rest), fields)}
