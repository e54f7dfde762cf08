"""What to try next, by what was tried: Optuna, with a journal that lies beside the runs.

The journal holds the trials that are over, each written at once, so that no crash leaves half of
one. A trial under way is known by its run alone: what it tries follows from those before it, and is
proposed again when the search goes on.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charlstm.errors import MissingLibraryError
from charlstm.files import damaged, is_file, read_bytes, unwritable, write_whole
from charlstm.recipes.ranges import Range
from charlstm.recipes.varied import Value
from charlstm.sessions.tried import BEHIND, DONE, Tried

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

_STUDY = "charlstm"
_TRIED = "tried"
# So many trials are drawn blindly before any is proposed. A search of minutes has a dozen or two,
# and Optuna's ten would be most of them.
_BLINDLY = 6
# With fewer that came to their end, what matters would be guessed.
_FEWEST_TO_WEIGH = 8


def require_optuna() -> None:
    """Check that Optuna is installed.

    Raises:
        MissingLibraryError: it is not.
    """
    if find_spec("optuna") is None:
        raise MissingLibraryError("Optuna is not installed here: pip install 'charlstm[tune]'.")


class Journal:
    """The trials of a search that are over, and what to try after them.

    Args:
        path: of its file.
        ranges: of the settings that are searched.
        first: what the first trial tries.
        seed: of what is proposed.

    Raises:
        RunError: the file is damaged or cannot be written.
    """

    def __init__(
        self, path: Path, ranges: Mapping[str, Range], first: Mapping[str, Value], seed: int
    ) -> None:
        self._path = path
        self._ranges = dict(ranges)
        # What the first trial has may lie outside of what is asked for.
        self._wider = {name: entry.holding(float(first[name])) for name, entry in ranges.items()}
        self._first = {name: first[name] for name in ranges}
        self._seed = seed
        _drop_half_a_line(path)
        try:
            with _quietly():
                self._study = _opened(path)
                self.trials = [self._tried(trial) for trial in self._study.get_trials()]
        except OSError as error:
            raise unwritable(path, error) from None
        except Exception as error:  # whatever it is that Optuna says of what it cannot read
            raise damaged(path, error) from None

    def _tried(self, trial: Any) -> Tried:
        if trial.params.keys() != self._ranges.keys():
            raise ValueError(f"trial {trial.number} has other settings")
        return Tried.from_json(trial.user_attrs[_TRIED], dict(trial.params))

    def propose(self) -> dict[str, Value]:
        """Return what to try next; after the same trials it is the same."""
        number = len(self.trials)
        if not number:
            return dict(self._first)
        from optuna.samplers import TPESampler

        seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        with _quietly():
            study = self._inside(TPESampler(seed=seed, n_startup_trials=_BLINDLY))
            drawn = study.ask(_distributions(self._ranges)).params
        return {name: entry.rounded(drawn[name]) for name, entry in self._ranges.items()}

    def tell(self, tried: Tried) -> None:
        """Add a trial that is over.

        Raises:
            RunError: it cannot be written.
        """
        import optuna

        states = optuna.trial.TrialState
        curve = tried.curve if tried.state == BEHIND else []
        # One that failed, which has no curve, counts as worse than all others.
        with _quietly():
            trial = optuna.trial.create_trial(
                state=states.COMPLETE if tried.state == DONE else states.PRUNED,
                value=tried.loss if tried.state == DONE else None,
                params=dict(tried.settings),
                distributions=_distributions(self._wider),
                intermediate_values={round(100 * share): loss for share, loss in curve},
                user_attrs={_TRIED: tried.to_json()},
            )
            try:
                self._study.add_trial(trial)
            except OSError as error:
                raise unwritable(self._path, error) from None
        self.trials.append(tried)

    def importances(self) -> dict[str, float]:
        """Return how much each setting told the better trials from the others, by PED-ANOVA.

        They are shares of 1 (Watanabe et al. 2023), of this search and its few trials: what went
        together with a good figure, and not what causes it. Empty where too few were done.
        """
        done = sum(tried.state == DONE for tried in self.trials)
        if done < _FEWEST_TO_WEIGH or len(self._ranges) < 2:
            return {}
        import optuna

        with _quietly():
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
            return optuna.importance.get_param_importances(self._inside(), evaluator=evaluator)

    def _inside(self, sampler: "BaseSampler | None" = None) -> "Study":
        """Return the trials that lie in the ranges, as a study in memory."""
        import optuna

        study = optuna.create_study(sampler=sampler)
        for trial, tried in zip(self._study.get_trials(), self.trials, strict=True):
            if all(self._ranges[name].holds(value) for name, value in tried.settings.items()):
                trial.distributions = _distributions(self._ranges)
                study.add_trial(trial)
        return study


def _distributions(ranges: Mapping[str, Range]) -> "dict[str, BaseDistribution]":
    from optuna.distributions import FloatDistribution, IntDistribution

    return {
        name: IntDistribution(int(entry.low), int(entry.high), log=entry.even)
        if entry.whole
        else FloatDistribution(entry.low, entry.high, log=entry.even)
        for name, entry in ranges.items()
    }


def _opened(path: Path) -> "Study":
    import optuna
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    class Held(JournalFileOpenLock):
        """No lock: whoever is here holds the lock of the whole search.

        Optuna's own are files that outlive a process that is killed.
        """

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    backend = JournalFileBackend(str(path), lock_obj=Held(str(path)))
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(backend), study_name=_STUDY, load_if_exists=True
    )


def _drop_half_a_line(path: Path) -> None:
    """Drop what a process that was killed has written of a line: that trial is told again."""
    if is_file(path):
        data = read_bytes(path)
        if not data.endswith(b"\n"):
            write_whole(path, data[: data.rfind(b"\n") + 1])


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep Optuna from telling what it does, and that some of it is new, for as long as we ask."""
    import optuna

    logger = optuna.logging.get_logger("optuna")  # which sets its level when it is first asked for
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
