import base64
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from desks import Page, Server, desk
from faults.patience import until
from songs import LYRICS, learn

from charlstm.api import load
from charlstm.runs.directory import RunDirectory
from charlstm.runs.keeping import is_training
from charlstm.serve.desk import measures

OVER = ("finished", "stopped", "failed")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with desk(tmp_path / "checkpoints") as page:
        yield page


def file(path: str, text: str) -> dict[str, Any]:
    return {"path": path, "data": base64.b64encode(text.encode()).decode(), "more": False}


def dropped(page: Page | Server, **files: str) -> str:
    """Drop files on the page; return the number of the text."""
    text = str(page.post("/api/texts")["id"])
    body = {"files": [file(f"{name}.txt", what) for name, what in files.items()]}
    page.post(f"/api/texts/{text}/files", body)
    return text


def over(page: Page | Server) -> dict[str, Any]:
    """Wait until the training has ended; return what there is to say of it."""
    until(lambda: page.get("/api/training")["state"] in OVER)
    told: dict[str, Any] = page.get("/api/training")
    return told


def test_a_dropped_text_is_learned_watched_stopped_and_goes_on(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        assert server.get("/api/training") == {"training": None}
        text = dropped(server, 歌=LYRICS)
        begun = server.post("/api/training", {"text": text, "name": None, "minutes": 5})
        assert (begun["state"], begun["run"]) == ("starting", None)
        busy = server.post("/api/training", {"text": text}, 409)
        assert busy["error"]["code"] == "training"
        seen: list[str] = []
        changed: dict[str, Any] = {}
        for event in server.events():
            changed |= event
            seen.append(event["type"])
            # Whoever watches may come and go; the stop is asked for by another.
            if event["type"] == "epoch" and "stop" not in seen:
                (entry,) = event["history"]
                assert set(entry) == {
                    *("epoch", "step", "training_loss", "validation_loss", "seconds")
                }
                assert server.get("/api/runs")["runs"][0]["state"] == "training"
                refused = server.post("/api/runs/歌/remove", {}, 409)
                assert refused["error"]["code"] == "training"
                server.post("/api/training/stop")
                seen.append("stop")
        assert seen[0] == "training"
        assert {"state", "step", "epoch", "sample", "saved"} <= set(seen)
        assert (changed["run"], changed["state"]) == ("歌", "stopped")
        told = server.get("/api/training")
        assert told["reason"] == f"stopped at step {told['step']:,} and saved"
        assert 0 < told["progress"] < 1
        assert server.get("/api/runs/歌")["samples"] == [one["text"] for one in told["samples"]]
        (run,) = server.get("/api/runs")["runs"]
        assert (run["state"], run["can_resume"]) == ("stopped", True)

        server.post("/api/training", {"run": "歌", "minutes": 5})
        until(lambda: server.get("/api/training")["state"] == "running")
        again = server.get("/api/training")
        assert again["history"][: len(told["history"])] == told["history"]
        until(lambda: server.get("/api/training")["step"] > told["step"])
        # The server ends as a signal ends it: the training is stopped and saved.
        (child,) = psutil.Process(server.process.pid).children()
    finally:
        server.end()
    assert server.process.returncode == 0
    assert not child.is_running()
    model = load("歌", root=tmp_path / "checkpoints")
    assert model.info.last is not None
    assert model.info.last.step >= told["step"]
    assert model.generate("我", length=5, seed=1)


def test_a_training_whose_server_was_killed_saves_and_can_go_on(tmp_path: Path) -> None:
    server = Server(tmp_path)
    text = dropped(server, song=LYRICS)
    server.post("/api/training", {"text": text, "name": "mine", "minutes": 5})
    until(lambda: server.get("/api/training")["step"])
    server.end(kill=True)
    run = RunDirectory(tmp_path / "checkpoints" / "mine")
    until(lambda: run.has_resume and not is_training(run))
    with desk(tmp_path / "checkpoints") as page:
        (told,) = page.get("/api/runs")["runs"]
        assert (told["name"], told["state"], told["can_resume"]) == ("mine", "stopped", True)
        assert page.get("/api/training") == {"training": None}


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
def test_what_goes_wrong_in_a_training_is_the_sentence_of_the_command_line(page: Page) -> None:
    text = dropped(page, short="我在")
    page.post("/api/training", {"text": text, "minutes": None})
    told = over(page)
    assert told["state"] == "failed"
    assert told["run"] is None
    assert "short.txt" not in told["problem"]
    assert "too short" in told["problem"] or "characters" in told["problem"]

    # One that is killed says so, and the next can begin.
    text = dropped(page, song=LYRICS)
    page.post("/api/training", {"text": text, "minutes": 5})
    # Other tests may have left children of their own to this process.
    name = "charlstm.serve.desk.child"
    running = (one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE)
    (child,) = (one for one in running if name in one.cmdline())
    child.send_signal(signal.SIGKILL)
    told = over(page)
    assert told["state"] == "failed"
    assert told["problem"].startswith("The training was ended from outside, by signal 9")
    assert not page.get("/api/runs")["training"]["run"]


def test_what_cannot_be_trained_is_refused_at_once(page: Page, tmp_path: Path) -> None:
    text = dropped(page, song=LYRICS)
    for body, why in (
        ({}, 'A training needs a "text" to learn, or a "run" to go on with.'),
        ({"text": text, "run": "a"}, 'A training needs a "text" to learn'),
        ({"text": text, "minutes": 0}, '"minutes" must be a number above 0'),
        ({"text": text, "minutes": "five"}, '"minutes" must be a number above 0'),
        ({"text": text, "name": "../out"}, "A run cannot be called '../out'"),
        ({"text": text, "name": 5}, '"name" must be a text, not 5.'),
        ({"text": dropped(page)}, "There is no text in what was dropped."),
    ):
        assert page.refused("/api/training", body).startswith(why)
    page.post("/api/training", {"text": "0" * 16}, 404)
    page.post("/api/training", {"run": "none"}, 404)
    page.post("/api/training/stop")  # which stops nothing
    assert page.get("/api/training") == {"training": None}
    assert list(tmp_path.glob("checkpoints/*/run.json")) == []


def test_figures_are_those_of_the_command_line_and_are_computed_once(tmp_path: Path) -> None:
    model = learn(tmp_path, epochs=2, validation=0.1)
    with desk(tmp_path / "checkpoints") as page:
        figures = page.post("/api/runs/song/measure")
        expected = model.perplexity().to_json()
        assert figures["perplexity"] == pytest.approx(expected["perplexity"])
        assert figures["five_gram"] == pytest.approx(expected["five_gram"])
        assert model.info.last is not None
        assert figures["training_loss"] == model.info.last.train_loss
        with pytest.MonkeyPatch.context() as without:
            without.delattr(measures, "Work")  # another process would need it
            assert page.post("/api/runs/song/measure") == figures
        inside = page.post("/api/runs/song/inside")
        shown = page.client.get(inside["page"])
        assert shown.headers["content-security-policy"].startswith("sandbox allow-scripts;")
        assert "held-out text of song" in shown.text
        other = page.post("/api/runs/song/inside", {"text": "\n  la <la> la\nla\n"})["page"]
        assert "<title>la &lt;la&gt; la · song · charlstm</title>" in page.client.get(other).text
        with pytest.MonkeyPatch.context() as without:
            without.delattr(measures, "Work")
            assert page.post("/api/runs/song/inside") == inside
        page.refused("/api/runs/song/inside", {"text": "x"})
        page.refused("/api/runs/song/inside", {"text": 5})
        page.get("/api/inside/0123", 404)
        novelty = page.post("/api/runs/song/novelty", {"texts": [LYRICS[:40]]})
        assert novelty["passages"][0]["text"] == LYRICS[:40].strip("\n")
        assert novelty["held_out"]["characters"] == len(model.held_out())
        page.refused("/api/runs/song/novelty", {"texts": []})
        page.refused("/api/runs/song/novelty", {"texts": 5})
