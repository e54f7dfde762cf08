"""What a model has learned from, as far as it matters for what it writes: words, and copies."""

from collections.abc import Sequence
from functools import cached_property
from string import ascii_letters

from charlstm.errors import Command, Message, RecipeError, RunError, Setting
from charlstm.evaluation.novelty import Passage, TrainingText
from charlstm.runs.directory import RunDirectory
from charlstm.runs.info import RunInfo
from charlstm.text.songs import END, as_read
from charlstm.text.unseen import Prefix
from charlstm.text.vocabulary import Vocabulary
from charlstm.writing.decoding import MaxCopy, Processor
from charlstm.writing.point import Point
from charlstm.writing.refrain import Refrain

# Fewer different words have too few rhymes among them.
_MANY_WORDS = 500
# Reading a larger index takes more than about a second, which nobody asked for.
_QUICK_TO_READ = 8_000_000
# No training keeps more characters, but a stranger's small index may unpack into gigabytes.
_MOST_CHARACTERS = 50_000_000


class Learned:
    """The text that a run learned from, read when it is first asked for.

    Args:
        directory: of the run.
        info: what its ``run.json`` says.
        many_words: with fewer different words in Latin letters, there are none to lead lines to.
        quick_to_read: a larger index, in bytes, is not read unless it has to be.
    """

    def __init__(
        self,
        directory: RunDirectory,
        info: RunInfo,
        *,
        many_words: int = _MANY_WORDS,
        quick_to_read: int = _QUICK_TO_READ,
    ) -> None:
        self._directory = directory
        self._info = info
        self._many_words = many_words
        self._quick_to_read = quick_to_read

    def __repr__(self) -> str:
        kept = "kept" if self.is_kept else "not kept"
        return f"<Learned: {self._info.training_characters:,} characters, {kept}>"

    @property
    def is_kept(self) -> bool:
        """Whether the run keeps what it learned from, so that copies can be looked for."""
        return self._directory.has_index

    @property
    def kept(self) -> str | None:
        """The text as the model read it; ``None`` if the run does not keep it, or it is damaged."""
        try:
            return self._directory.read_index(self._info)
        except RunError:  # which is no reason not to do without
            return None

    @cached_property
    def text(self) -> TrainingText:
        """The text itself.

        Raises:
            RunError: the run does not keep it, or it is damaged.
        """
        return TrainingText(as_read(self._read("what is copied")))

    @cached_property
    def refrain(self) -> Refrain:
        """Which stanza comes back in its songs, and where.

        Raises:
            RecipeError: there are no songs, or no stanza comes back in any of them.
            RunError: the run does not keep its text, or it is damaged.
        """
        songs = self._info.songs
        if songs is None:
            raise RecipeError(
                Setting("refrain"), " needs a model of songs, and this one learned a single text."
            )
        text = self._read("which stanza returns")
        found = Refrain.of(song for song in text.split(END) if song.strip())
        if found is None:
            raise RecipeError(
                Setting("refrain"),
                " needs songs in which a stanza comes back, and in none of those that the model "
                "learned does one.",
            )
        return found

    def _read(self, what: str) -> str:
        """Return the text without its labels, and with the marks between its songs.

        Raises:
            RunError: the run does not keep it, so nobody can tell `what`, or it is damaged.
        """
        text = self._directory.read_index(self._info)
        if text is None:
            left_out = Setting("index", False)
            raise RunError(
                f"{self._directory.path} keeps no index of its training text (it was made with ",
                left_out,
                f", or by an older version), so nobody can tell {what}: train again without ",
                left_out,
                ".",
            )
        return self._info.labels.stripped(text)

    @cached_property
    def words(self) -> frozenset[str] | None:
        """Its words in Latin letters, in lower case, that lines are led to begin and end with.

        ``None`` if there are too few to rhyme with, or the run does not keep its text.
        """
        latin = any(letter in self._info.vocabulary for letter in ascii_letters)
        if not latin or not self.is_kept:
            return None
        try:
            words = self.text.words
        except RunError:  # a damaged index is no reason not to write
            return None
        return words if len(words) >= self._many_words else None

    def processors(self, max_copy: int | None) -> tuple[Processor, ...]:
        """Return what keeps copies short.

        Args:
            max_copy: how many characters in a row may be copied; ``None`` for any number.

        Raises:
            RunError: see `text`.
        """
        if max_copy is None:
            return ()
        return keeping_short(max_copy, self.text, self._info.vocabulary)

    def reason_not_to_look(self, max_copy: int | None = None) -> Message | None:
        """Say why copies are not looked for in what was written; ``None`` if they are.

        Args:
            max_copy: where copies are limited, the text is read anyway.
        """
        size = self._directory.index_bytes
        if size is None:
            return Message("copies were not looked for: the run keeps no index")
        too_long = self._info.training_characters > _MOST_CHARACTERS
        if max_copy is None and (size > self._quick_to_read or too_long):
            return Message(
                "the training text is long, so copies were not looked for: save the song and run ",
                Command("novelty"),
            )
        try:
            _ = self.text
        except RunError as error:  # which is no reason not to write
            *parts, end = error.message.parts
            return Message("copies were not looked for: ", *parts, str(end).rstrip("."))
        return None

    def longest_copy(self, written: str | Point, prefix: Prefix) -> Passage | None:
        """Return the longest passage that a text has copied, as it is shown or as it was read.

        Args:
            written: the text, which begins as `prefix` was given, or where it ended, if it was
                written to a form.
            prefix: which was not written, and does not count.
        """
        texts: Sequence[str]
        if isinstance(written, Point):
            texts = [written.text, written.read.removesuffix("\n")]
            given = [written.given, len(prefix.read)]
        else:
            texts = [prefix.normalised + written[len(prefix.given) :]]
            given = [len(prefix.normalised)]
        return self.text.novelty(texts, after=given).longest


def keeping_short(
    max_copy: int, text: TrainingText, vocabulary: Vocabulary
) -> tuple[Processor, ...]:
    """Return what lets no more than `max_copy` letters in a row be copied from `text`."""
    # Passages of so many letters have different lengths, and so many characters at least.
    return (MaxCopy(max_copy, lambda passage: text.followers(passage, max_copy), vocabulary),)
