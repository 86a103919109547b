"""The schema is that of the real sample, and the stand-in events obey it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks.events import made_columns, made_events

from sigma68.tasks.higgs import schema

SAMPLE = Path(__file__).resolve().parents[3] / "../shared/data/higgs-sample"


def test_columns_are_those_of_the_published_metadata() -> None:
    if not SAMPLE.exists():
        pytest.skip("the real sample is not beside this checkout")
    metadata = json.loads(next(SAMPLE.glob("*_metadata.json")).read_text())
    origin = {"weights", "labels", "detailed_labels"}
    assert tuple(c for c in metadata["columns"] if c not in origin) == schema.FEATURES
    assert set(schema.PROCESSES) == set(metadata["detailed_labels"])
    assert metadata["luminosity"] == schema.LUMINOSITY_FB
    assert sum(schema.EXPECTED_EVENTS) == pytest.approx(metadata["sum_weights"], rel=1e-3)


@pytest.mark.parametrize(
    ("constant", "column"),
    [
        ("LEP_PT", "PRI_lep_pt"),
        ("HAD_PT", "PRI_had_pt"),
        ("HAD_PHI", "PRI_had_phi"),
        ("JET1_PT", "PRI_jet_leading_pt"),
        ("JET2_PHI", "PRI_jet_subleading_phi"),
        ("N_JETS", "PRI_n_jets"),
        ("JET_ALL_PT", "PRI_jet_all_pt"),
        ("MET", "PRI_met"),
        ("MET_PHI", "PRI_met_phi"),
        ("MASS_TRANSVERSE", "DER_mass_transverse_met_lep"),
        ("PT_H", "DER_pt_h"),
        ("MASS_JJ", "DER_mass_jet_jet"),
        ("PT_RATIO", "DER_pt_ratio_lep_had"),
        ("LEP_ETA_CENTRALITY", "DER_lep_eta_centrality"),
    ],
)
def test_constants_point_at_their_columns(constant: str, column: str) -> None:
    assert schema.FEATURES[getattr(schema, constant)] == column


def test_every_feature_has_a_label_and_momenta_have_units() -> None:
    assert len(schema.PRIMARIES) == 16
    assert len(schema.DERIVED) == 12
    assert len({feature.name for feature in schema.FEATURE_TABLE}) == 28
    assert all(feature.label for feature in schema.FEATURE_TABLE)
    in_gev = {f.name for f in schema.FEATURE_TABLE if f.unit == "GeV"}
    assert {"PRI_met", "DER_mass_vis", "DER_pt_h", "DER_sum_pt"} <= in_gev
    assert "DER_pt_ratio_lep_had" not in in_gev


@pytest.fixture(scope="module")
def made() -> pd.DataFrame:
    return made_events(20_000, seed=3)


def test_made_events_have_the_columns_types_and_yields(made: pd.DataFrame) -> None:
    assert set(made.columns) == {*schema.FEATURES, "weights", "labels", "detailed_labels"}
    numbers = made.drop(columns="detailed_labels")
    assert (numbers.dtypes == np.float32).all()
    assert np.isfinite(numbers.to_numpy()).all()
    yields = made.groupby("detailed_labels", observed=True)["weights"].sum()
    expected = dict(zip(schema.PROCESSES, schema.EXPECTED_EVENTS, strict=True))
    assert yields.to_dict() == pytest.approx(expected, rel=1e-4)
    assert ((made["labels"] == 1) == (made["detailed_labels"] == "htautau")).all()


def test_made_events_obey_the_rules_of_the_real_ones(made: pd.DataFrame) -> None:
    phi = made[[c for c in made if c.endswith("_phi") and c.startswith("PRI")]].to_numpy()
    assert (np.abs(np.where(phi == schema.UNDEFINED, 0, phi)) <= np.float32(3.142)).all()
    assert made["PRI_lep_pt"].min() >= 20
    assert made["PRI_had_pt"].min() >= 23
    n = made["PRI_n_jets"]
    leading, subleading = made["PRI_jet_leading_pt"], made["PRI_jet_subleading_pt"]
    assert ((leading == schema.UNDEFINED) == (n < 1)).all()
    assert ((subleading == schema.UNDEFINED) == (n < 2)).all()
    assert (leading >= subleading).all()
    listed = leading.clip(lower=0) + subleading.clip(lower=0)
    assert (made["PRI_jet_all_pt"] >= listed - 1e-3).all()
    assert (made.loc[n == 0, "PRI_jet_all_pt"] == 0).all()
    primaries = made[list(schema.PRIMARIES)].to_numpy()
    assert (primaries == np.round(primaries, 3)).all()


def test_made_events_are_a_function_of_their_seed() -> None:
    first, again, other = (made_columns(500, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    with pytest.raises(ValueError, match="one row per process"):
        made_columns(3, 1)
