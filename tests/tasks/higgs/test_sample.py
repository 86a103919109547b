"""Cutting pieces: sums that are kept, weights that are right, and what thinning costs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
import pytest
from benchmarks.events import made_events

from sigma68.errors import DataError, OutputError, SettingsError
from sigma68.tasks.higgs.contents import take_contents
from sigma68.tasks.higgs.dataset import open_parquet
from sigma68.tasks.higgs.history import KEY, read_history
from sigma68.tasks.higgs.sample import STRATA, Sample, sample_events
from sigma68.tasks.higgs.schema import FEATURES
from tests.tasks.higgs.pools import made_pool

ROWS = 3000


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_pool(tmp_path_factory.mktemp("pool") / "pool.parquet", metadata={KEY: '{"a": 1}'})


@pytest.fixture(scope="module")
def piece(pool: Path) -> tuple[Path, Sample]:
    path = pool.with_name("piece.parquet")
    return path, sample_events(pool, path, rows=ROWS, seed=3)


def test_every_stratum_keeps_its_sum_and_gives_its_share(
    pool: Path, piece: tuple[Path, Sample]
) -> None:
    path, sample = piece
    whole, part = (take_contents(open_parquet(p)) for p in (pool, path))
    np.testing.assert_allclose(part.sumw, whole.sumw, rtol=1e-6)
    assert sample.n_rows == part.rows.sum() == ROWS
    assert np.array_equal(sample.taken, part.rows)
    assert np.array_equal(sample.rows, whole.rows)
    np.testing.assert_allclose(sample.sumw, whole.sumw)
    share = whole.rows * ROWS / whole.rows.sum()
    assert (np.abs(part.rows - share) <= 1).all()
    assert (part.rows[whole.rows > 0] >= 1).all()


def test_rows_keep_order_features_and_numbers(pool: Path, piece: tuple[Path, Sample]) -> None:
    whole, part = pd.read_parquet(pool), pd.read_parquet(piece[0])
    assert list(part.columns) == list(whole.columns)
    same = ["hard_event", "decay", "detailed_labels", "labels", *FEATURES]
    place = whole.reset_index().merge(part.reset_index(), on=same, suffixes=("_in", "_out"))
    assert len(place) == ROWS
    assert place.sort_values("index_in")["index_out"].is_monotonic_increasing


def test_weights_are_as_equal_as_can_be(pool: Path, tmp_path: Path) -> None:
    """w' = max(w, tau) up to a factor near 1: rows lighter than tau all weigh the same."""
    sample_events(pool, tmp_path / "s.parquet", rows=ROWS, strata=["process"])
    whole, part = pd.read_parquet(pool), pd.read_parquet(tmp_path / "s.parquet")
    both = part.merge(whole, on=["hard_event", "decay", *FEATURES[:6]], suffixes=("", "_in"))
    own = both[both.detailed_labels == "ztautau"]
    counts = own.weights.value_counts()
    tau = float(counts.index[0])
    assert counts.iloc[0] > 0.5 * len(own)
    heavy = own.weights > 1.001 * tau
    assert 0 < heavy.sum() < len(own) / 4
    ratio = own.weights[heavy] / own.weights_in[heavy]
    np.testing.assert_allclose(ratio, ratio.iloc[0], rtol=1e-5)
    assert abs(ratio.iloc[0] - 1) < 0.05


def test_the_weights_of_any_part_are_right_on_average(pool: Path, tmp_path: Path) -> None:
    """Over seeds, the sum over rows that no stratum knows is that of the input."""

    def odd(path: Path) -> float:
        frame = pd.read_parquet(path, columns=["PRI_lep_eta", "PRI_had_pt", "weights"])
        inside = (frame.PRI_lep_eta > 0.3) & (frame.PRI_had_pt < 40)
        return float(frame.weights[inside].to_numpy(np.float64).sum())

    whole = odd(pool)
    sums = []
    for seed in range(12):
        sample_events(pool, tmp_path / "s.parquet", rows=500, seed=seed)
        sums.append(odd(tmp_path / "s.parquet"))
    error = np.std(sums, ddof=1) / np.sqrt(len(sums))
    assert abs(np.mean(sums) - whole) < 3 * error
    assert error < 0.05 * whole


def test_it_is_a_function_of_file_and_seed(
    pool: Path, piece: tuple[Path, Sample], tmp_path: Path
) -> None:
    other, again = tmp_path / "other.parquet", tmp_path / "again.parquet"
    sample_events(pool, again, rows=ROWS, seed=3, batch_rows=777)
    sample_events(pool, other, rows=ROWS, seed=4)
    assert pd.read_parquet(again).equals(pd.read_parquet(piece[0]))
    assert not pd.read_parquet(other).equals(pd.read_parquet(piece[0]))


def effective(path: Path) -> float:
    """(sum W)^2 / sum W^2 of a whole file, W the weight of a hard event."""
    frame = pd.read_parquet(path, columns=["weights", "hard_event"])
    total = frame.groupby("hard_event").weights.sum().to_numpy(np.float64)
    return float(total.sum() ** 2 / (total**2).sum())


def of_rows(path: Path, rows: npt.NDArray[np.int64], out: Path) -> Path:
    pq.write_table(pq.read_table(path).take(rows), out)
    return out


@pytest.mark.parametrize("shuffled", [False, True])
def test_it_spreads_rows_over_hard_events(shuffled: bool, tmp_path: Path) -> None:
    """More effective events than from rows drawn without a look at their hard events."""
    path = made_pool(tmp_path / "pool.parquet", shuffled=shuffled)
    table = pq.read_table(path)
    equal = table.set_column(
        table.schema.get_field_index("weights"), "weights", [np.ones(len(table), np.float32)]
    )
    pq.write_table(equal, path)
    sample_events(path, tmp_path / "piece.parquet", rows=8000, strata=["process"])
    blind = np.sort(np.random.default_rng(1).choice(20_000, 8000, replace=False))
    gain = effective(tmp_path / "piece.parquet") / effective(
        of_rows(path, blind, tmp_path / "blind.parquet")
    )
    assert gain > (1.05 if shuffled else 1.2)


def test_strata_may_be_regions_or_processes_alone(pool: Path, tmp_path: Path) -> None:
    whole = take_contents(open_parquet(pool))
    for strata, axis in ((["region"], 1), (["process"], 0)):
        sample_events(pool, tmp_path / "s.parquet", rows=700, strata=strata)
        part = take_contents(open_parquet(tmp_path / "s.parquet"))
        np.testing.assert_allclose(part.sumw.sum(axis), whole.sumw.sum(axis), rtol=1e-6)
        assert not np.allclose(part.sumw, whole.sumw, rtol=1e-3)


def test_all_rows_may_be_asked_for(pool: Path, tmp_path: Path) -> None:
    sample_events(pool, tmp_path / "all.parquet", rows=20_000)
    whole, part = pd.read_parquet(pool), pd.read_parquet(tmp_path / "all.parquet")
    np.testing.assert_allclose(part.pop("weights"), whole.pop("weights"), rtol=2e-7)
    assert part.equals(whole)


def test_events_without_hard_events_and_of_equal_weight_will_do(tmp_path: Path) -> None:
    made = made_events(6000, seed=2)
    made["weights"] = np.float32(2)
    made.loc[made.index[:500], "weights"] = 0
    made.to_parquet(tmp_path / "made.parquet")
    sample = sample_events(tmp_path / "made.parquet", tmp_path / "s.parquet", rows=1000)
    part = pd.read_parquet(tmp_path / "s.parquet")
    assert "hard_event" not in part
    assert part.weights.between(9, 13).mean() > 0.98  # the others are few in their stratum
    assert part.weights.sum() == pytest.approx(11_000, rel=1e-6) == sample.sumw.sum()
    with pytest.raises(SettingsError, match="to 5,500, which have a weight"):
        sample_events(tmp_path / "made.parquet", tmp_path / "t.parquet", rows=5501)


def test_a_promised_sum_of_weights_is_kept(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    copy = tmp_path / "in" / "pool.parquet"
    copy.write_bytes(pool.read_bytes())
    (tmp_path / "in" / "pool_metadata.json").write_text('{"sum_weights": 5e5}')
    sample = sample_events(copy, tmp_path / "s.parquet", rows=500)
    assert sample.sumw.sum() == pytest.approx(5e5)
    total = pd.read_parquet(tmp_path / "s.parquet").weights.to_numpy(np.float64).sum()
    assert total == pytest.approx(5e5, rel=1e-6)


def test_it_says_where_it_comes_from(piece: tuple[Path, Sample]) -> None:
    history = read_history(piece[0])
    assert history is not None
    assert history["of"] == {"a": 1}
    told = history["sample"]
    assert (told["rows"], told["strata"], told["seed"]) == (ROWS, list(STRATA), 3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": 3}, "one for each stratum"),
        ({"rows": 20_001}, "to 20,000"),
        ({"rows": 0}, "0 rows cannot"),
        ({"strata": ["region", "colour"]}, "'colour'"),
        ({"strata": []}, "made of nothing"),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be_done_is_refused(
    changes: dict[str, object], words: str, pool: Path, tmp_path: Path
) -> None:
    settings: dict[str, object] = {"rows": 100, **changes}
    with pytest.raises(SettingsError, match=words):
        sample_events(pool, tmp_path / "s.parquet", **settings)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_files_that_cannot_be_read_or_written(pool: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="the input itself"):
        sample_events(pool, pool, rows=100)
    with pytest.raises(OutputError, match="nowhere"):
        sample_events(pool, tmp_path / "nowhere" / "s.parquet", rows=100)
    with pytest.raises(DataError, match="does not exist"):
        sample_events(tmp_path / "none.parquet", tmp_path / "s.parquet", rows=100)


def test_a_history_that_is_no_object_is_refused(tmp_path: Path) -> None:
    path = made_pool(tmp_path / "p.parquet", 500, metadata={KEY: json.dumps([1])})
    with pytest.raises(DataError, match="no JSON object"):
        read_history(path)
    path = made_pool(tmp_path / "q.parquet", 500, metadata={KEY: "{"})
    with pytest.raises(DataError, match="cannot be read"):
        read_history(path)
    assert read_history(made_pool(tmp_path / "r.parquet", 500)) is None
