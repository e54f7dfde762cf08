"""What writes lines for the page, and reads its songs: each model where it stands in each song.

A model that has read a song need not read it again for the next line. So a few songs of each run
are kept as the model left them; whoever asks gets the one that has most in common with the text.
"""

import itertools
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

from charlstm.errors import FormError, MissingLibraryError, RecipeError, RunError
from charlstm.evaluation.novelty import TrainingText
from charlstm.serve.answers import named
from charlstm.serve.opened import Models
from charlstm.text.letters import number_of_letters
from charlstm.trained import TrainedModel
from charlstm.writing.candidates import Candidate
from charlstm.writing.draft import Settings
from charlstm.writing.followed import Followed
from charlstm.writing.rhyme import (
    ending,
    require_rhyme_libraries,
    require_rhyming_language,
    rhyme,
    sounds,
)
from charlstm.writing.song import Proposal, Song

# So many songs of a run are kept as the model left them.
_MOST_SONGS = 4
# Models that somebody writes with at the same time.
_MOST_MODELS = 8
# A copy of fewer letters is the language's own.
_COPIED = 6
_MOST_COPIES = 200
# So many lines back and ahead are looked at for one that rhymes.
_NEAR = 8


class Songwriter:
    """A song as a model stands in it.

    Args:
        model: the model.
        settings: how its lines are written.
        training_text: where copies are looked for; ``None`` does not look.

    Raises:
        CharLSTMError: see `charlstm.writing.song.Song`.
    """

    def __init__(
        self, model: TrainedModel, settings: Settings, training_text: TrainingText | None
    ) -> None:
        self.song = Song(
            model.recalling(settings.recall),
            training_text=training_text,
            words=model.learned.words,
            form=settings.form,
            decoding=settings.decoding,
            max_copy=settings.max_copy,
            label=settings.label,
            recalling=model.recalling,
        )
        self.settings = settings
        # What was proposed, by the number of lines before it.
        self._offered: dict[tuple[int, str], Candidate] = {}

    def common(self, lines: Sequence[str]) -> int:
        """Return how many lines the song has in common with others, from the first on."""
        same = itertools.takewhile(
            lambda both: both[0] == both[1], zip(self.song.lines, lines, strict=False)
        )
        return sum(1 for _ in same)

    def bring_to(self, lines: Sequence[str], settings: Settings) -> None:
        """Bring the song to a text, and to how its next line is to be written.

        Raises:
            CharLSTMError: see `charlstm.writing.song.Song.change`; the song is as it was.
        """
        song = self.song
        while len(song.lines) > self.common(lines):
            song.go_back()
        if settings != self.settings:
            song.change(
                form=settings.form,
                decoding=settings.decoding,
                max_copy=settings.max_copy,
                label=settings.label,
                recall="auto" if settings.recall is None else settings.recall,
            )
            self.settings = settings
        for line in lines[len(song.lines) :]:
            offered = self._offered.get((len(song.lines), line))
            if offered is None:
                song.write([line])
            else:
                song.take(offered)

    def offer(self, proposals: Sequence[Proposal]) -> None:
        """Remember what was proposed: how such a line ends is known exactly."""
        place = len(self.song.lines)
        for key in [key for key in self._offered if key[0] > place]:
            del self._offered[key]
        for proposal in proposals:
            self._offered[place, proposal.line] = proposal.candidate


class Writers:
    """What is kept of a model.

    Args:
        model: the model.
    """

    def __init__(self, model: TrainedModel) -> None:
        self.model = model
        self._songs: list[Songwriter] = []
        self._followed: OrderedDict[tuple[tuple[str, str], ...], Followed] = OrderedDict()
        self._may_rhyme: bool | None = None

    def at(self, text: str, settings: Settings) -> Songwriter:
        """Return a song that has come to a text.

        Raises:
            CharLSTMError: see `Songwriter`.
        """
        lines = text.removesuffix("\n").split("\n") if text else []
        # The oldest of those that have nothing in common is begun anew.
        found = max(reversed(self._songs), key=lambda kept: kept.common(lines), default=None)
        another = bool(lines) and found is not None and not found.common(lines)
        if found is None or (another and len(self._songs) < _MOST_SONGS):
            found = Songwriter(self.model, settings, self.training_text)
            self._songs.append(found)
        self._songs.remove(found)
        self._songs.insert(0, found)
        del self._songs[_MOST_SONGS:]
        found.bring_to(lines, settings)
        return found

    def followed(self, label: dict[str, str]) -> Followed:
        """Return what reads a text with a label.

        Raises:
            RecipeError: there is no such label.
        """
        key = tuple(sorted(label.items()))
        if key not in self._followed:
            self._followed[key] = Followed(self.model.sampler.labelled(label))
        self._followed.move_to_end(key)
        while len(self._followed) > _MOST_SONGS:
            self._followed.popitem(last=False)
        return self._followed[key]

    @property
    def training_text(self) -> TrainingText | None:
        """Where copies are looked for; ``None`` where there is nothing to look in."""
        try:
            return self.model.learned.text
        except RunError:
            return None

    @property
    def may_rhyme(self) -> bool:
        """Whether rhymes are known for what the model writes."""
        if self._may_rhyme is None:
            try:
                require_rhyme_libraries()
                require_rhyming_language(self.model.info.vocabulary, self.model.learned.words)
            except (MissingLibraryError, RecipeError):
                self._may_rhyme = False
            else:
                self._may_rhyme = True
        return self._may_rhyme


class Songwriters:
    """What is kept of the models of a server.

    Args:
        models: the runs.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._writing: OrderedDict[str, Writers] = OrderedDict()
        # Ghost text has songs of its own, so that nobody waits for proposals while typing.
        self._going_on: OrderedDict[str, Writers] = OrderedDict()

    def propose(
        self,
        run: str,
        before: str,
        settings: Settings,
        *,
        begun: str = "",
        after: str = "",
        count: int = 5,
        without: Sequence[str] = (),
        seed: int | None = None,
    ) -> dict[str, Any]:
        """Return lines that may stand after a text; see `charlstm.writing.song.Song.propose`.

        Args:
            run: whose model writes.
            before: the lines before.
            settings: how it writes.
            begun: what the line begins with.
            after: the lines after it.
            count: how many.
            without: which not.
            seed: the same one proposes the same lines.

        Raises:
            CharLSTMError: there is no such run, or the settings cannot be so.
        """
        writers = self._of(self._writing, run)
        writer = writers.at(before, settings)
        song = writer.song
        if seed is not None:
            song.reseed(seed)
        problem, proposals = None, []
        try:
            proposals = song.propose(count, without=without, begun=begun, following=after)
        except FormError as error:
            problem = error.message.told(named)
        if not begun and not after:
            writer.offer(proposals)
        if problem is None and len(proposals) < count:
            problem = f"Only {len(proposals)} of {count} different lines were found."
        near = [*song.lines[-_NEAR:][::-1], *after.split("\n")[:_NEAR]]
        return {
            "proposals": [self._told(writers, proposal, near) for proposal in proposals],
            "end_probability": None if begun else song.end_probability,
            "problem": problem,
        }

    def go_on(self, run: str, before: str, settings: Settings) -> str:
        """Return what would follow in the line that a text ends in.

        Args:
            run: whose model writes.
            before: the text up to the cursor.
            settings: how it writes.

        Raises:
            CharLSTMError: there is no such run, or the settings cannot be so.
        """
        lines, _, begun = before.rpartition("\n")
        text = f"{lines}\n" if "\n" in before else ""
        form = settings.form
        if form.rhyme or form.acrostic_end:  # a line is not led to its end here
            form = type(form)(None, form.line_length, form.acrostic, "", "", form.must)
        quick = settings._replace(form=form)
        song = self._of(self._going_on, run).at(text, quick).song
        return song.go_on(begun)

    def read(self, run: str, text: str, label: dict[str, str]) -> dict[str, Any]:
        """Return what there is to say of a whole song, character by character.

        Args:
            run: whose model reads it.
            text: the song.
            label: that it has.

        Raises:
            CharLSTMError: there is no such run or label.
        """
        writers = self._of(self._writing, run)
        followed = writers.followed(label)
        surprisal = followed.surprisal(text)
        copies, problem = self._copies(writers, text)
        mean = float(surprisal.mean()) if len(surprisal) else None
        return {
            "surprisal": [round(float(bits), 4) for bits in surprisal],
            "unknown": followed.unknown(text),
            "copies": copies,
            "copies_problem": problem,
            "bits_per_character": mean,
            "perplexity": None if mean is None else 2.0**mean,
            "copied_share": None if copies is None else _share(copies, len(text)),
            "rhymes": rhymes(text) if writers.may_rhyme else None,
        }

    def _of(self, kept: OrderedDict[str, Writers], run: str) -> Writers:
        model = self._models.get(run)
        if run not in kept or kept[run].model is not model:
            kept[run] = Writers(model)
        kept.move_to_end(run)
        while len(kept) > _MOST_MODELS:
            kept.popitem(last=False)
        return kept[run]

    def _told(self, writers: Writers, proposal: Proposal, near: Sequence[str]) -> dict[str, Any]:
        line, copied, text = proposal.line, proposal.copied, writers.training_text
        copy = None
        if copied is not None and text is not None:
            # Of a copy that began before the line, the line that this part of it comes from.
            place = copied.place + max(-copied.start, 0)
            copy = {
                "start": copied.start,
                "end": copied.start + len(copied.text),
                "source": text.line_at(place)[1].strip(),
            }
        unit, partner = None, None
        if writers.may_rhyme and sounds(line):
            start, end = ending(line)
            unit = {"start": start, "end": end}
            partner = next((one for one in near if one.strip() and rhyme(line, one)), None)
        return {
            "line": line,
            "probability": proposal.probability,
            "copied": copy,
            "verbatim": proposal.verbatim,
            "rhyme": unit,
            "rhymes_with": partner,
        }

    def _copies(
        self, writers: Writers, text: str
    ) -> tuple[list[dict[str, Any]] | None, str | None]:
        """Return the passages that are copied, or why nobody knows."""
        why_not = writers.model.learned.reason_not_to_look()
        if why_not is not None:
            told = why_not.told(named)
            return None, f"{told[:1].upper()}{told[1:]}."
        training = writers.model.learned.text
        found = training.novelty([text], most=_MOST_COPIES).passages
        copies = []
        for passage in found:
            if number_of_letters(passage.text.strip()) < _COPIED:
                continue
            source = training.line_at(passage.place + len(passage.text) // 2)[1].strip()
            for start in _places(text, passage.text):
                end = start + len(passage.text)
                copies.append({"start": start, "end": end, "text": passage.text, "source": source})
        return sorted(copies, key=lambda copy: (copy["start"], -copy["end"])), None


def rhymes(text: str) -> list[dict[str, int]]:
    """Return the ends of lines that rhyme with another of their stanza.

    Returns:
        For each where it is, and a number that those have in common that rhyme.
    """
    found: list[dict[str, int]] = []
    at, groups = 0, itertools.count()
    for stanza in _stanzas(text):
        group_of: dict[int, int] = {}
        for one, other in itertools.combinations(range(len(stanza)), 2):
            if other - one <= _NEAR and rhyme(stanza[one][1], stanza[other][1]):
                number = group_of.get(one, group_of.get(other))
                number = next(groups) if number is None else number
                group_of[one] = group_of[other] = number
        for place, number in sorted(group_of.items()):
            at, line = stanza[place]
            start, end = ending(line)
            found.append({"start": at + start, "end": at + end, "group": number})
    return found


def _stanzas(text: str) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines of each stanza, with the place where each begins."""
    stanza: list[tuple[int, str]] = []
    at = 0
    for line in text.split("\n"):
        if line.strip():
            stanza.append((at, line))
        elif stanza:
            yield stanza
            stanza = []
        at += len(line) + 1
    if stanza:
        yield stanza


def _places(text: str, passage: str) -> Iterator[int]:
    at = text.find(passage)
    while at >= 0:
        yield at
        at = text.find(passage, at + 1)


def _share(copies: Sequence[dict[str, Any]], length: int) -> float:
    """Return how much of a text is copied, from 0 to 1."""
    covered, reached = 0, 0
    for copy in copies:
        covered += max(copy["end"] - max(copy["start"], reached), 0)
        reached = max(reached, copy["end"])
    return covered / max(length, 1)
