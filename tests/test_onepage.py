"""A model in one page writes what NumPy writes with the same weights, in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from browsers import missing
from onepages import LABELS, LYRICS, Open, a_model, in_numpy, opening

from charlstm.errors import RunError
from charlstm.exports.onepage import write_page
from charlstm.recipes.architecture import CELLS, Architecture
from charlstm.text.corpus import TextOptions
from charlstm.text.unseen import Prefix, lookalike, lookalikes
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.decoding import Decoding

if TYPE_CHECKING:
    from playwright.sync_api import Browser

in_a_browser = pytest.mark.skipif(missing() is not None, reason=missing() or "")
GREEDY = Decoding(temperature=0)


@pytest.fixture
def opened(browser: "Browser", tmp_path: Path) -> Iterator[Open]:
    with opening(browser, tmp_path) as opened:
        yield opened


# What it writes.


@in_a_browser
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("layers", "embedding"), [(1, 6), (2, 0)])
def test_every_cell_expects_and_writes_what_numpy_does(
    opened: Open, cell: str, layers: int, embedding: int
) -> None:
    # 23 is a multiple of nothing, so the sums have rests.
    model = a_model(Architecture(cell, hidden=23, layers=layers, embedding=embedding))
    page, sampler = opened(model), in_numpy(*model)
    found = page.log_probabilities(LYRICS, "分开")
    assert np.abs(found - sampler.log_probabilities(LYRICS, "分开")).max() < 1e-4
    # Such models run into loops, and are led out of them in the same way.
    greedy = sampler.stream("分开", decoding=GREEDY, length=300)
    assert page.writes("分开", most=300) == "".join(greedy)


@in_a_browser
def test_the_same_seed_draws_the_same_text_as_in_numpy(opened: Open) -> None:
    model = a_model()
    page, sampler = opened(model), in_numpy(*model)
    for seed, temperature, top_p in ((0, 1.0, 1.0), (7, 0.8, 0.9), (2**70, 0.5, 0.3)):
        wish = {"temperature": temperature, "topP": top_p, "seed": str(seed)}
        text = page.writes("夜", **wish)
        decoding = Decoding(temperature=temperature, top_p=top_p)
        assert text == "".join(sampler.stream("夜", decoding=decoding, seed=seed))
        assert text == page.writes("夜", **wish)
    assert page.writes("夜", temperature=1, seed="8") != page.writes("夜", temperature=1, seed="9")


@in_a_browser
def test_without_a_prefix_it_begins_as_numpy_does(opened: Open) -> None:
    model = a_model()
    assert opened(model).writes() == "".join(in_numpy(*model).stream(decoding=GREEDY))


@in_a_browser
def test_where_no_line_is_known_the_first_character_is_drawn_by_the_counts(opened: Open) -> None:
    model = a_model(options=TextOptions(newline="space"), text=LYRICS.replace("\n", " "))
    page, sampler = opened(model), in_numpy(*model)
    for seed in range(5):
        assert page.writes(seed=str(seed)) == "".join(sampler.stream(decoding=GREEDY, seed=seed))
    assert "Lines" not in (page.page.text_content("#measure") or "")


@in_a_browser
def test_lines_are_counted_as_numpy_counts_them(opened: Open) -> None:
    model = a_model(seed=3)
    page, sampler = opened(model), in_numpy(*model)
    for prefix in ("分开", "分开\n", ""):
        text = sampler.stream(prefix, decoding=Decoding(temperature=1), lines=4, seed=2)
        assert page.writes(prefix, lines=4, temperature=1, seed="2") == "".join(text)


@in_a_browser
def test_songs_end_by_themselves_and_begin_with_their_labels(opened: Open) -> None:
    model = a_model(songs=True, labels=LABELS)
    page, sampler = opened(model), in_numpy(*model)
    decoding = Decoding(temperature=1)
    ends = []
    for seed in range(6):
        for prefix in ("", "夜很"):
            writing = sampler.stream(prefix, decoding=decoding, seed=seed)
            wish = {"temperature": 1, "seed": str(seed)}
            assert page.writes(prefix, **wish) == "".join(writing)
            ends.append(writing.ended)
    assert {True, False} == set(ends)
    labelled = sampler.labelled({"artist": "李白"})
    symbol = int(model[0].vocabulary.encode("\U00100002")[0])
    text = "".join(labelled.stream(decoding=decoding, seed=1, length=50))
    assert page.writes(labels=[symbol], most=50, temperature=1, seed="1") == text
    assert text != "".join(sampler.stream(decoding=decoding, seed=1, length=50))
    label = page.page.get_by_label("artist")
    assert label.locator("option").all_text_contents() == ["none", "Sappho", "李白"]
    label.select_option("李白")
    page.page.get_by_label("Seed").fill("1")
    expected = "".join(labelled.stream(decoding=Decoding(temperature=0.8), seed=1))
    assert page.write() == expected


@in_a_browser
def test_a_letter_of_several_characters_counts_once_and_is_never_cut(opened: Open) -> None:
    model = a_model(text="ae\u0301o\u0323\u0302 👩\u200d👩\u200d👧🇫🇷 कि\n" * 5, options=_AS_IT_IS)
    page, sampler = opened(model), in_numpy(*model)
    for seed in range(8):
        for most in (1, 7):
            text = sampler.stream("a", decoding=Decoding(temperature=1), seed=seed, length=most)
            assert page.writes("a", temperature=1, seed=str(seed), most=most) == "".join(text)


_AS_IT_IS = TextOptions(normalize=False)


# Characters that it has never seen.


@in_a_browser
def test_a_prefix_is_read_as_on_the_command_line(opened: Open) -> None:
    model = a_model(text="abcé Ｗ，。的'愛\n-…“", options=TextOptions(tidy=True))
    page, info = opened(model), model[0]
    given = "aBCe\u0301è ａ,.!'\"爱\xa0\xadx\r\ny\u2028\tW—⋯Ｂ\u3000ﬁ"
    for unknown in ("skip", "map"):
        wanted = Prefix.of(given, info.recipe.text, info.vocabulary, unknown)
        found = page.page.evaluate(
            """([given, unknown]) => {
                const prefix = normalised(given, model.text);
                const unseen = strangers(prefix, model.vocabulary);
                const read = asRead(prefix, model.vocabulary, unknown);
                return [prefix, read, changes(unseen, unknown)];
            }""",
            [given, unknown],
        )
        told = wanted.changes()
        assert told is not None
        # What could be installed is not told where nothing can be.
        sentence = told.told().split(" With pip install")[0]
        assert found == [wanted.normalised, wanted.read, sentence]


@in_a_browser
def test_a_model_of_letters_alone_reads_and_continues_a_prefix_so(opened: Open) -> None:
    options = TextOptions(newline="space", letters_only=True)
    model = a_model(text="the time machine éσ我 " * 9, options=options)
    page = opened(model)
    strange = (
        "",
        " …«Time!» ",
        "THE TIME Machine, by H. G. Wells [1898]\r\n\n\u2028I",
        "it's_4 o'clock\t\xa0\u3000²Ⅷ½",
        "ΟΔΟΣ ΣΑΣ ς",  # the last sigma of a word
        "İstanbul ÇA cafe\u0301 ﬁ ǅ ẞ Å",  # small letters that are two; composed ones
        "我的ÜBER²! कि ไทย 𝐀𝔅 𐐀",  # vowel signs are no letters, and some letters are large
        "\ufdd0\x00👩\u200d👩\u200d👧a",
        "  a  ",
    )
    for given in strange:
        found = page.page.evaluate("given => normalised(given, model.text)", given)
        assert found == Prefix.of(given, options, model[0].vocabulary, "map").normalised, given
    text = in_numpy(*model).stream("the time ", decoding=GREEDY, length=30)
    assert page.writes("THE\nTime -- ", most=30) == "".join(text)
    page.page.get_by_label("Prefix").fill("It's the TIME")
    page.page.get_by_label("Unseen characters").select_option("read the nearest")
    assert page.write().startswith("it s the time")


@in_a_browser
def test_unseen_characters_are_told_before_anything_is_written(opened: Open) -> None:
    page = opened(a_model(text="abc é\n"))
    page.page.get_by_label("Prefix").fill("aBè\u200b")
    page.page.get_by_role("button", name="Write").click()
    told = page.page.get_by_role("alert").text_content() or ""
    assert told.startswith("The model has never seen 'B' (it has 'b'), 'è', U+200B of the prefix. ")
    assert page.page.evaluate("document.activeElement.id") == "prefix"
    page.page.get_by_label("Unseen characters").select_option("read the nearest")
    text = page.write()
    assert text.startswith("aBè\u200b")
    assert page.page.text_content("#notice") == (
        "Of the prefix the model reads 'B' as 'b'; and it reads 'è', U+200B as <unk>, which "
        "nothing resembles."
    )
    assert page.page.text_content("#trouble") == ""


def test_what_resembles_a_character_is_found_for_all_at_once() -> None:
    vocabulary = Vocabulary.build("abcé爱Ｗ，。 '的國-\n")
    found = lookalikes(vocabulary)
    assert {
        "A": "a",
        "É": "é",
        "ａ": "a",
        "愛": "爱",
        "W": "Ｗ",
        ".": "。",
    }.items() <= found.items()
    for character in map(chr, range(0x20, 0xFFFF, 7)):
        if character not in vocabulary:
            assert found.get(character) == lookalike(character, vocabulary), hex(ord(character))


# What is in the file.


def test_a_model_of_1_4_million_weights_is_below_4_megabytes() -> None:
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 1_700))) + "\n"
    info, weights = a_model(Architecture(hidden=256, embedding=256), text)
    assert sum(array.size for array in weights.values()) > 1_390_000
    assert len(write_page(info, weights, "song")) < 4_000_000


def test_weights_that_float16_cannot_hold_are_told() -> None:
    info, weights = a_model()
    weights["head.bias"][0] = 70_000
    with pytest.raises(RunError, match=r"^head\.bias has weights beyond 65,504, which float16"):
        write_page(info, weights, "song")


@in_a_browser
def test_no_name_and_no_label_can_leave_its_place(opened: Open) -> None:
    evil = "</script><script>alert(1)</script><!--"
    labels = type(LABELS)(("artist",), {"artist": {evil: "\U00100001"}})
    page = opened(a_model(songs=True, labels=labels), "<b>evil & co")
    assert page.page.get_by_role("heading", level=1).text_content() == "<b>evil & co"
    assert page.page.get_by_label("artist").locator("option").all_text_contents()[1] == evil
    policy = page.page.locator("meta[http-equiv]").get_attribute("content") or ""
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_the_page_names_no_address_and_says_all_in_both_languages() -> None:
    page = write_page(*a_model(), "song").decode()
    assert not re.search(r"https?://|\bimport\b\s*[({\"]|\bfetch\(|XMLHttpRequest|eval\(", page)
    table = page[page.index("const TABLE = {") : page.index("const LANGUAGES")]
    entries = re.findall(
        r'^  "?([\w-]+)"?: \[\s*("(?:[^"\\]|\\.)*"),\s*("(?:[^"\\]|\\.)*"),?\s*\]', table, re.M
    )
    assert len(entries) == len(re.findall(r'^  "?[\w-]+"?: \[', table, re.M)) > 40
    for key, english, chinese in entries:
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", chinese)), key
    known = {key for key, _, _ in entries}
    said = set(re.findall(r'\bt\("([^"]+)"', page)) | set(re.findall(r'data-say="([^"]+)"', page))
    assert said <= known
    rest = page.replace(table, "")
    assert [key for key in known - said if not re.search(f'["`]{key}["`$]', rest)] == []


# How it is used.


@in_a_browser
def test_a_page_writes_streams_stops_and_copies(opened: Open) -> None:
    model = a_model()
    page = opened(model, permissions=["clipboard-read", "clipboard-write"])
    view = page.page
    view.get_by_label("Prefix").fill("分开")
    view.get_by_label("Seed").fill("7")
    text = page.write()
    expected = in_numpy(*model).stream("分开", decoding=Decoding(temperature=0.8), seed=7)
    assert text == "分开" + "".join(expected)
    assert re.fullmatch(r"200 characters, [\d,]+ a second\. Seed 7\.", page.told())
    view.get_by_role("button", name="Copy").click()
    view.locator("#told", has_text="Copied.").wait_for()
    assert view.evaluate("navigator.clipboard.readText()") == text
    # A long text is stopped half-way, and what is there stays.
    view.get_by_label("Number").fill("1000000")
    view.keyboard.press("Control+Enter")
    while len(view.text_content("#written") or "") <= 50:
        view.wait_for_timeout(10)
    view.keyboard.press("Escape")
    view.wait_for_selector("#stop", state="hidden")
    assert page.told().startswith("Stopped. ")
    assert 50 < len(view.text_content("#written") or "") < 1_000_000
    view.get_by_label("Number").fill("5")
    assert page.write() == text[:7]


@in_a_browser
def test_a_number_that_is_none_is_told_where_it_was_typed(opened: Open) -> None:
    page = opened(a_model())
    mistakes = (
        ("Number", ("1.5", "0", "2000000", ""), "from 1 to 1,000,000"),
        ("Seed", ("1.5", "-1", "1" * 41), "of at most 40 digits"),
    )
    for field, numbers, told in mistakes:
        for number in numbers:
            page.page.get_by_label(field).fill(number)
            page.page.get_by_role("button", name="Write").click()
            alert = page.page.get_by_role("alert").text_content()
            assert alert == f"{field} must be a whole number {told}."
            assert page.page.get_by_label(field).get_attribute("aria-invalid") == "true"
        page.page.get_by_label(field).fill("３")  # as a Chinese keyboard may have it
    assert len(page.write()) == 3
    assert page.told().endswith("Seed 3.")


@in_a_browser
def test_a_song_that_ends_at_once_says_so_with_its_seed(opened: Open) -> None:
    info, weights = a_model(songs=True)
    weights["head.bias"][info.vocabulary.end] = 60
    page = opened((info, weights))
    page.page.get_by_label("Prefix").fill("夜很长")
    page.page.get_by_label("Seed").fill("8")
    assert page.write() == "夜很长"
    assert page.told() == "The song ended at once. Seed 8; another seed goes another way."


@in_a_browser
def test_a_page_of_the_network_alone_says_so(opened: Open) -> None:
    page = opened(a_model()).page
    page.get_by_text("About this page").click()
    assert "It writes by the network alone." in page.inner_text("#about")


@in_a_browser
def test_words_without_spaces_do_not_widen_the_page(opened: Open) -> None:
    for width in (380, 1280):
        page = opened(a_model(), viewport={"width": width, "height": 800})
        page.page.get_by_label("Prefix").fill("la" * 2000)
        page.write()
        assert page.page.evaluate("document.documentElement.scrollWidth") == width


@in_a_browser
def test_it_speaks_chinese_fits_a_narrow_window_and_is_dark_where_that_is_asked(
    opened: Open,
) -> None:
    narrow = {"width": 360, "height": 700}
    page = opened(a_model(), locale="zh-CN", viewport=narrow, color_scheme="dark").page
    page.get_by_label("开头").fill("夜很长")
    page.get_by_role("button", name="写", exact=True).press("Enter")
    page.locator("#told", has_text="200 个字符").wait_for()
    # Whoever goes by the keyboard is where they were.
    assert page.evaluate("document.activeElement.id") == "write"
    # The song is what they see, with what can be done with it.
    assert page.evaluate("byId('sheet').getBoundingClientRect().top < innerHeight / 2")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("document.documentElement.lang") == "zh-Hans"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 22, 24)"
    assert page.locator("#song").get_attribute("lang") == "zh-Hans"
