"""Submissions as the challenge takes them: a zip file with one `result.json`.

First phase: ``{"means": [[Omega_m, S8], ...], "errorbars": [[...], ...]}``; second phase:
``{"ood_scores": [...]}``, larger being stranger. One row for each test map, in order.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError, SettingsError
from sigma68.files import replacing
from sigma68.unpack import BROKEN_ZIP

__all__ = ["read_estimates", "read_strangeness", "write_estimates", "write_strangeness"]

FloatArray = npt.NDArray[np.float64]
NAME = "result.json"
_LARGEST = 64 * 2**20
# What four numbers of a map may take, written with every digit and indented; and what stands around.
_MAP_BYTES, _OTHER_BYTES = 512, 4096
# Of the zip itself: what stands around its file, and what systems put beside it.
_ZIP_BYTES = 1 << 20
_DATE = (1980, 1, 1, 0, 0, 0)


def write_estimates(path: Path, means: FloatArray, errors: FloatArray) -> None:
    """Write a submission of the first phase: means and errors (n_maps, 2).

    Raises
    ------
    SettingsError
        If shapes differ, numbers are not finite, or errors not positive: it would land on the floor.
    OutputError
        If it cannot be written.
    """
    means, errors = np.asarray(means, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if means.ndim != 2 or means.shape[1] != 2 or means.shape != errors.shape:
        raise SettingsError(
            f"means {means.shape} and errors {errors.shape} must both be (number of maps, 2)"
        )
    if not (np.isfinite(means).all() and np.isfinite(errors).all() and (errors > 0).all()):
        raise SettingsError(
            "a mean is not finite or an error not positive, which would bring the whole submission "
            "to the lowest score: mend the answer of that map"
        )
    _write(path, {"means": means.tolist(), "errorbars": errors.tolist()})


def read_estimates(path: Path, n_maps: int | None = None) -> tuple[FloatArray, FloatArray]:
    """Means and errors (n_maps, 2) of a submission of the first phase; NaN may be among them.

    Raises
    ------
    DataError
        If it is not such a file, or not of `n_maps` maps.
    """
    document = _read(path, n_maps)
    means, errors = (_numbers(path, document, key, 2) for key in ("means", "errorbars"))
    if means.shape != errors.shape:
        raise DataError(
            f"{path} has {len(means):,} means and {len(errors):,} errorbars: give one row for each map"
        )
    _counted(path, len(means), n_maps)
    return means, errors


def write_strangeness(path: Path, scores: FloatArray) -> None:
    """Write a submission of the second phase: scores (n_maps,).

    Raises
    ------
    SettingsError
        If a score is not finite.
    OutputError
        If it cannot be written.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.ndim != 1 or not np.isfinite(scores).all():
        raise SettingsError("scores of strangeness must be finite numbers, one for each map")
    _write(path, {"ood_scores": scores.tolist()})


def read_strangeness(path: Path, n_maps: int | None = None) -> FloatArray:
    """The scores (n_maps,) of a submission of the second phase.

    Raises
    ------
    DataError
        If it is not such a file, or not of `n_maps` maps.
    """
    scores = _numbers(path, _read(path, n_maps), "ood_scores", None)
    _counted(path, len(scores), n_maps)
    return scores


def _write(path: Path, document: dict[str, Any]) -> None:
    with replacing(path) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        # A fixed date: the same answers give the same file.
        entry = zipfile.ZipInfo(NAME, date_time=_DATE)
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, json.dumps(document))


def _read(path: Path, n_maps: int | None) -> dict[str, Any]:
    """What `result.json` says; no more of it is read than answers for `n_maps` maps can take."""
    most = _LARGEST if n_maps is None else min(_LARGEST, _OTHER_BYTES + _MAP_BYTES * n_maps)
    try:
        if path.stat().st_size > most + _ZIP_BYTES:
            raise DataError(
                f"{path} has {path.stat().st_size:,} bytes, at most {most + _ZIP_BYTES:,} are read: "
                f"put nothing but {NAME} into it"
            )
        with zipfile.ZipFile(path) as archive:
            found = [i for i in archive.infolist() if Path(i.filename).name == NAME]
            if len(found) != 1:
                raise DataError(f"{path} holds {len(found)} files {NAME}: put one into the zip")
            if found[0].file_size > most:
                raise DataError(
                    f"{NAME} in {path} has {found[0].file_size:,} bytes, at most {most:,} are "
                    "read: write one row for each map, and numbers with fewer digits"
                )
            if found[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError(f"{path} is packed in a rare way: make an ordinary zip (deflate)")
            # Whatever it says of itself and unpacks to, no more is unpacked.
            with archive.open(found[0]) as file:
                document = json.loads(file.read(most + 1))
    except BROKEN_ZIP as error:
        raise DataError(f"{path} is no submission ({error}): give a zip with a {NAME}") from error
    except RuntimeError as error:  # what zipfile raises for an encrypted file
        raise DataError(f"{path} cannot be read ({error}): give a plain zip") from error
    if not isinstance(document, dict):
        raise DataError(
            f"{NAME} in {path} must be an object with names, not a {type(document).__name__}"
        )
    return document


def _numbers(path: Path, document: dict[str, Any], key: str, width: int | None) -> FloatArray:
    """The array under `key`, (n,) or (n, width)."""
    form = "a list of numbers" if width is None else f"a list of lists of {width} numbers"
    if key not in document:
        raise DataError(f"{NAME} in {path} has no {key!r}: it must be {form}")
    rows = document[key]
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{key!r} in {path} is not {form}")
    for number, row in enumerate(rows):
        if not (_is_number(row) if width is None else _is_row(row, width)):
            raise DataError(f"{key!r} in {path} is not {form}: look at row {number} (from 0)")
    try:
        return np.array(rows, dtype=np.float64)
    except OverflowError as error:
        raise DataError(f"{key!r} in {path} holds a whole number too large to be one") from error


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_row(value: object, width: int) -> bool:
    return isinstance(value, list) and len(value) == width and all(map(_is_number, value))


def _counted(path: Path, found: int, wanted: int | None) -> None:
    if wanted is not None and found != wanted:
        raise DataError(f"{path} answers for {found:,} maps, the test set has {wanted:,}")
