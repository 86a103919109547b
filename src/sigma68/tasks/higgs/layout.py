"""The rows of one pool, laid out so that a pseudo-experiment costs what it draws, not what it draws from.

Rows of one process lie together; within a process a row is drawn with probability proportional
to its weight in constant time through an alias table (Walker 1977; Vose, IEEE Trans. Softw.
Eng. 17 (1991) 972).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["EventLayout"]


@dataclass(frozen=True)
class EventLayout:
    """What `toys.draw` reads of a pool. Arrays may be memory-mapped files.

    Attributes
    ----------
    rows
        Primary columns, float32, shape (n, 16), C-contiguous: one 64-byte line per event.
        Process p occupies rows[starts[p]:starts[p + 1]], in the order of `PROCESSES`; within a
        process rows keep the order of the file.
    starts
        int64, shape (5,).
    sumw
        Expected events per process at mu = 1 and all nuisance parameters off, before the high
        thresholds: the whole file's sums. float64, shape (4,).
    weights
        Expected events of each row, float64, shape (n,); sums to `sumw` in each process.
    threshold, alias
        Alias tables within each process, uint32, shape (n,): a slot is kept if a 32-bit random
        word is below its threshold (2^32 saturates at 2^32 - 1), else its alias (a row number
        counted from the start of the process) is taken. Not read where `uniform`.
    uniform
        Whether all rows of a process have the same weight, bool, shape (4,).
    hard_event
        Number of the hard collision, int64, shape (n,); None when every row is its own.
    """

    rows: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]
    sumw: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.uint32]
    alias: npt.NDArray[np.uint32]
    uniform: npt.NDArray[np.bool_]
    hard_event: npt.NDArray[np.int64] | None = None

    @property
    def n_rows(self) -> int:
        return int(self.starts[-1])
