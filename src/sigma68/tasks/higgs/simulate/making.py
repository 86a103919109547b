"""Make one shard: simulate, normalise, derive, write."""

from __future__ import annotations

import json
import math
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from sigma68.errors import MissingExtraError, SimulationError
from sigma68.tasks.higgs.history import KEY
from sigma68.tasks.higgs.schema import LUMINOSITY_FB, PROCESSES
from sigma68.tasks.higgs.simulate.shards import (
    GO_ON,
    CodeSums,
    ShardAbout,
    ShardSpec,
    first_hard_event,
    versions,
)
from sigma68.tasks.higgs.simulate.streams import CODES, CROSS_SECTION_FB

if TYPE_CHECKING:
    from sigma68.tasks.higgs.simulate.block import Block

__all__ = ["EventSource", "make_shard"]


class EventSource(Protocol):
    """What makes events: see `sigma68.tasks.higgs.simulate.generator`."""

    def block(self, hard_events: int) -> Block:
        """The selected events of the next `hard_events` hard events."""
        ...


def make_shard(spec: ShardSpec, path: Path) -> ShardAbout:
    """Simulate one shard and write it to `path`, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    MissingExtraError
        If a package that the generator needs is not installed.
    SimulationError
        If the generator gives something that is no block of events.
    """
    from sigma68.tasks.higgs.derived import derive
    from sigma68.tasks.higgs.writer import EventWriter

    began = time.process_time()
    block, pythia_seed = _simulated(spec)
    weights = block.weights * _per_try(block, spec)
    features = np.concatenate([block.primaries, derive(block.primaries)])
    about = _about(block, weights, spec, pythia_seed, began)
    with EventWriter(
        path,
        hard_event=True,
        decay=True,
        process_code=True,
        double_weights=True,
        metadata={KEY: json.dumps(about.to_json())},
    ) as writer:
        writer.write(
            features,
            weights=weights,
            process=np.full(block.n_rows, PROCESSES.index(spec.process), np.int8),
            hard_event=about.first_hard_event + block.hard_event,
            decay=block.decay.astype(np.int64),
            process_code=block.code,
        )
    return about


def _simulated(spec: ShardSpec) -> tuple[Block, int | None]:
    module, _, name = spec.generator.partition(":")
    try:
        factory = getattr(import_module(module), name)
        source: EventSource = factory(spec.process, spec.stream, enrich=spec.enrich)
        block = source.block(spec.hard_events)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("sigma68"):
            raise
        raise MissingExtraError(
            f"simulating needs {error.name}, which is not installed: "
            "pip install 'sigma68[simulate]'"
        ) from error
    except SimulationError as error:
        said = str(error).rstrip(".")
        raise SimulationError(
            f"the shard {spec.file_name} cannot be made ({said}): {GO_ON}"
        ) from error
    _check(block, spec)
    return block, getattr(source, "pythia_seed", None)


def _about(
    block: Block,
    weights: npt.NDArray[np.float64],
    spec: ShardSpec,
    pythia_seed: int | None,
    began: float,
) -> ShardAbout:
    codes = _sums(block, weights, spec)
    squares = sum(sums.sum_squares for sums in codes.values())
    return ShardAbout(
        process=spec.process,
        seed=spec.seed,
        number=spec.number,
        hard_events=block.hard_events,
        enrich=spec.enrich,
        first_hard_event=first_hard_event(spec.process, spec.seed, spec.number),
        pythia_seed=pythia_seed,
        luminosity_fb=LUMINOSITY_FB,
        codes=codes,
        rows=block.n_rows,
        effective_events=float(weights.sum()) ** 2 / squares if squares > 0 else 0.0,
        seconds=round(time.process_time() - began, 3),
        versions=versions(),
    )


def _per_try(block: Block, spec: ShardSpec) -> npt.NDArray[np.float64]:
    """What turns expected events per try into events at 10 fb^-1, for each row."""
    factor = {
        code: CROSS_SECTION_FB[code] * LUMINOSITY_FB / tries
        for code, tries in block.tries.items()
        if tries > 0
    }
    lacking = sorted(set(np.unique(block.code).tolist()) - set(factor))
    if lacking:
        raise SimulationError(f"{spec.file_name}: rows of process code {lacking[0]} without tries")
    codes, place = np.unique(block.code, return_inverse=True)
    return np.array([factor[int(code)] for code in codes], np.float64)[place]


def _check(block: Block, spec: ShardSpec) -> None:
    """Refuse what would be found out only when somebody opens the sample."""
    n = block.n_rows
    wrong = ""
    if block.primaries.shape != (16, n) or block.primaries.dtype != np.float32:
        wrong = f"primaries are {block.primaries.dtype} of shape {block.primaries.shape}"
    elif not np.isfinite(block.primaries).all():
        wrong = "a primary column is not finite"
    elif not (np.isfinite(block.weights) & (block.weights > 0)).all():
        wrong = "a weight is not a positive number"
    elif unknown := set(block.tries) - set(CODES[spec.process]):
        wrong = f"process code {min(unknown)} is none of {spec.process}"
    elif n and not (block.hard_event.min() >= 0 and block.hard_event.max() < block.hard_events):
        wrong = "hard events are numbered outside the block"
    if wrong:
        raise SimulationError(f"the generator of {spec.file_name} is broken: {wrong}")


def _sums(block: Block, weights: npt.NDArray[np.float64], spec: ShardSpec) -> dict[int, CodeSums]:
    found = {}
    for code in sorted(block.tries):
        own = block.code == code
        together = np.bincount(block.hard_event[own], weights[own])
        found[code] = CodeSums(
            tries=int(block.tries[code]),
            cross_section_fb=CROSS_SECTION_FB[code],
            rows=int(own.sum()),
            hard_events=int(np.count_nonzero(together)),
            sum_weights=math.fsum(weights[own]),
            sum_squares=float(together @ together),
        )
    return found
