"""All that is learned of a task's regions, put together: which bin, which density ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, FitError
from sigma68.inference.ratio_model import Polynomials, RatioEvents
from sigma68.inference.surfaces import Surfaces, design, monomials
from sigma68.learning.files import read_bytes, write_bytes
from sigma68.learning.fit_regions import RegionTraining
from sigma68.learning.inputs import Inputs
from sigma68.learning.ratios import RatioNetwork
from sigma68.learning.region_ratios import RegionRatios, Shares
from sigma68.learning.regions import MovedEvents, Regions, grouped
from sigma68.learning.response_cells import Cells
from sigma68.types import Nuisance

__all__ = ["RegionModel"]

Floats = npt.NDArray[np.float64]
_AT_ONCE = 1 << 19  # events whose inputs are made together


@dataclass(frozen=True)
class RegionModel:
    """Trained networks of all regions.

    Attributes
    ----------
    regions, inputs
        Regions, and what of an event networks are given.
    ratios
        Of each unbinned region, by its number.
    splits
        Classifiers of the regions that are split, by their numbers.
    closure
        Of each unbinned region, the sum of calibrated shares over that of the process, minus 1, as
        it was after calibration, (K,).
    """

    regions: Regions
    inputs: Inputs
    ratios: Mapping[int, RegionRatios]
    splits: Mapping[int, Shares]
    closure: Mapping[int, Floats]

    @property
    def _first(self) -> RegionRatios:
        return next(iter(self.ratios.values()))

    @property
    def polynomials(self) -> Polynomials:
        """What responses are coefficients of, in all regions."""
        return self._first.polynomials

    @property
    def n_processes(self) -> int:
        return self._first.n_processes

    @property
    def n_blocks(self) -> int:
        """How many networks the response of a process has in a region."""
        return len(self._first.responses[0])

    def bins(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """The bin of each event, unbinned regions first, (n_features, n) to (n,).

        Raises
        ------
        FitError
            If a feature is NaN or infinite.
        """
        if not np.isfinite(values).all():
            feature, event = np.argwhere(~np.isfinite(values))[0]
            raise FitError(f"feature {feature} is {values[feature, event]} in event {event}")
        region = self.regions.region_of(values.astype(np.float32, copy=False))
        first = self.regions.first_bins
        bins = np.array([first[r] for r in range(len(self.regions.all))], np.int64)[region]
        for r, split in self.splits.items():
            part_of = self.regions.all[r].part_of
            at = np.flatnonzero(region == r)
            if part_of is not None and len(at):
                bins[at] += part_of(split.evaluate(self.inputs(values[:, at])))
        return bins

    def events(self, values: npt.NDArray[np.floating[Any]]) -> RatioEvents:
        """Density ratios of the events in unbinned regions, and counts of the other bins.

        Raises
        ------
        FitError
            If a feature or an output is NaN or infinite.
        """
        bins = self.bins(values)
        parts = []
        for i, region in enumerate(self.regions.unbinned):
            own = np.ascontiguousarray(values[:, bins == i])
            parts.append(self.ratios[region].evaluate(self.inputs(own)))
        n_unbinned, n = len(self.regions.unbinned), len(self.regions.bins)
        counts = np.bincount(bins, minlength=n)[n_unbinned:].astype(np.float64)
        return RatioEvents(
            np.concatenate([g for g, _ in parts], axis=1),
            np.concatenate([d for _, d in parts], axis=2),
            counts,
        )

    def with_nuisance(self, training: RegionTraining, nuisance: Nuisance) -> RegionModel:
        """The model with one more network per process and region, of what `nuisance` does.

        Raises
        ------
        DataError, FitError
            As `RegionTraining.response`.
        """
        ratios = {}
        for r, old in self.ratios.items():
            responses = tuple(
                (*own, training.response(r, p, [nuisance])) for p, own in enumerate(old.responses)
            )
            ratios[r] = replace(old, responses=responses).in_one_cell()
        return replace(self, ratios=ratios)

    def with_process(self, training: RegionTraining, nuisances: Sequence[Nuisance]) -> RegionModel:
        """The model with one more process, the last of the training's pools.

        Raises
        ------
        DataError, FitError
            As `RegionTraining.shares` and `.response`.
        """
        new, by_name = self.n_processes, {n.name: n for n in nuisances}
        groups = [list(range(new)), [new]]
        blocks = [
            [by_name[name] for name in network.polynomials.shapes]
            for network in self._first.responses[0]
        ]
        ratios = {}
        for r, old in self.ratios.items():
            shares = training.shares(r, groups)
            responses = tuple(training.response(r, new, block) for block in blocks)
            ratios[r] = replace(
                old, shares=(*old.shares, shares), responses=(*old.responses, responses)
            ).in_one_cell()
        return replace(self, ratios=ratios)

    def in_cells(self, n: int, events: MovedEvents) -> RegionModel:
        """The model with at most n cells in each unbinned region, of equal signal and no constants.

        `events` are those that expectations are measured with.
        """
        ratios = {}
        for r, old in self.ratios.items():
            here = events.at({}, r)
            amounts = np.bincount(here.process, here.weights * here.labels, self.n_processes)
            signal = int(np.argmax(amounts))
            own = grouped(here, [[signal]])
            g = old.shares_at(self.inputs(own.values))[signal]
            none = np.zeros((1, self.n_processes, len(self.polynomials.exponents)))
            cells = Cells.of_equal_signal(signal, g, own.weights.astype(np.float64), n, none)
            ratios[r] = replace(old, cells=cells)
        return replace(self, ratios=ratios)

    @property
    def _sizes(self) -> list[int]:
        """Cells of each bin: one where the region is not unbinned."""
        sizes = [len(self.ratios[r].cells) for r in self.regions.unbinned]
        return sizes + [1] * (len(self.regions.bins) - len(sizes))

    @property
    def _first_cells(self) -> npt.NDArray[np.int64]:
        """Numbers of the first cells of the bins."""
        return np.concatenate([[0], np.cumsum(self._sizes)[:-1]])

    @property
    def n_cells(self) -> int:
        """Cells of all bins."""
        return sum(self._sizes)

    def cells(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
        """The cell of each event, in the order of `bins`, (n_features, n) to (n,).

        Raises
        ------
        FitError
            If a feature or an output is NaN or infinite.
        """
        bins = self.bins(values)
        cells = self._first_cells[bins]
        for i, region in enumerate(self.regions.unbinned):
            own = self.ratios[region]
            for at in _pieces(np.flatnonzero(bins == i)):
                cells[at] += own.cells.of(own.shares_at(self.inputs(values[:, at])))
        return cells

    def balanced(
        self, surfaces: Surfaces, nuisances: Sequence[Nuisance], events: MovedEvents
    ) -> tuple[RegionModel, Surfaces]:
        """The model whose responses follow what `surfaces` expect, and what it then expects itself.

        Constants make the responses, summed over the events of a cell, follow the expectations of
        simulation as far as their monomials can. The likelihood of events must be one of a
        density, whose integral is what is expected: where they cannot follow, it is their own sum
        that counts, or a fit would run away to where the two part. So the expectations of the
        unbinned regions are polynomials through these sums.

        Parameters
        ----------
        surfaces
            What is expected in cells.
        nuisances
            Those there are.
        events
            Those that expectations were measured with.

        Returns
        -------
        The model, and what it expects in bins.
        """
        first = self._first_cells
        in_bins = surfaces.summed(first)
        shapes = self.polynomials.shapes
        if not shapes:
            return self, in_bins
        by_name = {n.name: n for n in nuisances}
        points = np.concatenate(design([by_name[name] for name in surfaces.shapes]))
        basis = monomials((points - surfaces.origins) / surfaces.units, surfaces.exponents)
        expected = surfaces.coefficients @ basis.T
        in_order = points[:, [surfaces.shapes.index(name) for name in shapes]]
        ratios, coefficients = dict(self.ratios), in_bins.coefficients.copy()
        for bin_, region in enumerate(self.regions.unbinned):
            here = events.at({}, region)
            for p in range(self.n_processes):
                own = grouped(here, [[p]])
                if own.n_events == 0 or in_bins.nominal[p, bin_] <= 0:
                    continue
                given = self.inputs(own.values)
                cell = ratios[region].cells.of(ratios[region].shares_at(given))
                for c in np.unique(cell):
                    if surfaces.nominal[p, first[bin_] + c] > 0:
                        at = cell == c
                        known = np.ascontiguousarray(given[:, at]), own.weights[at], in_order
                        ratios[region] = ratios[region].balanced(p, c, *known, expected[p, first[bin_] + c])  # fmt: skip
                sums = ratios[region].log_yields(p, given, own.weights, in_order)
                coefficients[p, bin_] = np.linalg.lstsq(basis, sums, rcond=None)[0]
        return replace(self, ratios=ratios), replace(in_bins, coefficients=coefficients)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the networks, a file each, and give the JSON object that `load` needs.

        Raises
        ------
        OutputError
            If a file cannot be written.
        """
        for name, network in self._files():
            write_bytes(folder / name, network.network.to_bytes())
        splits = {
            str(r): {
                "of": split.of,
                "processes": len(split.even),
                "network": split.network.to_json(),
            }
            for r, split in self.splits.items()
        }
        return {
            "bins": list(self.regions.bins),
            "regions": {str(r): ratios.to_json() for r, ratios in self.ratios.items()},
            "splits": splits,
            "closure": {str(r): c.tolist() for r, c in self.closure.items()},
        }

    def _files(self) -> list[tuple[str, RatioNetwork]]:
        files = [(_split_file(r), split.network) for r, split in self.splits.items()]
        for r, ratios in self.ratios.items():
            files += [(_file(r, name), network) for name, network in ratios.networks()]
        return files

    @classmethod
    def load(
        cls,
        folder: Path,
        document: dict[str, Any],
        regions: Regions,
        inputs: Inputs,
        threads: int,
    ) -> RegionModel:
        """The model of `save`.

        Raises
        ------
        DataError
            If a file is missing or damaged, or it is of other regions.
        """

        def network(file: str, own: dict[str, Any]) -> RatioNetwork:
            return RatioNetwork.from_parts(read_bytes(folder / file), own, inputs.names, threads)

        try:
            if document["bins"] != list(regions.bins):
                raise DataError("the saved networks are of other regions: train again")
            ratios, splits, closure = {}, {}, {}
            for r in regions.unbinned:
                own = document["regions"][str(r)]
                networks = {name: network(_file(r, name), d) for name, d in own["networks"].items()}
                ratios[r] = RegionRatios.from_parts(own, networks)
                closure[r] = np.asarray(document["closure"][str(r)], np.float64)
            for r in regions.split:
                own = document["splits"][str(r)]
                of = tuple(int(p) for p in own["of"])
                known = network(_split_file(r), own["network"])
                n = int(own["processes"])
                if known.n_processes != len(of) or not set(of) <= set(range(n)):
                    raise DataError("the saved networks do not fit together: train again")
                splits[r] = Shares.plain(known, of, n)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"the saved networks are damaged ({error!r}): train again") from error
        model = cls(regions, inputs, ratios, splits, closure)
        if any(not _alike(own, model._first) for own in ratios.values()):
            raise DataError("the saved networks do not fit together: train again")
        return model


def _pieces(at: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return np.array_split(at, max(1, -(-len(at) // _AT_ONCE)))


def _alike(a: RegionRatios, b: RegionRatios) -> bool:
    """Whether two regions know the same processes and nuisances."""
    p, q = a.polynomials, b.polynomials
    same = p.shapes == q.shapes and np.array_equal(p.exponents, q.exponents)
    return same and a.n_processes == b.n_processes


def _file(region: int, name: str) -> str:
    return f"region{region}-{name}.safetensors"


def _split_file(region: int) -> str:
    return f"split{region}.safetensors"
