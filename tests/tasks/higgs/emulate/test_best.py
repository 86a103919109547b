"""The narrowest intervals: their integrals, their error, and the file that comes with the package."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, SettingsError
from sigma68.inference.factors import Factors
from sigma68.tasks.higgs.emulate import best
from sigma68.tasks.higgs.emulate.best import FACTORS, GRID, BestIntervals, compute, load
from sigma68.tasks.higgs.emulate.components import EmulatedComponents
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.nuisance import SCALES
from tests.tasks.higgs.emulate.small import small_emulator, small_weights

OFF = dict.fromkeys(SCALES, 1.0)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    return small_emulator(tmp_path_factory.mktemp("emulator"))


@pytest.fixture(scope="module")
def found(emulator: Emulator) -> BestIntervals:
    return compute(emulator, 60_000, seed=1)


def test_sampling_and_density_are_of_the_same_events(found: BestIntervals) -> None:
    pulls = (found.integrals - 1) / found.integral_errors
    assert np.abs(pulls).max() < 4
    assert found.integral_errors.max() < 0.02


def test_scaled_information_sums_to_the_expected_events(
    emulator: Emulator, found: BestIntervals
) -> None:
    """F c = nu, with the very same error as the integral of each density."""
    yields = EmulatedComponents(emulator).component_yields()
    for mu, information in zip(found.mu, found.information, strict=True):
        scales = Factors(FACTORS).scales({"mu": mu, **OFF})
        np.testing.assert_allclose(information @ scales, yields * found.integrals, rtol=1e-9)


def test_another_seed_agrees_within_the_stated_error(
    emulator: Emulator, found: BestIntervals
) -> None:
    other = compute(emulator, 60_000, seed=2)
    for name in ("statistics", "normalisations"):
        error = np.hypot(found.uncertainty[name], other.uncertainty[name])
        pulls = (found.errors[name] - other.errors[name]) / error
        assert np.abs(pulls).max() < 4
        assert (found.uncertainty[name] < 0.03 * found.errors[name]).all()
    again = compute(emulator, 60_000, seed=2)
    np.testing.assert_array_equal(again.information, other.information)


def test_more_unknowns_and_more_signal_make_wider_intervals(found: BestIntervals) -> None:
    statistics, all_ = found.errors["statistics"], found.errors["normalisations"]
    assert (all_ > statistics).all()
    assert (np.diff(statistics) > 0).all()
    one = found.widths(1.0, ["diboson_scale", "tes"])
    assert 2 * statistics[9] < one["normalisations"] < 2 * all_[9]


def test_widths_are_interpolated_and_two_errors_wide(found: BestIntervals) -> None:
    for i in (0, 9, len(GRID) - 1):
        widths = found.widths(GRID[i], SCALES)
        for name in widths:
            assert widths[name] == pytest.approx(2 * found.errors[name][i], rel=1e-4)
    middle = found.widths(1.05, ())
    assert set(middle) == {"statistics"} == set(found.widths(1.05, ["tes", "jes"]))
    ends = found.errors["statistics"][9:11]
    assert middle["statistics"] == pytest.approx(ends.sum(), rel=1e-4)
    with pytest.raises(DataError, match=r"not known at mu = 3\.5, only from 0\.1 to 3"):
        found.widths(3.5, ())


def test_command_writes_what_load_reads(
    emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, out = small_weights(tmp_path / "weights.npz"), tmp_path / "best.json"
    best.main(["--rows", "20k", "--seed", "3", "--weights", str(weights), "--out", str(out)])
    said = capsys.readouterr().out
    assert "integral of the density of diboson" in said
    read, made = load(out), compute(emulator, 20_000, seed=3)
    assert read is not None
    assert read.fingerprint == emulator.fingerprint
    np.testing.assert_allclose(read.information, made.information, rtol=1e-6)
    np.testing.assert_allclose(
        read.uncertainty["statistics"], made.uncertainty["statistics"], rtol=1e-6
    )
    assert read.widths(2.0, SCALES) == pytest.approx(made.widths(2.0, SCALES), rel=1e-6)


def test_what_comes_with_the_package_is_of_its_weights() -> None:
    """After a training: python -m sigma68.tasks.higgs.emulate.best."""
    emulator, shipped = Emulator.load(), load()
    assert shipped is not None
    assert shipped.fingerprint == emulator.fingerprint
    assert shipped.rows >= 1_000_000
    assert shipped.mu == GRID
    assert (np.abs(shipped.integrals - 1) < 4 * shipped.integral_errors).all()
    coarse = compute(emulator, 30_000, seed=9)
    for name in ("statistics", "normalisations"):
        error = np.hypot(coarse.uncertainty[name], shipped.uncertainty[name])
        assert (np.abs(coarse.errors[name] - shipped.errors[name]) < 4 * error).all()
        np.testing.assert_allclose(coarse.errors[name], shipped.errors[name], rtol=0.15)


def test_it_is_a_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["best", "--help"])
    monkeypatch.delitem(sys.modules, best.__name__)  # or it would warn that it is there already
    with pytest.raises(SystemExit):
        runpy.run_module(best.__name__, run_name="__main__")
    assert "python -m sigma68.tasks.higgs.emulate.best" in capsys.readouterr().out


def test_a_damaged_or_missing_file(tmp_path: Path, found: BestIntervals) -> None:
    path = tmp_path / "best.json"
    assert load(path) is None
    document = found.to_json()
    document["information"] = document["information"][:-1]
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"cannot be read .*write it again with python -m"):
        load(path)
    path.write_text("[1]")
    with pytest.raises(DataError, match="cannot be read"):
        load(path)


def test_too_few_rows_are_refused(emulator: Emulator) -> None:
    with pytest.raises(SettingsError, match="1,000 rows give no error: ask for 6,400 or more"):
        compute(emulator, 1000)
