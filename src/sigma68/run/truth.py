"""What a toy is made with: drawn from named streams, so that it depends on its numbers alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from sigma68.errors import NuisanceError
from sigma68.protocols import Pool, Task
from sigma68.seeds import Stream, stream
from sigma68.summaries import HeldObservations
from sigma68.types import Truth

__all__ = [
    "CALIBRATION",
    "SCORED",
    "Draws",
    "active_nuisances",
    "draw_calibration_truth",
    "draw_truth",
    "scored_truth",
    "toy_stream",
]


def draw_truth(task: Task, seed: int, set: int, toy: int, active: Collection[str]) -> Truth:
    """The truth of one toy: parameters of its set, nuisances of its own.

    Parameters are uniform in their range and shared by all toys of a set. Every nuisance's z
    is drawn, whether active or not, so that switching one off leaves the others as they were;
    those not in `active` then stand at their "off".

    Raises
    ------
    NuisanceError
        If `active` names a nuisance that the task does not have.
    """
    of_set = stream(task.name, "truth", seed, set)
    return _truth(task, of_set, stream(task.name, "nuisances", seed, set, toy), active)


def scored_truth(
    task: Task, pool: Pool, seed: int, set: int, toy: int, active: Collection[str]
) -> Truth:
    """The truth of one scored toy from `pool`: `draw_truth`, unless the pool holds what there is.

    Raises
    ------
    NuisanceError
        As `draw_truth`, or if a nuisance is switched off that the pool's observations have.
    SettingsError
        If the pool does not hold so many observations.
    """
    if not isinstance(pool, HeldObservations):
        return draw_truth(task, seed, set, toy, active)
    off = [n.name for n in task.nuisances if n.name not in active]
    if off:
        raise NuisanceError(
            f"these observations were made elsewhere, with every nuisance parameter varying: "
            f"{', '.join(off)} cannot be switched off, give --nuisances all"
        )
    _known(task, active)
    return pool.held_truth(seed, set, toy)


def draw_calibration_truth(
    task: Task, seed: int, set: int, toy: int, active: Collection[str]
) -> Truth:
    """The truth of a toy that a calibration learns from: parameters and nuisances of its own.

    What is learned from toys is to hold over the parameters' ranges, so that no two of them share
    their parameters; the set only numbers them. None of these streams is a scored toy's.

    Raises
    ------
    NuisanceError
        If `active` names a nuisance that the task does not have.
    """
    own = stream(task.name, "calibration truth", seed, set, toy)
    return _truth(task, own, stream(task.name, "calibration nuisances", seed, set, toy), active)


def _truth(task: Task, parameters: Stream, nuisances: Stream, active: Collection[str]) -> Truth:
    _known(task, active)
    draw = parameters.generator()
    values = {p.name: float(draw.uniform(p.low, p.high)) for p in task.parameters}
    z = nuisances.generator().standard_normal(len(task.nuisances))
    return Truth(
        values,
        {
            n.name: n.from_z(float(z[i])) if n.name in active else n.off
            for i, n in enumerate(task.nuisances)
        },
    )


def toy_stream(task: Task, seed: int, set: int, toy: int) -> Stream:
    """The stream that draws the events of one toy; the same for every method."""
    return stream(task.name, "pseudo-experiment", seed, set, toy)


def _calibration_stream(task: Task, seed: int, set: int, toy: int) -> Stream:
    return stream(task.name, "calibration pseudo-experiment", seed, set, toy)


@dataclass(frozen=True)
class Draws:
    """How the toys of one purpose are drawn from a pool: their truths, and streams of their events."""

    truth: Callable[[Task, Pool, int, int, int, Collection[str]], Truth]
    events: Callable[[Task, int, int, int], Stream]


SCORED = Draws(scored_truth, toy_stream)
"""The toys of a run."""

CALIBRATION = Draws(
    lambda task, pool, *toy: draw_calibration_truth(task, *toy), _calibration_stream
)
"""The toys that a calibration learns from."""


def active_nuisances(task: Task, choice: str) -> tuple[str, ...]:
    """The nuisances that "all", "none" or a comma-separated list of names switches on.

    In the task's order, each once.

    Raises
    ------
    NuisanceError
        If a name is not one of the task's nuisances.
    """
    word = choice.strip()
    if word == "all":
        return tuple(n.name for n in task.nuisances)
    if word in ("none", ""):
        return ()
    chosen = [name.strip() for name in word.split(",") if name.strip()]
    _known(task, chosen)
    return tuple(n.name for n in task.nuisances if n.name in chosen)


def _known(task: Task, names: Collection[str]) -> None:
    known = [n.name for n in task.nuisances]
    for name in names:
        if name not in known:
            has = f"has {', '.join(known)}" if known else "has none"
            raise NuisanceError(
                f"there is no nuisance parameter {name!r} in task {task.name!r}, which {has}: "
                "give names of that list, or 'all' or 'none'"
            )
