"""Models in one page, opened from the disk in a real browser, and the same models in NumPy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charlstm.exports.onepage import rounded, write_page
from charlstm.model.network import Network
from charlstm.model.recall.learning import learn_recall
from charlstm.model.recall.recall import Recall
from charlstm.recipes.architecture import Architecture
from charlstm.recipes.named import SHARE
from charlstm.recipes.recipe import Recipe
from charlstm.runs.info import RunInfo
from charlstm.runs.remembered import Remembered
from charlstm.runs.tensors import Arrays
from charlstm.text.corpus import TextOptions
from charlstm.text.labels import Labels
from charlstm.text.songs import END, Songs
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.sampler import Sampler, make_sampler

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_MS = 60_000
LYRICS = "分开以后，我在窗口等你\n夜很长，花很香\n\nla la la, “stay”\n" * 3
SONGS = Songs(2, 10, 20, 30, "auto")
LABELS = Labels(("artist",), {"artist": {"Sappho": "\U00100001", "李白": "\U00100002"}})


def a_model(
    architecture: Architecture | None = None,
    text: str = LYRICS,
    *,
    songs: bool = False,
    labels: Labels | None = None,
    options: TextOptions | None = None,
    seed: int = 5,
    **fields: Any,
) -> tuple[RunInfo, Arrays]:
    """Return a model that has learned nothing: its weights are drawn."""
    architecture = architecture or Architecture(hidden=24, embedding=6)
    labels = labels or Labels()
    if songs:
        symbols = "".join(symbol for one in labels.values.values() for symbol in one.values())
        text = f"{END}{labels.none}{text}{END}{symbols}{END}"
    info = RunInfo(
        recipe=Recipe(name="test", architecture=architecture, text=options or TextOptions()),
        vocabulary=Vocabulary.build(text, labels=labels),
        sources=(),
        places=("song.txt",),
        encoding=None,
        corpus_sha256="",
        training_characters=len(text),
        held_out_characters=0,
        backend="scratch",
        songs=SONGS if songs else None,
        labels=labels,
        **fields,
    )
    random = np.random.default_rng(seed)
    shapes = architecture.parameter_shapes(len(info.vocabulary))
    weights = {name: random.standard_normal(shape) * 0.8 for name, shape in shapes.items()}
    for name in weights:
        if name.startswith("recurrent.weight") and not name.endswith("ih_l0"):
            weights[name] /= architecture.hidden**0.5  # or it is chaos, and the last bit decides
    return info, {name: array.astype(np.float32) for name, array in weights.items()}


def remembering(
    model: tuple[RunInfo, Arrays], text: str, *, share: float = SHARE, grams: bool = True
) -> tuple[tuple[RunInfo, Arrays], Recall]:
    """Return a model that remembers a text, and what it remembers of it.

    Args:
        model: what `a_model` returns.
        text: with the marks that are read in it.
        share: of the grams.
        grams: whether they are kept.
    """
    info, weights = model
    vocabulary = info.vocabulary
    recall = learn_recall(
        vocabulary.encode(text),
        len(vocabulary),
        newline=int(vocabulary.encode("\n")[0]) if "\n" in vocabulary else None,
        end=vocabulary.end,
        unpredicted=vocabulary.unpredicted,
        grams=grams,
    )
    recipe = replace(info.recipe, recall=share)
    return (replace(info, recipe=recipe, recall=Remembered.of(recall)), weights), recall


def in_numpy(info: RunInfo, weights: Arrays, recall: Recall | None = None) -> Sampler:
    """Return what writes with the weights that a page has."""
    vocabulary = info.vocabulary
    halves = {name: array.astype(np.float32) for name, array in rounded(weights).items()}
    network = Network(info.recipe.architecture, halves, len(vocabulary), vocabulary.end)
    return make_sampler(network, recall, info.share(), info)


class OnePage:
    """A page of a model, opened by a double click.

    Attributes:
        page: in the browser.
        troubles: what went wrong, and what was asked for besides the file.
    """

    def __init__(
        self,
        browser: "Browser",
        file: Path,
        model: tuple[RunInfo, Arrays],
        recall: Recall | None = None,
        **options: Any,
    ) -> None:
        file.write_bytes(write_page(*model, file.stem, recall))
        self.file = file
        self.troubles: list[str] = []
        settings: dict[str, Any] = {"locale": "en-GB", "viewport": {"width": 1280, "height": 900}}
        self._context = browser.new_context(**{**settings, **options})
        self._context.set_default_timeout(PATIENCE_MS)
        self.page: Page = self._context.new_page()
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("request", lambda request: self._asked(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("[data-ready]")

    def _asked(self, url: str) -> None:
        if url not in (self.file.as_uri(), "data:,"):
            self.troubles.append(f"asked for {url}")

    def close(self) -> None:
        """Close it; nothing went wrong."""
        self._context.close()
        assert self.troubles == []

    def log_probabilities(self, text: str, prefix: str) -> "np.ndarray[Any, np.dtype[Any]]":
        """Return what the page finds; see `Sampler.log_probabilities`."""
        code = "([text, prefix, none]) => logProbabilities(model, text, prefix, none)"
        return np.array(self.page.evaluate(code, [text, prefix, self._none]))

    def writes(self, prefix: str = "", **wish: Any) -> str:
        """Return what the page writes after a prefix; at temperature 0 unless it is told."""
        code = """wish => {
            const prefix = normalised(wish.prefix, model.text);
            const read = asRead(prefix, model.vocabulary, "map");
            return Array.from(writing(model, { ...wish, prefix, read })).join("");
        }"""
        usual = {"lines": None, "most": None, "temperature": 0, "topP": 1, "seed": "1"}
        usual |= {"prefix": prefix, "labels": self._none}
        return str(self.page.evaluate(code, {**usual, **wish}))

    @property
    def _none(self) -> Any:
        return self.page.evaluate("model.labels.map(label => label.none)")

    def write(self) -> str:
        """Press the button and wait; return the whole text."""
        self.page.get_by_role("button", name="Write").click()
        self.page.wait_for_selector("#stop", state="hidden")
        return str(self.page.evaluate("byId('given').textContent + byId('written').textContent"))

    def told(self) -> str:
        """Return what is told of the text."""
        return str(self.page.text_content("#told"))


Open = Callable[..., OnePage]


@contextmanager
def opening(browser: "Browser", directory: Path) -> Iterator[Open]:
    """Yield what opens a model in its page; nothing may go wrong there."""
    pages: list[OnePage] = []

    def opened(model: tuple[RunInfo, Arrays], name: str = "song", **options: Any) -> OnePage:
        pages.append(OnePage(browser, directory / f"{name}.html", model, **options))
        return pages[-1]

    yield opened
    for page in pages:
        page.close()
