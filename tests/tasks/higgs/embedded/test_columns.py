"""Compact files: every value comes back, and they are opened like any other file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from benchmarks.events import made_events

from sigma68.errors import DataError
from sigma68.tasks.higgs.bias import bias_columns
from sigma68.tasks.higgs.dataset import EventBatch, open_parquet
from sigma68.tasks.higgs.embedded.columns import FORMAT_KEY, SCALES, thousandths
from sigma68.tasks.higgs.embedded.pack import pack
from sigma68.tasks.higgs.files import labelled_chunks
from sigma68.tasks.higgs.schema import DERIVED, FEATURES, PRIMARIES
from tests.tasks.higgs.pools import made_pool

BY = ["hard_event", "decay", "PRI_lep_pt", "PRI_had_pt"]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_pool(tmp_path_factory.mktemp("pool") / "pool.parquet")


@pytest.fixture(scope="module")
def compact(pool: Path) -> Path:
    path = pool.with_name("compact.parquet")
    pack(pool, path)
    return path


def read(path: Path, columns: tuple[str, ...] = FEATURES) -> pd.DataFrame:
    batches = list(open_parquet(path).iter_batches(columns, batch_rows=3000))

    def joined(name: str) -> npt.NDArray[np.generic]:
        return np.concatenate([getattr(b, name) for b in batches])

    values = np.concatenate([b.values for b in batches], axis=1)
    frame = pd.DataFrame(values.T, columns=list(columns))
    return frame.assign(
        **{
            n: joined(n)
            for n in ("weights", "process") + (("decay",) if batches[0].decay is not None else ())
        }
    ).assign(hard_event=joined("hard_event") if batches[0].hard_event is not None else 0)


def test_every_event_comes_back_exactly(pool: Path, compact: Path) -> None:
    before, after = read(pool), read(compact)
    same = ["decay", *PRIMARIES]
    before, after = (f.sort_values(same, ignore_index=True) for f in (before, after))
    numbers = [f.pop("hard_event") for f in (before, after)]
    pd.testing.assert_frame_equal(after, before, check_exact=True)
    # The same rows share a hard event, whatever its number.
    pairs = set(zip(*numbers, strict=True))
    assert len(pairs) == numbers[0].nunique() == numbers[1].nunique()
    assert numbers[1].min() == 0
    assert numbers[1].max() == numbers[1].nunique() - 1


def test_every_kind_of_float_of_three_decimals_survives() -> None:
    integers = np.concatenate(
        [np.arange(-26_000, 200_000), np.random.default_rng(0).integers(0, 13_000_000, 10**6)]
    )
    values = (integers / 1000).astype(np.float32)
    assert np.array_equal(thousandths(values, "PRI_met"), integers)
    large = np.array([8191.99, 16384.001, 99_999.99, 2_000_000.0], np.float32)
    assert np.array_equal((thousandths(large, "PRI_met") / 1000).astype(np.float32), large)
    assert np.array_equal(thousandths(np.array([0, 7], np.float32), "PRI_n_jets"), [0, 7])
    with pytest.raises(DataError, match="PRI_met is 3e"):
        thousandths(np.array([1, 3e6], np.float32), "PRI_met")


def test_columns_may_be_asked_for_in_any_order(compact: Path) -> None:
    whole = read(compact)
    for names in (("DER_pt_h", "PRI_met", "DER_mass_vis"), ("PRI_met", "PRI_lep_pt"), DERIVED, ()):
        some = read(compact, names)
        assert some[list(names)].equals(whole[list(names)])


def test_real_events_survive(real_events: pd.DataFrame, tmp_path: Path) -> None:
    real_events.to_parquet(tmp_path / "real.parquet")
    pack(tmp_path / "real.parquet", tmp_path / "compact.parquet")
    before, after = (
        read(tmp_path / name, PRIMARIES).sort_values(list(PRIMARIES), ignore_index=True)
        for name in ("real.parquet", "compact.parquet")
    )
    pd.testing.assert_frame_equal(after, before, check_exact=True)


def test_it_is_biased_like_the_events_it_was_made_of(pool: Path, compact: Path) -> None:
    def total(path: Path) -> npt.NDArray[np.float64]:
        chunks = labelled_chunks(path, {"up": {"tes": 1.03, "jes": 0.98}})
        return np.sum([(c["up"].values * c["up"].weights).sum(1) for c in chunks], axis=0)

    np.testing.assert_allclose(total(compact), total(pool), rtol=1e-5)


def test_a_missing_integer_is_found(compact: Path, tmp_path: Path) -> None:
    table = pq.read_table(compact)
    holed = table["PRI_met"].to_pylist()
    holed[7] = None
    at = table.schema.get_field_index("PRI_met")
    pq.write_table(table.set_column(at, "PRI_met", [pa.array(holed, pa.int32())]), tmp_path / "h")
    with pytest.raises(DataError, match="PRI_met is nan in row 7"):
        list(open_parquet(tmp_path / "h").iter_batches())


def test_other_versions_and_broken_files_are_refused(compact: Path, tmp_path: Path) -> None:
    table = pq.read_table(compact)
    later = dict(table.schema.metadata) | {FORMAT_KEY: b"compact 9"}
    pq.write_table(table.replace_schema_metadata(later), tmp_path / "later")
    with pytest.raises(DataError, match=r"'compact 9'.*newer sigma68"):
        open_parquet(tmp_path / "later")
    pq.write_table(table.drop(["PRI_met"]), tmp_path / "lacking")
    with pytest.raises(DataError, match="column PRI_met of the compact file"):
        open_parquet(tmp_path / "lacking")
    pq.write_table(table.replace_schema_metadata(None), tmp_path / "unmarked")
    with pytest.raises(DataError, match="lacks the columns"):
        open_parquet(tmp_path / "unmarked")
    (tmp_path / "half").write_bytes(compact.read_bytes()[:5000])
    with pytest.raises(DataError, match="truncated or damaged"):
        open_parquet(tmp_path / "half")


def test_rows_need_neither_hard_events_nor_decays(tmp_path: Path) -> None:
    made_events(500, seed=1).to_parquet(tmp_path / "made.parquet")
    pack(tmp_path / "made.parquet", tmp_path / "compact.parquet")
    batch: EventBatch = next(open_parquet(tmp_path / "compact.parquet").iter_batches())
    assert batch.hard_event is None
    assert batch.decay is None
    assert len(bias_columns(batch.values)[1]) > 0
    assert set(SCALES) == set(PRIMARIES)
