"""A whole validation of an emulator: what is alike passes, and the right part finds what is spoiled."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sigma68.errors import DataError, MissingExtraError, SettingsError
from sigma68.tasks.higgs.validation import validate as module
from sigma68.tasks.higgs.validation.judgement import (
    EMULATOR,
    JUDGEMENTS,
    PARTS,
    SIMULATION,
    judgement_for,
)
from sigma68.tasks.higgs.validation.result import Validation, write_validation
from sigma68.tasks.higgs.validation.validate import validate
from sigma68.tasks.higgs.validation.verdict import findings
from tests.tasks.higgs.validation.made_files import (
    scaled,
    shared_out,
    smeared,
    with_copies,
    write,
)

# Limits that made-up events in tens of thousands can be held to.
JUDGEMENT = replace(
    EMULATOR,
    inclusive_tolerance=(0.1,) * 4,
    region_tolerance=(0.25,) * 4,
    largest_error=0.07,
    response_tolerance=0.02,
    largest_response_error=0.006,
    largest_area=0.58,
    largest_gap=0.03,
)


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return shared_out(50_000, 73)


@pytest.fixture(scope="module")
def files(
    frames: dict[str, pd.DataFrame], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("events")
    return {name: write(frame, folder / f"{name}.parquet") for name, frame in frames.items()}


@pytest.fixture(scope="module")
def result(files: dict[str, Path]) -> Validation:
    told: list[float] = []
    found = validate(
        files["emulated"],
        files["held out"],
        judgement=JUDGEMENT,
        training=files["training"],
        progress=lambda what, fraction: told.append(fraction),
    )
    assert told == sorted(told)
    return found


def spoiled(
    frame: pd.DataFrame, files: dict[str, Path], tmp_path: Path, *parts: str
) -> dict[str, bool]:
    """Which of the parts pass if these are the emulated events."""
    found = validate(
        write(frame, tmp_path / "spoiled.parquet"),
        files["held out"],
        judgement=JUDGEMENT,
        training=files["training"],
        parts=parts,
    )
    return {finding.part: finding.passed for finding in findings(found)}


def test_events_of_the_same_density_pass_every_part(result: Validation) -> None:
    found = findings(result)
    assert all(f.passed for f in found), [f for f in found if not f.passed]
    assert [f.part for f in found] == ["form", *PARTS]
    assert list(result.groups) == ["htautau", "ztautau", "ttbar"]
    assert [t.group for t in result.controls] == [t.group for t in result.classifiers]
    assert {t.kind for t in result.distributions} == {"shape", "defined", "edge"}
    assert [own.trained_on for own in result.separations] == ["emulated", "simulated"]
    assert [t.process for t in result.neighbours][:2] == ["htautau", "ztautau"]
    assert result.table.name == "events of held out.parquet"
    assert result.training is not None
    assert result.training.rows == sum(result.training.rows_per_process.values())
    assert {t.verdict for t in result.yields} >= {"pass", "unsure"}
    assert {t.verdict for t in result.responses} >= {"pass", "small"}


def test_everything_is_json(result: Validation, tmp_path: Path) -> None:
    path = write_validation(result, tmp_path)
    document = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert document["judgement"]["name"] == "emulator"
    assert document["judgement"]["response_tolerance"] == 0.02
    assert len(document["neighbours"][0]["edges"]) == len(result.neighbours[0].edges)
    assert set(document["separations"][0]["gap"]) >= {"tested", "difference", "error"}
    assert document["training"]["name"] == "training.parquet"


def test_a_scaled_met_is_found_by_distributions_and_trees(
    frames: dict[str, pd.DataFrame], files: dict[str, Path], tmp_path: Path
) -> None:
    frame = scaled(frames["emulated"], "PRI_met", 1.15)
    passed = spoiled(frame, files, tmp_path, "distributions", "neighbours")
    assert passed == {"form": True, "distributions": False, "neighbours": True}


def test_a_smeared_tau_moves_responses_and_is_told_apart(
    frames: dict[str, pd.DataFrame], files: dict[str, Path], tmp_path: Path
) -> None:
    # Half of the taus pile up just above the threshold.
    frame = frames["emulated"].copy()
    near = (frame["PRI_had_pt"] > 26.5) & (frame["PRI_had_pt"] < 36) & (frame.index % 2 == 0)
    frame.loc[near, "PRI_had_pt"] = (26 + 0.05 * (frame["PRI_had_pt"] - 26))[near].round(3)
    passed = spoiled(
        scaled(frame, "PRI_had_pt", 1.0), files, tmp_path, "response", "classifier", "yields"
    )
    assert passed == {"form": True, "yields": True, "response": False, "classifier": False}


def test_a_smeared_edge_of_jets_is_found(
    frames: dict[str, pd.DataFrame], files: dict[str, Path], tmp_path: Path
) -> None:
    frame = smeared(frames["emulated"], "PRI_jet_leading_eta", 0.4, seed=2)
    found = validate(
        write(frame, tmp_path / "spoiled.parquet"),
        files["held out"],
        judgement=JUDGEMENT,
        parts=("distributions",),
    )
    bad = {(t.kind, t.column) for t in found.distributions if (t.corrected or 1.0) < found.level}
    assert ("edge", "PRI_jet_leading_eta") in bad
    said = [d for f in findings(found) for d in f.details if "beyond all of the reference" in d]
    assert said
    assert "PRI_jet_leading_eta" in said[0]


def test_an_artefact_of_the_signal_is_found_by_its_separation(
    frames: dict[str, pd.DataFrame], files: dict[str, Path], tmp_path: Path
) -> None:
    frame = frames["emulated"].copy()
    signal = frame["detailed_labels"] == "htautau"
    frame.loc[signal] = scaled(frame[signal], "PRI_met", 1.6)
    passed = spoiled(frame, files, tmp_path, "separation")
    assert passed == {"form": True, "separation": False}


def test_repeated_training_events_are_found_and_by_neighbours_alone(
    frames: dict[str, pd.DataFrame], files: dict[str, Path], tmp_path: Path
) -> None:
    frame = with_copies(frames["emulated"], frames["training"], 0.03, seed=3)
    passed = spoiled(frame, files, tmp_path, "yields", "distributions", "neighbours")
    assert passed == {"form": True, "yields": True, "distributions": True, "neighbours": False}


def test_yields_that_are_off_are_found_and_another_luminosity_is_explained(
    frames: dict[str, pd.DataFrame], files: dict[str, Path], tmp_path: Path
) -> None:
    frame = frames["emulated"].copy()
    frame["weights"] *= np.where(frame["detailed_labels"] == "ztautau", 1.2, 1.0)
    assert spoiled(frame, files, tmp_path, "yields") == {"form": True, "yields": False}
    part = frames["emulated"].copy()
    part["weights"] /= 4
    found = validate(
        write(part, tmp_path / "part.parquet"),
        files["held out"],
        judgement=JUDGEMENT,
        parts=("yields",),
    )
    details = findings(found)[1].details
    assert any("the same factor, 0.2" in detail and "--yields" in detail for detail in details)


def test_one_file_may_hold_all_of_the_simulation(
    frames: dict[str, pd.DataFrame], files: dict[str, Path], tmp_path: Path
) -> None:
    whole = pd.concat([frames["held out"], frames["training"]], ignore_index=True)
    whole["weights"] /= 2
    path = write(whole, tmp_path / "whole.parquet")
    parts = ("yields", "response", "neighbours")
    found = validate(files["emulated"], path, judgement=JUDGEMENT, split_seed=3, parts=parts)
    assert found.reference.name == "whole.parquet, final"
    assert found.training is not None
    assert found.training.name == "whole.parquet, train + calibration + scoring"
    assert found.reference.rows + found.training.rows == len(whole)
    # Yields and responses are those of the whole file.
    sums = whole.groupby("detailed_labels", observed=False)["weights"].sum()
    assert found.table.inclusive[1] == pytest.approx(sums["ztautau"], rel=1e-6)
    assert found.expected == "whole.parquet"
    assert all(finding.passed for finding in findings(found)), findings(found)
    named = validate(
        files["emulated"],
        files["held out"],
        judgement=JUDGEMENT,
        whole=path,
        parts=("yields", "response"),
    )
    for one, other in zip(named.yields, found.yields, strict=True):
        assert one.expected == pytest.approx(other.expected, rel=1e-9)
    with pytest.raises(SettingsError, match="leave out --training"):
        validate(
            files["emulated"], path, judgement=EMULATOR, split_seed=3, training=files["training"]
        )


def test_training_events_among_those_held_out_are_refused(
    frames: dict[str, pd.DataFrame], files: dict[str, Path], tmp_path: Path
) -> None:
    leaked = pd.concat([frames["training"], frames["held out"].head(7)], ignore_index=True)
    path = write(leaked, tmp_path / "leaked.parquet")
    with pytest.raises(DataError, match="share 7 hard events"):
        validate(files["emulated"], files["held out"], judgement=EMULATOR, training=path)


def test_what_does_not_fit_together_is_told(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = files["emulated"], files["held out"]
    with pytest.raises(SettingsError, match="--for emulator"):
        validate(*pair, judgement=SIMULATION, training=files["training"])
    with pytest.raises(SettingsError, match="with --training"):
        validate(*pair, judgement=EMULATOR, parts=("neighbours",))
    with pytest.raises(SettingsError, match="of a validation of a simulation"):
        validate(*pair, judgement=SIMULATION, parts=("separation",))
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"--parts yields,distributions,response,corr"):
        validate(*pair, judgement=EMULATOR)


def test_without_training_events_what_needs_them_is_left_out(files: dict[str, Path]) -> None:
    pair = files["emulated"], files["held out"]
    found = validate(*pair, judgement=JUDGEMENT, parts=("yields", "correlations"))
    assert found.training is None
    assert module._parts(JUDGEMENT, None, False) == PARTS[:-1]
    assert module._parts(JUDGEMENT, None, True) == PARTS


def test_the_history_of_a_file_says_what_it_is(
    frames: dict[str, pd.DataFrame], files: dict[str, Path], tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frames["emulated"].head(10), preserve_index=False)
    for kind, expected in (("emulation", EMULATOR), ("simulation", SIMULATION)):
        path = tmp_path / f"{kind}.parquet"
        history = json.dumps({"kind": kind})
        pq.write_table(table.replace_schema_metadata({"sigma68": history}), path)
        assert judgement_for(path) is expected
    assert judgement_for(files["emulated"]) is SIMULATION
    assert JUDGEMENTS == {"simulation": SIMULATION, "emulator": EMULATOR}
