"""The oracle is the exact answer where only normalisations vary, and says what it leaves out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, FitError, ModelMismatchError, SettingsError
from sigma68.methods.exact import Exact
from sigma68.methods.oracle import Oracle
from sigma68.protocols import ComponentSource, KnownBest, KnownComponents, Pools
from sigma68.run.truth import draw_truth, toy_stream
from sigma68.tasks.gaussian.model import GaussianModel
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Interval, Observation, Prediction, Truth
from tests.contract.small_tasks import Lump, Peak


def fitted(task: Gaussian, pools: Pools, **settings: object) -> Oracle:
    method = Oracle(task, **settings)  # type: ignore[arg-type]
    method.fit(pools.train, pools.calibration)
    return method


def interval(prediction: Prediction) -> Interval:
    answer = prediction["mu"]
    assert isinstance(answer, Interval)
    return answer


def toy(
    task: Gaussian, pools: Pools, number: int, active: tuple[str, ...] = (), mu: float | None = None
) -> tuple[Truth, Observation]:
    truth = draw_truth(task, 17, number, 0, active)
    if mu is not None:
        truth = Truth({"mu": mu}, truth.nuisances)
    stream = toy_stream(task, 17, number, 0)
    return truth, task.pseudo_experiment(pools.scoring, truth, stream)


def test_the_gaussian_task_states_its_components(task: Gaussian, pools: Pools) -> None:
    for source in (task, pools.train):
        assert isinstance(source, ComponentSource)
        known = source.components()
        assert isinstance(known, KnownComponents)
        assert len(known.component_names) == len(known.factors) == 2
    assert isinstance(pools.scoring, KnownBest)
    _, seen = toy(task, pools, 0)
    model = task.components()
    terms = model.component_yields()[:, None] * np.exp(model.log_densities(seen))
    off = {"shift": 0.0, "bkg_scale": 1.0}
    np.testing.assert_allclose(terms.sum(axis=0), model.density(seen, {"mu": 1.0}, off))
    np.testing.assert_allclose(terms[0], model.density(seen, {"mu": 0.0}, off))


@pytest.mark.parametrize("active", [(), ("bkg_scale",)], ids=["none", "bkg_scale"])
@pytest.mark.parametrize("number", range(6))
def test_without_shift_it_is_the_exact_answer(
    task: Gaussian, pools: Pools, active: tuple[str, ...], number: int
) -> None:
    _, seen = toy(task, pools, number, active)
    exact = Exact(task, profiled=active)
    exact.fit(pools.train, pools.calibration)
    wanted = interval(exact.predict(seen))
    found = interval(fitted(task, pools, profiled=active).predict(seen))
    for name in ("mu_hat", "delta_mu_hat", "lower", "upper"):
        assert getattr(found, name) == pytest.approx(getattr(wanted, name), abs=1e-6)
    assert set(found.fitted) == set(active)
    for name, (value, error) in wanted.fitted.items():
        assert found.fitted[name] == pytest.approx((value, error), rel=1e-6)
    assert found.note == ""


def test_a_small_signal_may_be_fitted_below_zero(task: Gaussian, pools: Pools) -> None:
    """Intervals near the edge of the allowed range are not cut there, or they would not cover."""
    method = fitted(task, pools, profiled=())
    found = [interval(method.predict(toy(task, pools, n, mu=0.1)[1])) for n in range(30)]
    assert min(i.mu_hat for i in found) < 0
    assert np.mean([i.lower < 0 for i in found]) > 0.3
    covered = np.mean([i.lower <= 0.1 <= i.upper for i in found])
    assert abs(covered - 0.6827) < 3 * math.sqrt(0.6827 * 0.3173 / 30)


def test_what_is_no_normalisation_is_left_out_and_said_to_be(task: Gaussian, pools: Pools) -> None:
    _, seen = toy(task, pools, 3, ("shift", "bkg_scale"))
    both, one = (
        interval(fitted(task, pools, profiled=names).predict(seen))
        for names in (("shift", "bkg_scale"), ("bkg_scale",))
    )
    assert set(both.fitted) == {"bkg_scale"}
    assert (both.lower, both.upper) == (one.lower, one.upper)
    assert both.note.startswith("The oracle knows statistics and normalisations only")
    assert "it takes shift to be off, so where it varies" in both.note
    assert one.note == ""
    assert [n.name for n in fitted(task, pools).profiled] == ["bkg_scale"]
    assert Oracle.leaves_out(task, ("bkg_scale",)) is None
    assert Oracle.leaves_out(Peak(), ("anything",)) is None


def test_level_is_respected(task: Gaussian, pools: Pools) -> None:
    _, seen = toy(task, pools, 1)
    narrow, wide = (
        interval(fitted(task, pools, level=level).predict(seen)) for level in (0.6827, 0.95)
    )
    assert wide.upper - wide.lower == pytest.approx(1.96 * (narrow.upper - narrow.lower), rel=0.02)
    assert wide.level == 0.95


def test_other_tasks_and_pools_are_refused(task: Gaussian, pools: Pools) -> None:
    assert Oracle.skip(task) is None
    assert Oracle.skip(Peak()) == "answers with one interval on one parameter"

    class Unknown(Lump):
        answer = "interval"
        parameters = task.parameters

    assert Oracle.skip(Unknown()) == "the densities of the task's events are not known"

    class Rows:
        role = "train"

    with pytest.raises(DataError, match="the events in the train pool are not known"):
        Oracle(task).fit(Rows(), Rows())  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="no nuisance parameter 'scale'"):
        Oracle(task, profiled=("scale",))


def test_no_answer_is_made_up(task: Gaussian, pools: Pools) -> None:
    method = fitted(task, pools)
    _, seen = toy(task, pools, 2)
    with pytest.raises(FitError):
        method.predict(Observation(("x", "y"), np.empty((2, 0))))
    broken = seen.values.copy()
    broken[0, 5] = math.nan
    with pytest.raises(FitError, match=r"1 of .* events have no density that is a number"):
        method.predict(Observation(("x", "y"), broken))
    far = seen.values.copy()
    far[:, :3] = 1e200  # the square overflows: no component reaches so far
    with np.errstate(over="ignore"), pytest.raises(FitError, match=r"3 of .* by none of the 2"):
        method.predict(Observation(("x", "y"), far))
    with pytest.raises(DataError, match="no column 'y'"):
        method.predict(Observation(("x",), seen.values[:1]))
    with pytest.raises(ModelMismatchError, match="has not been fitted"):
        Oracle(task).predict(seen)


def test_save_and_load(task: Gaussian, pools: Pools, tmp_path: Path) -> None:
    method = fitted(task, pools, profiled=("bkg_scale",), level=0.9)
    method.save(tmp_path)
    _, seen = toy(task, pools, 4)
    assert Oracle.load(tmp_path, task).predict(seen) == method.predict(seen)
    with pytest.raises(ModelMismatchError, match="has not been fitted"):
        Oracle(task).save(tmp_path)
    other = Gaussian()
    other.model = GaussianModel(signal_width=0.8)
    with pytest.raises(ModelMismatchError, match=r"oracle\.json was trained with components"):
        Oracle.load(tmp_path, other)
    path = tmp_path / "oracle.json"
    document = json.loads(path.read_text())
    del document["profiled"]
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="lacks profiled"):
        Oracle.load(tmp_path, task)
    path.write_text("{")
    with pytest.raises(DataError, match="is not a trained model's JSON"):
        Oracle.load(tmp_path, task)
