"""A checked table of interval toys: what decides coverage and width, as arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.types import Parameter

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["IntervalToys", "interval_toys", "known_columns", "nuisance_columns"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class IntervalToys:
    """N toys of one parameter, arrays of shape (N,).

    `set_numbers` are the sets in order, shape (n_sets,), and `set_index` points into them.
    A toy is `valid` when its status is "ok" and its bounds are finite and in order. One that
    is not does not cover, and its width is the parameter's whole allowed range.
    """

    set_numbers: npt.NDArray[np.int64]
    set_index: npt.NDArray[np.intp]
    truth: FloatArray
    hat: FloatArray
    delta: FloatArray
    lower: FloatArray
    upper: FloatArray
    valid: npt.NDArray[np.bool_]
    covered: npt.NDArray[np.bool_]
    width: FloatArray

    @property
    def n_toys(self) -> int:
        return len(self.truth)

    @property
    def n_failed(self) -> int:
        return int(np.count_nonzero(~self.valid))

    @property
    def has_estimate(self) -> npt.NDArray[np.bool_]:
        """Valid toys with a finite estimate: those that enter RMSE, MAE and bias."""
        return self.valid & np.isfinite(self.hat)

    @property
    def has_pull(self) -> npt.NDArray[np.bool_]:
        """Of these, the ones with a positive, finite error: those that enter pulls."""
        with np.errstate(invalid="ignore"):
            return self.has_estimate & np.isfinite(self.delta) & (self.delta > 0)

    @property
    def pulls(self) -> FloatArray:
        """(mu_hat - mu) / delta_mu_hat of the toys that have one."""
        use = self.has_pull
        return (self.hat[use] - self.truth[use]) / self.delta[use]

    def take(self, rows: npt.NDArray[Any]) -> IntervalToys:
        """The toys selected by a mask or by indices, with their sets counted anew."""
        numbers, index = np.unique(self.set_numbers[self.set_index[rows]], return_inverse=True)
        per_toy = ("truth", "hat", "delta", "lower", "upper", "valid", "covered", "width")
        return IntervalToys(numbers, index, **{name: getattr(self, name)[rows] for name in per_toy})

    def by_set(self) -> list[IntervalToys]:
        """The toys of each set, in the order of `set_numbers`."""
        order = np.argsort(self.set_index, kind="stable")
        ends = np.cumsum(np.bincount(self.set_index))[:-1]
        return [self.take(rows) for rows in np.split(order, ends)]


def known_columns(parameter: Parameter) -> tuple[str, ...]:
    """The columns of a table of interval toys that are not nuisance parameters."""
    p = parameter.name
    return ("set", "toy", p, f"{p}_hat", f"delta_{p}_hat", "p16", "p84", "status", "seconds")


def nuisance_columns(toys: pd.DataFrame, parameter: Parameter) -> tuple[str, ...]:
    """The columns of `toys` that hold nuisance parameters and other parameters' truths.

    All that are not `known_columns` or answers for another parameter.
    """
    columns = [str(column) for column in toys.columns]
    answers = {form.format(name) for name in columns for form in ("{}_hat", "delta_{}_hat")}
    known = known_columns(parameter)
    return tuple(c for c in columns if c not in known and c not in answers)


def interval_toys(toys: pd.DataFrame, parameter: Parameter) -> IntervalToys:
    """Check a table of toys and say which cover.

    Raises
    ------
    DataError
        If the table is empty, lacks a column, has a truth that is not a number, or has one toy
        of one set twice.
    """
    p = parameter.name
    for column in ("set", "toy", p, f"{p}_hat", f"delta_{p}_hat", "p16", "p84", "status"):
        if column not in toys.columns:
            raise DataError(
                f"the table of toys has no column {column!r}, which a score of {p!r} needs; "
                f"it has {', '.join(map(str, toys.columns))}"
            )
    if len(toys) == 0:
        raise DataError("the table of toys has no rows: run at least one toy")
    twice = toys.duplicated(["set", "toy"])
    if twice.any():
        row = toys[twice].iloc[0]
        raise DataError(f"set {row['set']}, toy {row['toy']} is in the table of toys twice")
    truth, hat, delta, lower, upper = (
        toys[column].to_numpy(dtype=float)
        for column in (p, f"{p}_hat", f"delta_{p}_hat", "p16", "p84")
    )
    if not np.isfinite(truth).all():
        row = toys[~np.isfinite(truth)].iloc[0]
        raise DataError(f"the true {p} of set {row['set']}, toy {row['toy']} is not a number")
    span = parameter.high - parameter.low
    if not (math.isfinite(span) and span > 0):
        raise DataError(
            f"parameter {p!r} has no range to be scored in: [{parameter.low}, {parameter.high}]"
        )
    ok = (toys["status"] == "ok").to_numpy(dtype=bool)
    with np.errstate(invalid="ignore"):
        valid = ok & np.isfinite(lower) & np.isfinite(upper) & (lower <= upper)
        covered = valid & (lower <= truth) & (truth <= upper)
        width = np.where(valid, np.abs(upper - lower), span)
    numbers, index = np.unique(toys["set"].to_numpy(dtype=np.int64), return_inverse=True)
    return IntervalToys(numbers, index, truth, hat, delta, lower, upper, valid, covered, width)
