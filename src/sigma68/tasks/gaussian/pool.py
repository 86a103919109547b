"""Pools of the `gaussian` task: the model itself, and a Monte Carlo draw to train on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, NuisanceError
from sigma68.inference.factors import Factors, normalisations
from sigma68.inference.information import component_information, smallest_error
from sigma68.inference.unbinned import shares_of
from sigma68.seeds import stream
from sigma68.tasks.gaussian.model import GaussianModel
from sigma68.types import Labelled, Nuisance, Observation, PoolStatistics

__all__ = ["GaussianPool", "checked"]

FloatArray = npt.NDArray[np.float64]
PROCESSES = ("background", "signal")


@dataclass
class GaussianPool:
    """One role's events: pseudo-experiments come from the density, never from rows.

    It knows its likelihood (`expected`, `density`, `derivatives`), the components it is made of
    and how narrow an interval can be at best. For methods that learn from
    events, `labelled` holds `n_rows` of them, half signal and half background, from a stream of
    this role and split seed.
    """

    role: str
    fingerprint: str
    n_rows: int
    model: GaussianModel
    nuisances: tuple[Nuisance, ...]
    split_seed: int = 0

    def labelled(
        self, nuisances: Mapping[str, float] | None = None, *, max_rows: int | None = None
    ) -> Labelled:
        """Events with their origin; weights sum to S and k B, the expectation at mu = 1.

        The same events at every value of the nuisances, moved and reweighted.

        Raises
        ------
        NuisanceError
            If a nuisance is unknown or out of its range.
        DataError
            If `max_rows` leaves no signal or no background.
        """
        at = checked(self.nuisances, nuisances or {})
        draw = stream("gaussian", f"pool {self.role}", self.split_seed).generator()
        labels = draw.permutation(np.arange(self.n_rows) % 2)
        unit = draw.standard_normal((2, self.n_rows))
        keep = slice(0, self.n_rows if max_rows is None else max_rows)
        labels, unit = labels[keep], unit[:, keep]
        counts = np.bincount(labels, minlength=2)
        if counts.min() == 0:
            raise DataError(
                f"max_rows={max_rows} leaves no {PROCESSES[int(counts.argmin())]} in the "
                f"{self.role} pool: ask for more rows"
            )
        model = self.model
        expected = np.array(
            [at["bkg_scale"] * model.background_events, model.signal_events], dtype=np.float64
        )
        width = np.where(labels == 1, model.signal_width, model.background_width)
        values = unit * width
        values[0] += labels * model.signal_x + model.shift_step * at["shift"]
        values[1] += labels * model.signal_y
        return Labelled(
            names=("x", "y"),
            values=np.ascontiguousarray(values),
            weights=(expected / counts)[labels],
            labels=labels.astype(np.int8),
            process=labels.astype(np.int8),
            process_names=PROCESSES,
        )

    def statistics(self) -> PoolStatistics | None:
        """None: toys come from the density, so no finite sample of events shifts them.

        A method that learns from `labelled` has a finite sample all the same (100,000 events of
        either process, 50 times the background of a toy and 500 times its signal at mu = 1);
        what that costs shows in its own coverage.
        """
        return None

    def expected(self, parameters: Mapping[str, float], nuisances: Mapping[str, float]) -> float:
        """The expected number of events, see `GaussianModel.expected`."""
        return self.model.expected(parameters, nuisances)

    def density(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> FloatArray:
        """The expected density at each event, (n_events,), see `GaussianModel.density`."""
        return self.model.density(observation, parameters, nuisances)

    def derivatives(
        self,
        observation: Observation,
        parameters: Mapping[str, float],
        nuisances: Mapping[str, float],
    ) -> tuple[float, FloatArray, FloatArray]:
        """-2 ln L with gradient and Hessian, see `GaussianModel.derivatives`."""
        return self.model.derivatives(observation, parameters, nuisances)

    def components(self) -> GaussianModel:
        """Background and signal, see `GaussianModel.log_densities`."""
        return self.model

    def best_widths(
        self, parameters: Mapping[str, float], profiled: Collection[str]
    ) -> dict[str, float]:
        """The narrowest intervals, see `sigma68.protocols.KnownBest`: integrated over the plane."""
        factors = Factors(self.model.factors)
        mu = parameters["mu"]
        information = component_information(
            *_plane(self.model), factors.scales({"mu": mu, "bkg_scale": 1.0})
        )
        fitted = normalisations(self.model.factors, self.nuisances, profiled)
        widths = {}
        for name, own in (("statistics", ()), ("normalisations", fitted)):
            if own or name == "statistics":
                error = smallest_error(information, factors, "mu", mu, own, {"bkg_scale": 1.0})
                widths[name] = 2 * error
        return widths


@cache
def _plane(model: GaussianModel) -> tuple[FloatArray, FloatArray]:
    """Shares of the components on a grid of points, and what each point weighs in an integral."""
    axis, step = np.linspace(-7, 7, 281, retstep=True)
    x, y = (coordinate.ravel() for coordinate in np.meshgrid(axis, axis))
    points = Observation(("x", "y"), np.stack([x, y]))
    shares = shares_of(model.log_densities(points), model.component_yields())
    density = model.density(points, {"mu": 1.0}, {"shift": 0.0, "bkg_scale": 1.0})
    return shares, density * float(step) ** 2


def checked(declared: tuple[Nuisance, ...], given: Mapping[str, float]) -> dict[str, float]:
    """Every nuisance's value: as given, or off.

    Raises
    ------
    NuisanceError
        If a name is unknown or a value is outside its range.
    """
    values = {n.name: n.off for n in declared}
    ranges = {n.name: (n.low, n.high) for n in declared}
    for name, value in given.items():
        if name not in values:
            raise NuisanceError(
                f"there is no nuisance parameter {name!r}: choose from {', '.join(values)}"
            )
        low, high = ranges[name]
        if not low <= value <= high:
            raise NuisanceError(
                f"nuisance parameter {name} = {value:g} is outside its range [{low:g}, {high:g}]"
            )
        values[name] = float(value)
    return values
