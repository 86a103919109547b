"""What a toy is made with: drawn from named streams, so that it depends on its numbers alone."""

from __future__ import annotations

from collections.abc import Collection

from sigma68.errors import NuisanceError
from sigma68.protocols import Task
from sigma68.seeds import Stream, stream
from sigma68.types import Truth

__all__ = ["active_nuisances", "draw_truth", "toy_stream"]


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
    _known(task, active)
    of_set = stream(task.name, "truth", seed, set).generator()
    parameters = {p.name: float(of_set.uniform(p.low, p.high)) for p in task.parameters}
    z = (
        stream(task.name, "nuisances", seed, set, toy)
        .generator()
        .standard_normal(len(task.nuisances))
    )
    nuisances = {
        n.name: n.from_z(float(z[i])) if n.name in active else n.off
        for i, n in enumerate(task.nuisances)
    }
    return Truth(parameters, nuisances)


def toy_stream(task: Task, seed: int, set: int, toy: int) -> Stream:
    """The stream that draws the events of one toy; the same for every method."""
    return stream(task.name, "pseudo-experiment", seed, set, toy)


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
