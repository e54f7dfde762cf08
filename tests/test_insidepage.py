"""The page that shows the inside of a model shows what NumPy computes, in a real browser."""

import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsers import missing
from insidepages import network_of, opened_inside, read_inside, written_inside
from onepages import LABELS, LYRICS, a_model

import charlstm
from charlstm.evaluation.gates import look
from charlstm.evaluation.known import things
from charlstm.exports.insidepage import Shown, beginning, reads, room, write_inside
from charlstm.model.inside import QUANTITIES
from charlstm.recipes.architecture import CELLS, Architecture
from charlstm.text.songs import END

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

in_a_browser = pytest.mark.skipif(missing() is not None, reason=missing() or "")
TEXT = LYRICS + "(la) [la] “la” 分 x\n" * 3
PAGES = Path(charlstm.__file__).parent / "exports"


def quantity(page: "Page", layer: int, unit: int, what: str) -> Any:
    code = "([layer, unit, what]) => Array.from(page.activations.of(layer, unit)[what])"
    return np.array(page.evaluate(code, [layer, unit, what]))


# What it shows.


@in_a_browser
@pytest.mark.parametrize("cell", CELLS)
def test_every_quantity_of_every_cell_is_what_numpy_has(
    browser: "Browser", tmp_path: Path, cell: str
) -> None:
    model = a_model(Architecture(cell, hidden=9, layers=2, embedding=5), TEXT, songs=True)
    text = f"{END}{TEXT}{END}{TEXT[:30]}{END}"
    inside = read_inside(model, text)
    with opened_inside(browser, tmp_path / "a.html", written_inside(model, text)) as page:
        shown = page.locator("#shown button").evaluate_all("all => all.map(one => one.value)")
        assert shown == list(QUANTITIES[cell])
        for what in shown:
            for layer, unit in ((0, 0), (0, 8), (1, 4)):
                right = inside.layers[layer].of(what)[:, unit]
                found = quantity(page, layer, unit, what)
                # A byte for each number, on a curve.
                largest = max(1.0, float(np.abs(right).max()))
                np.testing.assert_allclose(found, right, atol=0.03 * largest, err_msg=what)


@in_a_browser
def test_what_comes_next_is_what_the_network_expects(browser: "Browser", tmp_path: Path) -> None:
    model = a_model(Architecture(hidden=9), TEXT)
    characters = ["<unk>", *model[0].vocabulary.characters]
    logits = read_inside(model, TEXT).logits.astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    with opened_inside(browser, tmp_path / "a.html", written_inside(model, TEXT)) as page:
        for t in (0, 7, 31):
            page.evaluate("t => page.pin(page.sheet.at[t])", t)
            rows = page.locator("#next .bar").all()
            likeliest = np.argsort(-chances[t])[:5]
            for row, character in zip(rows, likeliest, strict=False):
                told = {"\n": "⏎", " ": "␣"}.get(characters[character], characters[character])
                assert row.locator(".what").text_content() == told
                share = float((row.locator(".figure").text_content() or "").rstrip("%"))
                assert share == pytest.approx(100 * chances[t, character], abs=0.06)
            (came,) = [row for row in rows if "came" in (row.text_content() or "")]
            assert came.locator(".what").text_content() == {"\n": "⏎", " ": "␣"}.get(
                TEXT[t + 1], TEXT[t + 1]
            )
        page.evaluate("page.pin(page.sheet.letters.length - 1)")
        assert page.locator("#nothing-came").is_visible()


@in_a_browser
def test_shares_of_a_logit_add_up_to_it(browser: "Browser", tmp_path: Path) -> None:
    model = a_model(Architecture(hidden=9, layers=2), TEXT)
    inside = read_inside(model, TEXT)
    head = model[1]["head.weight"]
    h = inside.layers[-1].values["h"]
    with opened_inside(browser, tmp_path / "a.html", written_inside(model, TEXT)) as page:
        t = 12
        page.evaluate("t => page.pin(page.sheet.at[t])", t)
        page.locator("#next .bar").nth(2).click()
        character = int(page.evaluate("page.next"))
        symbol = page.evaluate("page.told.characters[page.next]")
        number = int(model[0].vocabulary.encode(symbol)[0])
        code = "([t, one]) => Array.from(page.activations.shares(t, one))"
        found = np.array(page.evaluate(code, [t, character]))
        right = (head[number] - head.mean(axis=0)) * h[t]
        np.testing.assert_allclose(found, right, atol=0.03)
        # The largest come first, with a sign, and lead to the unit.
        largest = int(np.abs(right).argmax())
        first = page.locator("#shares .bar").first
        assert first.locator(".what").text_content() == f"1.{largest}"
        told = (first.locator(".figure").text_content() or "").replace("−", "-")
        assert float(told) == pytest.approx(right[largest], abs=0.04)
        first.click()
        assert page.evaluate("[page.layer, page.unit]") == [1, largest]


@in_a_browser
def test_the_equations_have_the_numbers_of_the_step(browser: "Browser", tmp_path: Path) -> None:
    model = a_model(Architecture(hidden=9), TEXT)
    steps = read_inside(model, TEXT).layers[0]
    with opened_inside(browser, tmp_path / "a.html", written_inside(model, TEXT)) as page:
        t, unit = 21, 3
        page.evaluate("t => page.pin(page.sheet.at[t])", t)
        page.evaluate("unit => page.show(0, unit)", unit)
        told = page.locator("#equations").inner_text().replace("−", "-")
        assert "".join(page.locator("#equations .letter").all_inner_texts()) == "ifgoch"
        results = page.locator("#equations .result").all_inner_texts()
        for name, result in zip("ifgoch", results, strict=True):
            found = float(result.replace("−", "-").lstrip(" ="))
            assert found == pytest.approx(steps.values[name][t, unit], abs=0.03), name
        (into,) = re.findall(r"= σ\((-?[\d.]+)\)", told)[:1]
        assert float(into) == pytest.approx(steps.sums["i"][t, unit], abs=0.06)
        # f·c + i·g, with the c of the character before.
        (product,) = re.findall(r"= (\S+)·(\S+) \+ (\S+)·(\S+) =", told)
        f, c, i, g = (float(factor.strip("()")) for factor in product)
        assert f * c + i * g == pytest.approx(steps.values["c"][t, unit], abs=0.05)
        assert c == pytest.approx(steps.values["c"][t - 1, unit], abs=0.03)


# What a person does.


@in_a_browser
def test_keys_go_from_character_to_character_and_from_unit_to_unit(
    browser: "Browser", tmp_path: Path
) -> None:
    model = a_model(Architecture(hidden=9, layers=2), TEXT)
    with opened_inside(browser, tmp_path / "a.html", written_inside(model, TEXT)) as page:
        page.evaluate("page.show(0, 8); page.pin(3)")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowDown")
        assert page.evaluate("[page.pinned, page.layer, page.unit]") == [4, 1, 0]
        assert page.locator("#layer").input_value() == "1"
        assert page.locator("#number").input_value() == "0"
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("ArrowUp")
        assert page.evaluate("[page.pinned, page.layer, page.unit]") == [2, 0, 8]
        page.locator("#number").fill("5")
        assert page.evaluate("page.unit") == 5
        page.locator("#number").fill("99")  # there is none
        assert page.evaluate("page.unit") == 5
        # In a field, arrows are the field's.
        page.locator("#number").press("ArrowRight")
        assert page.evaluate("page.pinned") == 2
        page.locator("#shown button[value=f]").click()
        assert "from 0 to 1" in (page.locator("#shown-is").text_content() or "")
        assert page.locator("#status").text_content() == page.evaluate(
            "`${page.sheet.letters[2].shown}: f 0.5 ${number(page.activations.of(0, 5).f[2])}`"
        )


@in_a_browser
def test_a_click_pins_and_a_phrase_is_dragged(browser: "Browser", tmp_path: Path) -> None:
    model = a_model(Architecture(hidden=24), TEXT)
    with opened_inside(browser, tmp_path / "a.html", written_inside(model, TEXT)) as page:
        letter = page.locator("#text span[data-place='2']")
        letter.click()
        assert page.evaluate("page.pinned") == 2
        assert page.locator("#phrase-is").is_visible()
        start = letter.bounding_box()
        end = page.locator("#text span[data-place='6']").bounding_box()
        assert start is not None
        assert end is not None
        page.mouse.move(start["x"] + 1, start["y"] + start["height"] / 2)
        page.mouse.down()
        page.mouse.move(end["x"] + end["width"] - 1, end["y"] + end["height"] / 2, steps=5)
        page.mouse.up()
        assert page.evaluate("page.phrase") == [2, 7]
        assert page.locator("#text .chosen").count() == 5
        assert page.locator("#chosen").is_visible()
        page.keyboard.press("Shift+ArrowRight")
        assert page.evaluate("page.phrase") == [2, 8]
        page.keyboard.press("Escape")
        assert page.locator("#text .chosen").count() == 0
        assert page.locator("#phrase-is").is_visible()


@in_a_browser
def test_the_units_of_a_phrase_are_on_there_and_off_around_it(
    browser: "Browser", tmp_path: Path
) -> None:
    # Each unit is 1 where the last character is its own, so only «(» and «)» know brackets.
    text = "abc (de) fgh\n" * 12
    model = a_model(Architecture("rnn", hidden=14), text)
    info, weights = model
    for name in weights:
        weights[name][:] = 0
    V = len(info.vocabulary)
    weights["recurrent.weight_ih_l0"][:V, :V] = 3 * np.eye(V)
    with opened_inside(browser, tmp_path / "a.html", written_inside(model, text)) as page:
        page.evaluate("page.take([6, 7])")  # the e of the first line
        unit = int(info.vocabulary.encode("e")[0])
        found = page.locator("#phrase-units button").all_text_contents()
        assert found == [f"0.{unit} high"]
        passages = page.locator("#passages mark").all_text_contents()
        assert passages == ["e"] * 8
        page.locator("#passages button").first.click()
        assert page.evaluate("page.sheet.letters[page.pinned].shown") == "e"
        assert page.evaluate("page.pinned") != 6
        page.evaluate("page.take([5, 7])")  # no unit is on for both
        assert "no unit is on throughout" in (page.locator("#chosen").text_content() or "")


@in_a_browser
def test_a_list_leads_to_its_unit_and_says_what_it_is_needed_for(
    browser: "Browser", tmp_path: Path
) -> None:
    model = a_model(Architecture(hidden=9), TEXT)
    with opened_inside(browser, tmp_path / "a.html", written_inside(model, TEXT)) as page:
        assert page.locator("#followed tr").count() == len(things(TEXT))
        second = page.locator("#needed button").nth(1)
        name = second.text_content()
        second.click()
        assert second.get_attribute("aria-pressed") == "true"
        told = page.locator("#unit-is").text_content() or ""
        assert "place 2 of 9" in told
        assert "It remembers for about" in told
        assert page.evaluate("`${page.layer}.${page.unit}`") == name


# How it looks.


@in_a_browser
@pytest.mark.parametrize("width", [360, 800, 1920])
def test_nothing_is_wider_than_the_window(browser: "Browser", tmp_path: Path, width: int) -> None:
    model = a_model(Architecture(hidden=9), TEXT)
    size = {"viewport": {"width": width, "height": 800}}
    with opened_inside(browser, tmp_path / "a.html", written_inside(model, TEXT), **size) as page:
        page.evaluate("page.take([2, 9])")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_can_be_read_on_every_colour(
    browser: "Browser", tmp_path: Path, scheme: Any
) -> None:
    model = a_model(Architecture(hidden=9), TEXT)
    page_of = partial(opened_inside, browser, tmp_path / "a.html", written_inside(model, TEXT))
    with page_of(color_scheme=scheme) as page:
        ink, sheet = page.evaluate(
            "[getComputedStyle(byId('text')).color, getComputedStyle(byId('text').parentElement)"
            ".backgroundColor]"
        )
        for number, gate in ((1, False), (-1, False), (1, True)):
            paint = page.evaluate("([number, gate]) => paint(number, gate)", [number, gate])
            assert contrast(ink, paint) >= 4.5, (scheme, paint)
        assert contrast(ink, sheet) >= 7


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, after WCAG 2."""

    def light(color: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@in_a_browser
def test_it_speaks_chinese_to_those_who_read_it(browser: "Browser", tmp_path: Path) -> None:
    model = a_model(Architecture(hidden=9), TEXT)
    page_of = partial(opened_inside, browser, tmp_path / "a.html", written_inside(model, TEXT))
    with page_of(locale="zh-CN") as page:
        assert page.locator("#of-text").text_content() == "文字"
        assert "行中的位置" in (page.locator("#followed").text_content() or "")


@in_a_browser
def test_marks_and_strange_characters_are_shown_and_obeyed_by_nobody(
    browser: "Browser", tmp_path: Path
) -> None:
    model = a_model(Architecture(hidden=9), TEXT, songs=True, labels=LABELS)
    strange = "</script><script>alert(1)</script>&lt;\u202e👩‍👩‍👧e\u0301\x00\n"
    text = f"{END}\U00100001{TEXT[:40]}{strange}{END}"
    with opened_inside(browser, tmp_path / "a.html", written_inside(model, text)) as page:
        shown = page.locator("#text").text_content() or ""
        assert shown.startswith("∎")
        assert "◆" in shown
        assert shown.endswith("∎")
        assert "</script><script>alert(1)</script>" in shown
        # What people see as one letter has one colour.
        letters = page.locator("#text span").all_text_contents()
        assert {"👩‍👩‍👧", "e\u0301"} <= set(letters)


@in_a_browser
def test_a_page_that_is_cut_off_says_so(browser: "Browser", tmp_path: Path) -> None:
    page = written_inside(a_model(Architecture(hidden=9), TEXT), TEXT)
    file = tmp_path / "a.html"
    file.write_bytes(page.replace(b'id="bytes">\n', b'id="bytes">\n***'))
    context = browser.new_context(locale="en-GB")
    shown = context.new_page()
    shown.goto(file.as_uri())
    shown.locator("#trouble", has_text="This page is damaged").wait_for()
    context.close()


# What is in the file.


def test_a_page_names_no_address_and_no_file_of_this_machine(tmp_path: Path) -> None:
    page = written_inside(a_model(Architecture(hidden=9), TEXT), TEXT).decode()
    assert not re.findall(r"https?://", page)
    assert str(Path.home()) not in page
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")


def test_a_long_text_is_cut_at_the_end_of_a_line() -> None:
    assert beginning("ab\ncd\nef\n", 8) == "ab\ncd\n"
    assert beginning("ab\ncd", 10) == "ab\ncd"
    assert beginning("abcdefgh\n", 4) == "abcd"
    assert beginning(f"abc{END}def", 6) == f"abc{END}"


@pytest.mark.parametrize("cell", CELLS)
def test_a_page_stays_below_six_megabytes(cell: str) -> None:
    for hidden, layers in ((256, 1), (512, 1), (1024, 2), (2048, 3)):
        architecture = Architecture(cell, hidden=hidden, layers=layers)
        arrays = {"coupled": 4, "gru": 4, "rnn": 1}.get(cell, 5)
        assert 2 <= room(architecture) <= 3_000
        assert room(architecture) * hidden * layers * arrays * 4 / 3 < 6_000_000


def test_what_is_read_is_known_before_it_is_read() -> None:
    info, weights = a_model(Architecture(hidden=9), TEXT)
    heard: list[int] = []
    gates = look(
        network_of((info, weights)),
        info.vocabulary.encode(TEXT),
        TEXT,
        random=np.random.default_rng(0),
    )
    shown = Shown("a text", TEXT, gates, "a text")
    write_inside(info, network_of((info, weights)), "song", shown, on_progress=heard.append)
    assert sum(heard) == reads(info, len(TEXT))


# What it says.

ENTRY = re.compile(r'^  "?(?P<key>[^\s":][^":]*)"?: \[(?P<said>.*?)\],$', re.M | re.S)
SAID = re.compile(r'"((?:[^"\\]|\\.)*)"')


def test_every_sentence_is_there_in_both_languages_and_is_said() -> None:
    source = (PAGES / "inside" / "strings.js").read_text(encoding="utf-8")
    table = {found["key"]: SAID.findall(found["said"]) for found in ENTRY.finditer(source)}
    assert len(table) > 60
    for key, said in table.items():
        english, chinese = said
        assert chinese or key == "space"
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), key
    scripts = [file for file in (PAGES / "inside").iterdir() if file.name != "strings.js"]
    elsewhere = "".join(file.read_text(encoding="utf-8") for file in scripts)
    names = {thing.name for thing in things("A(b) “c”, d\n分\n\n" * 30)}
    assert len(names) == 11
    shown = {what for each in QUANTITIES.values() for what in each}
    for key in table:
        used = json.dumps(key) in elsewhere or key in names | shown
        assert used or key.removeprefix("is-") in shown, key
    assert names | shown | {f"is-{what}" for what in shown} <= set(table)
    assert set(re.findall(r'data-say="([^"]+)"', elsewhere)) <= set(table)
    assert set(re.findall(r'say\(\s*"([^"]+)"', elsewhere)) <= set(table)
