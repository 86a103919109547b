"""Maps that are given away as one file, to be answered by a file of results; and their score.

What a challenge's server asks of a task whose participants see all observations at once.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from sigma68.errors import DataError
from sigma68.files import replacing
from sigma68.summaries import Columns
from sigma68.tasks.lensing.design import PARAMETERS
from sigma68.tasks.lensing.scores import summary_of_estimates
from sigma68.tasks.lensing.submission import read_estimates
from sigma68.types import Observation, Score

__all__ = [
    "ABOUT_ESTIMATES",
    "ABOUT_SCORE",
    "PUBLISHED_FILE",
    "estimates_of",
    "published_maps",
    "score_of_estimates",
    "write_maps",
]

PUBLISHED_FILE = "maps.npz"
_LARGEST = 1e6
_SMALLEST_ERROR = 1e-12

ABOUT_ESTIMATES = """\
The file holds two arrays, for `numpy.load`: `kappa`, float16 of shape (number of maps, number of
pixels), and `mask`, boolean of shape (rows, columns) of a map. A row of `kappa` has the pixels where
the mask is true, row by row, with their noise.

Send a zip with one `result.json`, one row for each map, in their order:

    {"means": [[Omega_m, S8], ...],
     "errorbars": [[error of Omega_m, error of S8], ...]}

All are finite numbers, errors positive.
"""

ABOUT_SCORE = """\
With mean *m*, error *s* and truth *t*, the score of a map is the sum over Omega_m and S8 of

    -[(m - t)^2 / s^2 + ln s^2 + 1000 (m - t)^2]

and that of a submission the mean over all maps, -1,000,000 at least. Larger is better.
"""


def write_maps(
    path: Path, maps: Iterable[Observation], n_maps: int, mask: npt.NDArray[np.bool_]
) -> None:
    """Write `n_maps` maps of `mask` as they are given away: arrays `kappa` (float16) and `mask`.

    One map at a time is held in memory. The same maps give the same file.

    Raises
    ------
    DataError
        If a map has not as many pixels as the mask shows, or there are not `n_maps`.
    OutputError
        If it cannot be written.
    """
    n_pixels = int(mask.sum())
    header = {"descr": "<f2", "fortran_order": False, "shape": (n_maps, n_pixels)}
    count = 0
    with replacing(path) as part, zipfile.ZipFile(part, "w") as archive:
        with _member(archive, "kappa.npy") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for count, one in enumerate(maps, 1):
                if one.values.shape != (1, n_pixels):
                    raise DataError(
                        f"map {count - 1} has {one.values.size:,} pixels, the mask shows {n_pixels:,}"
                    )
                file.write(one["kappa"].astype("<f2").tobytes())
        with _member(archive, "mask.npy") as file:
            np.lib.format.write_array(file, mask, allow_pickle=False)
        if count != n_maps:
            raise DataError(f"there are {count:,} maps to be written, not {n_maps:,}")


def published_maps(path: Path) -> tuple[list[Observation], npt.NDArray[np.bool_]]:
    """The maps of a file that `write_maps` wrote, and their mask.

    Raises
    ------
    DataError
        If it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            kappa, mask = file["kappa"], file["mask"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, TypeError) as error:
        raise DataError(
            f"{path} is no file of published maps ({error}): download it again"
        ) from error
    if mask.dtype != np.bool_ or kappa.ndim != 2 or kappa.shape[1] != int(mask.sum()):
        raise DataError(
            f"{path} has maps of shape {kappa.shape} and a mask of {int(mask.sum()):,} pixels: "
            "download it again"
        )
    return [Observation(("kappa",), row[None].astype(np.float32)) for row in kappa], mask


def estimates_of(path: Path, n_maps: int) -> Columns:
    """The columns of answers in a submission to `n_maps` maps, all of which can be scored.

    Raises
    ------
    DataError
        If it is no submission, or a number in it is not finite, an error not positive, or one of
        them beyond all measure.
    """
    means, errors = read_estimates(path, n_maps)
    _refuse(path, ~(np.isfinite(means) & np.isfinite(errors)), "a number that is not finite")
    _refuse(path, errors < _SMALLEST_ERROR, "an error that is not positive")
    beyond = np.maximum(np.abs(means), errors) > _LARGEST
    _refuse(path, beyond, f"a number beyond {_LARGEST:,.0f}")
    columns = {}
    for i, parameter in enumerate(PARAMETERS):
        columns[f"{parameter.name}_hat"] = means[:, i]
        columns[f"delta_{parameter.name}_hat"] = errors[:, i]
    return columns


def score_of_estimates(answers: Columns, truths: Columns) -> Score:
    """The first phase's score of answers that `estimates_of` gave.

    Raises
    ------
    DataError
        If there are not as many answers as truths.
    """
    means, errors, true = (
        np.stack([table[form.format(p.name)] for p in PARAMETERS], axis=1)
        for table, form in ((answers, "{}_hat"), (answers, "delta_{}_hat"), (truths, "{}"))
    )
    values = summary_of_estimates(means, errors, true)
    return Score(headline="score", values={**values, "n_maps": len(means)})


def _refuse(path: Path, bad: npt.NDArray[np.bool_], what: str) -> None:
    """Raise if anything is bad of (n_maps, 2) numbers."""
    rows = np.flatnonzero(bad.any(axis=1))
    if rows.size:
        raise DataError(
            f"{path} has {what} for {rows.size:,} of {len(bad):,} maps: look at row "
            f"{int(rows[0])} (from 0)"
        )


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    # A fixed date: the same maps give the same file.
    entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    return archive.open(entry, "w", force_zip64=True)
