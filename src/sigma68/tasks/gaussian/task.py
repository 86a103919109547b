"""Two Gaussians in the plane with a known likelihood: the oracle that methods are tested on."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sigma68.errors import DataError, SettingsError
from sigma68.protocols import Pool, Pools
from sigma68.seeds import Stream
from sigma68.tasks.gaussian.model import GaussianModel
from sigma68.tasks.gaussian.pool import GaussianPool, checked
from sigma68.types import AnswerKind, Feature, Nuisance, Observation, Parameter, Score, Truth

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Gaussian"]

_SOURCE = "exact"
_ROWS = 200_000
_FEWEST, _MOST = 1_000, 50_000_000


class Gaussian:
    """Two Gaussians in the plane with a known likelihood: the oracle.

    The strength mu of a round signal of width 0.7 about (1, 0.5) is measured on top of a round
    background of width 1 about (0, 0). Two nuisance parameters: `shift` moves every event by
    0.05 along x per standard deviation, `bkg_scale` scales the background and is known to 5%.

        lambda(x, y) = mu S N(x - 0.05 shift, y; (1, 0.5), 0.7)
                     + bkg_scale B N(x - 0.05 shift, y; (0, 0), 1),    S = 200, B = 2000

        -2 ln L = 2 (mu S + bkg_scale B) - 2 sum_i ln lambda(x_i, y_i)
                + shift^2 + ((bkg_scale - 1) / 0.05)^2

    The nuisances' ranges end ten standard deviations out, so clipping never bites.
    """

    name = "gaussian"
    title = "Two Gaussians in the plane, with a likelihood known in closed form"
    answer: AnswerKind = "interval"
    default_source: str | None = _SOURCE
    process_factors: Mapping[str, tuple[str, ...]] = {
        "signal": ("mu",),
        "background": ("bkg_scale",),
    }

    def __init__(self) -> None:
        self.model = GaussianModel()
        error = self.model.bkg_scale_error
        self.parameters: tuple[Parameter, ...] = (Parameter("mu", 0.1, 3.0, label=r"$\mu$"),)
        self.nuisances: tuple[Nuisance, ...] = (
            Nuisance("shift", 0.0, "normal", 0.0, 1.0, -10.0, 10.0, label="shift along x"),
            Nuisance(
                "bkg_scale",
                1.0,
                "normal",
                1.0,
                error,
                1 - 10 * error,
                1 + 10 * error,
                label="background scale",
            ),
        )
        self.features: tuple[Feature, ...] = (Feature("x", label="$x$"), Feature("y", label="$y$"))

    def open(self, source: str | None = None, *, split_seed: int = 0) -> Pools:
        """The pools of the model; `source` is None, "exact", or "exact:2M" for so many rows of each.

        More rows make smaller errors of templates; pseudo-experiments do not come from them.

        Raises
        ------
        DataError
            If `source` is anything else: this task reads no files.
        """
        rows = _rows(_SOURCE if source is None else source)
        split = f"{self.model.fingerprint}:{split_seed}"
        if rows != _ROWS:
            split = f"{split}:{rows}"
        pools = {
            role: GaussianPool(
                role=role,
                fingerprint=_hash(f"{split}:{role}:{rows}"),
                n_rows=rows,
                model=self.model,
                nuisances=self.nuisances,
                split_seed=split_seed,
            )
            for role in ("train", "calibration", "scoring", "final")
        }
        return Pools(**pools, fingerprint=_hash(split))

    def likelihood(self) -> GaussianModel:
        """The likelihood in closed form."""
        return self.model

    def components(self) -> GaussianModel:
        """Background and signal, as methods see them that know densities but no `shift`."""
        return self.model

    def pseudo_experiment(self, pool: Pool, truth: Truth, stream: Stream) -> Observation:
        """A Poisson number of each process, drawn from the density of `truth` and shuffled.

        `pool` only says where a method may look for events: the density is the same in all.

        Raises
        ------
        NuisanceError
            If a nuisance is unknown or out of its range.
        SettingsError
            If mu is negative or not a number.
        """
        at = checked(self.nuisances, truth.nuisances)
        mu = truth.parameters["mu"]
        if not (math.isfinite(mu) and mu >= 0):
            raise SettingsError(f"no events can be drawn at mu = {mu}: it must not be negative")
        model = self.model
        draw = stream.generator()
        n_signal = draw.poisson(mu * model.signal_events)
        n_background = draw.poisson(at["bkg_scale"] * model.background_events)
        values = draw.standard_normal((2, n_signal + n_background))
        values[:, :n_signal] *= model.signal_width
        values[:, n_signal:] *= model.background_width
        values[:, :n_signal] += np.array([[model.signal_x], [model.signal_y]])
        values[0] += model.shift_step * at["shift"]
        shuffled = values[:, draw.permutation(values.shape[1])]
        return Observation(("x", "y"), np.ascontiguousarray(shuffled))

    def score(self, toys: pd.DataFrame, *, epsilon: float | None = None) -> Score:
        """The challenge's score of intervals on mu."""
        from sigma68.score.estimates import score_toys

        return score_toys(toys, self.answer, self.parameters, epsilon=epsilon)


def _rows(source: str) -> int:
    """The rows of a pool that a source stands for.

    Raises
    ------
    DataError
        If it is no source of this task.
    """
    found = re.fullmatch(_SOURCE + r"(?::(\d{1,9})([kM]?))?", source, re.ASCII)
    if found is None:
        raise DataError(
            f"the task gaussian has no data source {source!r}: it makes its own events; "
            f"leave --data out, or give {_SOURCE!r} or {_SOURCE + ':2M'!r}"
        )
    if found[1] is None:
        return _ROWS
    rows = int(found[1]) * {"": 1, "k": 1_000, "M": 1_000_000}[found[2]]
    if not _FEWEST <= rows <= _MOST:
        raise DataError(
            f"{source!r} asks for {rows:,} rows, which are held in memory: give from {_FEWEST:,} to "
            f"{_MOST:,}"
        )
    return rows


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
