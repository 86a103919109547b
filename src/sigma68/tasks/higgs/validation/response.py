"""What tes, jes and soft_met do to the yield of each region, in the two files.

The response of a yield is Y(shifted) / Y(nominal) - 1. Both yields are of the same events, so
that its error is that of the events that move; it comes from a bootstrap over hard events. Where few
events of the reference move, its bootstrap alone would see less scatter than there is: the error
of its response is never taken to be less than that of as many independent tested events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.seeds import Stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import EventBatch
from sigma68.tasks.higgs.nuisance import check_nuisances
from sigma68.tasks.higgs.regions import REGIONS, region_of
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.validation.hypotheses import holm, two_sided
from sigma68.tasks.higgs.validation.ledger import Ledger
from sigma68.tasks.higgs.validation.resampling import add_resampled

__all__ = [
    "MOVING_ROWS",
    "N_RESAMPLES",
    "SHIFTS",
    "Response",
    "ResponseCollector",
    "compare_responses",
]

Floats = npt.NDArray[np.float64]

SHIFTS: Final[Mapping[str, Mapping[str, float]]] = {
    "tes = 0.97": {"tes": 0.97},
    "tes = 1.03": {"tes": 1.03},
    "jes = 0.97": {"jes": 0.97},
    "jes = 1.03": {"jes": 1.03},
    "soft_met = 2": {"soft_met": 2.0},
}
"""The shifts compared, by name; soft_met in GeV."""

N_RESAMPLES: Final = 200
MOVING_ROWS: Final = 5.0
"""A response is tested where so many real events are expected to move in or out."""


@dataclass(frozen=True)
class Response:
    """The response of one yield to one shift, and how simulated and real events differ in it.

    `region` is a name of `REGIONS` or "all", `process` one of `PROCESSES` or "sum". `pull` is
    (simulated - real) / error; it and `p_value` (corrected for the number of tests by Holm) are
    None where too few real events move (`moving`, the number expected) to test anything.
    """

    process: str
    region: str
    shift: str
    tested: float | None
    tested_error: float | None
    reference: float | None
    reference_error: float | None
    moving: float
    pull: float | None
    p_value: float | None


class ResponseCollector:
    """Adds up the yields of a file under every shift, and remembers each row's nominal region.

    `region` is the region of each row after the high thresholds, -1 if it does not pass, int8,
    shape (n_rows,).
    """

    def __init__(self, ledger: Ledger, stream: Stream, n_resamples: int = N_RESAMPLES) -> None:
        self._ledger = ledger
        self._stream = stream
        self._shifts = [{}, *SHIFTS.values()]
        self.region = np.full(ledger.n_rows, -1, np.int8)
        shape = (len(self._shifts), len(PROCESSES), len(REGIONS))
        self._sums = np.zeros((*shape, n_resamples + 1))
        self._moving = np.zeros(shape)

    def add(self, batch: EventBatch) -> None:
        """Bias and count the events of one batch."""
        here = slice(batch.first_row, batch.first_row + batch.n_events)
        cells = np.full((len(self._shifts), batch.n_events), -1, np.int8)
        for own, shift in zip(cells, self._shifts, strict=True):
            values = check_nuisances(shift)
            features, rows = bias_columns(
                batch.values,
                values["tes"],
                values["jes"],
                values["soft_met"],
                self._stream.key32,
                first_event=batch.first_row,
            )
            own[rows] = region_of(features)
        self.region[here] = cells[0]
        units = self._ledger.units(here)
        add_resampled(
            self._sums, units, batch.weights, batch.process, cells, self._stream.child("boot").key
        )
        self._count_moving(batch, cells)

    def _count_moving(self, batch: EventBatch, cells: npt.NDArray[np.int8]) -> None:
        """Sum the weights of events that enter or leave a region."""
        n = len(REGIONS)
        for s in range(1, len(cells)):
            moved = np.flatnonzero(cells[s] != cells[0])
            for cell in (cells[0][moved], cells[s][moved]):
                inside = cell >= 0
                slot = batch.process[moved][inside].astype(np.int64) * n + cell[inside]
                sums = np.bincount(slot, batch.weights[moved][inside], minlength=4 * n)
                self._moving[s] += sums.reshape(4, n)

    def sums(self, processes: Sequence[int]) -> _Sums:
        """The yields of some processes together, per region and of all regions."""
        chosen = self._sums[:, list(processes)].sum(axis=1)
        moving = self._moving[:, list(processes)].sum(axis=1)
        whole = chosen.sum(axis=1, keepdims=True)
        # Events that go from one region to another do not change the sum of all.
        lost = np.abs(whole[..., 0])
        return _Sums(
            np.concatenate([chosen, whole], axis=1), np.concatenate([moving, lost], axis=1)
        )


@dataclass(frozen=True)
class _Sums:
    """`yields` (n_shifts, n_regions + 1, n_resamples + 1) and `moving` (n_shifts, n_regions + 1)."""

    yields: Floats
    moving: Floats

    def response(self, shift: int, region: int) -> tuple[float, float]:
        """The response and its error; NaN without events."""
        nominal, change = self.yields[0, region], self.yields[shift, region]
        if not nominal[0] > 0:
            return float("nan"), float("nan")
        filled = np.flatnonzero(nominal[1:] > 0) + 1
        resampled = change[filled] / nominal[filled]
        return float(change[0] / nominal[0]), float(resampled.std(ddof=1))

    def scatter(self, shift: int, region: int) -> float:
        """The error of the response that one independent event would have."""
        nominal, change = self.yields[0, region, 0], self.yields[shift, region, 0]
        if not nominal > 0:
            return 0.0
        share, response = self.moving_share(shift, region), float(change / nominal)
        entering, leaving = (share + response) / 2, (share - response) / 2
        variance = entering + leaving * (1 + response) ** 2 + (1 - leaving) * response**2
        return float(np.sqrt(max(variance, 0.0)))

    def moving_share(self, shift: int, region: int) -> float:
        """Events that enter or leave, as a fraction of those in the region."""
        nominal = self.yields[0, region, 0]
        return float(self.moving[shift, region] / nominal) if nominal > 0 else 0.0


def compare_responses(
    tested: ResponseCollector,
    reference: ResponseCollector,
    groups: Mapping[str, Sequence[int]],
    effective: Mapping[str, Floats],
) -> list[Response]:
    """The responses of each group of processes, in each region and in all, to each shift.

    `effective` gives the effective number of real events of each group per region, and of all
    regions last: shape (n_regions + 1,).
    """
    found = []
    for group, processes in groups.items():
        s, r = tested.sums(processes), reference.sums(processes)
        for k, shift in enumerate(SHIFTS, start=1):
            for c, region in enumerate((*REGIONS, "all")):
                n_reference = float(effective[group][c])
                found.append(_compare(group, region, shift, s, r, k, c, n_reference))
    return _corrected(found)


def _compare(
    group: str,
    region: str,
    shift: str,
    s: _Sums,
    r: _Sums,
    k: int,
    c: int,
    n_reference: float,
) -> Response:
    tested, tested_error = s.response(k, c)
    value, error = r.response(k, c)
    moving = s.moving_share(k, c) * n_reference
    pull = None
    if n_reference > 0:
        error = max(error, s.scatter(k, c) / float(np.sqrt(n_reference)))
    total = float(np.hypot(tested_error, error))
    if moving >= MOVING_ROWS and total > 0:
        pull = (tested - value) / total
    return Response(
        group,
        region,
        shift,
        _known(tested),
        _known(tested_error),
        _known(value),
        _known(error),
        moving,
        pull,
        None,
    )


def _corrected(found: list[Response]) -> list[Response]:
    tested = [i for i, response in enumerate(found) if response.pull is not None]
    p_values = holm(np.array([two_sided(found[i].pull or 0.0) for i in tested]))
    for i, p in zip(tested, p_values, strict=True):
        found[i] = Response(**{**found[i].__dict__, "p_value": float(p)})
    return found


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
