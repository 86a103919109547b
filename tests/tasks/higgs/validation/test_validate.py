"""A whole validation of files with known answers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sigma68.errors import DataError, MissingExtraError, SettingsError
from sigma68.report.validation import write_validation_report
from sigma68.tasks.higgs.regions import REGIONS
from sigma68.tasks.higgs.schema import EXPECTED_EVENTS, FEATURES, PROCESSES
from sigma68.tasks.higgs.validation import validate as module
from sigma68.tasks.higgs.validation.result import FILE_NAME, Validation, write_validation
from sigma68.tasks.higgs.validation.tables import YieldTable
from sigma68.tasks.higgs.validation.validate import validate
from sigma68.tasks.higgs.validation.verdict import findings, passes
from tests.tasks.higgs.validation.made_files import halves, scaled, write

QUICK = ("yields", "distributions", "response")


def table_of(frame: pd.DataFrame) -> YieldTable:
    """A table that the frame agrees with."""
    inclusive = frame.groupby("detailed_labels", observed=False)["weights"].sum()
    return YieldTable(
        "own table", inclusive[list(PROCESSES)].to_numpy(np.float64), np.full((5, 4), np.nan)
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, YieldTable]:
    folder = tmp_path_factory.mktemp("events")
    tested, reference = halves(40_000, 21)
    tested["hard_event"] = np.arange(len(tested)) // 2
    return (
        write(tested, folder / "simulated.parquet"),
        write(reference, folder / "real.parquet"),
        table_of(tested),
    )


@pytest.fixture(scope="module")
def result(files: tuple[Path, Path, YieldTable]) -> Validation:
    told: list[float] = []
    found = validate(
        *files, sample_rows=3000, progress=lambda what, fraction: told.append(fraction)
    )
    assert told == sorted(told)
    return found


def test_two_halves_of_one_sample_pass(result: Validation) -> None:
    assert passes(result), [f for f in findings(result) if not f.passed]
    assert [f.part for f in findings(result)] == [
        *("form", "yields", "distributions", "response", "correlations", "classifier")
    ]
    # 1% of 40,000 rows is no group of its own in a tenth of them.
    assert list(result.groups) == ["htautau", "ztautau", "ttbar", "pooled"]
    assert result.groups["pooled"] == PROCESSES
    assert {t.group for t in result.distributions} == set(result.groups)
    assert [c.group for c in result.classifiers] == list(result.groups)
    assert len(result.histograms) == 4 * len(FEATURES)
    assert result.tested.has_hard_events
    assert not result.reference.has_hard_events
    for process, expected in zip(PROCESSES, EXPECTED_EVENTS, strict=True):
        assert result.tested.sum_weights[process] == pytest.approx(expected, rel=0.1)
        # Two rows of equal weight in one hard event, or of two processes.
        rows = result.tested.rows_per_process[process]
        assert 0.45 * rows < result.tested.effective[process] <= rows


def test_it_is_the_same_every_time_and_json(
    result: Validation, files: tuple[Path, Path, YieldTable], tmp_path: Path
) -> None:
    path = write_validation(result, tmp_path)
    assert path == tmp_path / FILE_NAME
    document = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert document["version"] == 2
    assert set(document) == {"version", *Validation.__dataclass_fields__}
    assert len(document["correlations"][0]["pulls"]) == len(FEATURES)
    assert document["table"]["regions"][0][0] is None
    again = validate(*files, sample_rows=3000, parts=QUICK).to_json()
    for part in ("yields", "numbers", "distributions", "responses", "histograms"):
        assert again[part] == document[part], part
    assert (again["classifiers"], again["correlations"]) == ([], [])
    assert again["parts"] == list(QUICK)


def test_a_scaled_column_is_found(files: tuple[Path, Path, YieldTable], tmp_path: Path) -> None:
    reference = scaled(pd.read_parquet(files[1]), "PRI_had_pt", 1.03)
    changed = write(reference, tmp_path / "changed.parquet")
    found = validate(files[0], changed, files[2], parts=("distributions",))
    bad = {t.column for t in found.distributions if (t.corrected or 1) < found.level}
    assert "PRI_had_pt" in bad
    assert not bad & {"PRI_lep_pt", "PRI_lep_eta", "PRI_met", "PRI_n_jets"}
    finding = findings(found)[1]
    assert not finding.passed
    assert any("PRI_had_pt" in detail for detail in finding.details)
    assert any("90% probability" in detail for detail in finding.details)


def test_yields_that_miss_are_named_with_their_size(
    files: tuple[Path, Path, YieldTable],
) -> None:
    own = files[2]
    wrong = YieldTable("wrong table", own.inclusive * [1.0, 1.0, 0.7, 1.05], own.regions)
    found = validate(files[0], files[1], wrong, parts=("yields",))
    finding = findings(found)[1]
    assert finding.headline == "3 of 4 yields are within their tolerance of the wrong table"
    assert finding.details[0].startswith("ttbar, inclusive: +42.9% ± ")
    assert not passes(found)
    # The table has no regions.
    assert not any("chi-square" in detail for detail in finding.details)


def test_regions_are_also_judged_together(files: tuple[Path, Path, YieldTable]) -> None:
    same = validate(files[0], files[1], parts=("yields",))
    regions = np.full((5, 4), np.nan)
    for t in same.yields:
        if t.region in REGIONS:
            regions[REGIONS.index(t.region), PROCESSES.index(t.process)] = t.tested
    z = regions[:, 1].copy()
    z[3] *= 1 + 3 * next(
        t.error / t.ratio for t in same.yields if t.region == REGIONS[3] and t.process == "ztautau"
    )
    regions = np.where(np.arange(4) == 1, z[:, None], np.nan)
    found = validate(
        files[0], files[1], YieldTable("t", np.full(4, np.nan), regions), parts=("yields",)
    )
    said = next(d for d in findings(found)[1].details if "chi-square" in d)
    assert "the 5 yields per region agree with the table with chi-square 9." in said


def test_processes_that_one_file_lacks_are_left_out(
    files: tuple[Path, Path, YieldTable], tmp_path: Path
) -> None:
    frame = pd.read_parquet(files[0])
    only = write(frame[frame["detailed_labels"] == "ztautau"], tmp_path / "z.parquet")
    found = validate(only, files[1], parts=QUICK)
    assert found.groups == {"ztautau": ("ztautau",)}
    assert {t.verdict for t in found.yields if t.process != "ztautau"} == {"none"}
    assert {r.process for r in found.responses} == {"ztautau"}
    assert found.tested.rows_per_process["ttbar"] == 0

    few = pd.read_parquet(files[1])
    few = few[few["detailed_labels"] == "diboson"]
    assert 0 < len(few) < 100
    small = write(few, tmp_path / "vv.parquet")
    tiny = write(few.head(12), tmp_path / "tiny.parquet")
    found = validate(files[0], tiny)
    assert found.groups == {"pooled": ("diboson",)}
    said = {f.part: f.headline for f in findings(found)}
    assert said["distributions"] == "too few events to test any distribution"
    assert said["classifier"] == "too few events to train trees"
    assert said["correlations"] == "too few real events to compare any correlation"
    assert said["response"].startswith("too few real events move")
    json.dumps(found.to_json(), allow_nan=False)
    # The page is made without what could not be tested; the grid of columns is drawn elsewhere.
    write_validation_report(replace(found, groups={}, responses=()), tmp_path / "report")
    assert "p_values.pdf" not in {path.name for path in (tmp_path / "report/figures").iterdir()}
    with pytest.raises(DataError, match="no process in common"):
        validate(only, small, parts=QUICK)


def test_the_order_and_the_pieces_of_a_file_change_nothing(
    files: tuple[Path, Path, YieldTable], result: Validation, tmp_path: Path
) -> None:
    frame = pd.read_parquet(files[0])
    order = np.random.default_rng(1).permutation(len(frame))
    shuffled = tmp_path / "shuffled.parquet"
    frame.iloc[order].to_parquet(shuffled, row_group_size=1000, index=False)
    found = validate(shuffled, files[1], files[2], parts=("yields", "distributions"))
    for one, other in zip(found.yields, result.yields, strict=True):
        assert one.ratio == pytest.approx(other.ratio, rel=1e-9)
        assert one.error == pytest.approx(other.error, rel=1e-9)
    for test, known in zip(found.distributions, result.distributions, strict=True):
        assert (test.p_value is None) == (known.p_value is None)
        if test.p_value is not None:
            assert test.difference == pytest.approx(known.difference, abs=1e-9)
            assert test.p_value == pytest.approx(known.p_value, rel=1e-6)


def test_files_that_are_written_differently_are_told(
    files: tuple[Path, Path, YieldTable], tmp_path: Path
) -> None:
    frame = pd.read_parquet(files[0])
    frame["PRI_met"] += np.float32(0.0003)
    found = validate(write(frame, tmp_path / "f.parquet"), files[1], parts=("yields",))
    finding = findings(found)[0]
    assert not finding.passed
    assert "simulated: 0 rows have a momentum" in finding.details[0]
    assert f"{len(frame):,} primary values are not multiples" in finding.details[0]


def test_shards_are_to_be_merged_first(
    files: tuple[Path, Path, YieldTable], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="sigma68 data merge"):
        validate(tmp_path, files[1])
    for name in ("a", "b"):
        (tmp_path / f"{name}.parquet").write_bytes(files[0].read_bytes())
    with pytest.raises(DataError, match="sigma68 data merge"):
        validate(tmp_path, files[1])
    (tmp_path / "b.parquet").unlink()
    assert validate(tmp_path, files[1], parts=("yields",)).tested.name == "a.parquet"


def test_unknown_parts_and_missing_packages_are_told(
    files: tuple[Path, Path, YieldTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    for parts in (("yields", "colours"), ()):
        with pytest.raises(SettingsError, match="choose among yields, distributions"):
            validate(*files, parts=parts)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"--parts yields,distributions,response,corr"):
        validate(*files)


def test_the_real_events_agree_with_their_own_tables(
    real_events: pd.DataFrame, tmp_path: Path
) -> None:
    """As simulated events they pass everything but the yields, which 1,000 rows cannot tell."""
    path = write(real_events, tmp_path / "real.parquet")
    found = validate(path, path, parts=QUICK)
    assert {f.part for f in findings(found) if not f.passed} <= {"yields"}
    assert {t.difference for t in found.distributions if t.p_value is not None} == {0.0}
    assert all(abs(r.pull) < 0.1 for r in found.responses if r.pull and "soft" not in r.shift)
