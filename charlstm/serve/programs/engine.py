"""The thread that writes for everybody who asks, all texts of a model together."""

import asyncio
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from charlstm.trained import TrainedModel
from charlstm.writing.company import Company, Text
from charlstm.writing.task import Task


class Asking:
    """Texts that somebody waits for.

    Args:
        loop: in which they wait.
        of: the model that writes, and its share of what it remembers.

    Attributes:
        texts: as they grow; none until the engine has begun with them.
        changed: set whenever they may have grown.
        broken: whether something went wrong that nobody foresaw.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, of: tuple[TrainedModel, float] | None = None
    ) -> None:
        self.loop = loop
        self.of = of
        self.texts: list[Text] = []
        self.changed = asyncio.Event()
        self.broken = False

    @property
    def is_over(self) -> bool:
        """Whether nothing comes any more."""
        return self.broken or (bool(self.texts) and all(text.is_over for text in self.texts))


class Engine:
    """Writes the texts of every model, a character of each at a time.

    The lists that it keeps belong to its thread; others leave their orders.
    """

    def __init__(self) -> None:
        self._orders: deque[Callable[[], None]] = deque()
        self._called = threading.Condition()
        self._ended = False
        self._companies: dict[tuple[TrainedModel, float], Company] = {}
        self._askings: dict[Text, Asking] = {}
        self._thread: threading.Thread | None = None

    def ask(
        self,
        model: TrainedModel,
        share: float,
        tasks: Iterable[Task],
        samples: int = 1,
        *,
        likeliest: int | None = None,
        told_prefix: bool = False,
    ) -> Asking:
        """Begin to write; what is asked for is checked already.

        Args:
            model: that writes.
            share: of what it remembers of its training text.
            tasks: see `charlstm.writing.company.Company.join`, as for the next three.
            samples: of each task.
            likeliest: see there.
            told_prefix: see there.
        """
        key = (model, share)
        asking = Asking(asyncio.get_running_loop(), key)

        def begin() -> None:
            if key not in self._companies:
                self._companies[key] = Company(model.recalling(share))
            company = self._companies[key]
            texts: list[Text] = []
            for task in tasks:
                texts += company.join(task, samples, likeliest=likeliest, told_prefix=told_prefix)
            self._askings |= dict.fromkeys(texts, asking)
            asking.texts = texts
            self._tell([text for text in texts if text.is_over])

        self._order(begin)
        return asking

    def leave(self, asking: Asking) -> None:
        """Stop writing what nobody waits for any more."""

        def end() -> None:
            for text in asking.texts:
                text.leave()
                self._askings.pop(text, None)

        self._order(end)

    def close(self) -> None:
        """End the thread; what is not finished stays so."""
        with self._called:
            self._ended = True
            self._called.notify()
        if self._thread is not None:
            self._thread.join()

    def _order(self, order: Callable[[], None]) -> None:
        with self._called:
            self._orders.append(order)
            self._called.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="writing", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._called:
                while not (self._orders or self._companies or self._ended):
                    self._called.wait()
                if self._ended:
                    return
                orders = list(self._orders)
                self._orders.clear()
            for order in orders:
                order()
            for key, company in list(self._companies.items()):
                try:
                    grown = company.advance()
                except Exception:  # a bug; it must not end the writing of all others
                    traceback.print_exc()
                    self._break(key)
                    continue
                self._tell(grown)
                if not len(company):
                    del self._companies[key]

    def _break(self, key: tuple[TrainedModel, float]) -> None:
        """Give up all texts of a company."""
        del self._companies[key]
        for text, asking in list(self._askings.items()):
            if asking.of == key:
                del self._askings[text]
                asking.broken = True
                with suppress(RuntimeError):  # nobody waits any more
                    asking.loop.call_soon_threadsafe(asking.changed.set)

    def _tell(self, grown: Iterable[Text]) -> None:
        """Wake those who wait for these texts."""
        askings = {asking for text in grown if (asking := self._askings.get(text)) is not None}
        for text in grown:
            if text.is_over:
                self._askings.pop(text, None)
        if askings:
            with suppress(RuntimeError):
                next(iter(askings)).loop.call_soon_threadsafe(_wake, askings)


def _wake(askings: Iterable[Asking]) -> None:
    for asking in askings:
        asking.changed.set()
