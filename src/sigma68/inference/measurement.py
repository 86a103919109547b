"""From a score of events to a measurement: bins, templates, and the likelihood of their counts.

`measure_templates` does what a method needs once it has learned a score: it chooses bins on the
events of a pool with every nuisance off, fills a template per process, counts the same events at
the points of a design in the nuisances that move events, and fits surfaces through them. Nuisances
that only scale processes enter exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError
from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.factors import Factors
from sigma68.inference.surfaces import (
    GROUPS,
    Closure,
    Surfaces,
    closure,
    design,
    fit_surfaces,
)
from sigma68.learning.binning import BinChoice, choose_edges, correlation, count
from sigma68.protocols import Pool, Progress, ScaledProcesses, Task
from sigma68.types import Labelled, Nuisance, Parameter

__all__ = ["BinnedMeasurement", "Score", "measure_templates", "process_factors"]

Floats = npt.NDArray[np.float64]
Score = Callable[[npt.NDArray[np.floating[Any]]], npt.NDArray[np.float32]]
"""From features (n_features, n_events) to scores (n_events,)."""

_OFTEN_OFF = 3.0
"""Root mean square of the closure's pulls from which templates are refused."""


@dataclass(frozen=True)
class BinnedMeasurement:
    """Bins of a score, templates in them, and how these depend on parameters and nuisances.

    Attributes
    ----------
    edges
        Inner edges of the bins, (J - 1,) ascending; a score on an edge belongs to the bin above.
    processes, factors
        Names of the K components, and what multiplies each.
    surfaces
        Expected events.
    closure_pull, closure_difference
        Root mean square of the pulls at points left out of the fit, and the largest relative
        difference there among (component, bin)s that hold enough events to say.
    """

    edges: npt.NDArray[np.float32]
    processes: tuple[str, ...]
    factors: Factors
    surfaces: Surfaces
    closure_pull: float
    closure_difference: float

    def counts(self, scores: npt.NDArray[np.float32]) -> Floats:
        """Events per bin, (J,), of scores (n_events,)."""
        return count(scores, self.edges)

    def likelihood(
        self,
        parameter: Parameter,
        nuisances: Sequence[Nuisance],
        profiled: Sequence[str],
        *,
        mc_errors: bool = True,
    ) -> BinnedLikelihood:
        """The likelihood that profiles those of the nuisances that are named; others are off."""
        chosen = [n for n in nuisances if n.name in profiled]
        fixed = {n.name: n.off for n in nuisances if n.name not in profiled}
        return BinnedLikelihood(
            self.surfaces, self.factors, parameter, chosen, fixed, mc_errors=mc_errors
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back bit for bit."""
        return {
            "edges": self.edges.tolist(),
            "processes": list(self.processes),
            "factors": [list(names) for names in self.factors.of_component],
            "surfaces": self.surfaces.to_json(),
            "closure_pull": self.closure_pull,
            "closure_difference": self.closure_difference,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BinnedMeasurement:
        """The measurement that `to_json` wrote.

        Raises
        ------
        DataError
            If the document is not one of a measurement.
        """
        try:
            edges = np.asarray(document["edges"], np.float32)
            processes = tuple(str(name) for name in document["processes"])
            factors = Factors(tuple(tuple(map(str, names)) for names in document["factors"]))
            surfaces = Surfaces.from_json(document["surfaces"])
            quality = float(document["closure_pull"]), float(document["closure_difference"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the saved templates are damaged ({error!r}): train again") from error
        k, j = surfaces.nominal.shape
        ascending = np.isfinite(edges).all() and bool(np.all(np.diff(edges) > 0))
        if edges.shape != (j - 1,) or len(processes) != k or not ascending:
            raise DataError("the saved templates do not fit their bins: train again")
        if len(factors.of_component) != k:
            raise DataError("the saved templates do not fit their processes: train again")
        return cls(edges, processes, factors, surfaces, *quality)


def measure_templates(
    task: Task,
    pool: Pool,
    score: Score,
    profiled: Sequence[str],
    choice: BinChoice,
    *,
    max_moved_rows: int | None,
    edges: npt.NDArray[np.float32] | None = None,
    progress: Progress | None = None,
) -> tuple[BinnedMeasurement, Closure | None]:
    """Bins, templates and surfaces from a pool that the score was not trained on.

    Parameters
    ----------
    task
        Asks for one parameter; says what scales its processes (`ScaledProcesses`), or else the
        parameter scales the signal and every nuisance is measured by its effect on events.
    pool
        Events; nominal templates use all of them, responses to nuisances `max_moved_rows`.
    profiled
        Names of the nuisances to profile.
    edges
        Inner edges of the bins, ascending; None to have them chosen.

    Raises
    ------
    DataError
        If the pool is too small for templates, or surfaces fail at points left out.
    FitError
        If a score is NaN or infinite.
    """
    say = progress or (lambda what, fraction: None)
    say("filling templates", 0.0)
    events = pool.labelled()
    scores = _scores(score, events)
    if edges is None:
        edges = choose_edges(scores, events.weights, events.labels, events.hard_event, choice)
    nominal, variance = _filled(events, scores, edges)
    processes = events.process_names
    factors = Factors(process_factors(task, events))
    del events, scores
    scaling = {name for names in factors.of_component for name in names}
    moving = [n for n in task.nuisances if n.name in profiled and n.name not in scaling]
    if not moving:
        surfaces = _constant(nominal, variance)
        say("filling templates", 1.0)
        return BinnedMeasurement(edges, processes, factors, surfaces, 0.0, 0.0), None
    fit_at, test_at = design(moving)
    points = np.concatenate([fit_at, test_at])

    def grouped(point: Floats | None) -> Floats:
        at = {} if point is None else dict(zip((n.name for n in moving), point, strict=True))
        moved = pool.labelled(at, max_rows=max_moved_rows)
        return _in_groups(moved, _scores(score, moved), edges)

    off = grouped(None)
    counts = np.empty((len(points), *off.shape))
    for i, point in enumerate(points):
        counts[i] = grouped(point)
        say("measuring the response to nuisance parameters", (i + 1) / len(points))
    d = len(fit_at)
    surfaces = fit_surfaces(moving, fit_at, off, counts[:d], nominal, variance)
    tested = closure(surfaces, test_at, off, counts[d:])
    known = tested.pull != 0
    largest = float(np.abs(tested.difference[known]).max()) if known.any() else 0.0
    found = BinnedMeasurement(edges, processes, factors, surfaces, tested.rms_pull, largest)
    if tested.rms_pull > _OFTEN_OFF and largest > 0.1:
        raise DataError(
            f"templates do not follow the nuisance parameters: at points left out they are off by "
            f"up to {largest:.0%} ({tested.rms_pull:.1f} standard deviations on average)"
        )
    return found, tested


def _scores(score: Score, events: Labelled) -> npt.NDArray[np.float32]:
    scores = score(events.values)
    if not np.isfinite(scores).all():
        raise FitError("the score of an event is NaN or infinite")
    return scores


def process_factors(task: Task, events: Labelled) -> tuple[tuple[str, ...], ...]:
    """Names of what multiplies the rate of each process, as the task or else the labels say."""
    if isinstance(task, ScaledProcesses):
        return tuple(task.process_factors.get(name, ()) for name in events.process_names)
    signal = {int(p) for p in np.unique(events.process[events.labels == 1])}
    parameter = task.parameters[0].name
    return tuple((parameter,) if k in signal else () for k in range(len(events.process_names)))


def _filled(
    events: Labelled, scores: npt.NDArray[np.float32], edges: npt.NDArray[np.float32]
) -> tuple[Floats, Floats]:
    """Templates and their variances, (K, J)."""
    sums, variances = [], []
    for k in range(len(events.process_names)):
        own = events.process == k
        w = events.weights[own]
        hard = None if events.hard_event is None else events.hard_event[own]
        sums.append(count(scores[own], edges, w))
        variances.append(count(scores[own], edges, w * w) * correlation(w, hard))
    return np.array(sums), np.array(variances)


def _in_groups(
    events: Labelled, scores: npt.NDArray[np.float32], edges: npt.NDArray[np.float32]
) -> Floats:
    """Weighted counts (G, K, J); an event, and all of its hard collision, keeps its group."""
    k, j = len(events.process_names), edges.size + 1
    index = np.searchsorted(edges, scores, side="right")
    group = _group(events)
    flat = (group * k + events.process) * j + index
    sums = np.bincount(flat, events.weights, minlength=GROUPS * k * j).astype(np.float64)
    return sums.reshape(GROUPS, k, j)


def _group(events: Labelled) -> npt.NDArray[np.int64]:
    """A number below GROUPS for each event, by a hash of its collision or its row."""
    ids = events.hard_event if events.hard_event is not None else events.row
    if ids is None:
        ids = np.arange(events.n_events, dtype=np.int64)
    x = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    x ^= x >> np.uint64(32)
    group: npt.NDArray[np.int64] = ((x * np.uint64(0xD6E8FEB86659FD93)) >> np.uint64(33)).astype(
        np.int64
    ) % GROUPS
    return group


def _constant(nominal: Floats, variance: Floats) -> Surfaces:
    """Templates that no nuisance moves."""
    nothing = np.zeros(0)
    k, j = nominal.shape
    exponents = np.zeros((0, 0), np.int64)
    return Surfaces((), nothing, nothing, exponents, nominal, variance, np.zeros((k, j, 0)))
