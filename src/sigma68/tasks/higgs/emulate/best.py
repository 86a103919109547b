"""`python -m sigma68.tasks.higgs.emulate.best`: the narrowest intervals on mu that can be had.

The information that emulated events carry on mu and on the scales of the processes (see
`sigma68.inference.information`) is an integral over events, done by Monte Carlo: events are drawn
from each process in the shares of `MIXTURE`, most of them signal, which is where the integrand is
large; each stands for 1 / (density of the mixture), the balance heuristic of Veach and Guibas
(SIGGRAPH 95). The integral of each process's density comes out beside it, and must be 1: sampling
and density are then of the same events.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, SettingsError
from sigma68.inference.factors import Factors, normalisations
from sigma68.inference.information import component_information, smallest_error
from sigma68.inference.levels import z_of_level
from sigma68.inference.unbinned import shares_of
from sigma68.protocols import Progress
from sigma68.seeds import Stream, stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.emulate.components import FACTORS, EmulatedComponents, log_densities
from sigma68.tasks.higgs.emulate.threads import in_order, threads_here
from sigma68.tasks.higgs.nuisance import NUISANCES, SCALES
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.types import LEVEL, Nuisance

if TYPE_CHECKING:
    from sigma68.tasks.higgs.emulate.emulator import Emulator

__all__ = ["BEST", "GRID", "MIXTURE", "BestIntervals", "compute", "load", "main"]

BEST: Final = Path(__file__).with_name("best.json")
"""What was computed for the weights that come with the package."""

GRID: Final = tuple(round(0.1 * i, 1) for i in range(1, 31))
"""Values of mu: the range its truth is drawn from."""

MIXTURE: Final = (0.5, 0.3, 0.15, 0.05)
"""Shares of the processes in the events drawn, in the order of `PROCESSES`."""

Floats = npt.NDArray[np.float64]
_BLOCK: Final = 1 << 18  # rows at a time
_CHUNK: Final = 8192  # rows of one call
_BATCHES: Final = 32  # whose scatter gives the error
_OFF: Final = {n.name: n.off for n in NUISANCES}
_COMMAND: Final = "python -m sigma68.tasks.higgs.emulate.best"


@dataclass(frozen=True)
class BestIntervals:
    """The smallest errors of mu on the grid `mu`, (n_mu,), and where they come from.

    `information` holds F of `inference.information`, (n_mu, 4, 4). `errors` and `uncertainty` are
    those of mu and their own Monte Carlo error, (n_mu,) each, under "statistics" and, with all
    three scales fitted within their constraints, under "normalisations". `integrals` are those of
    the processes' densities, and their error, (4,): 1 where density and sampling agree.
    """

    fingerprint: str
    rows: int
    seed: int
    mu: tuple[float, ...]
    information: Floats
    errors: Mapping[str, Floats]
    uncertainty: Mapping[str, Floats]
    integrals: Floats
    integral_errors: Floats

    def widths(self, mu: float, profiled: Collection[str]) -> dict[str, float]:
        """The widths of 68.27% intervals at `mu` (see `sigma68.protocols.KnownBest`).

        Raises
        ------
        DataError
            If mu is not within the grid.
        """
        if not self.mu[0] <= mu <= self.mu[-1]:
            raise DataError(
                f"the narrowest interval is not known at mu = {mu:g}, only from {self.mu[0]:g} to "
                f"{self.mu[-1]:g}"
            )
        fitted = normalisations(FACTORS, NUISANCES, profiled)
        above = max(1, int(np.searchsorted(self.mu, mu)))
        around = slice(above - 1, above + 1)
        near, width = self.information[around], 2 * z_of_level(LEVEL)
        return {
            name: width * float(np.interp(mu, self.mu[around], _errors(near, self.mu[around], own)))
            for name, own in _cases(fitted).items()
        }

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `load` reads back, numbers to seven digits."""
        return {
            "fingerprint": self.fingerprint,
            "rows": self.rows,
            "seed": self.seed,
            "processes": list(PROCESSES),
            "mu": list(self.mu),
            "errors": {name: _short(values) for name, values in self.errors.items()},
            "uncertainty": {name: _short(values) for name, values in self.uncertainty.items()},
            "integrals": _short(self.integrals),
            "integral_errors": _short(self.integral_errors),
            "information": _short(self.information),
        }


def compute(
    emulator: Emulator, rows: int, *, seed: int = 1, progress: Progress | None = None
) -> BestIntervals:
    """The smallest errors of mu, from `rows` emulated events.

    Raises
    ------
    SettingsError
        If there are too few rows for an error.
    """
    counts = [int(rows * share) for share in MIXTURE]
    if min(counts) < 10 * _BATCHES:
        least = 10 * _BATCHES / min(MIXTURE)
        raise SettingsError(f"{rows:,} rows give no error: ask for {least:,.0f} or more")
    own = stream("higgs", "best intervals", seed)
    parts: list[Floats] = []
    batches: list[npt.NDArray[np.int64]] = []
    accepted = np.zeros(len(PROCESSES))
    yields = EmulatedComponents(emulator).component_yields()
    for process, first, end in _blocks(counts):
        if progress is not None:
            progress(f"drawing {PROCESSES[process]}", sum(p.shape[1] for p in parts) / rows)
        events = _observed(emulator, process, first, end, own)
        parts.append(shares_of(log_densities(emulator, events), yields, PROCESSES))
        batches.append(np.arange(events.shape[1]) % _BATCHES)
        accepted[process] += events.shape[1]
    shares, batch = np.concatenate(parts, axis=1), np.concatenate(batches)
    # One over the mixture's density, in units of one over that expected at mu = 1.
    weights = 1 / ((accepted / yields) @ shares)
    return _result(emulator.fingerprint, rows, seed, shares, weights, batch, yields)


def load(path: Path | None = None) -> BestIntervals | None:
    """What was written to `path`, or comes with the package; None where there is nothing.

    Raises
    ------
    DataError
        If the file is damaged.
    """
    path = BEST if path is None else path
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        information = np.array(document["information"], np.float64)
        mu = tuple(map(float, document["mu"]))
        if information.shape != (len(mu), len(PROCESSES), len(PROCESSES)):
            raise ValueError(f"information of shape {information.shape}")
        return BestIntervals(
            fingerprint=str(document["fingerprint"]),
            rows=int(document["rows"]),
            seed=int(document["seed"]),
            mu=mu,
            information=information,
            errors={k: np.array(v) for k, v in document["errors"].items()},
            uncertainty={k: np.array(v) for k, v in document["uncertainty"].items()},
            integrals=np.array(document["integrals"]),
            integral_errors=np.array(document["integral_errors"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): write it again with {_COMMAND}"
        ) from error


def main(arguments: list[str] | None = None) -> None:
    """Compute the smallest errors of mu for an emulator and write them beside its weights."""
    from sigma68.cli.console import print_table, say, steps
    from sigma68.files import write_json
    from sigma68.tasks.higgs.emulate.emulator import Emulator
    from sigma68.tasks.higgs.emulate.source import number_of_rows

    parser = argparse.ArgumentParser(prog=_COMMAND, description=main.__doc__)
    parser.add_argument("--rows", type=number_of_rows, default=2_000_000, help="events, as 2M")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", type=Path, help="the emulator's; the package's if left out")
    parser.add_argument("--out", type=Path, default=BEST, help="JSON file to write")
    given = parser.parse_args(arguments)
    emulator = Emulator.load(given.weights)
    with steps("the narrowest intervals") as progress:
        found = compute(emulator, given.rows, seed=given.seed, progress=progress)
    write_json(given.out, found.to_json(), indent=None)
    print_table(("mu", *found.errors), _rows(found), title="smallest error of mu")
    for name, value, error in zip(PROCESSES, found.integrals, found.integral_errors, strict=True):
        say(f"integral of the density of {name}: {value:.4f} ± {error:.4f}")


def _blocks(counts: list[int]) -> Iterator[tuple[int, int, int]]:
    for process, count in enumerate(counts):
        for first in range(0, count, _BLOCK):
            yield process, first, min(first + _BLOCK, count)


def _observed(
    emulator: Emulator, process: int, first: int, end: int, own: Stream
) -> npt.NDArray[np.float32]:
    """The events first to end - 1 of a process that survive the high thresholds, (28, m)."""

    def draw(start: int) -> npt.NDArray[np.float32]:
        return emulator.sample(process, np.arange(start, min(start + _CHUNK, end)), own)

    starts = range(first, end, _CHUNK)
    drawn = list(in_order(draw, starts, threads=threads_here(), ahead=len(starts)))
    return bias_columns(np.concatenate(drawn, axis=1))[0]


def _result(
    fingerprint: str,
    rows: int,
    seed: int,
    shares: Floats,
    weights: Floats,
    batch: npt.NDArray[np.integer],
    yields: Floats,
) -> BestIntervals:
    factors = Factors(FACTORS)
    # Each batch's part of the integrals: (batches, n_mu, 4, 4) and (batches, 4).
    parts = np.empty((_BATCHES, len(GRID), len(PROCESSES), len(PROCESSES)))
    integrals = np.empty((_BATCHES, len(PROCESSES)))
    for b in range(_BATCHES):
        r, w = shares[:, batch == b], weights[batch == b]
        integrals[b] = r @ w / yields
        for i, mu in enumerate(GRID):
            parts[b, i] = component_information(r, w, factors.scales({**_OFF, "mu": mu}))
    total, without = parts.sum(axis=0), _without_each(parts)
    errors, uncertainty = {}, {}
    for name, fitted in _cases(normalisations(FACTORS, NUISANCES, SCALES)).items():
        errors[name] = _errors(total, GRID, fitted)
        uncertainty[name] = _jackknife(np.array([_errors(f, GRID, fitted) for f in without]))
    return BestIntervals(
        fingerprint=fingerprint,
        rows=rows,
        seed=seed,
        mu=GRID,
        information=total,
        errors=errors,
        uncertainty=uncertainty,
        integrals=integrals.sum(axis=0),
        integral_errors=_jackknife(_without_each(integrals)),
    )


def _cases(fitted: tuple[Nuisance, ...]) -> dict[str, tuple[Nuisance, ...]]:
    return {"statistics": (), "normalisations": fitted} if fitted else {"statistics": ()}


def _errors(information: Floats, grid: Sequence[float], fitted: tuple[Nuisance, ...]) -> Floats:
    """The smallest error of mu at each value of the grid."""
    factors = Factors(FACTORS)
    return np.array(
        [
            smallest_error(f, factors, "mu", mu, fitted, _OFF)
            for f, mu in zip(information, grid, strict=True)
        ]
    )


def _without_each(parts: Floats) -> Floats:
    """The sum over the first axis with each part left out in turn, scaled to the whole."""
    left: Floats = (parts.sum(axis=0) - parts) * (len(parts) / (len(parts) - 1))
    return left


def _jackknife(without: Floats) -> Floats:
    """The standard error of what was computed with each batch left out (first axis)."""
    n = len(without)
    error: Floats = np.sqrt((n - 1) / n * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    return error


def _short(values: Floats) -> Any:
    return np.array([float(f"{v:.7g}") for v in values.ravel()]).reshape(values.shape).tolist()


def _rows(found: BestIntervals) -> list[tuple[str, ...]]:
    return [
        (
            f"{mu:g}",
            *(f"{found.errors[k][i]:.4f} ± {found.uncertainty[k][i]:.4f}" for k in found.errors),
        )
        for i, mu in enumerate(found.mu)
    ]


if __name__ == "__main__":
    main()
