"""The correction of a method's intervals by their own lengths.

With left = mu_hat - lower and right = upper - mu_hat the two arms of an interval, a truth mu has
the pull u = (mu - mu_hat) / right above the estimate and (mu - mu_hat) / left below it: the
interval covers if -1 <= u <= 1. The corrected interval is that of all mu with
v_lo <= u <= v_hi, so that

    P(v_lo <= u <= v_hi) = level

over toys whose truths and nuisances are drawn from their priors is all that has to be learned:
two quantiles of u, which may depend on mu_hat as polynomials (degree 0: two numbers). -v_lo and
v_hi are the factors by which the arms grow; for intervals that are right already they are 1.

What comes out covers on average over the prior. Of degree 1 or more it covers at each mu_hat, in
the sense that among toys with that estimate a fraction `level` does: near the ends of the range
it then uses that no truth lies beyond, as an interval with a flat prior does, and coverage at a
fixed truth there is not the level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError, SettingsError
from sigma68.inference.edges import AtEdges, check_edges, edge_note, within
from sigma68.inference.levels import z_of_level
from sigma68.inference.quantiles import QuantileCurve, fit_quantile
from sigma68.seeds import stream
from sigma68.types import LEVEL, Interval, Parameter

__all__ = ["Scale", "Tails", "learn_scale"]

FloatArray = npt.NDArray[np.float64]

Tails = Literal["central", "shortest"]
"""As many misses on either side, or as many as make intervals shortest."""

_TAILS_TRIED = 41
_POINTS = 21


@dataclass(frozen=True)
class Scale:
    """Where corrected intervals end: `low` and `high` give v_lo and v_hi at an estimate.

    `n_toys` toys with a valid interval taught it. `errors` are bootstrap standard errors of the
    two at `at`, estimates over their range, shapes (2, n_points) and (n_points,).
    """

    kind: ClassVar[str] = "scale"

    parameter: Parameter
    low: QuantileCurve
    high: QuantileCurve
    n_toys: int
    level: float = LEVEL
    at_edges: AtEdges = "extend"
    errors: FloatArray | None = None

    @property
    def at(self) -> FloatArray:
        """Estimates over the range that the toys' had, shape (n_points,)."""
        return np.linspace(self.low.low, self.low.high, _POINTS)

    def corrected(
        self, mu_hat: FloatArray, lower: FloatArray, upper: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Estimates and ends of the corrected intervals, shapes (n_toys,).

        The estimate moves only where the corrected interval does not contain it, to its centre.
        """
        estimate, low, high = self._whole(mu_hat, lower, upper)
        return (
            within(estimate, self.parameter, self.at_edges),
            within(low, self.parameter, self.at_edges),
            within(high, self.parameter, self.at_edges),
        )

    def interval(self, given: Interval) -> Interval:
        """The corrected interval in place of `given`, whose diagnostics are kept.

        `delta_mu_hat` is half the width before clipping, in standard deviations.

        Raises
        ------
        FitError
            If `given` has no width, which no factor changes.
        """
        if not given.upper > given.lower:
            raise FitError("the method's interval has no width: it cannot be corrected by a factor")
        ends = tuple(np.array([v]) for v in (given.mu_hat, given.lower, given.upper))
        _, lower, upper = (float(v[0]) for v in self._whole(*ends))
        mu_hat, low, high = (float(v[0]) for v in self.corrected(*ends))
        said = edge_note(lower, upper, self.parameter, self.at_edges, "")
        return replace(
            given,
            mu_hat=mu_hat,
            delta_mu_hat=(upper - lower) / (2 * z_of_level(self.level)),
            lower=low,
            upper=high,
            level=self.level,
            note="; ".join(n for n in (given.note, said) if n),
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {
            "kind": self.kind,
            "low": self.low.coefficients.tolist(),
            "high": self.high.coefficients.tolist(),
            "range": [self.low.low, self.low.high],
            "n_toys": self.n_toys,
            "level": self.level,
            "at_edges": self.at_edges,
            "errors": None if self.errors is None else self.errors.tolist(),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any], parameter: Parameter) -> Scale:
        """The correction that `to_json` wrote.

        Raises
        ------
        DataError
            If something is missing or of the wrong kind.
        """
        try:
            first, last = (float(v) for v in document["range"])
            low, high = (
                QuantileCurve(np.array(document[name], dtype=np.float64), first, last)
                for name in ("low", "high")
            )
            check_edges(document["at_edges"])
            errors = document["errors"]
            return cls(
                parameter,
                low,
                high,
                n_toys=int(document["n_toys"]),
                level=float(document["level"]),
                at_edges=document["at_edges"],
                errors=None if errors is None else np.array(errors, dtype=np.float64),
            )
        except (KeyError, TypeError, ValueError, SettingsError) as error:
            raise DataError(f"the correction of a calibration is damaged ({error!r})") from error

    def _whole(
        self, mu_hat: FloatArray, lower: FloatArray, upper: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Estimate and ends wherever they lie."""
        centre, left, right = _arms(mu_hat, lower, upper)
        v_low, v_high = self.low(centre), self.high(centre)
        # Curves of few toys may cross at the ends of their range.
        v_low, v_high = np.minimum(v_low, v_high), np.maximum(v_low, v_high)
        ends = [centre + np.where(v < 0, v * left, v * right) for v in (v_low, v_high)]
        outside = (v_low > 0) | (v_high < 0)
        return np.where(outside, (ends[0] + ends[1]) / 2, centre), ends[0], ends[1]


def learn_scale(
    truth: FloatArray,
    mu_hat: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    parameter: Parameter,
    *,
    level: float = LEVEL,
    tails: Tails = "central",
    degree: int = 0,
    at_edges: AtEdges = "extend",
    resamples: int = 0,
    seed: int = 0,
) -> Scale:
    """The correction that makes intervals like these cover with probability `level`.

    Parameters
    ----------
    truth, mu_hat, lower, upper
        Of each toy, shape (n_toys,), in random order, truths and nuisances drawn from their
        priors. A toy that failed has NaN for its ends: it never covers, so that the others are
        widened for it. So are toys whose interval has no width.
    tails
        "central" leaves out as much on either side. "shortest" shares the tails so that the mean
        width is smallest: it gains little where pulls are symmetric, and since it looks for the
        smallest it undercovers a little on new toys, which the cross-validated coverage shows.
    degree
        Of v_lo and v_hi as polynomials in mu_hat.
    at_edges
        Whether intervals may leave the parameter's range, see `sigma68.inference.edges`.
    resamples, seed
        Of the bootstrap for the errors; 0 resamples for none.

    Raises
    ------
    FitError
        If there are too few toys, or so many of them failed that no factor reaches the level.
    SettingsError
        If `tails`, `degree` or `at_edges` is out of its range.
    """
    check_edges(at_edges)
    if tails not in get_args(Tails):
        raise SettingsError(f"tails must be 'central' or 'shortest', not {tails!r}")
    if not 0 <= degree <= 3:
        raise SettingsError(f"the degree of a correction must be 0 to 3, not {degree}")
    good = np.isfinite(truth) & np.isfinite(lower) & np.isfinite(upper)
    good[good] = upper[good] > lower[good]
    n = int(np.count_nonzero(good))
    # Those that failed miss whatever is done: the others must make up for them.
    wanted = level * len(good) / max(n, 1)
    if wanted >= 1:
        raise FitError(
            f"{len(good) - n} of {len(good)} toys have no interval: no correction of the others "
            f"reaches a coverage of {level:.4g}"
        )
    centre, left, right = _arms(mu_hat[good], lower[good], upper[good])
    away = truth[good] - centre
    pull = away / np.where(away < 0, left, right)
    first, last = float(centre.min()), float(centre.max())

    below = (1 - wanted) / 2
    if tails == "shortest":
        below = _shortest(pull, float(left.mean()), float(right.mean()), wanted)
    tail = (below, below + wanted)
    low, high = (fit_quantile(centre, pull, p, first, last, degree) for p in tail)
    scale = Scale(parameter, low, high, n, level, at_edges)
    if resamples == 0:
        return scale
    generator = stream("scale", "bootstrap", seed).generator()
    drawn = (generator.integers(0, n, n) for _ in range(resamples))
    made = [
        [fit_quantile(centre[d], pull[d], p, first, last, degree)(scale.at) for p in tail]
        for d in drawn
    ]
    return replace(scale, errors=np.std(made, axis=0, ddof=1))


def _shortest(pull: FloatArray, left: float, right: float, wanted: float) -> float:
    """The lower tail's probability with which corrected intervals have the smallest mean width."""
    edge = 1 / (len(pull) + 1)
    below = np.linspace(edge, 1 - wanted - edge, _TAILS_TRIED)
    ends = np.quantile(pull, np.array([below, below + wanted]), method="weibull")
    length = np.where(ends < 0, ends * left, ends * right)
    return float(below[int(np.argmin(length[1] - length[0]))])


def _arms(
    mu_hat: FloatArray, lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Estimate, left and right arm of each interval.

    Where the estimate is not inside its interval, the centre and half of the width.
    """
    with np.errstate(invalid="ignore"):
        inside = (lower < mu_hat) & (mu_hat < upper)
        centre = np.where(inside, mu_hat, (lower + upper) / 2)
        return centre, centre - lower, upper - centre
