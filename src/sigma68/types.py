"""What the stages hand to each other: frozen results and the words they are made of.

Declarations of a task (`Parameter`, `Nuisance`, `Feature`), what flows through a measurement
(`Truth`, `Observation`, `Labelled`, `Interval`, `Estimate`, `Strangeness`, `Prediction`,
`ToyResult`), and what comes out of it (`Score`, `PoolStatistics`). No computing beyond the
bookkeeping of these objects belongs here, and no task or method is named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "LEVEL",
    "Answer",
    "AnswerKind",
    "Estimate",
    "Feature",
    "Interval",
    "Labelled",
    "Nuisance",
    "Observation",
    "Parameter",
    "PoolStatistics",
    "Prediction",
    "Score",
    "Status",
    "Strangeness",
    "ToyResult",
    "Truth",
]

LEVEL = 0.6827
"""The level of the challenge's confidence intervals, as it writes it."""

AnswerKind = Literal["interval", "estimates", "strangeness"]
"""What a task asks of a method: one interval, estimates with errors, or a score of strangeness."""

Status = Literal["ok", "failed", "invalid", "timeout", "crashed"]
"""How a toy ended: "failed" says the method itself, "invalid" an answer that is no answer
(NaN, reversed, infinite), "timeout" and "crashed" what the runner saw."""

FloatArray = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Parameter:
    """A parameter to be measured, with the range its truth is drawn from (uniformly)."""

    name: str
    low: float
    high: float
    label: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Nuisance:
    """A nuisance parameter: its prior, the range it is clipped to, and the value that is "off".

    The prior is stated through a standard normal z: value = location + width z ("normal"),
    exp(location + width z) ("lognormal") or location + width (2 Phi(z) - 1) ("uniform", so that
    `width` is half of the range), then clipped to [low, high]. A likelihood constrains it by z^2
    (in -2 ln L).
    """

    name: str
    off: float
    prior: Literal["normal", "lognormal", "uniform"]
    location: float
    width: float
    low: float
    high: float
    label: str = ""
    unit: str = ""

    def from_z(self, z: float) -> float:
        """The clipped value at `z` standard deviations of the prior."""
        if self.prior == "uniform":
            raw = self.location + self.width * math.erf(z / math.sqrt(2))
        else:
            raw = self.location + self.width * z
        if self.prior == "lognormal":
            raw = math.exp(min(raw, 700.0))  # far beyond any range, and no overflow
        return min(max(raw, self.low), self.high)

    def to_z(self, value: float) -> float:
        """How many standard deviations of the prior `value` is from its centre.

        Minus infinity for a lognormal at 0, infinite at and beyond the ends of a uniform.
        """
        if self.prior == "uniform":
            below = (1 + (value - self.location) / self.width) / 2
            if not 0 < below < 1:
                return math.copysign(math.inf, below - 0.5)
            return NormalDist().inv_cdf(below)
        if self.prior == "lognormal":
            value = math.log(value) if value > 0 else -math.inf
        return (value - self.location) / self.width

    @property
    def asimov(self) -> float:
        """The value at the centre of the prior (1 for the lognormal soft MET, not its "off")."""
        return self.from_z(0.0)


@dataclass(frozen=True)
class Feature:
    """One column that a method sees."""

    name: str
    label: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Truth:
    """What a toy was made with. Never enters the process that runs somebody's entry."""

    parameters: Mapping[str, float]
    nuisances: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Observation:
    """What a method sees of a pseudo-experiment: unlabelled, unweighted events.

    `values` has shape (n_features, n_events), one contiguous row per feature, so that a column
    is a view and a DataFrame is made without a copy.
    """

    names: tuple[str, ...]
    values: FloatArray

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[0] != len(self.names):
            raise ValueError(
                f"values must have shape ({len(self.names)}, n_events), not {self.values.shape}"
            )

    @property
    def n_events(self) -> int:
        return int(self.values.shape[1])

    def __getitem__(self, name: str) -> FloatArray:
        """The column `name`, shape (n_events,)."""
        column: FloatArray = self.values[self.names.index(name)]
        return column

    def frame(self) -> pd.DataFrame:
        """The events as a DataFrame that shares their memory."""
        import pandas as pd

        return pd.DataFrame(self.values.T, columns=list(self.names), copy=False)


@dataclass(frozen=True)
class Labelled:
    """Simulated events whose origin is known: what methods are trained and calibrated on.

    Shapes: `values` (n_features, n_events); `weights`, `labels` (1 signal, 0 background) and
    `process` (an index into `process_names`) (n_events,). The weights sum to the expected
    number of events of one pseudo-experiment at parameter value 1. `hard_event` numbers the
    hard collision an event comes from (rows of one number are not independent); None when
    every row is its own. `row` numbers the rows of the pool: the same event has the same number
    at all values of the nuisances; None when no event is ever lost, so that all keep their place.
    """

    names: tuple[str, ...]
    values: FloatArray
    weights: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int8]
    process: npt.NDArray[np.int8]
    process_names: tuple[str, ...]
    hard_event: npt.NDArray[np.int64] | None = None
    row: npt.NDArray[np.int64] | None = None

    @property
    def n_events(self) -> int:
        return int(self.values.shape[1])

    def observation(self) -> Observation:
        """The same events without weights and labels."""
        return Observation(self.names, self.values)


@dataclass(frozen=True)
class Interval:
    """A confidence interval on one parameter, and the diagnostics that came with it.

    `fitted` maps a nuisance to (value, error); `scan` holds parameter values and their
    profiled -2 ln L above the minimum; `goodness` is a goodness-of-fit p-value; `note` says in a
    sentence what the interval leaves out.
    """

    mu_hat: float
    delta_mu_hat: float
    lower: float
    upper: float
    level: float = LEVEL
    status: Status = "ok"
    fitted: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    scan: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    goodness: float | None = None
    note: str = ""

    @property
    def is_valid(self) -> bool:
        """Whether the bounds are finite and in order: what decides if the toy can cover."""
        return math.isfinite(self.lower) and math.isfinite(self.upper) and self.lower <= self.upper


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error, for tasks that ask for several parameters."""

    value: float
    error: float
    status: Status = "ok"

    @property
    def is_valid(self) -> bool:
        return math.isfinite(self.value) and math.isfinite(self.error) and self.error > 0


@dataclass(frozen=True)
class Strangeness:
    """How strange an observation looks; larger is stranger."""

    score: float
    status: Status = "ok"

    @property
    def is_valid(self) -> bool:
        return math.isfinite(self.score)


Answer = Interval | Estimate | Strangeness
_KINDS: dict[str, type[Interval] | type[Estimate] | type[Strangeness]] = {
    "interval": Interval,
    "estimates": Estimate,
    "strangeness": Strangeness,
}


@dataclass(frozen=True)
class Prediction:
    """What a method says about one observation: an answer per parameter."""

    answers: Mapping[str, Answer]

    @classmethod
    def interval(cls, parameter: str, interval: Interval) -> Prediction:
        """The prediction of a one-parameter task."""
        return cls({parameter: interval})

    def __getitem__(self, parameter: str) -> Answer:
        return self.answers[parameter]

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        kinds = {kind: name for name, kind in _KINDS.items()}
        return {
            name: {"kind": kinds[type(answer)], **asdict(answer)}
            for name, answer in self.answers.items()
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Prediction:
        answers: dict[str, Answer] = {}
        for name, fields in document.items():
            given = dict(fields)
            kind = _KINDS[given.pop("kind")]
            if "fitted" in given:
                given["fitted"] = {
                    k: (float(v[0]), float(v[1])) for k, v in given["fitted"].items()
                }
            if given.get("scan") is not None:
                given["scan"] = (tuple(given["scan"][0]), tuple(given["scan"][1]))
            answers[name] = kind(**given)
        return cls(answers)


@dataclass(frozen=True)
class ToyResult:
    """One pseudo-experiment, answered: a row of toys.parquet."""

    set: int
    toy: int
    truth: Truth
    prediction: Prediction | None
    status: Status
    seconds: float
    message: str = ""


@dataclass(frozen=True)
class Score:
    """The verdict on many toys.

    `values` holds the named numbers of the task's score (for intervals: quantiles_score,
    interval, coverage, rmse, mae, epsilon, n_toys, n_failed and more), `headline` the name
    of the one that ranks, larger being better.
    """

    headline: str
    values: Mapping[str, float | int | None]
    per_set: Sequence[Mapping[str, float | int | None]] = ()

    @property
    def value(self) -> float:
        value = self.values[self.headline]
        return math.nan if value is None else float(value)


@dataclass(frozen=True)
class PoolStatistics:
    """What a pool can support: sums of weights and of their squares, per region and process.

    `sumw` and `sumw2` have shape (n_regions, n_processes); `sumw2` adds the weights of one hard
    event before squaring. (sum w)^2 / sum w^2 is the effective number of events.
    """

    regions: tuple[str, ...]
    processes: tuple[str, ...]
    is_signal: tuple[bool, ...]
    sumw: npt.NDArray[np.float64]
    sumw2: npt.NDArray[np.float64]
    n_rows: int = 0
