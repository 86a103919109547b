"""What challenge entries import, held against the challenge's own functions on real events."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmarks.events import made_events

from sigma68.tasks.higgs.compat import DER_data, systematics, training_batches
from sigma68.tasks.higgs.pools import open_pools
from sigma68.tasks.higgs.schema import DERIVED, FEATURES, PRIMARIES
from tests.tasks.higgs.conftest import REAL

LABELS = ["weights", "detailed_labels", "labels"]
SHIFTS = [
    {},
    {"tes": 1.02, "jes": 0.98, "soft_met": 2.0},
    {"jes": 0.95},
    {"soft_met": 1.0, "seed": 7},
    {"tes": 0.97, "dopostprocess": False},
]
# Two roundings to 0.001 apart for the primaries; masses multiply that by momenta.
TOLERANCE = {**dict.fromkeys(PRIMARIES, 1.1e-3), **dict.fromkeys(DERIVED, 0.02)}


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    return made_events(4000, seed=11)


@pytest.fixture
def peer() -> Any:
    """The challenge's functions, quiet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip("HiggsML.systematics")
        logging.disable(logging.CRITICAL)
        yield module
        logging.disable(logging.NOTSET)


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_frame_comes_back_as_the_peer_gives_it(
    shift: dict[str, Any], real_events: pd.DataFrame, peer: Any
) -> None:
    before = real_events.copy()
    theirs = peer.systematics(real_events.copy(), **shift)
    ours = systematics(real_events, **shift, peer_compatible=True)
    pd.testing.assert_frame_equal(real_events, before)
    assert list(ours.columns) == list(theirs.columns)
    assert list(ours.dtypes) == list(theirs.dtypes)
    assert list(ours.index) == list(theirs.index)
    for name in LABELS:
        assert (ours[name] == theirs[name]).all()
    for name in FEATURES:
        difference = np.abs(ours[name] - theirs[name]).max()
        assert difference <= TOLERANCE[name], name


def test_the_default_differs_where_the_subleading_of_three_jets_fails(
    real_events: pd.DataFrame, peer: Any
) -> None:
    theirs, ours = peer.systematics(real_events.copy()), systematics(real_events)
    differs = np.abs(ours[list(PRIMARIES)] - theirs[list(PRIMARIES)]).max(axis=1) > 2e-3
    # The peer lowers the count by one for each listed jet that fails, and so keeps jets softer
    # than those: it counts more jets than it lists, though it lists fewer than two.
    listed = (theirs[["PRI_jet_leading_pt", "PRI_jet_subleading_pt"]] > 0).sum(axis=1)
    softer_kept = (listed < 2) & (theirs["PRI_n_jets"] > listed)
    assert softer_kept.sum() == 4
    assert (differs == softer_kept).all()
    assert (ours["PRI_n_jets"][softer_kept] == listed[softer_kept]).all()


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_dictionary_comes_back_as_the_peer_gives_it(
    shift: dict[str, Any], real_events: pd.DataFrame, peer: Any
) -> None:
    given = as_dictionary(real_events) | {"settings": {"tes": "?"}}
    theirs = peer.systematics(given, **shift)
    ours = systematics(given, **shift, peer_compatible=True)
    assert list(ours) == list(theirs)
    assert list(ours["data"].columns) == list(theirs["data"].columns)
    assert ours["settings"] is given["settings"]
    for name in LABELS:
        assert type(ours[name]) is type(theirs[name])
        assert ours[name].dtype == theirs[name].dtype
        assert list(ours[name].index) == list(theirs[name].index)
        assert (ours[name] == theirs[name]).all()


def test_derived_columns_are_the_peers(real_events: pd.DataFrame, peer: Any) -> None:
    from HiggsML.derived_quantities import DER_data as peer_der_data

    bare = real_events[list(PRIMARIES)].astype({"PRI_met": "float64"})
    theirs, ours = peer_der_data(bare.copy()), bare.copy()
    returned = DER_data(ours)
    assert returned is ours
    assert list(ours.columns) == list(theirs.columns)
    assert list(ours.dtypes) == list(theirs.dtypes)
    for name in DERIVED:
        assert np.abs(ours[name] - theirs[name]).max() <= TOLERANCE[name], name


def as_dictionary(events: pd.DataFrame) -> dict[str, Any]:
    return {"data": events[list(FEATURES)], **{name: events[name] for name in LABELS}}


@pytest.mark.parametrize("shape", ["frame", "dictionary"])
def test_weights_are_really_scaled(shape: str, events: pd.DataFrame) -> None:
    given = events if shape == "frame" else as_dictionary(events)
    before = events["weights"].copy()
    plain: Any = systematics(given)
    scaled: Any = systematics(given, ttbar_scale=1.1, diboson_scale=0.5, bkg_scale=1.01)
    factor = scaled["weights"] / plain["weights"]
    expected = {"htautau": 1.0, "ztautau": 1.01, "ttbar": 1.111, "diboson": 0.505}
    for process, value in expected.items():
        rows = plain["detailed_labels"] == process
        assert rows.any()
        np.testing.assert_allclose(factor[rows], value, rtol=1e-6)
    assert (events["weights"] == before).all()


def test_background_can_be_scaled_by_labels_alone(events: pd.DataFrame) -> None:
    scaled = systematics(events.drop(columns=["detailed_labels", "weights"]), bkg_scale=0.99)
    np.testing.assert_allclose(scaled["weights"], np.where(scaled["labels"] == 0, 0.99, 1.0))
    assert list(scaled.columns)[-1] == "weights"
    named = systematics(events.drop(columns=["labels"]), bkg_scale=0.99)
    by_name, by_label = named["weights"], systematics(events, bkg_scale=0.99)["weights"]
    assert (by_name == by_label).all()


@pytest.mark.parametrize("name", ["ttbar_scale", "diboson_scale", "bkg_scale"])
def test_scaling_without_labels_changes_nothing_and_says_so(
    name: str, events: pd.DataFrame
) -> None:
    given = {"data": events[list(FEATURES)], "weights": events["weights"]}
    with pytest.warns(UserWarning, match=f"{name} changes nothing"):
        same = systematics(given, **{name: 1.1})
    np.testing.assert_array_equal(same["weights"], systematics(given)["weights"])
    with pytest.warns(UserWarning, match=f"{name} changes nothing"):
        assert "weights" not in systematics(events[list(FEATURES)], **{name: 1.1})
    assert list(systematics(given, **{name: 1.0})) == ["weights", "data"]


def test_other_columns_keep_their_place_rows_and_type(events: pd.DataFrame) -> None:
    given = events.copy()
    given.insert(3, "number", np.arange(len(given)))
    given["word"] = pd.Categorical([f"w{i % 3}" for i in range(len(given))])
    out = systematics(given, tes=0.97)
    assert list(out.columns) == list(given.columns)
    kept = out["number"].to_numpy()
    assert 0 < len(kept) < len(given)
    assert out["word"].dtype == given["word"].dtype
    assert list(out["word"]) == list(given["word"].iloc[kept])
    np.testing.assert_array_equal(out["PRI_lep_pt"], given["PRI_lep_pt"].iloc[kept])
    assert (out["PRI_had_pt"] >= 26).all()


def test_derived_columns_need_not_be_there(events: pd.DataFrame) -> None:
    out = systematics(events[list(PRIMARIES)])
    assert list(out.columns) == list(FEATURES)
    pd.testing.assert_frame_equal(out, systematics(events[list(FEATURES)]))


def test_equal_seeds_give_equal_noise(events: pd.DataFrame) -> None:
    def met(**how: Any) -> pd.Series:
        return systematics(events, **how)["PRI_met"]

    assert (met(soft_met=3.0) == met(soft_met=3.0)).all()
    assert (met(soft_met=3.0) != met(soft_met=3.0, seed=1)).any()
    assert (met(soft_met=0.0) == met(seed=1)).all()


def test_columns_beside_the_data_belong_to_its_rows(events: pd.DataFrame) -> None:
    shuffled = events.sample(frac=1, random_state=1)
    straight = systematics(as_dictionary(shuffled))
    crossed = systematics(as_dictionary(shuffled) | {"weights": events["weights"]})
    assert (straight["weights"] == crossed["weights"]).all()
    arrays = {name: shuffled[name].to_numpy() for name in LABELS}
    plain = systematics({"data": shuffled[list(FEATURES)], **arrays})
    assert (plain["weights"] == straight["weights"]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: None, "not NoneType"),
        (lambda e: [1, 2], "not list"),
        (lambda e: {"weights": e["weights"]}, "no key 'data'"),
        (lambda e: {"data": e}, "no key 'weights'"),
        (lambda e: {"data": 3, "weights": 3}, "must be a DataFrame, not int"),
        (lambda e: {"data": e[:5], "weights": np.ones(4)}, "'weights' has 4 rows, 'data' has 5"),
        (lambda e: {"data": e[:5], "weights": e["weights"][5:10]}, "different rows"),
        (lambda e: e.drop(columns="PRI_met"), "no column 'PRI_met'"),
    ],
)
def test_what_cannot_be_biased(
    change: Callable[[pd.DataFrame], Any], words: str, events: pd.DataFrame
) -> None:
    with pytest.raises(ValueError, match=words):
        systematics(change(events))


def test_training_batches_are_the_pool_before_thresholds_in_random_order() -> None:
    if not REAL.is_dir():
        pytest.skip("the 1,000 real events are not here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pool = open_pools(str(REAL)).train
    batches = [batch.to_pandas() for batch in training_batches(pool, rows=100)]
    frame = pd.concat(batches, ignore_index=True)
    real = pd.read_parquet(next(REAL.glob("*.parquet")))
    assert list(frame.columns) == list(real.columns)
    assert len(frame) == pool.n_rows
    merged = frame.merge(real, on=list(PRIMARIES), suffixes=("", "_real"))
    assert len(merged) == len(frame)
    for name in ("labels", "detailed_labels"):
        assert (merged[name].astype(str) == merged[f"{name}_real"].astype(str)).all()
    for name in DERIVED:
        assert np.abs(merged[name] - merged[f"{name}_real"]).max() < 0.02, name
    assert frame["labels"].iloc[:50].nunique() == 2
    assert frame["weights"].sum() == pytest.approx(pool.layout.sumw.sum(), rel=1e-5)
    again = pd.concat([b.to_pandas() for b in training_batches(pool)], ignore_index=True)
    pd.testing.assert_frame_equal(frame, again)
