"""A small task with three regions: two processes on a line, and a third that may be added."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sigma68.protocols import Region
from sigma68.seeds import stream
from sigma68.types import Labelled, Nuisance, Parameter, PoolStatistics

MU = Parameter("mu", low=0.0, high=3.0)
SHIFT = Nuisance("shift", prior="normal", location=0.0, width=0.06, low=-2.0, high=2.0, off=0.0)
STRETCH = Nuisance("stretch", prior="normal", location=1.0, width=0.02, low=0.5, high=1.5, off=1.0)
SCALE = Nuisance("scale", prior="normal", location=1.0, width=0.05, low=0.5, high=1.5, off=1.0)
NAMES = ("signal", "background", "other")
PLACES, WIDTHS = (1.2, -0.3, 0.5), (0.6, 1.0, 0.8)
EXPECTED = (300.0, 2700.0, 600.0)


def part_of(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """1 where the first process is likelier than half, else 0."""
    likelier: npt.NDArray[np.int64] = (probabilities[0] > 0.5).astype(np.int64)
    return likelier


class MadeTask:
    """As much of a task as `gollum` asks for."""

    name, title, answer = "made", "Made", "interval"
    parameters = (MU,)
    default_source = None
    nuisances = (SHIFT, STRETCH, SCALE)
    features = ()
    process_factors: Mapping[str, tuple[str, ...]] = {"signal": ("mu",), "background": ("scale",)}
    regions = (
        Region("low", unbinned=False),
        Region("middle", unbinned=True),
        Region("high", unbinned=False, parts=("dull", "bright"), part_of=part_of),
    )

    def __init__(self) -> None:
        from sigma68.types import Feature

        self.features = (Feature("x"), Feature("y"))

    def region_of(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        region: npt.NDArray[np.int8] = np.digitize(values[0], [-1.0, 2.0]).astype(np.int8)
        return region


class MadePool:
    """Events of the first `n_processes`, `rows` of each."""

    def __init__(self, role: str, rows: int, n_processes: int = 2) -> None:
        self.role, self.rows, self.n_processes = role, rows, n_processes
        self.fingerprint = f"{role} {rows} {n_processes}"
        self.n_rows = rows * n_processes

    def labelled(
        self, nuisances: Mapping[str, float] | None = None, *, max_rows: int | None = None
    ) -> Labelled:
        k, values = self.n_processes, nuisances or {}
        rng = stream("tests", f"made regions {self.role}", 1).generator()
        process = np.tile(np.arange(k, dtype=np.int8), self.rows)
        x, y = rng.standard_normal((2, k * self.rows))
        n = len(x) if max_rows is None else min(len(x), max_rows // k * k)
        process, x, y = process[:n], x[:n], y[:n]
        x = np.asarray(PLACES)[process] + np.asarray(WIDTHS)[process] * x
        x = x * values.get("stretch", 1.0) + values.get("shift", 0.0)
        seen = np.flatnonzero(x > -3.0)
        weights = (np.asarray(EXPECTED)[:k] / (n // k))[process][seen]
        return Labelled(
            names=("x", "y"),
            values=np.stack([x, y])[:, seen].astype(np.float32),
            weights=weights,
            labels=(process[seen] == 0).astype(np.int8),
            process=process[seen],
            process_names=NAMES[:k],
            row=seen,
        )

    def statistics(self) -> PoolStatistics | None:
        return None
