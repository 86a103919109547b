"""Look at what somebody has uploaded, before it becomes an entry or is counted as failed."""

from __future__ import annotations

import hashlib
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sigma68.challenge.results.read import Wanted, check_results
from sigma68.challenge.rules.refusals import BusyError
from sigma68.challenge.store.tables import Phase
from sigma68.errors import EntryError

if TYPE_CHECKING:
    from sigma68.challenge.archive import Limits

__all__ = ["Looked", "look_at", "wanted_of"]

# Each may take as much of the disk as the largest entry, and a while.
_UNPACKING = threading.BoundedSemaphore(4)
_UNPACKING_S = 10.0


@dataclass(frozen=True)
class Looked:
    """An upload that can be handed in: columns of the entry that it becomes."""

    sha256: str
    fingerprint: str
    n_files: int
    n_bytes: int


def wanted_of(phase: Phase) -> Wanted | None:
    """What results must answer; None where code is handed in."""
    if phase.challenge.takes != "results" or phase.observations is None:
        return None
    return Wanted(phase.challenge.task, phase.observations.n_observations)


def look_at(upload: Path, wanted: Wanted | None, limits: Limits | None) -> Looked:
    """What is in a zip of code or, if they are `wanted`, of results.

    Raises
    ------
    EntryError
        If it is neither, with the reason for its author.
    BusyError
        If too many uploads are looked at already.
    """
    if not upload.is_file():
        what = "the folder that holds model.py" if wanted is None else "your results"
        raise EntryError(f"{upload.name} is no zip: zip {what}")
    if not _UNPACKING.acquire(timeout=_UNPACKING_S):
        raise BusyError("the server is looking at other uploads: try again in a minute")
    try:
        with upload.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if wanted is None:
            return _code(upload, sha256, limits)
        check_results(upload, wanted)
        return Looked(sha256, sha256, 1, upload.stat().st_size)
    finally:
        _UNPACKING.release()


def _code(upload: Path, sha256: str, limits: Limits | None) -> Looked:
    """An entry, unpacked into a folder that is gone afterwards."""
    from sigma68.challenge.opening import open_entry

    with tempfile.TemporaryDirectory(prefix="sigma68-unpacked-") as folder:
        found = open_entry(upload, Path(folder), limits=limits)
        return Looked(sha256, found.fingerprint, found.n_files, found.n_bytes)
