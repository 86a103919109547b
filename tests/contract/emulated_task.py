"""Emulated events with densities made by hand, in a task small enough for the contract suite."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sigma68.protocols import Pools
from sigma68.tasks.higgs.emulate.components import EmulatedComponents
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.emulate.pools import open_emulated
from sigma68.tasks.higgs.emulate.source import EmulatedSource
from sigma68.tasks.higgs.task import Higgs
from tests.tasks.higgs.emulate.small import small_emulator

_FOLDER = TemporaryDirectory(prefix="sigma68-contract-")


@cache
def _emulator() -> Emulator:
    """A hundredth of the expected events: pseudo-experiments of ten thousand."""
    emulator = small_emulator(Path(_FOLDER.name))
    return replace(emulator, expected=emulator.expected / 100)


class Emulated(Higgs):
    """The higgs task on emulated events, whose densities it knows."""

    name = "emulated"

    def open(self, source: str | None = None, *, split_seed: int = 0) -> Pools:
        if source is not None:
            return super().open(source, split_seed=split_seed)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SIGMA68_CACHE", _FOLDER.name)
            known = EmulatedSource(1, 20_000)
            return open_emulated(known, split_seed=split_seed, emulator=_emulator())

    def components(self) -> EmulatedComponents:
        return EmulatedComponents(_emulator())
