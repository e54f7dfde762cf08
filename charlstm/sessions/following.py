"""What the workers of a training do that do not lead it: the same, in silence.

One worker begins or resumes a training as if it were alone, and its session tells the others what
was decided. They read the same text, take the same steps and have the same weights; they show
nothing, and write no file where the disk is the same.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from charlstm.errors import CorpusError, WorkerError
from charlstm.machine import Machine
from charlstm.model.devices import compute_deterministically, prepare
from charlstm.model.recall.recall import Recall
from charlstm.recipes.recipe import Recipe, recipe_to_json
from charlstm.runs.directory import ROOT
from charlstm.runs.formats import FORMAT
from charlstm.runs.info import RunInfo, info_from_json, info_to_json
from charlstm.sessions.fitting import Fitted, Material, check_memory
from charlstm.sessions.probe import choose_threads, rehearse, repeatable
from charlstm.sessions.rereading import reread
from charlstm.sessions.session import RELEASE_STEPS
from charlstm.sessions.versions import check_versions
from charlstm.text.corpus import Corpus
from charlstm.text.mapped import DIRECTORY
from charlstm.training.distributed import Workers
from charlstm.training.events import TrainerEvent
from charlstm.training.trainer import Trainer


class Following:
    """The part of one worker in a training that another one leads; `follow` makes it.

    Args:
        info: of the run, as the one that leads has told it.
        corpus: the text.
        trainer: stands at the beginning; where the training begins it is told.
        recall: what the network is blended with, if anything.
    """

    def __init__(
        self, info: RunInfo, corpus: Corpus, trainer: Trainer, recall: Recall | None
    ) -> None:
        self.info = info
        self.corpus = corpus
        self.trainer = trainer
        self.recall = recall

    def events(self) -> Iterator[TrainerEvent]:
        """Train until the end, or until some worker wishes to `stop`.

        Raises:
            TrainingError: training diverged, and going back did not help.
            WorkerError: another worker is gone, hangs or has failed.
        """
        for event in self.trainer.run():
            if self.trainer.step % RELEASE_STEPS == 0:
                self.corpus.release()
            yield event

    def stop(self) -> None:
        """Ask all workers to finish a step, save and end."""
        self.trainer.stop()


def follow(
    material: Material,
    machine: Machine | None = None,
    *,
    workers: Workers,
    root: Path = ROOT,
) -> Following:
    """Prepare to train with the worker that leads; it is waited for.

    Args:
        material: the text, if it is not where the one that leads finds it.
        machine: what computes; its backend is that of the one that leads.
        workers: all of them; this one does not lead.
        root: where the ids of a long text are kept, beside the runs if there are any here.

    Raises:
        CorpusError: the text cannot be read here.
        RecipeError: this machine cannot follow the recipe.
        WorkerError: the text is not that of the one that leads, its charlstm or torch is another
            version, or another worker is gone or has failed.
    """
    machine = machine or Machine()
    check_versions(workers)
    info = _told(workers.tell(b""), workers.leader)
    if machine.deterministic:
        repeatable(info.recipe)
        compute_deterministically()
    corpus = reread(info, material, root / DIRECTORY)
    workers.compare(_facts(info.recipe, corpus))
    fitted = Fitted(corpus, info.recipe, info.training_characters, info.vocabulary, workers=workers)
    computing = prepare(replace(machine, backend=info.backend), info.recipe.architecture)
    check_memory(fitted, computing)
    threads = choose_threads(fitted, computing)
    rehearse(fitted, computing)
    recall = None if info.recall is None else fitted.recall(grams=bool(info.recall.grams))
    trainer = fitted.trainer(computing, threads=threads, recall=recall, joined=True)
    return Following(info, corpus, trainer, recall)


def lead(workers: Workers, info: RunInfo, corpus: Corpus) -> None:
    """Tell the others what is to be trained, and wait until they have read the same text.

    Args:
        workers: all of them; this one leads.
        info: of the run.
        corpus: its text.

    Raises:
        WorkerError: another worker has another text, is gone or has failed.
    """
    if workers.is_joined:
        workers.tell(info_to_json(info))
        workers.compare(_facts(info.recipe, corpus))


def check_shared(material: Material, workers: Workers) -> None:
    """Check that all workers can read a text.

    Raises:
        CorpusError: it is standard input.
    """
    if workers.is_joined and "-" in map(str, material.places):
        raise CorpusError(
            "Standard input can be read by one process only, and every worker reads the text: save "
            "it to a file and name that."
        )


def _told(data: bytes, leader: int) -> RunInfo:
    value = json.loads(data)
    if value["format"] != FORMAT:
        raise WorkerError(
            f"Worker {leader} has another version of charlstm: install the same one on all "
            "machines."
        )
    return info_from_json(value)


def _facts(recipe: Recipe, corpus: Corpus) -> dict[str, str]:
    """Return what must be the same for all workers."""
    # The text itself says that songs have another label, but not which.
    text = [corpus.sha256, corpus.labels.to_json()]
    return {"text": json.dumps(text), "recipe": json.dumps(recipe_to_json(recipe))}
