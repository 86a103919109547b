"""A binned likelihood as a HistFactory workspace, for pyhf, cabinetry and whoever reads its JSON.

Format: the workspace schema 1.0.0 of pyhf (Heinrich et al., JOSS 6, 2823 (2021)) of HistFactory
(Cranmer et al., CERN-OPEN-2012-016). Nothing but a dictionary is made; pyhf is not needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.vector import Fit
from sigma68.inference.yields import component_yields

__all__ = ["pyhf_workspace"]

Floats = npt.NDArray[np.float64]

_FARTHEST = 5.0  # of the parameter, in widths of its range


def pyhf_workspace(
    likelihood: BinnedLikelihood,
    counts: Floats,
    components: Sequence[str] | None = None,
    *,
    around: Fit | None = None,
    channel: str = "bins",
    measurement: str = "measurement",
) -> dict[str, Any]:
    """The likelihood and observed counts as a workspace with one channel.

    Each component is a sample with its expected events at the centres of all priors (a lognormal
    nuisance at its median, not switched off) and the parameter at 1. The parameter is a
    "normfactor". Each nuisance is a "histosys" with the expectations at z = -1 and +1; the
    simulation's errors are a "staterror" over all samples.

    Exact are the dependence on the parameter, on each normalisation alone (the two sides are
    symmetric, which makes pyhf's interpolation, code 4p, a straight line), on the simulation's
    factors, and all constraints. A nuisance that changes shapes is exact at z = -1, 0 and 1,
    smooth between and straight beyond. What HistFactory's sums leave out are cross terms: two
    nuisances that move one sample add up instead of multiplying. So minima agree closely while
    nuisances stay near the centres of their priors, and drift apart beyond.

    With `around` the sums begin at the nuisances of a fit instead: a modifier's own parameter is
    then z - z_fit and its constraint (the "auxdata") is at -z_fit. Its straight parts have the
    slopes between the fit and one standard error of it. Near that fit nothing of weight is left
    out, wherever it is.

    Parameters
    ----------
    counts
        Observed events, (J,); an Asimov data set need not be whole numbers.
    components
        Names of the K samples; None for component_0, component_1 and so on.
    around
        The fit to the counts; None for the centres of the priors.

    Raises
    ------
    DataError
        If a bin expects no events, which no fit can describe.
    ValueError
        If names are too few, too many or not unique, or the parameter enters not as a factor.
    """
    k, j = likelihood.surfaces.nominal.shape
    names = [f"component_{i}" for i in range(k)] if components is None else list(components)
    if len(set(names)) != k or len(names) != k:
        raise ValueError(f"{k} components need as many different names, not {names}")
    n = np.asarray(counts, np.float64)
    if n.shape != (j,):
        raise ValueError(f"counts must have shape ({j},), not {n.shape}")
    if likelihood.parameter.name in likelihood.surfaces.shapes:
        raise ValueError(f"{likelihood.parameter.name} is no factor, as a workspace needs it")
    steps = _Steps.of(likelihood, around)
    centre = steps.yields(likelihood)
    empty = np.flatnonzero(~(centre.sum(axis=0) > 0))
    if empty.size:
        raise DataError(
            f"bin {int(empty[0])} expects no events, so that no fit can describe it: "
            "merge it with a neighbour"
        )
    errors = _template_errors(likelihood, centre)
    modifiers = _modifiers(likelihood, steps, errors, channel)
    samples = [
        {"name": name, "data": centre[i].tolist(), "modifiers": modifiers[i]}
        for i, name in enumerate(names)
    ]
    return {
        "channels": [{"name": channel, "samples": samples}],
        "observations": [{"name": channel, "data": n.tolist()}],
        "measurements": [
            {
                "name": measurement,
                "config": {
                    "poi": likelihood.parameter.name,
                    "parameters": _parameters(likelihood, steps),
                },
            }
        ],
        "version": "1.0.0",
    }


@dataclass(frozen=True)
class _Steps:
    """Where expectations are expanded, z (N,), and over which steps slopes are taken, (N,)."""

    z: Floats
    sizes: Floats

    @classmethod
    def of(cls, likelihood: BinnedLikelihood, around: Fit | None) -> _Steps:
        if around is None:
            n = len(likelihood.profiled)
            return cls(np.zeros(n), np.ones(n))
        errors = around.errors[1:]
        return cls(around.best[1:], np.where(errors > 0, errors, 1.0))

    def yields(self, likelihood: BinnedLikelihood, i: int = 0, side: float = 0.0) -> Floats:
        """Expected events, (K, J), at the parameter 1, with nuisance `i` 1 to a side: by chords."""
        centre = component_yields(likelihood, np.concatenate([[1.0], self.z]))
        if not side:
            return centre
        moved = self.z.copy()
        moved[i] += side * self.sizes[i]
        apart = component_yields(likelihood, np.concatenate([[1.0], moved])) - centre
        there: Floats = centre + apart / self.sizes[i]
        return there


def _template_errors(likelihood: BinnedLikelihood, centre: Floats) -> Floats:
    """Standard errors, (K, J), that add in quadrature to the likelihood's relative one per bin."""
    spread = np.sqrt(likelihood.surfaces.variance)
    total = np.sqrt((spread**2).sum(axis=0))
    share = np.divide(spread, total, out=np.zeros_like(spread), where=total > 0)
    errors: Floats = share * np.sqrt(likelihood.relative_variances) * centre.sum(axis=0)
    return errors


def _modifiers(
    likelihood: BinnedLikelihood, steps: _Steps, errors: Floats, channel: str
) -> list[list[dict[str, Any]]]:
    """The modifiers of each component."""
    parameter, centre = likelihood.parameter.name, steps.yields(likelihood)
    out: list[list[dict[str, Any]]] = [
        [{"name": parameter, "type": "normfactor", "data": None}] if parameter in own else []
        for own in likelihood.factors.of_component
    ]
    for i, nuisance in enumerate(likelihood.profiled):
        low, high = (steps.yields(likelihood, i, side) for side in (-1.0, 1.0))
        for k, modifiers in enumerate(out):
            if np.array_equal(low[k], centre[k]) and np.array_equal(high[k], centre[k]):
                continue
            data = {"hi_data": high[k].tolist(), "lo_data": low[k].tolist()}
            modifiers.append({"name": nuisance.name, "type": "histosys", "data": data})
    if errors.any():
        for modifiers, own_errors in zip(out, errors, strict=True):
            modifiers.append(
                {"name": f"simulation_{channel}", "type": "staterror", "data": own_errors.tolist()}
            )
    return out


def _parameters(likelihood: BinnedLikelihood, steps: _Steps) -> list[dict[str, Any]]:
    """Where each parameter begins, how far it may go and, off the priors' centres, its constraint."""
    parameter, centre = likelihood.parameter, steps.yields(likelihood)
    width = parameter.high - parameter.low
    scaled = np.array([parameter.name in own for own in likelihood.factors.of_component])
    signal, rest = centre[scaled].sum(axis=0), centre[~scaled].sum(axis=0)
    # A rate below 0 has no logarithm: stop before the first bin's.
    ratio = np.divide(rest, signal, out=np.full_like(rest, math.inf), where=signal > 0)
    low = max(parameter.low - _FARTHEST * width, -0.9 * float(ratio.min()))
    rows: list[dict[str, Any]] = [
        {
            "name": parameter.name,
            "inits": [float(likelihood.start()[0])],
            "bounds": [[low, parameter.high + _FARTHEST * width]],
        }
    ]
    moving = {*likelihood.surfaces.shapes}.union(*likelihood.factors.of_component)
    for i, nuisance in enumerate(likelihood.profiled):
        if nuisance.name not in moving:
            continue
        z = float(steps.z[i])
        limits = (float(likelihood.lower[i + 1]), float(likelihood.upper[i + 1]))
        row = {
            "name": nuisance.name,
            "inits": [0.0],
            "bounds": [[limit - z for limit in limits]],
        }
        if z:
            row["auxdata"] = [-z]
        rows.append(row)
    return rows
