import json
import math
import re
from pathlib import Path

import pytest
from commandline import Charlstm

from charlstm.api import load, train
from charlstm.evaluation.highlight import LINE_END

LYRICS = "".join(
    f"分开的第{day}天 我在{place}等你\n不分开 我们说好不分开\n雨停了 {place}很安静\n\n"
    for day in "一二三四五六七八九十"
    for place in ("车站", "桥上", "窗前", "巷口")
)
OTHER = "分开的第一天 我在桥上等你\n\nWir sagen: <b>nein</b> & ja\n雨停了 桥上很安静\n再见\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("evaluated")
    (where / "song.txt").write_text(LYRICS, encoding="utf-8")
    (where / "other.txt").write_text(OTHER, encoding="utf-8")
    train(
        where / "song.txt",
        root=where / "checkpoints",
        epochs=2,
        hidden=16,
        embedding=6,
        batch=8,
        window=16,
        dropout=0.2,
        threads=1,
    )
    return where


@pytest.fixture(autouse=True)
def _there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


def row(table: str, title: str) -> list[str]:
    """Return the figures of a line of a table, which are set apart by at least two spaces."""
    (found,) = re.findall(f"^{re.escape(title)}  .*$", table, re.M)
    return re.split(r" {2,}", str(found).strip())[1:]


def told(figures: dict[str, float], utf8: float) -> list[str]:
    """Return a line of figures as the table has it."""
    bits = figures["bits_per_character"]
    return [f"{figures['perplexity']:,.2f}", f"{bits:.3f}", f"{bits * utf8:.3f}"]


def test_every_figure_stands_beside_those_of_the_parts(charlstm: Charlstm) -> None:
    answer = charlstm("eval", "perplexity", "--dynamic", "--json")
    assert answer.code == 0
    figures = json.loads(answer.stdout)
    utf8 = figures["bits_per_byte"] / figures["bits_per_character"]
    table = charlstm("eval", "perplexity", "--dynamic").stdout
    assert re.search("^ +perplexity +bits/char +bits/byte +nats/char *$", table, re.M)
    shown = {
        "this model": "so_far",
        "  network alone": "lstm",
        "  + training text": "recall",
        "  + song so far": "so_far",
        "all, adapting": "adapting",
        "5-gram": "five_gram",
        "unigram": "unigram",
        "uniform": "uniform",
    }
    for title, name in shown.items():
        assert row(table, title)[:3] == told(figures[name], utf8)
        assert row(table, title)[3] == f"{figures[name]['loss']:.4f}"
    assert row(table, "network, adapting")[3] == f"{figures['dynamic_loss']:.4f}"
    assert figures["loss"] == figures["so_far"]["loss"]


def test_a_network_that_a_5_gram_beats_is_told_so(charlstm: Charlstm) -> None:
    figures = json.loads(charlstm("eval", "perplexity", "--json").stdout)
    beaten = figures["lstm"]["loss"] >= figures["five_gram"]["loss"]
    said = "The network alone is no better than a 5-gram" in charlstm("eval", "perplexity").stdout
    assert said == beaten


def test_how_far_other_text_may_be_is_told(charlstm: Charlstm, trained: Path) -> None:
    text = (trained / "song.txt").read_text(encoding="utf-8")
    for characters in (300, 600):
        Path("some.txt").write_text(text[:characters], encoding="utf-8")
        figures = json.loads(charlstm("eval", "perplexity", "some.txt", "--json").stdout)
        shown = " ".join(charlstm("eval", "perplexity", "some.txt").stdout.split())
        error = figures["standard_error"]
        assert (error is None) == (characters == 300)
        if error is None:
            assert "too few characters to say how far other text of the same kind" in shown
        else:
            assert f"may well be {100 * math.expm1(error):.1f}% better or worse" in shown


def test_without_dynamic_the_static_figures_are_the_same_and_alone(charlstm: Charlstm) -> None:
    with_it = json.loads(charlstm("eval", "perplexity", "--dynamic", "--json").stdout)
    without = json.loads(charlstm("eval", "perplexity", "--json").stdout)
    added = {"dynamic_loss", "dynamic_perplexity", "dynamic_bits_per_character", "adapting"}
    assert set(with_it) - set(without) == added
    assert {name: with_it[name] for name in without} == without
    table = charlstm("eval", "perplexity").stdout
    assert table.startswith("held-out text of song\n")  # which is itself not shown unasked
    assert "adapting" not in table


def test_dynamic_evaluation_leaves_the_run_byte_for_byte(trained: Path, charlstm: Charlstm) -> None:
    def contents() -> dict[Path, bytes]:
        files = (trained / "checkpoints").rglob("*")
        return {path: path.read_bytes() for path in files if path.is_file()}

    before = contents()
    assert trained / "checkpoints" / "song" / "model.safetensors" in before
    assert charlstm("eval", "perplexity", "--dynamic").code == 0
    assert contents() == before


def ranking(shown: str, title: str) -> list[tuple[float, str]]:
    """Return the lines below a title, each with its mean."""
    below = shown.partition(f"\n{title}, in bits a character\n")[2].partition("\n\n")[0]
    found = re.findall(r"^ *(\d+\.\d\d)  (.*)$", below, re.M)
    return [(float(mean), line) for mean, line in found]


def test_show_prints_the_text_and_its_lines_ranked(charlstm: Charlstm) -> None:
    result = charlstm("eval", "perplexity", "other.txt", "--show")
    assert result.code == 0
    assert result.stdout.startswith(OTHER.replace("\n", LINE_END + "\n"))
    assert "\x1b" not in result.stdout
    # Without colours there is no key to them.
    assert "bits a character: " not in result.stdout
    found = ranking(result.stdout, "lines, the most surprising first")
    assert len(found) == 4
    bits = load("song").perplexity(OTHER, threads=1).surprisal.tolist()
    order = []
    for words in re.finditer(".+\n", OTHER):
        # The first character is not predicted: that of place k has figure k - 1.
        own = bits[max(words.start() - 1, 0) : words.end() - 1]
        order.append((sum(own) / len(own), words[0].replace("\n", LINE_END)))
    order.sort(reverse=True)
    assert [line for _, line in found] == [line for _, line in order]
    assert [mean for mean, _ in found] == pytest.approx([mean for mean, _ in order], abs=0.006)
    # The figures still come, at the end.
    assert "perplexity" in result.stdout.partition("most surprising")[2]


def test_of_many_lines_both_ends_of_the_ranking_are_shown(
    tmp_path: Path, charlstm: Charlstm
) -> None:
    text = tmp_path / "long.txt"
    words = [f"分开{'不' * number}我在等你" for number in range(30)]
    text.write_text("\n".join(words), encoding="utf-8")
    result = charlstm("eval", "perplexity", str(text), "--show")
    most = ranking(result.stdout, "most surprising lines")
    least = ranking(result.stdout, "least surprising lines")
    assert len(most) == len(least) == 10
    means = [mean for mean, _ in most + least[::-1]]
    assert means == sorted(means, reverse=True)
    assert {line.rstrip(LINE_END) for _, line in most + least} < set(words)


def test_control_characters_of_a_text_are_shown_and_not_obeyed(
    tmp_path: Path, charlstm: Charlstm
) -> None:
    text = tmp_path / "evil.txt"
    text.write_bytes("分开 \x1b[31m红\x07\n不分开\x7f \x9b2J 分开\n".encode())
    result = charlstm("eval", "perplexity", str(text), "--show", "--encoding", "utf-8")
    assert result.code == 0
    assert result.stdout.startswith(f"分开 ␛[31m红␇{LINE_END}\n不分开␡ \ufffd2J 分开{LINE_END}\n")
    lines = ranking(result.stdout, "lines, the most surprising first")
    assert any("␛[31m红␇" in line for _, line in lines)
    assert not set(result.stdout) & {"\x1b", "\x07", "\x7f", "\x9b"}


def test_a_page_is_written_and_the_figures_printed_as_ever(
    tmp_path: Path, charlstm: Charlstm
) -> None:
    path = tmp_path / "页 面.html"
    result = charlstm("eval", "perplexity", "other.txt", "--html", str(path), "--json")
    assert result.code == 0
    figures = json.loads(result.stdout)
    assert result.stderr == f"page: {path}\n"
    written = path.read_text(encoding="utf-8")
    assert written.startswith("<!doctype html>")
    assert written.endswith("</html>\n")
    assert "<h1>other.txt</h1>" in written
    assert (
        f"<p>Perplexity {figures['perplexity']:,.2f}, {figures['bits_per_character']:.3f} bits a "
        f"character over {len(OTHER) - 1} characters, by the run song." in written
    )
    shown = "".join(re.findall("<span[^>]*>([^<]*)</span>", written.partition("<h2>")[0]))
    expected = OTHER.replace("\n", LINE_END).replace("&", "&amp;")
    assert shown.endswith(expected.replace("<", "&lt;").replace(">", "&gt;"))


def test_a_page_that_cannot_be_written_is_one_sentence(tmp_path: Path, charlstm: Charlstm) -> None:
    path = tmp_path / "absent" / "page.html"
    result = charlstm("eval", "perplexity", "--html", str(path))
    assert result.code == 1
    assert result.stderr == f"error: {path} cannot be written: {path.parent} is not a directory.\n"
    assert result.stdout == ""
    assert not path.parent.exists()


def test_a_drawing_as_json_is_wrong_usage(charlstm: Charlstm) -> None:
    result = charlstm("eval", "perplexity", "--show", "--json")
    assert result.code == 2
    assert result.stdout == ""
    message = re.sub(r"\x1b\[[\d;]*m|[│|]", "", result.stderr)
    assert "--show and --json cannot be combined." in " ".join(message.split())
