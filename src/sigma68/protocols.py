"""The two contracts: what a task offers and what a method does.

A task is a folder in `sigma68/tasks/` whose `task.py` defines a class named after the folder
(`gaussian` -> `Gaussian`); a method is a file in `sigma68/methods/` that defines a class named
after the file (`bdt_profile` -> `BdtProfile`). `discover.py` finds both; nothing is registered.
Packages outside add theirs through the entry-point groups `sigma68.tasks`, `sigma68.methods`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sigma68.seeds import Stream
from sigma68.types import (
    AnswerKind,
    Feature,
    Labelled,
    Nuisance,
    Observation,
    Parameter,
    PoolStatistics,
    Prediction,
    Score,
    Truth,
)

if TYPE_CHECKING:
    import pandas as pd

    from sigma68.inference.binned import BinnedLikelihood
    from sigma68.inference.density_ratios import RatioLikelihood
    from sigma68.inference.post_fit_events import EventSample

__all__ = [
    "ComponentSource",
    "DeferredPool",
    "HasInvariants",
    "HasLikelihood",
    "HasMainFeatures",
    "HasRegions",
    "HasUnbinnedLikelihood",
    "KnownBest",
    "KnownComponents",
    "KnownLikelihood",
    "Method",
    "Pool",
    "Pools",
    "Progress",
    "Region",
    "Resumable",
    "ScaledProcesses",
    "Task",
]

Progress = Callable[[str, float], None]
"""Called with what is being done and the fraction done, 0 to 1."""


@runtime_checkable
class Pool(Protocol):
    """Simulated events of one role (train, calibration, scoring or final), never shared.

    `fingerprint` identifies the data, the split and the role.
    """

    role: str
    fingerprint: str
    n_rows: int

    def labelled(
        self, nuisances: Mapping[str, float] | None = None, *, max_rows: int | None = None
    ) -> Labelled:
        """Events as a pseudo-experiment would show them (thresholds applied), with their origin.

        `nuisances` not named are off. At most `max_rows` rows (the first of a fixed random
        order, weights rescaled per process); None for all.
        """
        ...

    def statistics(self) -> PoolStatistics | None:
        """Sums of weights per region and process; None for a pool without a finite size."""
        ...


@runtime_checkable
class DeferredPool(Protocol):
    """A pool whose events are made when they are first asked for, which takes its time."""

    def prepare(self, progress: Progress | None = None) -> None:
        """Make the events now, unless they are there, and say how far it is.

        Raises
        ------
        OutputError
            If there is no room for them.
        """
        ...


@dataclass(frozen=True)
class Pools:
    """The four disjoint pools of one data source, and the fingerprint of data and split."""

    train: Pool
    calibration: Pool
    scoring: Pool
    final: Pool
    fingerprint: str

    def __getitem__(self, role: str) -> Pool:
        pool: Pool = getattr(self, role)
        return pool

    def prepare(self, *roles: str, progress: Progress | None = None) -> None:
        """Have the events of these roles made, where a pool makes them on demand."""
        for role in roles:
            pool = self[role]
            if isinstance(pool, DeferredPool):
                pool.prepare(progress)


@runtime_checkable
class Task(Protocol):
    """A measurement: what is unknown, what is seen, where data comes from, how it is scored."""

    name: str
    title: str
    answer: AnswerKind
    parameters: tuple[Parameter, ...]
    nuisances: tuple[Nuisance, ...]
    features: tuple[Feature, ...]
    default_source: str | None

    def open(self, source: str | None = None, *, split_seed: int = 0) -> Pools:
        """The pools of a data source: a path, or a name the task knows; None for the default.

        Raises
        ------
        DataError
            If the source is not what the task needs.
        """
        ...

    def pseudo_experiment(self, pool: Pool, truth: Truth, stream: Stream) -> Observation:
        """One pseudo-experiment of `truth`, drawn from `pool`: a function of its arguments alone."""
        ...

    def score(self, toys: pd.DataFrame, *, epsilon: float | None = None) -> Score:
        """The verdict on a table of toys (see `sigma68.run.results` for its columns)."""
        ...


@runtime_checkable
class Method(Protocol):
    """From training events and an observation to a prediction.

    Constructed as `Cls(task)`; a method's own settings are keyword arguments with defaults. One
    that profiles nuisance parameters takes their names as `profiled`: a run gives those that it
    lets vary, since what varies is no secret of a challenge, only the values are.

    Two more things a method may say: a class variable `needs_events = False` where `fit` reads no
    events, so that a run makes none for it; and a class method `leaves_out(task, varied)` that
    gives the sentence to stand in reports on what it does not account for where the nuisances
    `varied` vary, or None.
    """

    name: ClassVar[str]
    answer: ClassVar[AnswerKind]

    def __init__(self, task: Task) -> None: ...

    @classmethod
    def skip(cls, task: Task) -> str | None:
        """Why this method cannot do this task, in a few words; None if it can."""
        ...

    def fit(self, train: Pool, calibration: Pool, progress: Progress | None = None) -> None:
        """Learn from the two pools; deterministic on one machine."""
        ...

    def predict(self, observation: Observation) -> Prediction:
        """Answer for one observation.

        Raises
        ------
        FitError
            If no honest answer could be found; the runner records the toy as failed.
        """
        ...

    def save(self, folder: Path) -> None:
        """Write what `load` needs into an existing, empty folder: JSON, safetensors, never pickle."""
        ...

    @classmethod
    def load(cls, folder: Path, task: Task) -> Method:
        """The method that `save` wrote."""
        ...


@runtime_checkable
class Resumable(Protocol):
    """A method whose training, when stopped, can go on from a file or a folder of its making.

    None to keep nothing.
    """

    checkpoint: Path | None


@runtime_checkable
class HasLikelihood(Protocol):
    """A trained method that fits a binned likelihood, which can be asked for its diagnostics.

    `component_names` has one entry per component of the likelihood.
    """

    @property
    def likelihood(self) -> BinnedLikelihood: ...

    @property
    def component_names(self) -> tuple[str, ...]: ...

    def counts(self, observation: Observation) -> npt.NDArray[np.float64]:
        """Events per bin of the likelihood, (n_bins,)."""
        ...


@runtime_checkable
class KnownLikelihood(Protocol):
    """A pool whose likelihood is known in closed form: the oracle's food.

    Extended unbinned likelihood: -2 ln L = 2 nu - 2 sum_i ln(lambda_i) with nu the expected
    number of events and lambda_i the expected density at event i.
    """

    def expected(self, parameters: Mapping[str, float], nuisances: Mapping[str, float]) -> float:
        """The expected number of events."""
        ...

    def density(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> npt.NDArray[np.float64]:
        """The expected density (events per unit of feature space) at each event, (n_events,)."""
        ...


@runtime_checkable
class KnownComponents(Protocol):
    """What observed events are made of: components (processes) whose densities are known.

    The expected density of events is lambda(x) = sum_k c_k nu_k p_k(x). What an observation does
    to events (thresholds, say) has been done: p_k is normalised over the events that are seen,
    and nu_k of them are expected with every parameter at 1 and every nuisance off. c_k is the
    product of the parameters and nuisances that `factors[k]` names, each once; the nuisances
    among them are the normalisations. The densities know nothing of the other nuisances.

    `fingerprint` identifies densities and expectations, `component_names` and `factors` have one
    entry per component.
    """

    @property
    def fingerprint(self) -> str: ...

    @property
    def component_names(self) -> tuple[str, ...]: ...

    @property
    def factors(self) -> tuple[tuple[str, ...], ...]: ...

    def component_yields(self) -> npt.NDArray[np.float64]:
        """nu_k, shape (n_components,)."""
        ...

    def log_densities(self, observation: Observation) -> npt.NDArray[np.float64]:
        """The logarithm of p_k at each event, shape (n_components, n_events), in one measure for all.

        Minus infinity where a component cannot give the event; NaN where an event is no event.

        Raises
        ------
        DataError
            If a feature is missing.
        """
        ...


@runtime_checkable
class HasInvariants(Protocol):
    """A task that knows symmetries of its events: features that these leave as they are.

    Networks that are given them need not learn the symmetries.
    """

    invariants: tuple[Feature, ...]

    def invariant(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Invariant features of events, (n_features, n) to (n_invariants, n)."""
        ...


@dataclass(frozen=True)
class Region:
    """A region of an analysis, which events fall into by their features.

    Attributes
    ----------
    name
        For people.
    unbinned
        Whether its events are measured one by one; else they are counted.
    parts
        Names of the bins that a counted region is split into; one bin where there is none.
    part_of
        From probabilities of the processes for equal amounts of all, (n_processes, n), to the
        numbers of the parts, (n,); None without parts.
    """

    name: str
    unbinned: bool
    parts: tuple[str, ...] = ()
    part_of: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]] | None = None


@runtime_checkable
class HasMainFeatures(Protocol):
    """A task that names the few of its features in which people look at events first."""

    main_features: tuple[str, ...]


@runtime_checkable
class HasUnbinnedLikelihood(Protocol):
    """A trained method that fits events, which can be asked for its diagnostics.

    `component_names` has one entry per component of the likelihood.
    """

    @property
    def ratio_likelihood(self) -> RatioLikelihood: ...

    @property
    def component_names(self) -> tuple[str, ...]: ...

    def sample(
        self, events: Observation, weights: npt.NDArray[np.float64] | None = None
    ) -> EventSample:
        """The events that are fitted one by one; simulated ones have weights, (n_events,)."""
        ...


@runtime_checkable
class HasRegions(Protocol):
    """A task whose analyses part events into regions, which methods may treat differently."""

    regions: tuple[Region, ...]

    def region_of(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """The number of each event's region, (n_features, n) to (n,)."""
        ...


@runtime_checkable
class ScaledProcesses(Protocol):
    """A task that says what multiplies the rate of each process of its pools, exactly.

    `process_factors` maps the name of a process to the names of parameters and nuisances, each
    once; a process that is not there is scaled by nothing.
    """

    process_factors: Mapping[str, tuple[str, ...]]


@runtime_checkable
class ComponentSource(Protocol):
    """A pool that knows its components, or a task that knows those of its own data source."""

    def components(self) -> KnownComponents:
        """What the events are made of.

        Raises
        ------
        DataError
            If it is not there, or damaged.
        """
        ...


@runtime_checkable
class KnownBest(ComponentSource, Protocol):
    """A pool that knows how narrow an interval on its events can be at best."""

    def best_widths(
        self, parameters: Mapping[str, float], profiled: Collection[str]
    ) -> Mapping[str, float] | None:
        """Mean widths of the narrowest unbiased 68.27% intervals where `parameters` are true.

        Under "statistics" with every nuisance known; under "normalisations" with those of
        `profiled` that scale components fitted within their constraints, left out where there are
        none of these. None if nobody has computed them for these densities.

        Raises
        ------
        DataError
            If they are not known at these parameters.
        """
        ...
