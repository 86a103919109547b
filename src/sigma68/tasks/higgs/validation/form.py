"""Whether simulated and real events are written alike: what a classifier must not learn from.

Primary columns are rounded to 3 decimals; jets that are not there are undefined, and only they;
derived columns follow from the primary ones. Where two files differ in this, the distributions
may agree and trees still tell them apart.
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


@dataclass(frozen=True)
class Form:
    """How the events of a file are written.

    `unrounded` counts values of primary columns that are not multiples of 0.001 (float32's own
    grid allowed for), `misplaced` rows whose undefined jets do not fit their number of jets,
    `derived_off` rows of which some derived column differs from its formula by more than 0.1%
    and 0.01, with the column that is off most often.
    """

    rows: int
    unrounded: int
    misplaced: int
    derived_off: int
    worst_column: str | None

    @property
    def is_good(self) -> bool:
        return self.unrounded == 0 and self.misplaced == 0 and self.derived_off == 0


class FormCollector:
    """Counts what is not as it should be."""

    def __init__(self) -> None:
        self._rows = self._unrounded = self._misplaced = self._derived_off = 0
        self._columns = np.zeros(len(DERIVED), np.int64)

    def add(self, batch: EventBatch) -> None:
        """Look at the events of one batch, which has all 28 columns."""
        primaries = np.ascontiguousarray(batch.values[: len(PRIMARIES)])
        self._rows += batch.n_events
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
        return Form(self._rows, self._unrounded, self._misplaced, self._derived_off, worst)


def _unrounded(values: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    thousands = values.astype(np.float64) * 1000
    off = np.abs(thousands - np.rint(thousands)) / 1000
    # float32 has its own steps, wider than a thousandth of the value's seventh digit.
    return off > np.maximum(np.spacing(np.abs(values)), _HUNDREDTH_OF_A_STEP)
