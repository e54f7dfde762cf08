"""Pages that stand alone: style, script and data in one file, and no request to anywhere.

A page is a directory of this room with ``index.html``, ``page.css``, ``strings.js`` and scripts of
its own; ``base.css`` and ``say.js`` beside them belong to all pages.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from charlstm.text.vocabulary import Vocabulary

_HERE = Path(__file__).parent
# Nothing but these very scripts and styles, and no request to anywhere.
_POLICY = (
    "default-src 'none'; script-src '{script}'; style-src '{style}'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
# Editors are slow where all is in one line.
_LINE = 1000
# A text of which so much is Han is set as Chinese.
_CHINESE = 0.3


def assemble(page: str, scripts: Sequence[str], parts: Mapping[str, str]) -> bytes:
    """Return a page.

    Args:
        page: its directory.
        scripts: what it has besides its words, in the order in which one thing needs another.
        parts: what else stands in its ``index.html``, by name.
    """
    names = [f"{page}/strings.js", "say.js", *(f"{page}/{script}.js" for script in scripts)]
    script = "\n" + "\n".join(map(_read, names))
    style = f"\n{_read('base.css')}\n{_read(f'{page}/page.css')}"
    policy = _POLICY.format(script=_hash(script), style=_hash(style))
    whole = {"policy": policy, "style": style, "script": script, **parts}
    filled = re.sub(r"\{(\w+)\}", lambda found: whole[found[1]], _read(f"{page}/index.html"))
    return filled.encode(errors="replace")


def as_json(value: Any) -> str:
    """Return a value as it can stand in a script of its own."""
    # No text of a stranger's can end the script that it stands in.
    return json.dumps(value).replace("<", "\\u003c")


def as_base64(data: bytes) -> str:
    """Return bytes in lines of base64."""
    whole = base64.b64encode(data).decode()
    return "\n".join(whole[at : at + _LINE] for at in range(0, len(whole), _LINE))


def language(vocabulary: Vocabulary) -> str:
    """Return the language whose typefaces suit a model's text; empty where that is any."""
    counts = dict(zip(vocabulary.characters, vocabulary.counts[1:], strict=True))
    han = sum(many for one, many in counts.items() if "\u3400" <= one <= "\u9fff")
    return "zh-Hans" if han > _CHINESE * max(sum(counts.values()), 1) else ""


def _read(file: str) -> str:
    return (_HERE / file).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
