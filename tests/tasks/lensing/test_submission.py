"""Submissions in and out, and what is not one."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, SettingsError
from sigma68.tasks.lensing.submission import (
    read_estimates,
    read_strangeness,
    write_estimates,
    write_strangeness,
)

MEANS = np.array([[0.3, 0.8], [0.25, 0.79], [0.5, 0.9]])


def zipped(path: Path, content: str, name: str = "result.json") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, content)
    return path


def test_estimates_go_out_and_in(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_estimates(path, MEANS, MEANS / 10)
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["result.json"]
        document = json.loads(archive.read("result.json"))
    assert document == {"means": MEANS.tolist(), "errorbars": (MEANS / 10).tolist()}
    means, errors = read_estimates(path, 3)
    np.testing.assert_array_equal(means, MEANS)
    np.testing.assert_array_equal(errors, MEANS / 10)
    write_estimates(tmp_path / "b.zip", MEANS, MEANS / 10)
    assert path.read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_strangeness_goes_out_and_in(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_strangeness(path, np.array([0.5, -1.0]))
    np.testing.assert_array_equal(read_strangeness(path, 2), [0.5, -1.0])
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("result.json")) == {"ood_scores": [0.5, -1.0]}


def test_a_result_in_a_folder_of_the_zip_is_found(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", '{"ood_scores": [1, 2]}', "mine/result.json")
    np.testing.assert_array_equal(read_strangeness(path), [1.0, 2.0])


def test_what_would_land_on_the_floor_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    for errors in (MEANS * 0, np.where(MEANS > 0.7, np.nan, 0.1), MEANS[:2]):
        with pytest.raises(SettingsError):
            write_estimates(path, MEANS, errors)
    with pytest.raises(SettingsError):
        write_strangeness(path, np.array([np.inf]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        "{}",
        '{"means": [[0.3, 0.8]]}',
        '{"means": [[0.3, 0.8]], "errorbars": [[0.1]]}',
        '{"means": [[0.3, 0.8]], "errorbars": [[0.1, 0.1], [0.1, 0.1]]}',
        '{"means": [0.3, 0.8], "errorbars": [0.1, 0.1]}',
        '{"means": [["a", "b"]], "errorbars": [[0.1, 0.1]]}',
        '{"means": [[0.3, 0.8], [0.3]], "errorbars": [[0.1, 0.1], [0.1]]}',
        '{"means": 3, "errorbars": 3}',
    ],
)
def test_what_is_no_submission_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError):
        read_estimates(zipped(tmp_path / "a.zip", content))


def test_files_that_are_no_zip_or_hold_no_result_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with pytest.raises(DataError):
        read_estimates(path)
    path.write_bytes(b"PK no zip")
    with pytest.raises(DataError):
        read_estimates(path)
    with pytest.raises(DataError, match="0 files"):
        read_estimates(zipped(path, "{}", "other.json"))


def test_another_number_of_maps_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_estimates(path, MEANS, MEANS / 10)
    with pytest.raises(DataError, match="4,000"):
        read_estimates(path, 4000)
