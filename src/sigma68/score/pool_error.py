"""What a finite pool does to a measurement: a shift of all toys together.

Templates are made from one pool and pseudo-experiments are drawn from another. Each pool has an
error of its own, which does not change from toy to toy, so that no number of toys averages it
away. In units of the statistical error of one toy it is about

    b = sqrt(1 / r_template + 1 / r_scoring),

with r = effective / expected events in the regions that decide. For a measurement that combines
regions R with the weights w_R = S_R / V_R (optimal for counting; S_R expected signal events,
V_R all expected events), the variance of the pool is sum_R w_R^2 sumw2_R and that of a
pseudo-experiment is sum_R w_R^2 V_R; 1 / r is their ratio. Shifts of that size lower the mean
coverage of a 68.27% interval by about 0.24 b^2 (by less where b is not small); what one pair of
pools costs varies about that as the square of a normal number does.

Where weights are rescaled to the same sums per process in both pools, the totals have no error
and b is too large: by a sixth in the simulation that tests it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.types import LEVEL, PoolStatistics

__all__ = ["PoolError", "pool_error"]

LOSS_PER_B2 = 0.24
"""Coverage lost per b^2: the second-order term of erf(1 / sqrt(2 (1 + b^2)))."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PoolError:
    """How far two finite pools can shift all toys together.

    `r_template` and `r_scoring` are effective over expected events, infinite for a pool without
    a finite size; `table_template` and `table_scoring` hold the same ratio per region and
    process, shape (n_regions, n_processes), NaN in empty cells, None for an infinite pool.
    `b` is in statistical standard deviations of one toy, `loss` in coverage.
    """

    regions: tuple[str, ...]
    processes: tuple[str, ...]
    r_template: float
    r_scoring: float
    table_template: FloatArray | None
    table_scoring: FloatArray | None
    n_rows_template: int
    n_rows_scoring: int
    b: float
    loss: float

    @property
    def b_in_words(self) -> str:
        """`b` to two digits."""
        return _two_digits(self.b)

    def b_limit(self, n_toys: int) -> float:
        """The b up to which coverage measured with `n_toys` is a test of the method.

        0.35 for 1,000 toys and 0.2 for 10,000: there the loss is two binomial errors.
        """
        return 0.35 * math.sqrt(math.sqrt(1000 / max(n_toys, 1)))

    def warning(self, n_toys: int, parameter: str = "mu") -> str | None:
        """What a reader of the results must know; None where the loss is within one s68."""
        s68 = math.sqrt(LEVEL * (1 - LEVEL) / max(n_toys, 1))
        if self.loss <= s68:
            return None
        rows = self.n_rows_template + self.n_rows_scoring
        parts = []
        for role, r, n_rows in (
            ("templates", self.r_template, self.n_rows_template),
            ("pseudo-experiments", self.r_scoring, self.n_rows_scoring),
        ):
            if math.isfinite(r):
                parts.append(f"the {role} come from {n_rows:,} rows ({_times(r)})")
        return (
            f"{rows:,} rows {'cannot measure' if self.b > 1 else 'are few to measure'} {parameter}: "
            f"{' and '.join(parts)}. "
            f"That shifts all toys together by about b = {_two_digits(self.b)} statistical "
            f"standard deviations, and coverage can be expected to fall by up to "
            f"{_two_digits(100 * self.loss)} percentage points "
            f"(binomial error of {n_toys:,} toys: {_two_digits(100 * s68)}). More toys do not "
            f"help, more simulated events do: read width and coverage as a trial of the "
            f"machinery, not of the method, unless b <= {self.b_limit(n_toys):.2g}."
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back; null for an infinite r and an empty cell."""
        return {
            "b": self.b,
            "expected_coverage_loss": self.loss,
            "r_template": _finite(self.r_template),
            "r_scoring": _finite(self.r_scoring),
            "n_rows_template": self.n_rows_template,
            "n_rows_scoring": self.n_rows_scoring,
            "regions": list(self.regions),
            "processes": list(self.processes),
            "r_template_by_region": _rows(self.table_template),
            "r_scoring_by_region": _rows(self.table_scoring),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> PoolError:
        """Read what `to_json` gave; keys it does not know are left alone."""
        return cls(
            regions=tuple(document["regions"]),
            processes=tuple(document["processes"]),
            r_template=_infinite(document["r_template"]),
            r_scoring=_infinite(document["r_scoring"]),
            table_template=_table(document["r_template_by_region"]),
            table_scoring=_table(document["r_scoring_by_region"]),
            n_rows_template=int(document["n_rows_template"]),
            n_rows_scoring=int(document["n_rows_scoring"]),
            b=float(document["b"]),
            loss=float(document["expected_coverage_loss"]),
        )


def pool_error(templates: PoolStatistics | None, scoring: PoolStatistics | None) -> PoolError:
    """The pool error of templates made from `templates` and toys drawn from `scoring`.

    None stands for a pool without a finite size (a sampler), which has no error.

    Raises
    ------
    DataError
        If the two pools differ in regions or processes, or one has no signal at all.
    """
    known = templates if templates is not None else scoring
    if templates is not None and scoring is not None:
        for what in ("regions", "processes"):
            if getattr(templates, what) != getattr(scoring, what):
                raise DataError(
                    f"the template and the scoring pool differ in their {what}: "
                    f"{getattr(templates, what)} and {getattr(scoring, what)}; split one data source"
                )
    inverse_template = _inverse_r(templates, "template")
    inverse_scoring = _inverse_r(scoring, "scoring")
    b = math.sqrt(inverse_template + inverse_scoring)
    return PoolError(
        regions=known.regions if known is not None else (),
        processes=known.processes if known is not None else (),
        r_template=1 / inverse_template if inverse_template > 0 else math.inf,
        r_scoring=1 / inverse_scoring if inverse_scoring > 0 else math.inf,
        table_template=_by_cell(templates),
        table_scoring=_by_cell(scoring),
        n_rows_template=templates.n_rows if templates is not None else 0,
        n_rows_scoring=scoring.n_rows if scoring is not None else 0,
        b=b,
        loss=min(LOSS_PER_B2 * b * b, LEVEL),
    )


def _inverse_r(pool: PoolStatistics | None, role: str) -> float:
    """1 / r of the measurement: variance of the pool over that of a pseudo-experiment."""
    if pool is None:
        return 0.0
    expected = pool.sumw.sum(axis=1)
    signal = pool.sumw[:, np.array(pool.is_signal, dtype=bool)].sum(axis=1)
    # An empty region decides nothing.
    weight = np.divide(signal, expected, out=np.zeros_like(expected), where=expected > 0)
    variance = float(np.sum(weight**2 * expected))
    if variance == 0:
        raise DataError(
            f"the {role} pool has no signal events in any region ({', '.join(pool.regions)}), so "
            "that nothing can be measured with it; give more events or another split seed"
        )
    return float(np.sum(weight**2 * pool.sumw2.sum(axis=1))) / variance


def _by_cell(pool: PoolStatistics | None) -> FloatArray | None:
    if pool is None:
        return None
    table = np.full(pool.sumw.shape, np.nan)
    np.divide(pool.sumw, pool.sumw2, out=table, where=pool.sumw2 > 0)
    return table


def _times(r: float) -> str:
    if r < 1:
        return f"one effective event for {_two_digits(1 / r)} expected ones"
    return f"{_two_digits(r)} effective events for an expected one"


def _two_digits(value: float) -> str:
    """A positive number to two digits, without an exponent where it is large."""
    return f"{float(f'{value:.2g}'):,.0f}" if value >= 9.5 else f"{value:.2g}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _infinite(value: float | None) -> float:
    return math.inf if value is None else float(value)


def _rows(table: FloatArray | None) -> list[list[float | None]] | None:
    return None if table is None else [[_finite(float(v)) for v in row] for row in table]


def _table(rows: list[list[float | None]] | None) -> FloatArray | None:
    if rows is None:
        return None
    return np.array([[math.nan if v is None else v for v in row] for row in rows], dtype=float)
