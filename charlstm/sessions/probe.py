"""Steps tried out before a training: how long one takes, and in which precision it is faster."""

from dataclasses import dataclass, replace

import torch

from charlstm.errors import Message, RecipeError, Setting
from charlstm.machine import Machine
from charlstm.model.devices import (
    Computing,
    compute_deterministically,
    may_have_fast_bfloat16,
    prepare_to_compute_deterministically,
)
from charlstm.model.threads import Threads
from charlstm.recipes.recipe import Recipe
from charlstm.recipes.wish import Wish
from charlstm.sessions.fitting import Fitted
from charlstm.sessions.plan import Teamwork
from charlstm.training.distributed import ALONE
from charlstm.training.trainer import Trainer

# Bfloat16 is tried from this width on, and taken when it makes a step this many times as fast.
_WIDE = 128
_WORTH_ROUNDING = 1.15
# Steps are timed to about this factor.
_MEASURABLE = 1.05


@dataclass(frozen=True)
class Timed:
    """A recipe whose precision is settled.

    Attributes:
        recipe: what will be followed.
        step_seconds: what a step of it takes here.
        notes: what was found out.
    """

    recipe: Recipe
    step_seconds: float
    notes: tuple[Message, ...] = ()


def time_steps(trainers: list[Trainer]) -> list[float]:
    """Return the seconds that a step of each takes: the fastest of three after a warm-up.

    They are timed in turn, so that a moment's load on the machine does not decide between them.
    Trainers that were timed are thrown away.

    Raises:
        RecipeError: torch refuses to make a step.
    """
    try:
        rounds = [[trainer.time_step() for trainer in trainers] for _ in range(4)]
    except RuntimeError as error:
        raise _refused(error) from None
    return [min(times) for times in zip(*rounds[1:], strict=True)]


def time_alone(fitted: Fitted, computing: Computing) -> float:
    """Return what a step takes in one process that has all that this machine's workers have.

    Raises:
        RecipeError: torch refuses to make a step.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(threads * fitted.workers.here)
    try:
        return _seconds(replace(fitted, workers=ALONE), computing, fitted.recipe)
    finally:
        torch.set_num_threads(threads)


def rehearse(fitted: Fitted, computing: Computing, alone_seconds: float = 0.0) -> Teamwork | None:
    """Make some steps that are thrown away with all workers, who do so at the same moment.

    Args:
        fitted: to what all know.
        computing: what this worker computes with.
        alone_seconds: see `Teamwork`.

    Returns:
        ``None`` where there is one worker.

    Raises:
        WorkerError: another worker is gone.
    """
    workers = fitted.workers
    if not workers.is_joined:
        return None
    trainer = fitted.trainer(computing, joined=True)
    workers.meet()
    steps = []
    for _ in range(4):
        waited = workers.waited
        steps.append((trainer.time_step(), workers.waited - waited))
    seconds, telling = min(steps[1:])
    # Each of these steps has ended with a meeting, of which there will be fewer.
    rarely = telling / fitted.recipe.sync_every
    seconds, telling = seconds - telling + rarely, rarely
    threads = torch.get_num_threads() * workers.here
    return Teamwork(workers.count, workers.here, threads, alone_seconds, seconds, telling)


def choose_threads(fitted: Fitted, computing: Computing) -> Threads:
    """Choose with how many threads torch computes from here on, by steps that are thrown away.

    Raises:
        RecipeError: torch refuses to make a step.
    """
    threads = Threads(computing.threads)
    trainer = fitted.trainer(computing, threads=threads)
    try:
        trainer.time_step()  # also where there is nothing to choose: does torch make one at all?
        while threads.is_comparing:
            trainer.time_step()
    except RuntimeError as error:
        raise _refused(error) from None
    threads.before()
    return threads


def choose_precision(fitted: Fitted, computing: Computing) -> Timed:
    """Replace ``auto`` by the faster precision, and time a step.

    Bfloat16 is not tried on narrow layers, whose time is not in the products, nor on processors
    without the instructions, where it takes several times as long.
    """
    recipe = fitted.recipe
    may_be_fast = may_have_fast_bfloat16(computing.device, computing.backend)
    if recipe.precision == "bfloat16" and computing.device.type == "cpu" and not may_be_fast:
        return _slowly(fitted, computing)
    if recipe.precision != "auto":
        return Timed(recipe, _seconds(fitted, computing, recipe))
    plain, low = recipe.override(precision="float32"), recipe.override(precision="bfloat16")
    if recipe.architecture.hidden < _WIDE or not may_be_fast:
        return Timed(plain, _seconds(fitted, computing, plain))
    of_plain, of_low = time_steps([fitted.trainer(computing, kind) for kind in (plain, low)])
    gain = of_plain / of_low
    if gain < _WORTH_ROUNDING:
        note = f"Products stay in float32: bfloat16 makes a step only {gain:.1f} times as fast."
        return Timed(plain, of_plain, (Message(note),))
    note = f"Products in bfloat16 make a step {gain:.1f} times as fast on this machine, so they "
    turned_off = Setting("precision", "float32")
    return Timed(low, of_low, (Message(note, "are used; ", turned_off, " turns them off."),))


def _slowly(fitted: Fitted, computing: Computing) -> Timed:
    """Time a precision that was asked for and that this processor has no instructions for."""
    low, plain = fitted.recipe, fitted.recipe.override(precision="float32")
    of_plain, of_low = time_steps([fitted.trainer(computing, kind) for kind in (plain, low)])
    times = of_low / of_plain
    note = Message(
        "This processor has no instructions for bfloat16: a step takes "
        f"{times:.1f} times as long as with ",
        Setting("precision", "float32"),
        ".",
    )
    return Timed(low, of_low, (note,) if times > _MEASURABLE else ())


def _refused(error: RuntimeError) -> RecipeError:
    reason = str(error).strip().partition("\n")[0].rstrip(".")
    return RecipeError(
        f"torch refuses to make a training step here ({reason}). Try ",
        Setting("device", "cpu"),
        ", ",
        Setting("backend", "scratch"),
        " or ",
        Setting("precision", "float32"),
        ".",
    )


def plan_passes(fitted: Fitted, timed: Timed, wish: Wish, machine: Machine) -> Fitted:
    """Return what suits a text that there is time to read so often.

    Args:
        fitted: for any number of passes.
        timed: the same, with a precision.
        wish: what was asked for.
        machine: what computes.
    """
    recipe, minutes = timed.recipe, timed.recipe.minutes
    assert minutes is not None, "only minutes have to be filled"
    speed = recipe.batch * recipe.window / timed.step_seconds
    passes = 60 * minutes * speed / fitted.cut
    longer = wish.fulfilled(*fitted.corpus.size, backend=machine.backend, passes=passes)
    return fitted.refitted(longer.override(precision=recipe.precision))


def determine(fitted: Fitted, timed: Timed, wish: Wish, computing: Computing) -> Timed:
    """Compute deterministically from here on, and tell what that costs."""
    compute_deterministically()
    step_seconds = _seconds(fitted, computing, timed.recipe)
    times = step_seconds / timed.step_seconds
    cost = f"{times:.2f} times as long as" if times > _MEASURABLE else "no longer than"
    untried = ", and bfloat16 was not tried"
    chosen = wish.settings.get("precision", "auto") != "auto"
    note = f"All computation is deterministic: a step takes {cost} without"
    told = Message(f"{note}{'' if chosen else untried}.")
    return replace(timed, step_seconds=step_seconds, notes=(*timed.notes, told))


def repeatable(recipe: Recipe) -> Recipe:
    """Return a recipe in which nothing is decided by the clock, and prepare to follow it.

    Raises:
        RecipeError: its end is.
    """
    if recipe.minutes is not None:
        raise RecipeError(
            "A run that ",
            Setting("minutes"),
            " ends cannot be repeated bit for bit: with ",
            Setting("deterministic"),
            ", give ",
            Setting("epochs"),
            " or ",
            Setting("steps"),
            " instead.",
        )
    prepare_to_compute_deterministically()
    return recipe.override(precision="float32") if recipe.precision == "auto" else recipe


def _seconds(fitted: Fitted, computing: Computing, recipe: Recipe) -> float:
    (seconds,) = time_steps([fitted.trainer(computing, recipe)])
    return seconds
