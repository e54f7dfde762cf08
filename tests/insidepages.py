"""Pages that show the inside of a model, opened from the disk in a real browser."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from onepages import PATIENCE_MS

from charlstm.evaluation.gates import look
from charlstm.exports.insidepage import Shown, write_inside
from charlstm.model.inside import Inside
from charlstm.model.network import Network
from charlstm.runs.info import RunInfo
from charlstm.runs.tensors import Arrays

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def network_of(model: tuple[RunInfo, Arrays]) -> Network:
    info, weights = model
    vocabulary = info.vocabulary
    return Network(info.recipe.architecture, weights, len(vocabulary), vocabulary.end)


def read_inside(model: tuple[RunInfo, Arrays], text: str) -> Inside:
    """Return what happens in a model while it reads a text."""
    network = network_of(model)
    return network.inside(network.start(), model[0].vocabulary.encode(text))


def written_inside(model: tuple[RunInfo, Arrays], text: str, title: str = "a text") -> bytes:
    """Return the page of a model that has read a text."""
    info, network = model[0], network_of(model)
    random = np.random.default_rng(0)
    gates = look(network, info.vocabulary.encode(text), text, random=random)
    return write_inside(info, network, "song", Shown(title, text, gates, title))


@contextmanager
def opened_inside(browser: "Browser", file: Path, page: bytes, **options: Any) -> "Iterator[Page]":
    """Open a page by a double click; nothing may go wrong there, and nothing may be asked for."""
    file.write_bytes(page)
    troubles: list[str] = []

    def asked(address: str) -> None:
        if address not in (file.as_uri(), "data:,"):
            troubles.append(f"asked for {address}")

    settings: dict[str, Any] = {"locale": "en-GB", "viewport": {"width": 1400, "height": 900}}
    context = browser.new_context(**{**settings, **options})
    context.set_default_timeout(PATIENCE_MS)
    shown = context.new_page()
    shown.on("console", lambda message: troubles.append(message.text))
    shown.on("pageerror", lambda error: troubles.append(str(error)))
    shown.on("request", lambda request: asked(request.url))
    shown.goto(file.as_uri())
    shown.wait_for_selector("[data-ready]")
    yield shown
    context.close()
    assert troubles == []
