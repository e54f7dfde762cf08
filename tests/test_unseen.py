import importlib.util
from typing import Any

import pytest

from charlstm.errors import UnknownCharactersError
from charlstm.text.corpus import TextOptions
from charlstm.text.unseen import Prefix, lookalike
from charlstm.text.vocabulary import Vocabulary

SIMPLIFIED = Vocabulary.build("听见雨声停了风吹过旧城的桥头发里面，\n")
TRADITIONAL = Vocabulary.build("聽見雨聲停了風吹過舊城的橋頭髮裡面，\n")
HINT = (
    " With pip install 'charlstm[chinese]' traditional and simplified characters stand for each "
    "other."
)


def prefix(given: str, vocabulary: Vocabulary, unknown: str) -> Prefix:
    return Prefix.of(given, TextOptions(), vocabulary, unknown)


def told(given: str, vocabulary: Vocabulary, unknown: str) -> str:
    return str(prefix(given, vocabulary, unknown).changes())


@pytest.fixture
def no_opencc(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec

    def find(name: str, *rest: Any) -> Any:
        return None if name == "opencc_purepy" else real(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find)


def test_traditional_and_simplified_characters_stand_for_each_other() -> None:
    assert prefix("聽見風聲", SIMPLIFIED, "map").read == "听见风声"
    assert prefix("听见风声", TRADITIONAL, "map").read == "聽見風聲"
    # 发 is 發 and 髮, and only one of them was learned; 裏 is another form of 裡.
    assert lookalike("发", TRADITIONAL) == "髮"
    assert lookalike("發", SIMPLIFIED) == "发"
    assert lookalike("裏", TRADITIONAL) == "裡"
    assert lookalike("离", TRADITIONAL) is None


def test_what_is_mapped_or_left_out_is_told() -> None:
    assert prefix("听见", SIMPLIFIED, "map").changes() is None
    assert told("聽聽風,X", SIMPLIFIED, "map") == (
        "Of the prefix the model reads '聽' as '听', '風' as '风', ',' as '，'; and it "
        "reads 'X' as <unk>, which nothing resembles."
    )
    assert told("聽\tX", SIMPLIFIED, "skip") == (
        "Of the prefix the model leaves out '聽', U+0009, 'X'."
    )


@pytest.mark.usefixtures("no_opencc")
def test_without_opencc_it_is_named_where_it_would_help() -> None:
    assert told("聽X", SIMPLIFIED, "map").endswith(f", which nothing resembles.{HINT}")
    assert HINT not in told("X的", TRADITIONAL, "map")
    with pytest.raises(UnknownCharactersError) as caught:
        prefix("聽", SIMPLIFIED, "error")
    assert str(caught.value).endswith(f"to put what is nearest in their place.{HINT}")
    with pytest.raises(UnknownCharactersError) as caught:
        prefix("山", SIMPLIFIED, "error")  # the same in both
    assert HINT not in str(caught.value)
