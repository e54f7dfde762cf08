"""The files of the page, read as they lie: what they say, and what they ask for."""

import re
from itertools import chain
from pathlib import Path

import pytest

import charlstm

PAGE = Path(charlstm.__file__).parent / "serve" / "page"
MODULES = sorted(PAGE.glob("*.js"))
STRINGS = (PAGE / "strings.js").read_text(encoding="utf-8")
# A key, and in brackets what it says in English and in Chinese.
ENTRY = re.compile(r'^  "?(?P<key>[^\s":]+)"?: \[(?P<said>.*?)\],$', re.MULTILINE | re.DOTALL)
SAID = re.compile(r'"((?:[^"\\]|\\.)*)"')
TABLE = {found["key"]: SAID.findall(found["said"]) for found in ENTRY.finditer(STRINGS)}


def used() -> tuple[set[str], set[str]]:
    """Return the keys that the modules name, and how those begin that they put together."""
    whole, begun = set(), set()
    for module in MODULES:
        text = module.read_text(encoding="utf-8")
        whole |= set(re.findall(r'\bt\(\s*"([^"]+)"', text))
        begun |= set(re.findall(r"\bt\(\s*`([^$`]+)\$", text))
    return whole, begun


def test_every_sentence_is_there_in_both_languages() -> None:
    assert len(TABLE) > 100
    for key, said in TABLE.items():
        assert len(said) == 2, key
        english, chinese = said
        assert bool(english) == bool(chinese), key
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), key


def test_what_is_said_can_be_said_and_nothing_else_is_kept() -> None:
    whole, begun = used()
    assert whole <= set(TABLE)
    for start in begun:
        assert any(key.startswith(start) for key in TABLE), start
    elsewhere = "".join(
        module.read_text(encoding="utf-8") for module in MODULES if module.name != "strings.js"
    )
    for key in set(TABLE) - whole:
        assert f'"{key}"' in elsewhere or any(key.startswith(start) for start in begun), key


@pytest.mark.parametrize("path", sorted(PAGE.iterdir()), ids=lambda path: path.name)
def test_a_file_asks_nobody_else_and_can_be_read_in_one_sitting(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    addresses = re.findall(r"https?://[^\s\"'`)]+", text)
    assert set(addresses) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\.innerHTML|\beval\(|new Function|document\.write", text)
    if path.suffix == ".html":
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", text)
    assert len(text.splitlines()) <= 600


def test_a_module_imports_what_there_is() -> None:
    index = (PAGE / "index.html").read_text(encoding="utf-8")
    asked = re.findall(r'(?:href|src)="/page/([^"]+)"', index)
    for name in asked:
        assert (PAGE / name).is_file(), name
    assert set(asked) >= {path.name for path in PAGE.glob("*.css")}
    exported = {
        module.name: set(
            re.findall(
                r"^export (?:async )?(?:function\*?|const|class) (\w+)",
                module.read_text("utf-8"),
                re.MULTILINE,
            )
        )
        for module in MODULES
    }
    imported = chain.from_iterable(
        re.findall(r'import \{([^}]+)\} from "\./([^"]+)"', module.read_text("utf-8"))
        for module in MODULES
    )
    for names, module in imported:
        wished = {name.strip() for name in names.split(",") if name.strip()}
        assert wished <= exported[module], (wished - exported[module], module)
