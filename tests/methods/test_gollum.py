"""`gollum`: regions, refinement, what it keeps and what it refuses; on problems with known answers."""

from __future__ import annotations

import json
import runpy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sigma68.discover import load_task
from sigma68.errors import DataError, FitError, ModelMismatchError, SettingsError
from sigma68.methods.exact import Exact
from sigma68.methods.gollum import Gollum
from sigma68.protocols import Resumable
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.seeds import stream
from sigma68.types import Interval, Labelled, Observation
from tests.learning.regions_toy import EXPECTED, MadePool, MadeTask

QUICK: dict[str, Any] = {
    "units": 24,
    "hidden_layers": 1,
    "passes": 4,
    "response_passes": 8,
    "points": 12,
    "rows": 4_000,
    "max_train_rows": 60_000,
    "learning_rate": 5e-3,
    "min_events": 60,
    "threads": 1,
}
TRAIN, CALIBRATION = MadePool("train", 8_000), MadePool("calibration", 50_000)


def observed(values: Mapping[str, float], purpose: str, n_processes: int = 2) -> Observation:
    """A pseudo-experiment of the made task, without Poisson scatter of its truth."""
    rng = stream("tests", f"gollum {purpose}", 1).generator()
    events = MadePool(purpose, 30_000, n_processes).labelled(values)
    mean = events.weights.copy()
    mean[events.process == 0] *= values.get("mu", 1.0)
    mean[events.process == 1] *= values.get("scale", 1.0)
    taken = np.flatnonzero(rng.uniform(size=len(mean)) < mean)
    return Observation(events.names, events.values[:, taken])


def answer(method: Gollum, observation: Observation) -> Interval:
    found = method.predict(observation).answers["mu"]
    assert isinstance(found, Interval)
    return found


@pytest.fixture(scope="module")
def method() -> Gollum:
    made = Gollum(MadeTask(), **QUICK)
    made.fit(TRAIN, CALIBRATION)
    return made


TRUTH = {"mu": 1.5, "shift": 0.06, "stretch": 1.01, "scale": 1.03}


def test_it_measures_what_is_there(method: Gollum) -> None:
    pulls = []
    for toy in range(6):
        found = answer(method, observed(TRUTH, f"toy {toy}"))
        assert found.lower < found.mu_hat < found.upper
        values = [found.mu_hat, *(found.fitted[n][0] for n in ("shift", "stretch", "scale"))]
        errors = [found.delta_mu_hat, *(found.fitted[n][1] for n in ("shift", "stretch", "scale"))]
        pulls.append((np.array(values) - list(TRUTH.values())) / errors)
    assert np.abs(np.mean(pulls, axis=0)).max() < 1.5
    # Events of the unbinned region tell more of the shift than its prior does.
    assert errors[1] < 0.9 * 0.06


def test_events_are_measured_or_counted(method: Gollum) -> None:
    seen = observed(TRUTH, "toy 0")
    events, bins = method.events(seen), method.bins(seen.values)
    assert method.regions.bins == ("middle", "low", "high: dull", "high: bright")
    np.testing.assert_array_equal(events.counts, np.bincount(bins.astype(int))[1:])
    assert events.n_events == (bins == 0).sum()
    assert events.responses.shape == (2, 5, events.n_events)
    np.testing.assert_allclose(events.shares.sum(axis=0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(
        method.measurement.surfaces.nominal.sum(), sum(EXPECTED[:2]), rtol=0.02
    )
    assert np.abs(method.model.closure[1]).max() < 1e-4


def test_the_fast_fit_is_that_of_minuit(method: Gollum) -> None:
    events = method.events(observed(TRUTH, "toy 1"))
    fit, lower, upper = method.ratio_likelihood.interval(events)
    slow = method.ratio_likelihood.minos(events)
    np.testing.assert_allclose([fit.best[0], lower, upper], [slow.best[0], slow.lower, slow.upper], atol=2e-3)  # fmt: skip


def test_responses_follow_expectations(method: Gollum) -> None:
    """Moved simulation, which neither networks nor constants have seen."""
    at = {"shift": 0.16, "stretch": 1.0}
    ratios, p = method.model.ratios[1], method.model.polynomials
    off, moved = (MadePool("other", 40_000).labelled(v) for v in ({}, at))
    for process in (0, 1):
        inside = [e.process == process for e in (off, moved)]
        inside = [
            own & (method.regions.region_of(e.values) == 1)
            for own, e in zip(inside, (off, moved), strict=True)
        ]
        d = ratios.response_of(process, method.inputs(off.values[:, inside[0]]))
        s = np.exp(p.monomials(p.coordinates(at)) @ d)
        edges = np.linspace(-1.0, 2.0, 6)
        learned = np.histogram(off.values[0, inside[0]], edges, weights=s)[0]
        counted = np.histogram(moved.values[0, inside[1]], edges)[0]
        many = counted > 500
        np.testing.assert_allclose(learned[many] / counted[many], 1.0, atol=0.08)


def test_it_is_as_narrow_as_the_exact_interval() -> None:
    task = load_task("gaussian")
    pools = task.open()
    method, exact = Gollum(task, **{**QUICK, "rows": 20_000}), Exact(task)
    method.fit(pools.train, pools.calibration)
    exact.fit(pools.train, pools.calibration)
    names = [n.name for n in task.nuisances]
    widths, apart = [], []
    for toy in range(10):
        truth = draw_truth(task, 1, 0, toy, names)
        seen = task.pseudo_experiment(pools.scoring, truth, toy_stream(task, 1, 0, toy))
        ours, best = (m.predict(seen).answers["mu"] for m in (method, exact))
        assert isinstance(ours, Interval)
        assert isinstance(best, Interval)
        widths.append((ours.upper - ours.lower) / (best.upper - best.lower))
        apart.append((ours.mu_hat - best.mu_hat) / best.delta_mu_hat)
    assert 0.93 < np.mean(widths) < 1.1
    assert np.abs(np.mean(apart)) < 0.6


def test_a_nuisance_that_came_later_is_fitted_without_touching_the_rest() -> None:
    made = Gollum(MadeTask(), profiled=["stretch", "scale"], **QUICK)
    made.fit(TRAIN, CALIBRATION)
    seen = observed({**TRUTH, "stretch": 1.0, "scale": 1.0}, "later")
    before = made.model.ratios[1]
    ignorant = answer(made, seen)
    asked: list[str] = []
    made.add_nuisance("shift", TRAIN, CALIBRATION, lambda what, _: asked.append(what))
    after = made.model.ratios[1]
    assert after.shares[0] is before.shares[0]
    assert all(a[0] is b[0] for a, b in zip(after.responses, before.responses, strict=True))
    assert {w.split(":")[0] for w in asked if "network" in w} == {
        "network 1 of 2",
        "network 2 of 2",
    }
    assert made.model.polynomials.shapes == ("stretch", "shift")
    found = answer(made, seen)
    assert set(found.fitted) == {"shift", "stretch", "scale"}
    assert abs(found.mu_hat - 1.5) < abs(ignorant.mu_hat - 1.5)
    assert abs(found.fitted["shift"][0] - 0.06) < 4 * found.fitted["shift"][1]
    with pytest.raises(SettingsError, match="fitted already"):
        made.add_nuisance("shift", TRAIN, CALIBRATION)
    with pytest.raises(SettingsError, match="no nuisance parameter"):
        made.add_nuisance("drift", TRAIN, CALIBRATION)


def test_a_background_that_came_later_is_expected(method: Gollum, tmp_path: Path) -> None:
    method.save(tmp_path)
    made = Gollum.load(tmp_path, MadeTask())
    seen = observed(TRUTH, "more", 3)
    before, ignorant = made.model.ratios[1], answer(made, seen)
    pools = MadePool("train", 8_000, 3), MadePool("calibration", 20_000, 3)
    made.add_background("other", *pools, factors=["scale"])
    after = made.model.ratios[1]
    assert after.shares[0] is before.shares[0]
    assert after.responses[:2] == before.responses
    assert made.measurement.processes == ("signal", "background", "other")
    assert made.measurement.factors.of_component == (("mu",), ("scale",), ("scale",))
    events = made.events(seen)
    np.testing.assert_allclose(events.shares.sum(axis=0), 1.0, rtol=1e-5)
    found = answer(made, seen)
    assert abs(found.mu_hat - 1.5) < min(abs(ignorant.mu_hat - 1.5), 4 * found.delta_mu_hat)
    folder = tmp_path / "again"
    folder.mkdir()
    made.save(folder)
    assert answer(Gollum.load(folder, MadeTask()), seen) == found


def test_a_background_of_other_pools_is_refused(method: Gollum) -> None:
    with pytest.raises(DataError, match="must hold signal, background, wonder"):
        method.add_background("wonder", TRAIN, CALIBRATION)
    pools = MadePool("train", 100, 3), MadePool("calibration", 100, 3)
    with pytest.raises(SettingsError, match="it cannot scale other as well"):
        method.add_background("other", *pools, factors=["shift"])


class Scarce(MadePool):
    """Hardly any signal in the middle."""

    def labelled(self, *args: Any, **kwargs: Any) -> Labelled:
        events = super().labelled(*args, **kwargs)
        row = np.arange(events.n_events) if events.row is None else events.row
        lost = (events.process == 0) & (np.abs(events.values[0] - 0.5) < 1.5) & (row % 50 != 0)
        kept = ~lost
        return replace(
            events,
            values=np.ascontiguousarray(events.values[:, kept]),
            weights=events.weights[kept],
            labels=events.labels[kept],
            process=events.process[kept],
            row=row[kept],
        )


def test_a_process_that_is_scarce_somewhere_looks_like_the_others_there() -> None:
    made = Gollum(MadeTask(), **{**QUICK, "passes": 1, "response_passes": 1, "min_events": 400})
    made.fit(Scarce("train", 4_000), Scarce("calibration", 4_000))
    (shares,) = made.model.ratios[1].shares
    assert shares.of == (1,)
    events = made.events(observed(TRUTH, "toy 0"))
    assert np.ptp(events.shares[0]) < 1e-6
    assert events.shares[0, 0] == pytest.approx(shares.even[0], rel=1e-4)


def test_a_training_that_was_killed_goes_on_with_the_next_network(tmp_path: Path) -> None:
    settings = {**QUICK, "passes": 1, "response_passes": 2, "rows": 1_000}
    whole = Gollum(MadeTask(), **settings)
    whole.fit(TRAIN, CALIBRATION)
    stopped = Gollum(MadeTask(), **settings)
    assert isinstance(stopped, Resumable)
    stopped.checkpoint = tmp_path / "kept"

    def killed(what: str, fraction: float) -> None:
        if what.startswith("network 3 of 4") and fraction > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped.fit(TRAIN, CALIBRATION, killed)
    assert len(list((tmp_path / "kept").glob("*.json"))) == 2
    again = Gollum(MadeTask(), **settings)
    again.checkpoint = tmp_path / "kept"
    told: list[tuple[str, float]] = []
    again.fit(TRAIN, CALIBRATION, lambda what, f: told.append((what, f)))
    networks = [what.split(":")[0] for what, _ in told if "network" in what]
    assert sorted(set(networks)) == ["network 3 of 4", "network 4 of 4"]
    assert min(f for what, f in told if what.startswith("network 3") and f > 0) > 0.4
    seen = observed(TRUTH, "toy 0")
    assert answer(again, seen) == answer(whole, seen)


@pytest.mark.parametrize(
    "damage",
    [
        ("model", "bins", ["other"]),
        ("model", "regions", {}),
        ("model", "splits", {"2": {"of": [7], "processes": 2, "network": {}}}),
        ("measurement", "processes", ["signal"]),
        ("settings", "units", None),
        ("settings", "unknown", 1),
    ],
)
def test_damaged_models_are_refused(
    method: Gollum, tmp_path: Path, damage: tuple[Any, ...]
) -> None:
    method.save(tmp_path)
    path = tmp_path / "gollum.json"
    document = json.loads(path.read_text())
    part, name, value = damage
    document[part][name] = value
    path.write_text(json.dumps(document))
    if damage[:2] == ("settings", "units"):
        # Only training needs the setting.
        assert Gollum.load(tmp_path, MadeTask()).model.n_processes == 2
        return
    with pytest.raises(DataError, match="train again"):
        Gollum.load(tmp_path, MadeTask())


@pytest.mark.parametrize("part", ["cells", "shares", "responses", "networks"])
def test_damaged_regions_are_refused(method: Gollum, tmp_path: Path, part: str) -> None:
    method.save(tmp_path)
    path = tmp_path / "gollum.json"
    document = json.loads(path.read_text())
    document["model"]["regions"]["1"][part] = [] if part != "cells" else {}
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="train again"):
        Gollum.load(tmp_path, MadeTask())


def test_missing_networks_and_other_tasks_are_refused(method: Gollum, tmp_path: Path) -> None:
    method.save(tmp_path)
    (tmp_path / "split2.safetensors").unlink()
    with pytest.raises(DataError, match="split2"):
        Gollum.load(tmp_path, MadeTask())
    with pytest.raises(ModelMismatchError):
        Gollum.load(tmp_path, load_task("gaussian"))


def test_what_cannot_be_answered_is_said(method: Gollum) -> None:
    seen = observed(TRUTH, "toy 0")
    with pytest.raises(FitError, match="not trained yet"):
        Gollum(MadeTask()).predict(seen)
    broken = seen.values.copy()
    broken[1, 3] = np.nan
    with pytest.raises(FitError, match="in event 3"):
        method.predict(Observation(seen.names, broken))
    with pytest.raises(DataError, match="in their order: x, y"):
        method.predict(Observation(("y", "x"), seen.values))
    with pytest.raises(FitError, match="no events"):
        method.predict(Observation(seen.names, seen.values[:, :0]))
    with pytest.raises(SettingsError, match="no nuisance parameter 'drift'"):
        Gollum(MadeTask(), profiled=["drift"])


def test_intervals_end_at_the_range_where_they_are_asked_to(method: Gollum, tmp_path: Path) -> None:
    method.save(tmp_path)
    path = tmp_path / "gollum.json"
    document = json.loads(path.read_text())
    document["settings"]["clip"] = True
    path.write_text(json.dumps(document))
    clipped = answer(Gollum.load(tmp_path, MadeTask()), observed({"mu": 3.0}, "much"))
    assert clipped.upper == 3.0
    assert "clipped" in clipped.note


def test_the_example_of_the_guide_refines() -> None:
    example = Path(__file__).parents[2] / "docs" / "guide" / "refining.py"
    main = runpy.run_path(str(example))["main"]
    quick = {**QUICK, "max_train_rows": 40_000, "max_response_rows": 20_000}
    still, shifted, unknown, expected = main(**quick)
    assert shifted.upper - shifted.lower > still.upper - still.lower
    assert abs(expected.mu_hat - shifted.mu_hat) < abs(unknown.mu_hat - shifted.mu_hat)
