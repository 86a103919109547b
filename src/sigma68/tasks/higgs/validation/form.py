"""Whether events are possible at all, and those of both files written alike.

No momentum is larger than that of a beam. Primary columns are rounded to 3 decimals; jets that are
not there are undefined, and only they; derived columns follow from the primary ones. Where two
files differ in this, the distributions may agree and trees still tell them apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sigma68.tasks.higgs.dataset import EventBatch
from sigma68.tasks.higgs.derived import derive
from sigma68.tasks.higgs.schema import (
    DERIVED,
    JET1_ETA,
    JET1_PHI,
    JET1_PT,
    JET2_ETA,
    JET2_PHI,
    JET2_PT,
    N_JETS,
    PRIMARIES,
    UNDEFINED,
)

__all__ = ["Form", "FormCollector"]

_HUNDREDTH_OF_A_STEP = 1e-5
_BEAM_GEV, _LARGEST_ETA, _LARGEST_PHI = 6500.0, 5.0, 3.1425


def _limit(name: str) -> float:
    if name.endswith("_eta"):
        return _LARGEST_ETA
    if name.endswith("_phi"):
        return _LARGEST_PHI
    if name == "PRI_jet_all_pt":
        return 2 * _BEAM_GEV
    return _BEAM_GEV


_LIMITS = np.array([_limit(name) for name in PRIMARIES], np.float32)


@dataclass(frozen=True)
class Form:
    """How the events of a file are written.

    `impossible` counts rows with a momentum above 6,500 GeV (13,000 for the sum of jets), |eta|
    above 5 or |phi| above 3.142, and `impossible_column` is the column of the first.
    `unrounded` counts values of primary columns that are not multiples of 0.001 (float32's own
    grid allowed for), `misplaced` rows whose undefined jets do not fit their number of jets,
    `derived_off` rows of which some derived column differs from its formula by more than 0.1%
    and 0.01, with the column that is off most often.
    """

    rows: int
    impossible: int
    impossible_column: str | None
    unrounded: int
    misplaced: int
    derived_off: int
    worst_column: str | None

    @property
    def is_good(self) -> bool:
        return self.impossible + self.unrounded + self.misplaced + self.derived_off == 0


class FormCollector:
    """Counts what is not as it should be."""

    def __init__(self) -> None:
        self._rows = self._unrounded = self._misplaced = self._derived_off = 0
        self._impossible = 0
        self._impossible_column: str | None = None
        self._columns = np.zeros(len(DERIVED), np.int64)

    def add(self, batch: EventBatch) -> None:
        """Look at the events of one batch, which has all 28 columns."""
        primaries = np.ascontiguousarray(batch.values[: len(PRIMARIES)])
        self._rows += batch.n_events
        beyond = np.abs(primaries) > _LIMITS[:, None]
        beyond &= primaries != UNDEFINED
        if self._impossible == 0 and beyond.any():
            row = int(np.argmax(beyond.any(axis=0)))
            self._impossible_column = PRIMARIES[int(np.argmax(beyond[:, row]))]
        self._impossible += int(beyond.any(axis=0).sum())
        self._unrounded += int(_unrounded(primaries).sum())
        n_jets = primaries[N_JETS]
        wrong = np.zeros(batch.n_events, bool)
        for columns, least in (
            ((JET1_PT, JET1_ETA, JET1_PHI), 1),
            ((JET2_PT, JET2_ETA, JET2_PHI), 2),
        ):
            for column in columns:
                wrong |= (primaries[column] != UNDEFINED) != (n_jets >= least)
        self._misplaced += int(wrong.sum())
        formula = derive(primaries)
        own = batch.values[len(PRIMARIES) :]
        off = np.abs(own - formula) > 0.01 + 1e-3 * np.abs(formula)
        self._columns += off.sum(axis=1)
        self._derived_off += int(off.any(axis=0).sum())

    def form(self) -> Form:
        """What was counted."""
        worst = DERIVED[int(self._columns.argmax())] if self._columns.any() else None
        return Form(
            self._rows,
            self._impossible,
            self._impossible_column,
            self._unrounded,
            self._misplaced,
            self._derived_off,
            worst,
        )


def _unrounded(values: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    thousands = values.astype(np.float64) * 1000
    off = np.abs(thousands - np.rint(thousands)) / 1000
    # float32 has its own steps, wider than a thousandth of the value's seventh digit.
    return off > np.maximum(np.spacing(np.abs(values)), _HUNDREDTH_OF_A_STEP)
