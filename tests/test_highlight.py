import itertools
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from numpy.typing import NDArray

from charlstm.evaluation.highlight import LINE_END, SHADES, lines, page, ranked, shade, shade_names
from charlstm.text.letters import letters

TEXTS = {
    "no line break at the end": "分开 la\n不分开",
    "one at the end": "分开 la\n不分开\n",
    "several empty lines": "\n\n分开\n\n\n不分开\n\n",
    "one line": "分开",
    "one character": "分",
    "one line break": "\n",
    "markup": 'if a < b & "c" > \'d\':\n\t<b class="x">&lt;&amp;</b> {text} {0}\n<!-- x -->\n',
    "other breaks": "a\u2028b\x0bc\x85d\n  \n𝄞 e\u0301",
}

Bits = NDArray[np.float32]


def some_bits(count: int) -> Bits:
    return np.random.default_rng(7).uniform(0, 12, size=count).astype(np.float32)


every_text = pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())


@every_text
def test_lines_together_are_the_text_and_its_figures(text: str) -> None:
    bits = some_bits(len(text) - 1)
    found = lines(text, bits)
    assert "".join(line.text + "\n" * line.ended for line in found) == text
    assert not any("\n" in line.text for line in found)
    assert [line.number for line in found] == list(range(1, len(found) + 1))
    assert all(len(line.bits) == len(line.text) + line.ended for line in found)
    joined = np.concatenate([line.bits for line in found])
    assert math.isnan(joined[0])
    assert joined[1:].tolist() == bits.tolist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ab\nc", [("ab", True), ("c", False)]),
        ("ab\nc\n", [("ab", True), ("c", True)]),
        ("a\n\n\nb", [("a", True), ("", True), ("", True), ("b", False)]),
        ("a\n\n", [("a", True), ("", True)]),
        ("\na", [("", True), ("a", False)]),
        ("\n", [("", True)]),
        ("a", [("a", False)]),
    ],
)
def test_a_line_ends_at_a_line_break_and_none_begins_after_the_last(
    text: str, expected: list[tuple[str, bool]]
) -> None:
    found = lines(text, some_bits(len(text) - 1))
    assert [(line.text, line.ended) for line in found] == expected


def test_the_mean_of_a_line_counts_its_line_break_and_not_the_first_character() -> None:
    first, second, last = lines("ab\n\ncd", np.array([1, 4, 6, 3, 5], np.float32))
    assert first.mean == 2.5  # b and the line break
    assert second.mean == 6.0
    assert last.mean == 4.0


@pytest.mark.parametrize("text", ["a", "\n"])
def test_a_line_of_which_nothing_was_predicted_has_no_mean_and_no_rank(text: str) -> None:
    (only,) = lines(text, some_bits(0))
    assert math.isnan(only.mean)
    assert ranked([only]) == []


def test_lines_are_ranked_by_their_means_and_those_without_words_left_out() -> None:
    text = "ab\n\ncd\n  \t\nef\ngh"
    bits = [1, 1, 9, 5, 5, 5, 9, 9, 9, 9, 2, 2, 2, 5, 5]
    found = lines(text, np.array(bits, np.float32))
    order = ranked(found)
    # Of lines with one mean the earlier one comes first.
    assert [(line.text, line.mean) for line in order] == [
        ("cd", 5.0),
        ("gh", 5.0),
        ("ef", 2.0),
        ("ab", 1.0),
    ]
    assert [line.number for line in order] == [3, 6, 5, 1]
    assert [line.number for line in found] == [1, 2, 3, 4, 5, 6]


def test_a_shade_reaches_up_to_its_limit_and_the_next_begins_above_it() -> None:
    for (limit, color), (_, next_color) in itertools.pairwise(SHADES):
        assert shade(limit) == color
        assert shade(math.nextafter(limit, math.inf)) == next_color
    assert shade(0.0) is None
    assert shade(1e6) == shade(math.inf) == SHADES[-1][1]


def test_a_character_that_was_not_predicted_has_no_shade() -> None:
    assert shade(math.nan) is None


def test_shades_are_colours_of_their_own_with_rising_limits() -> None:
    limits = [limit for limit, _ in SHADES]
    colors = [color for _, color in SHADES]
    assert limits == sorted(set(limits))
    assert limits[-1] == math.inf
    assert len(set(colors)) == len(SHADES)
    assert colors[0] is None
    assert all(re.fullmatch("#[0-9a-f]{6}", color or "") for color in colors[1:])


def test_every_shade_has_a_name_with_its_limits() -> None:
    names = shade_names()
    assert len(names) == len(SHADES)
    lower = "0"
    for name, (limit, _) in zip(names[:-1], SHADES, strict=False):
        assert name == f"{lower}–{limit:g}"
        lower = f"{limit:g}"
    assert names[-1] == f"over {lower}"


class Reader(HTMLParser):
    """Reads a page, holds that every element is closed in its turn, and keeps what it says.

    Attributes:
        doctypes: its declarations.
        elements: the names of all elements, in their order.
        attributes: of all elements.
        blocks: the text of each element ``<div class="text">``, in their order.
        lines: of them, the text of each ``<p dir="auto">``.
        spans: the attributes and the text of each ``<span>`` in them, a list for each.
        said: all text in an element, by the element's name.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.doctypes: list[str] = []
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.blocks: list[str] = []
        self.lines: list[list[str]] = []
        self.spans: list[list[tuple[dict[str, str | None], str]]] = []
        self.said: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_decl(self, decl: str) -> None:
        assert not self.elements
        self.doctypes.append(decl)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs
        if tag == "meta":  # has no end
            return
        if tag == "p" and "div" in self._open:
            assert attrs == [("dir", "auto")]
            self.lines[-1].append("")
        self._open.append(tag)
        if tag == "div" and attrs != [("class", "r")]:
            assert attrs == [("class", "text")]
            self.blocks.append("")
            self.lines.append([])
            self.spans.append([])
        elif tag == "span" and "div" in self._open:
            self.spans[-1].append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self._open:
            assert not data.strip()
            return
        inner = self._open[-1]
        self.said[inner] = self.said.get(inner, "") + data
        if "div" in self._open:
            self.blocks[-1] += data
            if "p" in self._open:
                self.lines[-1][-1] += data
            if inner == "span":
                attributes, text = self.spans[-1][-1]
                self.spans[-1][-1] = (attributes, text + data)


def read_page(
    text: str, bits: Bits, title: str = "a title", summary: str = "A sentence."
) -> Reader:
    return Reader(page(title, summary, lines(text, bits)))


@every_text
def test_a_page_is_one_whole_document_that_needs_nothing_else(text: str) -> None:
    reader = read_page(text, some_bits(len(text) - 1))
    assert reader.doctypes == ["doctype html"]
    outer = ["html", "head", "title", "style", "body", "h1", "h2"]
    assert [reader.elements.count(name) for name in outer] == [1] * len(outer)
    assert ("charset", "utf-8") in reader.attributes
    assert not {"src", "href"} & {name for name, _ in reader.attributes}
    assert "url(" not in reader.said["style"]
    assert "@import" not in reader.said["style"]


@every_text
def test_a_page_shows_every_character_of_the_text(text: str) -> None:
    reader = read_page(text, some_bits(len(text) - 1))
    shown = text.replace("\n", LINE_END + "\n")
    # The last line needs no break after it.
    assert reader.lines[0] == shown.removesuffix("\n").split("\n")
    without_breaks = [LINE_END if letter == "\n" else letter for letter in letters(text)]
    assert [letter for _, letter in reader.spans[0]] == without_breaks


@every_text
def test_a_page_ranks_the_lines_with_their_means(text: str) -> None:
    found = lines(text, some_bits(len(text) - 1))
    reader = read_page(text, some_bits(len(text) - 1))
    assert len(reader.blocks) == 2
    assert reader.blocks[1] == "".join(
        f"{line.mean:.2f}{line.text}{LINE_END * line.ended}" for line in ranked(found)
    )


def test_a_page_colours_each_character_by_its_figure_and_tells_it() -> None:
    text = "分开 la <&>\n不分开 la\n" * 4
    bits = some_bits(len(text) - 1)
    reader = read_page(text, bits)
    rules = dict(re.findall(r"\.(s\d+) { background: (#\w{6}) }", reader.said["style"]))
    assert set(rules.values()) == {color for _, color in SHADES} - {None}
    (first, _), *others = reader.spans[0]
    assert first == {}  # it was not predicted
    assert len(others) == len(bits)
    for (attributes, character), figure in zip(others, bits.tolist(), strict=True):
        classes = (attributes.get("class") or "").split()
        colors = [rules[name] for name in classes if name in rules]
        assert colors == [color for color in [shade(figure)] if color]
        assert ("e" in classes) == (character == LINE_END)
        assert attributes["title"] == f"{figure:.1f}"


def test_no_character_of_the_text_is_read_as_markup() -> None:
    written = page("t", "s", lines("<&>", np.array([0.5, 0.25], np.float32)))
    shown = '<span>&lt;</span><span title="0.5">&amp;</span><span title="0.2">&gt;</span>'
    assert written.count(shown) == 2  # in the text and in the ranking


def test_a_page_has_a_key_to_its_colours() -> None:
    written = page("t", "s", lines("ab", some_bits(1)))
    key = re.search(r'<p class="key">(.*)</p>', written)
    assert key is not None
    found = re.findall(r'<span class="s(\d)">([^<]*)</span>', key[1])
    assert found == [(str(number), name) for number, name in enumerate(shade_names())]


def test_a_title_and_a_summary_are_shown_as_they_are() -> None:
    title, summary = "a<b> & {title} &amp;.txt", "1 < 2 & </p><script>alert(1)</script>"
    reader = read_page("ab", some_bits(1), title, summary)
    assert reader.said["h1"] == title
    assert summary in reader.said["p"]
    assert "script" not in reader.elements
    written = page(title, summary, lines("ab", some_bits(1)))
    assert "<title>a&lt;b&gt; &amp; {title} &amp;amp;.txt</title>" in written


def test_letters_are_coloured_whole_by_what_all_of_their_characters_surprised() -> None:
    (line,) = lines("रा👨\u200d👩क", np.array([1, 2, 0.5, 4, 8], np.float32))
    marked = list(line.letters())
    assert [letter for letter, _ in marked] == ["रा", "👨\u200d👩", "क"]
    assert [bits for _, bits in marked] == [1.0, 6.5, 8.0]  # the first character is only read
    reader = read_page("राम\n", np.array([2, 3, 4], np.float32))
    assert [letter for _, letter in reader.spans[0]] == ["रा", "म", LINE_END]
    assert [attributes.get("title") for attributes, _ in reader.spans[0]] == ["2.0", "3.0", "4.0"]


def test_every_line_has_a_direction_of_its_own_and_ends_with_its_mark() -> None:
    reader = read_page("שלום\nabc\n", some_bits(8))
    assert reader.lines[0] == ["שלום" + LINE_END, "abc" + LINE_END]
    assert reader.attributes.count(("dir", "auto")) == 4  # the ranking has them as well
