"""The weights of an emulator on disk: one .npz file of arrays, nothing pickled."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.files import replacing
from sigma68.learning.conditional import (
    Conditional,
    ConditionalChoice,
    ConditionalDensity,
    from_arrays,
)
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.emulate.steps import CHOICES, CONTEXT, N_STEPS, STEPS
from sigma68.tasks.higgs.emulate.strata import N_STRATA
from sigma68.tasks.higgs.schema import PROCESSES

__all__ = ["load", "save"]

_FORMAT: Final = 5
_LARGEST_FACTOR: Final = 10.0  # of a stratum: events are drawn so often for one that is kept
_LARGEST: Final = 64 << 20  # bytes, of the file and of what it unpacks to

Arrays = Mapping[str, npt.NDArray[np.floating[Any]]]


def save(
    path: Path,
    conditionals: Sequence[Sequence[Conditional]],
    expected: npt.NDArray[np.float64],
    factors: npt.NDArray[np.float64],
    history: Mapping[str, Any],
) -> None:
    """Write weights; networks as float32, everything else as float64.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    document = {"format": _FORMAT, "steps": list(STEPS), "history": dict(history)}
    text = json.dumps(document, sort_keys=True, allow_nan=False).encode()
    arrays: dict[str, npt.NDArray[Any]] = {
        "about": np.frombuffer(text, np.uint8),
        "expected": np.asarray(expected, np.float64),
        "factors": np.asarray(factors, np.float64),
    }
    for name, chain in zip(PROCESSES, conditionals, strict=True):
        for step, conditional in enumerate(chain):
            for part, array in conditional.to_arrays().items():
                arrays[f"{name}/{step}/{part}"] = array
    with replacing(path) as part_path, part_path.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def load(path: Path) -> Emulator:
    """The emulator in a file.

    Raises
    ------
    DataError
        If the file is missing, damaged, or of another version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"the emulator's weights {path} cannot be read ({error.strerror}): install sigma68 "
            "again, or give a file that sigma68.tasks.higgs.emulate.train has written"
        ) from error
    try:
        return _emulator(_unpacked(content), _hash(content))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"{path} holds no emulator's weights ({error}): give a file that "
            "sigma68.tasks.higgs.emulate.train has written"
        ) from error


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16, person=b"sigma68-emulator"[:16]).hexdigest()


def _unpacked(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """All arrays of the file, if they are not absurdly large."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if max(size, len(content)) > _LARGEST:
        raise ValueError(f"it unpacks to {size / 1e6:.0f} MB")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _emulator(arrays: dict[str, npt.NDArray[Any]], fingerprint: str) -> Emulator:
    document = json.loads(arrays["about"].tobytes())
    if document["format"] != _FORMAT or document["steps"] != list(STEPS):
        raise ValueError("it was written by another version of sigma68")
    expected = np.asarray(arrays["expected"], np.float64)
    if expected.shape != (len(PROCESSES),) or not np.all(expected > 0):
        raise ValueError("the expected events are not four positive numbers")
    factors = np.asarray(arrays["factors"], np.float64)
    if factors.shape != (len(PROCESSES), N_STRATA) or not np.all(
        (factors > 0) & (factors <= _LARGEST_FACTOR)
    ):
        raise ValueError(
            f"the factors of the strata are not 4 x {N_STRATA} positive numbers up to "
            f"{_LARGEST_FACTOR:g}"
        )
    chains = tuple(
        tuple(_conditional(arrays, name, step) for step in range(N_STEPS)) for name in PROCESSES
    )
    return Emulator(chains, expected, factors, document["history"], fingerprint)


def _conditional(arrays: Arrays, process: str, step: int) -> Conditional:
    prefix = f"{process}/{step}/"
    own = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
    try:
        conditional = from_arrays(own)
    except ValueError as error:
        raise ValueError(f"{STEPS[step]} of {process}: {error}") from error
    kind = ConditionalChoice if step in CHOICES else ConditionalDensity
    if not isinstance(conditional, kind) or conditional.n_features > CONTEXT[step]:
        raise ValueError(f"{STEPS[step]} of {process} is not described as it should be")
    if isinstance(conditional, ConditionalChoice) and conditional.n_values != CHOICES[step]:
        raise ValueError(f"{STEPS[step]} of {process} has {conditional.n_values} values")
    return conditional
