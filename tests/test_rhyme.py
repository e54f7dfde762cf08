import importlib.util
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from charlstm.errors import MissingLibraryError, RecipeError
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.form import Form
from charlstm.writing.rhyme import ending, endings_on, require_rhyme_libraries, rhyme, sounds

# Chosen by hand, some in both scripts. Easily misplaced are those whose final is written otherwise
# than it sounds: after y and w (月 用 我 翁), shortened (酒 水 论), ü as u (云 鱼 居), the three i
# (七 是 字), and ong, which goes with eng (风 东).
TRACKS = {
    "发花": "他家花呀话畫",
    "梭坡": "我波歌河多窝哦过過",
    "乜斜": "月夜写雪姐街葉學",
    "一七": "七是字鱼居雨儿耳二魚兒",
    "姑苏": "五书路出哭無書",
    "怀来": "爱来怀外白愛懷",
    "灰堆": "水飞灰位美谁飛",
    "遥条": "好笑要飘遥飄",
    "油求": "酒有楼后友樓",
    "言前": "天远玩圆眼选遠選",
    "人辰": "云论心春军问银雲論軍",
    "江阳": "光亮想望羊王陽",
    "中东": "风东梦用兄翁灯请風東夢",
}


@pytest.mark.parametrize(("track", "characters"), TRACKS.items(), ids=TRACKS.keys())
def test_a_character_rhymes_on_the_track_of_its_final(track: str, characters: str) -> None:
    found = {character: sounds(character) for character in characters}
    assert found == dict.fromkeys(characters, frozenset({track}))


def test_no_track_rhymes_with_another() -> None:
    rhymes = {
        (one, other)
        for one, some in TRACKS.items()
        for other, others in TRACKS.items()
        if rhyme(some[0], others[1])
    }
    assert rhymes == {(track, track) for track in TRACKS}


@pytest.mark.parametrize(
    ("line", "track"),
    [
        ("他走进银行", "江阳"),
        ("一个人行走", "油求"),
        ("一路前行", "中东"),
        ("祝你快乐", "梭坡"),
        ("听见音乐", "乜斜"),
        ("我真受不了", "遥条"),
        ("她已经走了", "梭坡"),
        ("想睡觉", "遥条"),
        ("没感觉", "乜斜"),
        ("我们慢慢成长", "江阳"),
        ("这条路好漫长", "江阳"),
        ("我没有目的", "一七"),
        ("这是我的", "梭坡"),
        ("睡着", "遥条"),
        ("看着", "梭坡"),
    ],
)
def test_a_character_is_read_as_its_line_reads_it(line: str, track: str) -> None:
    assert sounds(line) == {track}


def test_what_follows_the_ending_does_not_change_its_reading() -> None:
    assert sounds("存进银行。") == sounds("存进银行！” 🎵") == sounds("存进银行") == {"江阳"}


@pytest.mark.parametrize("hummed", ["嗯", "呣", "噷"])
def test_a_character_without_a_vowel_rhymes_on_nothing(hummed: str) -> None:
    assert sounds(hummed) == frozenset()


def test_a_character_that_no_table_knows_rhymes_on_nothing() -> None:
    assert ending("我爱\U0003134f") == (2, 3)
    # After a word that is spelled like a final, too: the two must not be read together.
    assert sounds("我爱\U0003134f") == sounds("ai \U0003134f") == frozenset()


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("my heart", "we are apart"),
        ("love", "above"),
        ("time", "rhyme"),
        ("tonight", "light"),
        ("baby", "maybe"),
        ("forever", "never"),
        ("goodbye", "cry"),
        ("everything", "sing"),  # secondary stress, on the last syllable
        ("over him", "it is dim"),
        ("in the wind", "I have sinned"),
        ("wind", "blind"),
        ("LOVE", "Above"),
        ("ＬＯＶＥ", "above"),
        ("in the café", "far away"),
        ("we don’t", "I won't"),
        ("keep on lovin'", "shoving"),
        ("keep on lovin’", "shoving"),
        ("mornin'", "warning"),
        ("comin", "drumming"),
        ("makin'", "taking"),
        ("the rain's", "the planes"),
        ("some mo'", "let it go"),
        ("月亮 oh baby", "and maybe"),
    ],
)
def test_lines_rhyme(line: str, other: str) -> None:
    assert rhyme(line, other)
    assert rhyme(other, line)


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("love", "move"),
        ("heart", "heard"),
        ("time", "thin"),
        ("I am for", "I love her"),  # the dictionary has the weak for, too
        ("loving", "sing"),  # only from the stressed vowel on
        ("thin'", "sing"),
        ("basin", "facing"),
        ("the basin", "basing"),
        ("fine", "line # org, irish 2"),
        ("风", "饭"),
        ("心", "星"),
        ("鱼", "书"),
        ("我爱你 baby", "你"),
        ("她走进银行", "一路前行"),
        ("", ""),
        ("2", "3"),
        ("我", ""),
    ],
)
def test_lines_do_not_rhyme(line: str, other: str) -> None:
    assert not rhyme(line, other)
    assert not rhyme(other, line)


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("我的爱", "你的爱。"),
        ("my love", "your LOVE!"),
        ("my love", "“love”"),
        ("lovin'", "loving"),
        ("lovin'", "lovin’"),
        ("don't", "Don’t"),
        ("comin", "coming"),
        ("cafe", "café"),
    ],
)
def test_a_unit_does_not_rhyme_with_itself(line: str, other: str) -> None:
    assert not sounds(line).isdisjoint(sounds(other))
    assert not rhyme(line, other)


def test_every_pronunciation_of_a_word_counts_without_its_stress() -> None:
    assert sounds("wind") == {"AY N D", "IH N D"}
    assert sounds("heart") == {"AA R T"}
    assert sounds("goodbye") == {"AY"}
    assert sounds("to") == {"UW"}  # and not the T AH of to go
    assert sounds("makin'") == {"EY K IH N", "EY K IH NG"}  # its own and that of making


def test_the_comment_of_an_entry_is_no_part_of_its_sound() -> None:
    # "dail D OY1 L # org, irish", as the dictionary has it.
    assert "OY L" in sounds("dail")
    assert rhyme("dail", "boil")
    assert "dail" in endings_on(sounds("boil"), "abcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize("line", ["xqzt", "hmm", "mm", "", "  ", "……", "520", "🎵", "사랑해"])
def test_a_line_whose_ending_is_unknown_or_silent_rhymes_on_nothing(line: str) -> None:
    assert sounds(line) == frozenset()


@pytest.mark.parametrize(
    ("line", "unit"),
    [
        ("我爱你", "你"),
        ("我爱你。", "你"),
        ("我爱你！？……", "你"),
        ("“我爱你”", "你"),
        ("「我爱你」 ", "你"),
        ("（我爱你）\u3000\n", "你"),
        ("我爱你❤️🎵👍🏽", "你"),
        ("二〇〇〇", "〇"),
        ("𠮷", "𠮷"),
        ("my love", "love"),
        ("my love...  ", "love"),
        ('"my love," (yeah!)', "yeah"),
        ("oh-oh", "oh"),
        ("I don't", "don't"),
        ("I don’t.", "don’t"),
        ("keep on lovin'", "lovin'"),
        ("keep on lovin’,", "lovin’"),
        ("'Cause I'm lovin'", "lovin'"),
        ("'CAUSE I'M LOVIN'", "LOVIN'"),
        ("don't ask the boys'", "boys'"),
        ("she said 'my love'", "love"),
        ("she said ‘my love’", "love"),
        ("say 'love'", "love"),
        ("say ''love''", "love"),
        ("the café", "café"),
        ("ＬＯＶＥ！", "ＬＯＶＥ"),
        ("我爱你 baby", "baby"),
        ("我爱baby", "baby"),
        ("say 再见", "见"),
        ("baby我", "我"),
        ("2night", "night"),
    ],
)
def test_an_ending_is_the_last_unit_of_its_line(line: str, unit: str) -> None:
    start, end = ending(line)
    assert line[start:end] == unit
    assert start == line.rindex(unit)


@pytest.mark.parametrize(
    "line",
    ["", " ", "。。。", "2046", "🎵🎵", "'", "我爱你520", "love 2!", "我爱你 사랑해。", "人々"],
)
def test_a_line_that_does_not_end_in_a_unit_has_an_empty_ending_at_its_end(line: str) -> None:
    assert ending(line) == (len(line), len(line))


LETTERS = "abcdefghijklmnopqrstuvwxyz'"
VOCABULARY = LETTERS + "LOVE，。2" + "".join(TRACKS.values()) + "嗯行乐"


@pytest.mark.parametrize(("track", "characters"), TRACKS.items(), ids=TRACKS.keys())
def test_the_endings_on_a_track_are_its_characters(track: str, characters: str) -> None:
    read_alone = {"中东": "行", "梭坡": "乐"}  # xíng and lè
    found = endings_on(frozenset({track}), VOCABULARY)
    assert found == {*characters, *read_alone.get(track, "")}


def test_every_ending_on_a_sound_rhymes_on_it() -> None:
    drawn = random.Random(7)
    han = "".join(map(chr, drawn.sample(range(0x4E00, 0xA000), 2000)))
    parts = ["IY", "AH", "AH V", "AY M IH NG", "AA R T", "OW", "UW", "AY N D", "AE T ER"]
    for sound in [*TRACKS, *parts]:
        units = sorted(endings_on(frozenset({sound}), han + LETTERS))
        assert len(units) > 5
        for unit in drawn.sample(units, min(len(units), 60)):
            assert ending(unit) == (0, len(unit))
            assert sound in sounds(unit)


def test_endings_are_found_by_every_sound_of_a_line() -> None:
    found = endings_on(sounds("wind"), LETTERS)
    assert {"wind", "blind", "find", "sinned", "pinned"} <= found
    assert not {"win", "window", "hand"} & found
    both = endings_on(frozenset({"AH V", "油求"}), VOCABULARY)
    assert {"love", "above", "of", "酒", "楼"} <= both
    assert not {"move", "我"} & both


def test_endings_are_spelled_with_the_characters_given() -> None:
    assert endings_on(sounds("love"), "aeovb") == {"above"}
    assert "don't" in endings_on(sounds("won't"), LETTERS)
    assert "don't" not in endings_on(sounds("won't"), LETTERS.replace("'", ""))
    assert endings_on(sounds("酒"), "楼后我") == {"楼", "后"}
    assert endings_on(sounds("酒"), "我") == frozenset()


def test_characters_that_stand_side_by_side_by_chance_are_read_alone() -> None:
    assert endings_on(frozenset({"中东", "江阳"}), "银行") == {"行"}
    assert endings_on(frozenset({"江阳"}), "银行") == frozenset()


def test_no_entry_is_an_ending_that_a_line_would_end_in_only_a_part_of() -> None:
    everything = LETTERS + ".-0123456789()"
    assert {"'em", "t-shirt", "a.m."}.isdisjoint(
        endings_on(frozenset({"AH M", "ER T", "EH M"}), everything)
    )
    assert "live" in endings_on(frozenset({"IH V"}), everything)
    assert "live(2)" not in endings_on(frozenset({"IH V"}), everything)


def test_no_sound_and_an_unknown_one_have_no_endings() -> None:
    assert endings_on(frozenset(), VOCABULARY) == frozenset()
    assert endings_on(frozenset({"XQ"}), VOCABULARY) == frozenset()


MISSING = (
    "Rhymes need pypinyin and pronouncing, which are not installed: pip install 'charlstm[rhyme]', "
    "or leave rhyme out."
)


@pytest.mark.parametrize("missing", ["pypinyin", "pronouncing"])
@pytest.mark.parametrize(
    "ask",
    [
        require_rhyme_libraries,
        lambda: sounds("我"),
        lambda: sounds("love"),
        lambda: rhyme("我", "河"),
        lambda: endings_on(frozenset({"梭坡"}), "我河"),
        lambda: endings_on(frozenset({"AH V"}), LETTERS),
    ],
    ids=["require", "Han sounds", "word sounds", "rhyme", "Han endings", "word endings"],
)
def test_missing_libraries_are_told(
    ask: Callable[[], Any], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == missing else found(name, package),
    )
    with pytest.raises(MissingLibraryError) as caught:
        ask()
    assert str(caught.value) == MISSING


def test_an_ending_is_found_without_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    assert ending("我爱你") == (2, 3)


def test_the_libraries_are_imported_only_where_they_are_needed() -> None:
    code = (
        "import sys\n"
        "def loaded(): print(*sorted({'pypinyin', 'pronouncing', 'torch'} & set(sys.modules)))\n"
        "from charlstm.writing.rhyme import ending, endings_on, require_rhyme_libraries, sounds\n"
        "ending('我爱你'), require_rhyme_libraries(); loaded()\n"
        "endings_on(sounds('我'), '我河'); loaded()\n"
        "print(*endings_on(frozenset({'AH V'}), 'love')); loaded()\n"
    )
    result = subprocess.run(
        [sys.executable, "-W", "error", "-X", "utf8", "-c", code],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert result.stdout.splitlines() == ["", "pypinyin", "love", "pronouncing pypinyin"]
    assert result.stderr == ""


# Whose rhymes are known.

REFUSED = (
    "Rhymes are known for Chinese and for English only, and the text that the model learned from"
)


@pytest.mark.parametrize(
    ("text", "seems"),
    [
        ("der Regen fällt, ich höre müde Vögel und große Flüsse\n", "accented Latin letters"),
        ("la lluvia calló en la estación, mañana volveré\n", "accented Latin letters"),
        ("星がひとつ落ちた\n夜の駅で君を待つ\n", "Japanese"),
        ("дождь затих на крыше вокзала\n", "Cyrillic letters"),
        ("비가 그쳤네 너는 이름을 썼지\n", "Hangul letters"),
        ("η βροχή σταμάτησε\n", "Greek letters"),
        ("הגשם נדם על גג התחנה\n", "Hebrew letters"),
    ],
)
def test_rhymes_are_refused_at_once_in_another_language(text: str, seems: str) -> None:
    with pytest.raises(RecipeError) as caught:
        Form(rhyme="AABB").constraints(Vocabulary.build(text * 9))
    written = seems if seems == "Japanese" else f"written in {seems}"
    assert str(caught.value) == f"{REFUSED} seems to be {written}: leave rhyme out."


@pytest.mark.parametrize(
    "text",
    [
        "the rain gave up above the station\n",
        "the rain gave up above the station\n" * 20 + "a café, so naïve\n",
        "雨停在车站的屋檐下\n",
        "雨停在車站的屋簷下\nla la la ça va, très bien\n",
        "ＬＯＶＥ ｍｅ\n",
        "дождь затих на крыше\n" + "the rain gave up above the station\n",  # both
        "123 456\n",  # nothing is known, and nothing seems to be
    ],
)
def test_rhymes_are_looked_for_where_enough_of_a_text_is_chinese_or_english(text: str) -> None:
    assert Form(rhyme="AABB").constraints(Vocabulary.build(text * 9))


def test_another_language_without_accents_is_known_by_its_words() -> None:
    vocabulary = Vocabulary.build("hujan berhenti di atas stasiun\n" * 9)
    dutch = frozenset(f"{a}{b}{c}" for a in "hvgz" for b in ("ij", "ui", "oe") for c in "gkvz")
    with pytest.raises(RecipeError, match="another language in Latin letters: leave rhyme out"):
        Form(rhyme="AABB").constraints(vocabulary, words=dutch)
    english = frozenset({"rain", "stop", "station", "above", "night", "xyzzy"})
    assert Form(rhyme="AABB").constraints(vocabulary, words=english)
