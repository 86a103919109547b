"""A generator of selected events of one process: Pythia, thinning, decays and detector passes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pythia8mc

from sigma68.errors import SimulationError
from sigma68.seeds import Stream
from sigma68.tasks.higgs.simulate import tau_library
from sigma68.tasks.higgs.simulate.acceptance import Acceptance
from sigma68.tasks.higgs.simulate.block import Block
from sigma68.tasks.higgs.simulate.hard_event import (
    NO_QUARK,
    TOO_FAST,
    TOO_MANY,
    TOO_MANY_JETS,
    Record,
)
from sigma68.tasks.higgs.simulate.passes import (
    Plan,
    new_rows,
    new_scratch,
    simulate_passes,
)
from sigma68.tasks.higgs.simulate.streams import CODES, SETTINGS
from sigma68.tasks.higgs.simulate.thinning import (
    Fate,
    Shares,
    ThinnedByBoson,
    ThinnedByLeptons,
)

__all__ = ["Generator"]

_MASS_GEV: Final = {"htautau": 125.0, "ztautau": 91.2}
_REDECAY: Final = {"htautau": 25, "ztautau": 23}
_ENRICHED: Final = {"htautau": Shares(0.4, 0.7, 1.0), "ztautau": Shares(0.07, 0.2, 0.5)}
_TRIALS: Final = {"htautau": 40, "ztautau": 60, "ttbar": 10, "diboson": 16}
_FAKES: Final = 0.05
_TYPICAL_TAG: Final = 0.6
_BATCH: Final = 100
_INCOMING: Final = 3  # entry of the first incoming parton


class Generator:
    """Makes selected events of one process, hard event by hard event.

    Parameters
    ----------
    process
        One of `schema.PROCESSES`.
    stream
        Where its random numbers come from, Pythia's seed included.
    enrich
        Whether to prefer hard events with two hard jets or a fast boson.

    Raises
    ------
    SimulationError
        If Pythia refuses to start.
    """

    def __init__(self, process: str, stream: Stream, *, enrich: bool = True) -> None:
        rng = stream.child("decays and detector").generator()
        self.pythia_seed = int(stream.child("pythia").generator().integers(1, 900_000_000))
        self._process = process
        self._rng = rng
        self._library = tau_library.load()
        self._scratch = new_scratch()
        self._pythia = pythia8mc.Pythia("", False)
        for setting in (
            *SETTINGS[process],
            "Random:setSeed = on",
            f"Random:seed = {self.pythia_seed}",
        ):
            if not self._pythia.readString(setting):
                raise SimulationError(f"Pythia does not know the setting '{setting}'")
        self._hooks = self._thinning(stream.child("thinning").generator(), enrich)
        self._pythia.setUserHooksPtr(self._hooks)
        if not self._pythia.init():
            raise SimulationError(f"Pythia cannot start the process {process}")

    def _thinning(
        self, rng: np.random.Generator, enrich: bool
    ) -> ThinnedByBoson | ThinnedByLeptons:
        process = self._process
        codes = CODES[process]
        shares = _ENRICHED.get(process, Shares()) if enrich else Shares()
        if process not in _MASS_GEV:
            return ThinnedByLeptons(self._pythia, codes, rng, shares)
        higgs = process == "htautau"
        acceptance = Acceptance(_MASS_GEV[process], higgs, self._library, self._rng)
        return ThinnedByBoson(self._pythia, codes, rng, shares, acceptance)

    def block(self, hard_events: int) -> Block:
        """Simulate `hard_events` more hard events in full.

        Raises
        ------
        SimulationError
            If Pythia gives up, or makes something that the detector does not know.
        """
        self._hooks.tries = {}
        parts: list[tuple[npt.NDArray[Any], ...]] = []
        for done in range(0, hard_events, _BATCH):
            parts.append(self._batch(min(_BATCH, hard_events - done), done))
        primaries, weights, code, event, decay = (
            np.concatenate(p) for p in zip(*parts, strict=True)
        )
        return Block(
            np.ascontiguousarray(primaries.T), weights, code, event, decay, dict(self._hooks.tries),
            hard_events,
        )  # fmt: skip

    def _batch(self, n: int, number: int) -> tuple[npt.NDArray[Any], ...]:
        self._hooks.fates.clear()
        events = self._pythia.nextBatch(n)
        record = _columns(events)
        fates = [self._hooks.fates[key] for key in record.e[record.first[:-1] + _INCOMING]]
        plan = self._plan(fates)
        rows = new_rows(int(plan.trials.sum()))
        m, problem = simulate_passes(record, plan, self._library, self._scratch, self._rng, rows)
        if problem != 0:
            raise SimulationError(_said(problem))
        event = rows.event[:m]
        code = np.array([fate.code for fate in fates], np.int16)
        return (
            rows.primaries[:m],
            rows.weight[:m],
            code[event],
            event + number,
            rows.decay[:m].astype(np.int16),
        )

    def _plan(self, fates: list[Fate]) -> Plan:
        n, trials = len(fates), _TRIALS[self._process]
        weight = np.array([fate.weight for fate in fates])
        needs_fake = np.array([fate.needs_fake for fate in fates])
        redecay = _REDECAY.get(self._process, 0)
        share = (weight if redecay else np.ones(n)) * (_TYPICAL_TAG / trials)
        return Plan(
            weight,
            share,
            np.full(n, trials),
            np.where(needs_fake, 1.0, _FAKES),
            np.full(n, redecay),
            np.array([fate.quark for fate in fates], np.int64),
        )


def _columns(events: Any) -> Record:
    """The event records of a batch as flat columns."""
    layout = events.layout
    entries = layout.content("prt")
    columns = entries.content
    momentum, vertex = columns.content("p"), columns.content("vProd")

    def data(array: Any) -> npt.NDArray[Any]:
        return np.asarray(array.data)

    return Record(
        np.asarray(entries.offsets.data).astype(np.int64),
        data(columns.content("id")),
        data(columns.content("status")),
        data(columns.content("mother1")),
        data(momentum.content("px")),
        data(momentum.content("py")),
        data(momentum.content("pz")),
        data(momentum.content("e")),
        np.asarray(vertex.index.data).astype(np.int64),
        data(vertex.content.content("px")),
        data(vertex.content.content("py")),
        data(vertex.content.content("pz")),
    )


def _said(problem: int) -> str:
    if problem == TOO_MANY:
        return "an event has more particles than the detector has room for"
    if problem == TOO_MANY_JETS:
        return "an event has more jets than the selection has room for"
    if problem == NO_QUARK:
        return "a Z comes from partons that are no quarks: the event record is not understood"
    if problem == TOO_FAST:
        return "a tau decays to more energy than the beams have: the event record is not understood"
    return f"an event has a particle of PDG code {-problem // 10}, which the detector does not know"
