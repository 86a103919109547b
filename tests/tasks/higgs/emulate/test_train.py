"""An emulator trained on few events in seconds: what it sees, and how training goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.learning.fit_conditional import TrainingSettings
from sigma68.seeds import stream
from sigma68.tasks.higgs import embedded
from sigma68.tasks.higgs.dataset import EventWriter, open_parquet
from sigma68.tasks.higgs.emulate import train as module
from sigma68.tasks.higgs.emulate.emulator import Emulator
from sigma68.tasks.higgs.emulate.train import HELD_OUT, EmulatorTraining, train
from sigma68.tasks.higgs.schema import (
    FEATURES,
    JET1_PT,
    JET2_PT,
    JET_ALL_PT,
    N_JETS,
    PRIMARIES,
    PROCESSES,
    UNDEFINED,
)
from sigma68.tasks.higgs.split import numbers_of, role_of

pytest.importorskip("torch")
STRATA_ROWS = 100_000
QUICK = TrainingSettings(hidden=8, bins=4, marginal_bins=8, batch=64, steps=3, passes=1)


def _events(path: Path, *, spoil_held_out: bool = False) -> Path:
    """Every 60th embedded event, as a file of its own."""
    with EventWriter(path, hard_event=True) as writer:
        for batch in open_parquet(str(embedded.PATH)).iter_batches(FEATURES):
            values = batch.values[:, ::60].copy()
            if spoil_held_out:
                values[:, role_of(numbers_of(batch), 0)[::60] == HELD_OUT] = 50.0
            assert batch.hard_event is not None
            writer.write(
                values,
                weights=batch.weights[::60],
                process=batch.process[::60],
                hard_event=batch.hard_event[::60],
            )
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with events.parquet, the weights made of it, and what training left."""
    folder = tmp_path_factory.mktemp("training")
    source = _events(folder / "events.parquet")
    asked = EmulatorTraining(str(source), settings=QUICK)
    train(
        asked,
        folder / "weights.npz",
        folder / "work",
        workers=1,
        strata_rows=STRATA_ROWS,
        command="a test",
    )
    return folder


def test_makes_an_emulator(trained: Path) -> None:
    emulator = Emulator.load(trained / "weights.npz")
    assert emulator.history["command"] == "a test"
    assert set(emulator.history["losses"]) == set(PROCESSES)
    sums = np.zeros(4)
    for batch in open_parquet(str(trained / "events.parquet")).iter_batches(()):
        sums += np.bincount(batch.process, batch.weights, minlength=4)
    np.testing.assert_allclose(emulator.expected, sums)
    events = emulator.sample(1, np.arange(2000), stream("higgs", "test train", 1))
    assert np.isfinite(events).all()
    # Three steps teach little, but the marginals are there from the first: a median tau.
    assert 30 < np.median(events[3]) < 45


def test_goes_on_where_it_was(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (trained / "weights.npz").read_bytes()
    work = next((trained / "work").iterdir())
    removed = work / "ttbar-03.npz"
    removed.unlink()
    asked = EmulatorTraining(str(trained / "events.parquet"), settings=QUICK)
    train(
        asked,
        trained / "weights.npz",
        trained / "work",
        workers=1,
        strata_rows=STRATA_ROWS,
        command="a test",
    )
    assert "training 1 of 68" in capsys.readouterr().out
    assert (trained / "weights.npz").read_bytes() == before


def test_damaged_part_is_named(trained: Path, tmp_path: Path) -> None:
    work = next((trained / "work").iterdir())
    part = work / "diboson-00.npz"
    whole = part.read_bytes()
    part.write_bytes(whole[:100])
    asked = EmulatorTraining(str(trained / "events.parquet"), settings=QUICK)
    with pytest.raises(DataError, match=r"diboson-00.npz is damaged .* remove it"):
        train(asked, tmp_path / "weights.npz", trained / "work", workers=1, strata_rows=STRATA_ROWS)
    part.write_bytes(whole)


def test_never_sees_what_is_held_out(trained: Path, tmp_path: Path) -> None:
    spoiled = _events(tmp_path / "spoiled.parquet", spoil_held_out=True)
    for process in range(len(PROCESSES)):
        one = module._events(str(trained / "events.parquet"), 0, process)
        other = module._events(str(spoiled), 0, process)
        np.testing.assert_array_equal(one.frame, other.frame)
        np.testing.assert_array_equal(one.aside, other.aside)
        assert 0 < one.aside.mean() < 0.3


def test_training_sees_values_spread_over_what_rounds_to_them() -> None:
    batch = next(iter(open_parquet(str(embedded.PATH)).iter_batches(PRIMARIES)))
    given = np.ascontiguousarray(batch.values[:, ::5])
    spread = module._unrounded(given.copy())
    jets, defined = given[N_JETS], given != UNDEFINED
    np.testing.assert_array_equal(spread == UNDEFINED, ~defined)
    np.testing.assert_array_equal(spread[N_JETS], jets)
    others = [row for row in range(len(PRIMARIES)) if row not in (N_JETS, JET_ALL_PT)]
    shift = (spread.astype(np.float64) - given)[others]
    shift[~defined[others]] = 0.0
    # Half of the last decimal; single precision adds its own at hundreds of GeV.
    assert np.all(np.abs(shift) <= 0.0005 + 1.2e-7 * np.abs(given[others]))
    assert shift[0].std() == pytest.approx(0.001 / np.sqrt(12), rel=0.05)
    two = jets == 2
    np.testing.assert_array_equal(
        spread[JET_ALL_PT, two], spread[JET1_PT, two] + spread[JET2_PT, two]
    )
    np.testing.assert_array_equal(spread, module._unrounded(given.copy()))


def test_code_that_changes_meaning_begins_anew(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_source_hash", lambda: "other")

    def stopped(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "ProcessPoolExecutor", stopped)
    asked = EmulatorTraining(str(trained / "events.parquet"), settings=QUICK)
    with pytest.raises(KeyboardInterrupt):
        train(asked, tmp_path / "weights.npz", trained / "work", workers=1, strata_rows=STRATA_ROWS)
    assert len(list((trained / "work").iterdir())) == 2


def test_too_few_events_are_named(tmp_path: Path) -> None:
    path = tmp_path / "few.parquet"
    batch = next(iter(open_parquet(str(embedded.PATH)).iter_batches(FEATURES)))
    with EventWriter(path) as writer:
        writer.write(batch.values[:, :40], weights=batch.weights[:40], process=batch.process[:40])
    asked = EmulatorTraining(str(path), settings=QUICK)
    with pytest.raises(DataError, match="no events to"):
        train(
            asked, tmp_path / "weights.npz", tmp_path / "work", workers=1, strata_rows=STRATA_ROWS
        )
