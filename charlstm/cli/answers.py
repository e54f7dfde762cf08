"""What `charlstm generate` has written: printed or kept, with what the model copied."""

import json
import sys
from typing import TYPE_CHECKING, Any

from charlstm.cli.console import (
    is_terminal,
    results,
    shown_line,
    visible,
    write_json,
    write_result,
)
from charlstm.cli.names import option
from charlstm.errors import count

if TYPE_CHECKING:
    from charlstm.evaluation.novelty import Passage
    from charlstm.text.unseen import Prefix
    from charlstm.trained import TrainedModel
    from charlstm.writing.point import Point
    from charlstm.writing.written import Writing


class Answers:
    """Prints texts, or keeps them, and the longest passage that one of them copied.

    Args:
        model: that writes.
        settings: that a JSON object tells.
        expected: how many texts there will be.
        ends: whether they are songs that may end by themselves.
        as_json: whether each text is one.
        kept: whether the texts are for a file.

    Attributes:
        kept: the texts for the file, as they are to be written.
    """

    def __init__(
        self,
        model: "TrainedModel",
        settings: dict[str, Any],
        expected: int,
        ends: bool,
        *,
        as_json: bool,
        kept: bool,
    ) -> None:
        self._model = model
        self._settings = settings
        self._expected = expected
        self._ends = ends
        self._as_json = as_json
        self._keeping = kept
        self.kept: list[str] = []
        self._given = self._ended = 0
        self._why_not = model.learned.reason_not_to_look(settings["max_copy"])
        self._longest: Passage | None = None

    def give(
        self,
        text: str,
        prefix: "Prefix",
        seed: int,
        point: "Point | None" = None,
        *,
        ended: bool = False,
    ) -> None:
        """Print a text.

        Args:
            text: prefix and what was written.
            prefix: what was given.
            seed: of this text.
            point: where it ends, if it was written to a form.
            ended: whether the model ended it as a song.
        """
        self._ended += ended
        passage = self._look(text if point is None else point, prefix)
        if self._as_json:
            answer = self._described(text, prefix, seed, passage, point)
            answer["ended"] = ended
            if self._keeping:
                self.kept.append(json.dumps(answer, ensure_ascii=False) + "\n")
            else:
                write_json(answer)
            return
        # A pipe or a file gets every character exactly as the model wrote it.
        if self._keeping:
            self.kept.append(f"{text}\n")
        else:
            shown = visible(text) if is_terminal(sys.stdout) else text
            write_result(f"{self._between(seed)}{shown}\n")
        self._given += 1

    def give_as_written(self, pieces: "Writing", prefix: "Prefix", seed: int) -> None:
        """Print a text while it is written."""
        write_result(self._between(seed) + visible(prefix.given))
        text = prefix.given
        for piece in pieces:
            write_result(visible(piece))
            text += piece
        write_result("\n")
        self._given += 1
        self._ended += pieces.ended
        self._look(text, prefix)

    def _between(self, seed: int) -> str:
        """Return what stands before the next text: a numbered rule on a terminal."""
        empty = "\n" * bool(self._given)
        if self._expected < 2 or not is_terminal(sys.stdout):
            return empty
        console = results()
        with console.capture() as drawn:
            title = f"{self._given + 1:,} of {self._expected:,} · seed {seed}"
            console.rule(title, style="dim", align="left")
        return empty + drawn.get()

    def ended(self) -> str:
        """Say how many of the texts ended by themselves, of a model that writes songs."""
        if not self._ends:
            return ""
        if self._expected > 1:
            return f"; {self._ended:,} of {self._expected:,} songs ended by themselves"
        return "; the song ended by itself" if self._ended else "; the song had not ended yet"

    def copied(self) -> str:
        """Say which is the longest passage that was copied."""
        if self._why_not is not None:
            return f"; {visible(self._why_not.told(option))}"
        if self._longest is None:
            return "; nothing of four characters or more is copied"
        line, _ = self._model.learned.text.line_at(self._longest.place)
        return (
            f"; longest copy {count(self._longest.letters, 'character')}, "
            f"{shown_line(self._longest.text)} (line {line:,} of the training text)"
        )

    def _look(self, written: "str | Point", prefix: "Prefix") -> "Passage | None":
        """Return the longest passage that was copied; the longest of all texts is kept."""
        if self._why_not is not None:
            return None
        passage = self._model.learned.longest_copy(written, prefix)
        if passage and (self._longest is None or passage.letters > self._longest.letters):
            self._longest = passage
        return passage

    def _refrain(self, text: str) -> dict[str, Any] | None:
        """Return which lines are the refrain, from 1; ``None`` if none was asked for."""
        if not self._settings["refrain"]:
            return None
        first, *again = [*self._model.learned.refrain.lines(text), None]
        return {"lines": first, "returns": again[0] if again else None}

    def _described(
        self,
        text: str,
        prefix: "Prefix",
        seed: int,
        passage: "Passage | None",
        point: "Point | None",
    ) -> dict[str, Any]:
        sampler = self._model.recalling(self._settings["recall"])
        sampler = sampler.labelled(self._settings["label"])
        written = text[len(prefix.given) :]
        if point is not None:  # not every line break that is shown was read
            read = point.read[len(prefix.read) :]
            written = read[:-1] if read[-1:].isspace() else read
        state = sampler.read(prefix)
        likely = sampler.log_probabilities(written, state=state)
        copy: dict[str, Any] | None = None
        if passage is not None:
            line, _ = self._model.learned.text.line_at(passage.place)
            copy = {"characters": passage.letters, "text": passage.text, "line": line}
        elif self._why_not is None:
            copy = {"characters": 0, "text": "", "line": None}
        return {
            "text": text,
            "prefix": prefix.given,
            "seed": seed,
            "mean_log_probability": float(likely.mean()) if len(likely) else None,
            "longest_copy": copy,
            **self._settings,
            "refrain": self._refrain(text),
            "run": str(self._model.directory.path),
        }
