"""Learned density ratios of one region, made of parts that can be added to.

A classifier gives the shares g_p of processes in the region's events, calibrated (`isotonic`). For
each process a network, or several, gives what nuisance parameters do to its density,

    S_p(x | nu) = exp(sum_t (D_pt(x) + c_pt) m_t(nu)),

where the constants c make the sum of w S over simulated events follow what simulation expects in
each cell of the region (`response_cells`). A new nuisance parameter is one more network per process, whose monomials
are appended: S_p becomes S_p S'_p. A new background is a classifier of it against all the others,
with r(x) its expected density over theirs, and its own responses: shares g_p / (1 + r) and
r / (1 + r) (Ghosh, Benato et al., arXiv:2505.05544, "refinable").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.inference.ratio_model import Polynomials
from sigma68.learning.dense import padded
from sigma68.learning.input_maps import InputMaps
from sigma68.learning.isotonic import Calibration
from sigma68.learning.network import Layer, Network
from sigma68.learning.ratios import RatioNetwork
from sigma68.learning.response_cells import Cells
from sigma68.types import FloatArray

__all__ = ["RegionRatios", "Shares", "joined", "silent"]

Floats = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shares:
    """A classifier and the calibration of its shares.

    Attributes
    ----------
    network
        Of the processes `of`, by their numbers.
    calibration
        Of its shares.
    of, even
        A process of which there are too few simulated events to learn from is not among `of`: it
        has the same share `even` (K,) in all events, as if it looked like the others together.
    """

    network: RatioNetwork
    calibration: Calibration
    of: tuple[int, ...]
    even: Floats

    def evaluate(self, inputs: FloatArray) -> Float32:
        """Calibrated shares, (K, N), at inputs (n_inputs, N).

        Raises
        ------
        FitError
            If an input or an output is NaN or infinite.
        """
        return self.spread(self.calibration.apply(self.network.evaluate(inputs)[0]))

    @classmethod
    def plain(cls, network: RatioNetwork, of: tuple[int, ...], n_processes: int) -> Shares:
        """Shares as a network gives them, none for the processes it does not know."""
        none = tuple(np.zeros(1) for _ in of)
        return cls(
            network, Calibration(0, none, none, np.zeros(len(of))), of, np.zeros(n_processes)
        )

    def spread(self, told_apart: Float32) -> Float32:
        """Shares of all processes, (K, N), from those of the processes that are told apart."""
        g = np.empty((len(self.even), told_apart.shape[1]), np.float32)
        g[:] = self.even[:, None]
        g[list(self.of)] = told_apart * np.float32(1 - self.even.sum())
        return g


@dataclass(frozen=True)
class RegionRatios:
    """Shares of processes and responses to nuisances in one region.

    Attributes
    ----------
    shares
        A classifier of the processes there were first; then, of each that was added, one of all
        before it against the new one.
    responses
        Of each process, networks of one process whose monomials follow each other: the same
        nuisances in the same order for all processes.
    cells
        Where constants c are added to the responses.
    """

    shares: tuple[Shares, ...]
    responses: tuple[tuple[RatioNetwork, ...], ...]
    cells: Cells

    @property
    def n_processes(self) -> int:
        return len(self.responses)

    @property
    def polynomials(self) -> Polynomials:
        """The monomials of all networks of a process."""
        return joined([network.polynomials for network in self.responses[0]])

    def evaluate(self, inputs: FloatArray) -> tuple[Float32, Float32]:
        """Shares g (K, N) and responses D + c (K, T, N) at inputs (n_inputs, N).

        Raises
        ------
        FitError
            If an input or an output is NaN or infinite.
        """
        g = self.shares_at(inputs)
        cells = self.cells.of(g)
        d = [self._responses(p, inputs, cells) for p in range(self.n_processes)]
        return g, np.stack(d)

    def shares_at(self, inputs: FloatArray) -> Float32:
        """Shares g (K, N) at inputs (n_inputs, N); raises as `evaluate`."""
        g = self.shares[0].evaluate(inputs)
        for added in self.shares[1:]:
            old, new = added.evaluate(inputs)
            g = np.concatenate([g * old, new[None]])
        return g

    def response_of(self, process: int, inputs: FloatArray) -> Float32:
        """D + c of one process, (T, N), at inputs (n_inputs, N)."""
        return self._responses(process, inputs, self.cells.of(self.shares_at(inputs)))

    def _responses(self, process: int, inputs: FloatArray, cells: npt.NDArray[np.int64]) -> Float32:
        d = self.cells.at(cells, process)
        at = 0
        for network in self.responses[process]:
            own = network.evaluate(inputs)[1][0]
            d[at : at + len(own)] += own
            at += len(own)
        return d

    def log_yields(
        self, process: int, inputs: FloatArray, weights: Floats, points: Floats
    ) -> Floats:
        """What the responses say of the events expected of a process, over those with all off.

        Parameters
        ----------
        inputs, weights
            Of simulated events of the process in the region, (n_inputs, N) and (N,), all nuisances
            off.
        points
            Values of the nuisances, (D, S), in the order of the polynomials.

        Returns
        -------
        The logarithm of the ratio, (D,).
        """
        p = self.polynomials
        d = self.response_of(process, inputs)
        sums = np.empty(len(points))
        for i, row in enumerate(points):
            m = p.monomials((row - p.origins) / p.units).astype(np.float32)
            sums[i] = np.exp(np.clip(m @ d, -_MOST, _MOST)).astype(np.float64) @ weights
        log_yields: Floats = np.log(sums / weights.sum())
        return log_yields

    def balanced(
        self,
        process: int,
        cell: int,
        inputs: FloatArray,
        weights: Floats,
        points: Floats,
        log_expected: Floats,
    ) -> RegionRatios:
        """The same with the constants of a process in a cell fitted to expected events.

        Parameters as of `log_yields`, of events in the cell, and the logarithm of the events that
        simulation expects there at the points over those where all are off, (D,).
        """
        p = self.polynomials
        m = np.stack([p.monomials((row - p.origins) / p.units) for row in points])
        learned = self.log_yields(process, inputs, weights, points)
        more, *_ = np.linalg.lstsq(m, log_expected - learned, rcond=None)
        constants = self.cells.constants.copy()
        constants[cell, process] += more
        return replace(self, cells=replace(self.cells, constants=constants))

    def in_one_cell(self) -> RegionRatios:
        """The same without constants."""
        return replace(self, cells=Cells.one(self.n_processes, len(self.polynomials.exponents)))

    def networks(self) -> Iterator[tuple[str, RatioNetwork]]:
        """Every network with a name of its own in the region."""
        for i, shares in enumerate(self.shares):
            yield f"shares{i}", shares.network
        for k, networks in enumerate(self.responses):
            for i, network in enumerate(networks):
                yield f"response{k}-{i}", network

    def to_json(self) -> dict[str, Any]:
        """What `from_parts` needs besides the networks' bytes."""
        return {
            "cells": self.cells.to_json(),
            "shares": [
                {"of": s.of, "even": s.even.tolist(), "calibration": s.calibration.to_json()}
                for s in self.shares
            ],
            "responses": [len(networks) for networks in self.responses],
            "networks": {name: network.to_json() for name, network in self.networks()},
        }

    @classmethod
    def from_parts(
        cls, document: dict[str, Any], networks: dict[str, RatioNetwork]
    ) -> RegionRatios:
        """The ratios of `to_json` and its networks, by their names.

        Raises
        ------
        DataError
            If they are damaged or do not fit together.
        """
        try:
            parts = [
                (tuple(map(int, s["of"])), np.asarray(s["even"], np.float64), s["calibration"])
                for s in document["shares"]
            ]
            counts = [int(n) for n in document["responses"]]
            responses = tuple(
                tuple(networks[f"response{k}-{i}"] for i in range(n)) for k, n in enumerate(counts)
            )
            classifiers = [networks[f"shares{i}"] for i in range(len(parts))]
            cells = document["cells"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"the saved ratios are damaged ({error!r}): train again") from error
        shares = tuple(
            Shares(network, Calibration.from_json(calibration, network.n_processes), of, even)
            for network, (of, even, calibration) in zip(classifiers, parts, strict=True)
        )
        if not shares or not responses or not _fits(shares, responses):
            raise DataError("the saved ratios do not fit together: train again")
        n_terms = len(joined([n.polynomials for n in responses[0]]).exponents)
        return cls(shares, responses, Cells.from_json(cells, len(responses), n_terms))


_MOST = 20.0


def _fits(shares: Sequence[Shares], responses: Sequence[Sequence[RatioNetwork]]) -> bool:
    """Whether processes and monomials are the same everywhere."""
    processes = len(shares[0].even) + len(shares) - 1
    if processes != len(responses) or any(len(s.even) != 2 for s in shares[1:]):
        return False
    for s in shares:
        told = s.network.n_processes == len(s.of) > 0 and set(s.of) <= set(range(len(s.even)))
        even = s.even.ndim == 1 and bool((s.even >= 0).all()) and float(s.even.sum()) <= 1
        if not (told and even and not s.even[list(s.of)].any()):
            return False
    first = joined([n.polynomials for n in responses[0]])
    for networks in responses:
        p = joined([n.polynomials for n in networks])
        same = p.shapes == first.shapes and np.array_equal(p.exponents, first.exponents)
        if not same or any(n.n_processes != 1 for n in networks):
            return False
    return True


def joined(parts: Sequence[Polynomials]) -> Polynomials:
    """Monomials of several sets of nuisances, one after the other."""
    shapes = tuple(name for p in parts for name in p.shapes)
    exponents = np.zeros((sum(len(p.exponents) for p in parts), len(shapes)), np.int64)
    row = column = 0
    for p in parts:
        n, s = p.exponents.shape
        exponents[row : row + n, column : column + s] = p.exponents
        row, column = row + n, column + s
    none = [np.zeros(0)]
    origins = np.concatenate([*none, *(p.origins for p in parts)])
    units = np.concatenate([*none, *(p.units for p in parts)])
    return Polynomials(shapes, origins, units, exponents)


def silent(names: tuple[str, ...], polynomials: Polynomials) -> RatioNetwork:
    """A network of one process that nothing moves: for one with too few events to learn from."""
    n, n_outputs = len(names), 1 + len(polynomials.exponents)
    nothing = np.zeros((n, padded(1)), np.float32)
    maps = InputMaps(nothing, nothing, nothing, np.zeros(n, np.float32))
    layer = Layer(np.zeros((n_outputs, n), np.float32), np.zeros(n_outputs, np.float32))
    return RatioNetwork(Network(names, maps, (layer,)), polynomials, np.ones(1))
