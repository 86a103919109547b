"""What tes, jes and soft_met do to the yield of each region, in the two files.

The response of a yield is Y(shifted) / Y(nominal) - 1. Both yields are of the same events, so
that its error is that of the events that move; it comes from a bootstrap over hard events. Where few
events of the reference move, its bootstrap alone would see less scatter than there is: the error
of its response is never taken to be less than that of as many independent tested events.

The noise of soft_met may be drawn several times for each event: the response is that of all draws
together, which keeps the error that comes from the events and lowers the one from the noise.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from sigma68.seeds import Stream
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import EventBatch
from sigma68.tasks.higgs.nuisance import check_nuisances
from sigma68.tasks.higgs.regions import REGIONS, region_of
from sigma68.tasks.higgs.schema import PROCESSES
from sigma68.tasks.higgs.validation.hypotheses import LEVEL, holm, two_sided
from sigma68.tasks.higgs.validation.judgement import SIMULATION, Judgement, Verdict
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
"""A response is tested where so many reference events are expected to move in or out."""


@dataclass(frozen=True)
class Response:
    """The response of one yield to one shift, and how the two files differ in it.

    `region` is a name of `REGIONS` or "all", `process` one of `PROCESSES` or "sum"; `expected` is
    the reference's yield without a shift. `pull` is (tested - reference) / error; it and `p_value`
    (corrected for the number of tests by Holm) are None where too few events of the reference move
    (`moving`, the number expected) to test anything. `verdict` is "small" where there is no test or
    less is expected than is judged, "unsure" where the error is larger than is judged.
    """

    process: str
    region: str
    shift: str
    tested: float | None
    tested_error: float | None
    reference: float | None
    reference_error: float | None
    expected: float
    moving: float
    pull: float | None
    p_value: float | None
    verdict: Verdict = "small"

    @property
    def difference(self) -> float | None:
        """Tested minus reference, absolute."""
        if self.tested is None or self.reference is None:
            return None
        return self.tested - self.reference

    @property
    def error(self) -> float:
        """The error of the difference."""
        return math.hypot(self.tested_error or 0.0, self.reference_error or 0.0)


class ResponseCollector:
    """Adds up the yields of a file under every shift, and remembers each row's nominal region.

    `region` is the region of each row after the high thresholds, -1 if it does not pass, int8,
    shape (n_rows,). The noise of soft_met is drawn `noise_draws` times.
    """

    def __init__(
        self,
        ledger: Ledger,
        stream: Stream,
        n_resamples: int = N_RESAMPLES,
        *,
        noise_draws: int = 1,
    ) -> None:
        self._ledger = ledger
        self._draws = [
            (k, shift, stream if draw == 0 else stream.child(f"draw {draw}"))
            for k, shift in enumerate(SHIFTS.values(), start=1)
            for draw in range(noise_draws if "soft_met" in shift else 1)
        ]
        self._shift_of = np.array([0, *(k for k, _, _ in self._draws)])
        self._boot = stream.child("boot").key
        self.region = np.full(ledger.n_rows, -1, np.int8)
        shape = len(PROCESSES), len(REGIONS)
        self._sums = np.zeros((1 + len(self._draws), *shape, n_resamples + 1))
        self._moving = np.zeros((2, 1 + len(SHIFTS), *shape))

    def add(self, batch: EventBatch) -> None:
        """Bias and count the events of one batch."""
        here = slice(batch.first_row, batch.first_row + batch.n_events)
        cells = np.full((1 + len(self._draws), batch.n_events), -1, np.int8)
        features, rows = bias_columns(batch.values)
        cells[0, rows] = region_of(features)
        for own, (_, shift, stream) in zip(cells[1:], self._draws, strict=True):
            values = check_nuisances(shift)
            features, rows = bias_columns(
                batch.values,
                values["tes"],
                values["jes"],
                values["soft_met"],
                stream.key32,
                first_event=batch.first_row,
            )
            own[rows] = region_of(features)
        self.region[here] = cells[0]
        units = self._ledger.units(here)
        add_resampled(self._sums, units, batch.weights, batch.process, cells, self._boot)
        for k in range(1, 1 + len(SHIFTS)):
            self._count_moving(k, batch, cells[0], cells[self._shift_of == k])

    def _count_moving(
        self,
        k: int,
        batch: EventBatch,
        nominal: npt.NDArray[np.int8],
        shifted: npt.NDArray[np.int8],
    ) -> None:
        """Sum the weights of events that enter or leave a region, and squares of what they add.

        An event that does so in some of the draws counts by their share, and adds that share.
        """
        moved = np.flatnonzero((shifted != nominal).any(axis=0))
        process, weights = batch.process[moved], batch.weights[moved]
        for c in range(len(REGIONS)):
            before, after = nominal[moved] == c, shifted[:, moved] == c
            share = (before != after).mean(axis=0)
            added = after.mean(axis=0) - before
            for target, what in zip(self._moving[:, k], (share, added * added), strict=True):
                target[:, c] += np.bincount(process, weights * what, minlength=len(PROCESSES))

    def sums(self, processes: Sequence[int]) -> _Sums:
        """The yields of some processes together, per region and of all regions."""
        own = self._sums[:, list(processes)].sum(axis=1)
        chosen = np.stack([own[self._shift_of == k].mean(axis=0) for k in range(1 + len(SHIFTS))])
        moving = self._moving[:, :, list(processes)].sum(axis=2)
        whole = chosen.sum(axis=1, keepdims=True)
        # Events that go from one region to another do not change the sum of all.
        lost = np.broadcast_to(np.abs(whole[..., 0]), (2, *whole.shape[:2]))
        return _Sums(
            np.concatenate([chosen, whole], axis=1), *np.concatenate([moving, lost], axis=2)
        )


@dataclass(frozen=True)
class _Sums:
    """Sums of each region and of all of them.

    `yields`, shape (n_shifts, n_regions + 1, n_resamples + 1); `moving`, the weights of the events
    that enter or leave, and `squares`, the same with the squares of what each adds, shape
    (n_shifts, n_regions + 1).
    """

    yields: Floats
    moving: Floats
    squares: Floats

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
        leaving = (share - response) / 2
        squares = float(self.squares[shift, region] / nominal)
        variance = squares + 2 * response * leaving + response**2
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
    judgement: Judgement = SIMULATION,
    level: float = LEVEL,
) -> list[Response]:
    """The responses of each group of processes, in each region and in all, to each shift.

    `effective` gives the effective number of reference events of each group per region, and of all
    regions last: shape (n_regions + 1,). Without a tolerance in `judgement`, corrected p-values
    below `level` miss.
    """
    found = []
    for group, processes in groups.items():
        s, r = tested.sums(processes), reference.sums(processes)
        for k, shift in enumerate(SHIFTS, start=1):
            for c, region in enumerate((*REGIONS, "all")):
                n_reference = float(effective[group][c])
                found.append(_compare(group, region, shift, s, r, k, c, n_reference))
    return [_judged(response, judgement, level) for response in _corrected(found)]


def _judged(response: Response, judgement: Judgement, level: float) -> Response:
    tolerance, difference = judgement.response_tolerance, response.difference
    if tolerance is None:
        tested = response.p_value is not None
        passes = (response.p_value or 0.0) >= level
        return replace(response, verdict=("pass" if passes else "miss") if tested else "small")
    if difference is None or response.expected <= judgement.least_expected:
        return replace(response, verdict="small")
    if response.error > judgement.largest_response_error:
        return replace(response, verdict="unsure")
    return replace(response, verdict="pass" if abs(difference) <= tolerance else "miss")


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
        float(r.yields[0, c, 0]),
        moving,
        pull,
        None,
    )


def _corrected(found: list[Response]) -> list[Response]:
    tested = [i for i, response in enumerate(found) if response.pull is not None]
    p_values = holm(np.array([two_sided(found[i].pull or 0.0) for i in tested]))
    for i, p in zip(tested, p_values, strict=True):
        found[i] = replace(found[i], p_value=float(p))
    return found


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None
