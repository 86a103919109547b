"""The HiggsML Uncertainty Challenge: mu of H -> tau tau under six nuisance parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sigma68.protocols import Pool, Pools, Region
from sigma68.seeds import Stream
from sigma68.tasks.higgs.analysis import ANALYSIS_REGIONS
from sigma68.tasks.higgs.nuisance import FACTORS, MU, NUISANCES, check_nuisances, process_scales
from sigma68.tasks.higgs.schema import FEATURE_TABLE, FEATURES, INVARIANTS, MAIN_FEATURES
from sigma68.tasks.higgs.sources import DEFAULT, NAMES, spelled
from sigma68.types import (
    AnswerKind,
    Feature,
    Nuisance,
    Observation,
    Parameter,
    Score,
    Truth,
)

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from sigma68.tasks.higgs.emulate.components import EmulatedComponents
    from sigma68.tasks.higgs.toys import Workspace

__all__ = ["Higgs"]


class Higgs:
    """Signal strength of H -> tau tau in proton collisions at 13 TeV, 10 fb^-1."""

    name: str = "higgs"
    title: str = "HiggsML Uncertainty Challenge: signal strength of H to tau tau"
    answer: AnswerKind = "interval"
    parameters: tuple[Parameter, ...] = (MU,)
    nuisances: tuple[Nuisance, ...] = NUISANCES
    features: tuple[Feature, ...] = FEATURE_TABLE
    default_source: str | None = DEFAULT
    process_factors: Mapping[str, tuple[str, ...]] = FACTORS
    invariants: tuple[Feature, ...] = INVARIANTS
    regions: tuple[Region, ...] = ANALYSIS_REGIONS
    main_features: tuple[str, ...] = MAIN_FEATURES
    sources: tuple[str, ...] = NAMES
    """Names that `open` knows, beside paths."""

    def __init__(self) -> None:
        self._workspace: Workspace | None = None

    def open(self, source: str | None = None, *, split_seed: int = 0) -> Pools:
        """The pools of a Parquet file of events, of a folder that holds one, or of a name.

        Without a source: emulated events (see `sigma68.tasks.higgs.emulate`).

        Raises
        ------
        DataError
            If the events are not there, the file is not what the task needs, or a pool has no
            signal or no background.
        OutputError
            If a large file cannot be laid out in the cache.
        """
        from sigma68.tasks.higgs.pools import open_pools

        return open_pools(DEFAULT if source is None else source, split_seed=split_seed)

    def spelled(self, source: str) -> str | None:
        """The one way to write a source that is a name, None for a path (see `sources.spelled`)."""
        return spelled(source)

    def invariant(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Features that turning and mirroring an event leaves as they are, (n_invariants, n)."""
        from sigma68.tasks.higgs.invariants import invariants

        return invariants(values)

    def region_of(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
        """The number of each event's region, (28, n) to (n,); see `sigma68.tasks.higgs.analysis`."""
        from sigma68.tasks.higgs.regions import region_of

        return region_of(values)

    def components(self) -> EmulatedComponents:
        """The processes of emulated events and their densities, for methods that need these."""
        from sigma68.tasks.higgs.emulate.components import EmulatedComponents

        return EmulatedComponents()

    def pseudo_experiment(self, pool: Pool, truth: Truth, stream: Stream) -> Observation:
        """A Poisson draw of the pool's events under `truth`, biased, thresholds applied.

        Raises
        ------
        NuisanceError
            If a nuisance parameter of the truth is unknown or out of range.
        TypeError
            If the pool is of another task.
        """
        from sigma68.tasks.higgs.pools import HiggsPool
        from sigma68.tasks.higgs.toys import Workspace, draw

        if not isinstance(pool, HiggsPool):
            raise TypeError(f"higgs draws from its own pools, not from {type(pool).__name__}")
        values = check_nuisances(truth.nuisances)
        scales = process_scales(truth.parameters["mu"], values)
        if self._workspace is None:
            self._workspace = Workspace()
        events = draw(
            pool.layout,
            scales,
            values["tes"],
            values["jes"],
            values["soft_met"],
            stream.key32,
            self._workspace,
        )
        return Observation(FEATURES, events)

    def score(self, toys: pd.DataFrame, *, epsilon: float | None = None) -> Score:
        """The quantiles score of the challenge with width, coverage, RMSE and MAE."""
        from sigma68.score.intervals import score_intervals

        if epsilon is None:
            return score_intervals(toys, MU)
        return score_intervals(toys, MU, epsilon=epsilon)
