"""What a session is about to do: the report before training."""

from dataclasses import dataclass

from charlstm.errors import Message, Part, Setting
from charlstm.model.recall.recall import counting_bytes
from charlstm.recipes.recipe import Recipe, training_bytes
from charlstm.runs.directory import RunDirectory
from charlstm.sessions.remembering import Remembering
from charlstm.text.corpus import Corpus
from charlstm.text.vocabulary import Vocabulary
from charlstm.training.clock import Budget


@dataclass(frozen=True)
class Teamwork:
    """What several workers bring, as steps that were tried out have shown.

    Attributes:
        workers: how many they are.
        here: how many of them are on this machine.
        threads: of the processors of this machine, which one process could use.
        alone_seconds: what a step takes in such a process.
        step_seconds: what it takes with all workers.
        telling_seconds: how much of that they tell each other, and wait for each other.
    """

    workers: int
    here: int
    threads: int
    alone_seconds: float
    step_seconds: float
    telling_seconds: float

    @property
    def gain(self) -> float:
        """How many times as fast the workers are."""
        return self.alone_seconds / self.step_seconds

    @property
    def telling(self) -> float:
        """Which share of a step is spent on telling each other."""
        return self.telling_seconds / self.step_seconds


@dataclass(frozen=True)
class Plan:
    """What a session is about to do.

    Attributes:
        directory: the run directory.
        corpus: the text and its sources.
        vocabulary: of the training part, and of the run it starts from.
        recipe: as it will be followed.
        training_characters: how many are learned from.
        held_out_characters: how many are only measured.
        backend: ``"scratch"`` or ``"torch"``.
        device: ``"cpu"``, ``"cuda"`` or ``"mps"``.
        threads: with how many threads of a processor torch begins.
        reason: why the recipe is what it is, in a few words.
        started_from: the path of the run whose weights it begins with, if any.
        new_characters: how many of the vocabulary's characters that run did not know.
        places: where the corpus was read from, as it was given; nothing where the text itself was.
        notes: sentences about what differs from what was asked for.
        resumed_step: where a resumed run goes on; ``None`` for a new one.
        budget: when it will be done.
        epoch_steps: how many steps an epoch has.
        step_seconds: what a step was measured to take.
        elapsed: seconds of the recipe's minutes that are over already.
        progress: how much of the budget is used, from 0 to 1.
        teamwork: what several workers bring; ``None`` for one process.
        index_bytes: how large the index is in which copies are looked for; ``None`` if this
            session made none.
        index_seconds: what it took to make.
        remembering: what is remembered of the text besides; ``None`` for the network alone.
    """

    directory: RunDirectory
    corpus: Corpus
    vocabulary: Vocabulary
    recipe: Recipe
    training_characters: int
    held_out_characters: int
    backend: str
    device: str
    threads: int
    reason: str
    started_from: str | None
    new_characters: int
    places: tuple[str, ...]
    notes: tuple[Message, ...]
    resumed_step: int | None
    budget: Budget
    epoch_steps: int
    step_seconds: float
    elapsed: float = 0.0
    progress: float = 0.0
    teamwork: Teamwork | None = None
    index_bytes: int | None = None
    index_seconds: float = 0.0
    remembering: Remembering | None = None

    @property
    def characters(self) -> tuple[int, int]:
        """How many characters are learned and how many measured, without the ends of songs."""
        songs = int((self.corpus.ends < self.training_characters).sum())
        each = 1 + len(self.corpus.labels.names)  # before a song
        learned = self.training_characters - songs * each
        return learned, self.corpus.characters - learned

    @property
    def total_steps(self) -> int:
        """After how many steps it will be done, unless the recipe's minutes are over first."""
        return self.budget.steps

    @property
    def memory_bytes(self) -> int:
        """About how much memory it will take on this machine, with all workers that are here."""
        team = self.teamwork
        workers, here = (1, 1) if team is None else (team.workers, team.here)
        most = training_bytes(self.recipe, len(self.vocabulary), workers)
        if self.remembering is not None and self.resumed_step is None:
            most = max(most, counting_bytes(self.training_characters))  # before it trains
        return here * (most + self.corpus.memory_bytes)

    @property
    def seconds(self) -> float:
        """How long the steps that are left will take, as far as can be told beforehand."""
        return self.budget.seconds_left(self.resumed_step or 0, self.elapsed, self.step_seconds)

    @property
    def passes(self) -> float:
        """How often the text will be read in that time."""
        return self.seconds / self.step_seconds / self.epoch_steps


def how_workers_differ(recipe: Recipe, workers: int) -> tuple[Message, ...]:
    """Say what makes the training of so many workers another one than that of one process."""
    settings: list[Setting] = []
    differs = []
    if recipe.compress is not None:
        settings.append(Setting("compress", recipe.compress))
        differs.append(f"what workers tell each other is rounded to {recipe.compress}")
    if recipe.sync_every > 1:
        settings.append(Setting("sync_every", recipe.sync_every))
        differs.append(
            f"{'they' if differs else 'workers'} meet once in {recipe.sync_every:,} steps"
        )
    if not settings:
        return ()
    named: list[Part] = [settings[0]]
    for setting in settings[1:]:
        named += [" and ", setting]
    if workers == 1:
        does = "does" if len(settings) == 1 else "do"
        return (Message("One process has nobody to tell, so ", *named, f" {does} nothing here."),)
    told = f"Not exact: {' and '.join(differs)}, so the model is not quite that of one process ("
    return (Message(told, *named, ")."),)
