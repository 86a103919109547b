"""`python -m sigma68.tasks.higgs.emulate.train`: an emulator from a file of events.

Events are split by hard collision as everywhere (see `split`): conditionals are trained on the
roles train and scoring, stop by calibration, and never see final, which is there to validate them.
Each conditional is a file of its own in a working folder as soon as it is trained; started again
with the same command, training goes on where it was. Needs the extra `torch`.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import inspect
import io
import json
import multiprocessing
import sys
import zipfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sigma68.cli.console import say
from sigma68.cli.console import steps as shown_steps
from sigma68.errors import DataError, MissingExtraError
from sigma68.files import make_folder, replacing
from sigma68.learning import conditional
from sigma68.learning.conditional import Conditional, from_arrays
from sigma68.tasks.higgs import schema
from sigma68.tasks.higgs.dataset import EventFile, open_parquet
from sigma68.tasks.higgs.emulate import coordinates, features, frame, gaps, steps
from sigma68.tasks.higgs.emulate.coordinates import to_unit
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.emulate.features import add_features
from sigma68.tasks.higgs.emulate.files import save
from sigma68.tasks.higgs.emulate.fit_strata import fit_strata
from sigma68.tasks.higgs.emulate.frame import canonical
from sigma68.tasks.higgs.emulate.steps import (
    A_JET,
    A_SECOND,
    CHOICES,
    CONTEXT,
    FURTHER,
    FURTHER_PT,
    JET1_ETA,
    JET1_PT,
    JET1_TURN,
    JET2_ETA,
    JET2_PT,
    JET2_TURN,
    LEP_ETA,
    LEP_PHI,
    N_FEATURES,
    N_STEPS,
    STEPS,
    TAU_ETA,
)
from sigma68.tasks.higgs.emulate.strata import N_STRATA
from sigma68.tasks.higgs.schema import PRIMARIES, PROCESSES
from sigma68.tasks.higgs.split import ROLES, numbers_of, role_of
from sigma68.tasks.higgs.storage import content_identity

try:
    from sigma68.learning import fit_conditional
    from sigma68.learning.fit_conditional import (
        Fitted,
        Sample,
        TrainingSettings,
        fit_choice,
        fit_density,
    )
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    _REMEDY = (
        "training an emulator needs torch, which is not installed: pip install 'sigma68[torch]'"
    )
    if __name__ == "__main__":
        sys.exit(_REMEDY)
    raise MissingExtraError(_REMEDY) from error

__all__ = ["EmulatorTraining", "main", "train"]

ASIDE: Final = ROLES.index("calibration")
HELD_OUT: Final = ROLES.index("final")

Floats = npt.NDArray[np.float64]

_MEANING: Final = (steps, frame, gaps, coordinates, features, conditional, fit_conditional)
_ANGLES: Final = (TAU_ETA, LEP_ETA, LEP_PHI, JET1_ETA, JET1_TURN, JET2_ETA, JET2_TURN)
_NARROWEST_ANGLE: Final = 2e-3  # 0.001 in pseudorapidity or radians is 2e-4 to 6e-4
_NARROWEST_MOMENTUM: Final = 1e-4  # a tail of recoils beyond 200 GeV is squeezed into 4e-3
_ROUNDING_SEED: Final = 0x726F756E64
_PLENTY: Final = 60_000  # rows, by their weights, that deserve the whole network


@dataclass(frozen=True)
class EmulatorTraining:
    """What a training is asked to do: the events, the split, the seed and the settings."""

    source: str
    seed: int = 1
    split_seed: int = 0
    settings: TrainingSettings = field(default_factory=TrainingSettings)


STRATA_ROWS: Final = 10_000_000
"""Events drawn of each process to find the factors of the strata."""


@dataclass(frozen=True)
class _Events:
    """One process of the file, held-out events left away."""

    frame: Floats
    features: npt.NDArray[np.float32]
    weights: Floats
    aside: npt.NDArray[np.bool_]


def train(
    asked: EmulatorTraining,
    out: Path,
    work: Path,
    *,
    workers: int,
    strata_rows: int = STRATA_ROWS,
    command: str = "",
) -> None:
    """Train all conditionals and write the weights to `out`; `work` keeps what is done.

    At the end `strata_rows` events of each process are drawn for the factors of the strata.

    Raises
    ------
    DataError
        If the file has too few events of a process for some step.
    OutputError
        If a file cannot be written.
    """
    file = open_parquet(asked.source)
    identity = content_identity(file)
    name = json.dumps([identity, asdict(asked), _source_hash()], sort_keys=True)
    folder = work / hashlib.blake2b(name.encode(), digest_size=12).hexdigest()
    make_folder(folder)
    jobs = [(p, s) for s in range(N_STEPS - 1, -1, -1) for p in (1, 0, 2, 3)]
    wanted = [job for job in jobs if not _part(folder, *job).exists()]
    say(f"training {len(wanted)} of {len(jobs)} conditionals in {folder}")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as crew:
        futures = [crew.submit(_train_one, asked, folder, *job) for job in wanted]
        for done, future in enumerate(as_completed(futures), start=1):
            say(f"{done}/{len(wanted)}  {future.result()}")
    chains, results = [], {}
    for p, process in enumerate(PROCESSES):
        parts = [_read_part(_part(folder, p, s)) for s in range(N_STEPS)]
        chains.append([part[0] for part in parts])
        results[process] = {STEPS[s]: part[1] for s, part in enumerate(parts)}
    history = {
        "command": command,
        "data": identity,
        "rows": file.n_rows,
        "seed": asked.seed,
        "split_seed": asked.split_seed,
        "settings": asdict(asked.settings),
        "strata_rows": strata_rows,
        "losses": results,
    }
    expected, none = _expected(file), np.ones((len(PROCESSES), N_STRATA))
    bare = Emulator(tuple(map(tuple, chains)), expected, none, history, "")
    with shown_steps("the factors of the strata") as progress:
        made = fit_strata(
            bare, file, strata_rows, seed=asked.seed, split_seed=asked.split_seed, progress=progress
        )
    save(out, chains, expected, made.factors, history)


def _source_hash() -> str:
    """A hash of the code that decides what a trained conditional means."""
    texts = [inspect.getsource(module) for module in _MEANING]
    return hashlib.blake2b("".join(texts).encode(), digest_size=8).hexdigest()


def _expected(file: EventFile) -> Floats:
    sums = np.zeros(len(PROCESSES))
    for batch in file.iter_batches(()):
        sums += np.bincount(batch.process, batch.weights, minlength=len(PROCESSES))
    return sums


@functools.lru_cache(maxsize=1)
def _primaries(source: str, split_seed: int) -> tuple[npt.NDArray[Any], ...]:
    """Primaries, weights, process and role of all events that are not held out."""
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    for batch in open_parquet(source).iter_batches(PRIMARIES):
        role = role_of(numbers_of(batch), split_seed)
        kept = (role != HELD_OUT) & (batch.weights > 0)
        parts.append((batch.values[:, kept], batch.weights[kept], batch.process[kept], role[kept]))
    values, weights, process, role = zip(*parts, strict=True)
    return (
        np.concatenate(values, axis=1),
        np.concatenate(weights),
        np.concatenate(process),
        np.concatenate(role),
    )


@functools.lru_cache(maxsize=1)
def _events(source: str, split_seed: int, process: int) -> _Events:
    values, weights, processes, role = _primaries(source, split_seed)
    own = processes == process
    frame = canonical(_unrounded(np.ascontiguousarray(values[:, own])))
    features = np.zeros((N_FEATURES, frame.shape[1]), np.float32)
    for step in range(N_STEPS):
        here = np.flatnonzero(_has(step, frame))
        part, seen = frame[:, here], features[:, here]
        add_features(step, part, seen)
        features[:, here] = seen
    return _Events(frame, features, weights[own], role[own] == ASIDE)


def _unrounded(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Primaries (16, n) spread over what rounds to them, which a density must not look into.

    The number of jets and what is undefined stay. In place.
    """
    rng = np.random.default_rng(_ROUNDING_SEED)
    for row in range(len(PRIMARIES)):
        if row != schema.N_JETS:
            shift = rng.uniform(-0.0005, 0.0005, values.shape[1])
            values[row] += np.where(values[row] == schema.UNDEFINED, 0.0, shift).astype(np.float32)
    two = values[schema.N_JETS] == 2  # whose sum is that of the two jets
    values[schema.JET_ALL_PT, two] = values[schema.JET1_PT, two] + values[schema.JET2_PT, two]
    return values


def _has(step: int, frame: Floats) -> npt.NDArray[np.bool_]:
    """Whether each event has the object that a step describes."""
    if step < JET1_PT:
        return np.ones(frame.shape[1], np.bool_)
    condition = FURTHER if step == FURTHER_PT else A_SECOND if step >= JET2_PT else A_JET
    return np.asarray(frame[condition] > 0)


def sample_of(events: _Events, step: int) -> Sample:
    """What the conditional of a step learns from."""
    here = np.flatnonzero(_has(step, events.frame))
    frame = events.frame[:, here]
    return Sample(
        features=events.features[: CONTEXT[step], here],
        target=frame[step] if step in CHOICES else to_unit(step, frame),
        weights=events.weights[here],
        aside=events.aside[here],
        narrowest=_NARROWEST_ANGLE if step in _ANGLES else _NARROWEST_MOMENTUM,
    )


def _train_one(asked: EmulatorTraining, folder: Path, process: int, step: int) -> str:
    import torch

    torch.set_num_threads(1)
    sample = sample_of(_events(asked.source, asked.split_seed, process), step)
    what = f"{STEPS[step]} of {PROCESSES[process]}"
    seed = asked.seed * 1000 + process * 100 + step
    settings = _scaled(asked.settings, sample)
    if step in CHOICES:
        fitted = fit_choice(sample, CHOICES[step], settings, seed, what)
    else:
        fitted = fit_density(sample, settings, seed, what)
    _write_part(_part(folder, process, step), fitted)
    return (
        f"{what}: {len(sample.target):,} rows, loss {fitted.aside:.4f} (trained {fitted.trained:.4f}), "
        f"gain {fitted.gain:.4f}, {fitted.passes} passes"
    )


def _scaled(settings: TrainingSettings, sample: Sample) -> TrainingSettings:
    """Smaller networks and batches where there is less to learn from."""
    w = sample.weights
    if w.sum() ** 2 / (w @ w) > _PLENTY:
        return settings
    return replace(
        settings,
        hidden=settings.hidden // 2,
        bins=3 * settings.bins // 4,
        batch=settings.batch // 4,
    )


def _part(folder: Path, process: int, step: int) -> Path:
    return folder / f"{PROCESSES[process]}-{step:02d}.npz"


def _write_part(path: Path, fitted: Fitted) -> None:
    about = {
        "trained": fitted.trained,
        "aside": fitted.aside,
        "gain": fitted.gain,
        "passes": fitted.passes,
    }
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with replacing(path) as part, part.open("wb") as stream:
        np.savez(stream, allow_pickle=False, about=text, **fitted.conditional.to_arrays())


def _read_part(path: Path) -> tuple[Conditional, Mapping[str, float]]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        about = json.loads(arrays.pop("about").tobytes())
        return from_arrays(arrays), about
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged ({error}): remove it and train again") from error


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        prog="python -m sigma68.tasks.higgs.emulate.train",
        description="Train an emulator on a Parquet file of events, simulated or real.",
    )
    parser.add_argument("source", help="events: a Parquet file, its folder, or a name")
    parser.add_argument("--out", type=Path, required=True, help="where the weights go")
    parser.add_argument(
        "--work", type=Path, default=Path("emulator-training"), help="folder for what is done"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--split-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=TrainingSettings.hidden)
    parser.add_argument("--bins", type=int, default=TrainingSettings.bins)
    parser.add_argument("--steps", type=int, default=TrainingSettings.steps)
    parser.add_argument(
        "--strata-rows",
        type=int,
        default=STRATA_ROWS,
        help="events drawn of each process to find the factors of the strata",
    )
    given = parser.parse_args(arguments)
    settings = TrainingSettings(hidden=given.hidden, bins=given.bins, steps=given.steps)
    asked = EmulatorTraining(given.source, given.seed, given.split_seed, settings)
    command = (
        "python -m sigma68.tasks.higgs.emulate.train "
        f"{Path(given.source).name} --seed {given.seed} --split-seed {given.split_seed} "
        f"--hidden {given.hidden} --bins {given.bins} --steps {given.steps} "
        f"--strata-rows {given.strata_rows}"
    )
    train(
        asked,
        given.out,
        given.work,
        workers=given.workers,
        strata_rows=given.strata_rows,
        command=command,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
