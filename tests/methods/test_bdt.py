"""`bdt`: trees, bins and a fit, the same after saving, and clear about what it cannot do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, FitError, ModelMismatchError
from sigma68.inference.poisson import fit_mu
from sigma68.learning.binning import count
from sigma68.methods.bdt import Bdt
from sigma68.protocols import Pools
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Interval, Observation
from tests.learning.events import overlapping
from tests.methods.pools import FixedPool

SAMPLE = Path(__file__).resolve().parents[2] / "../shared/data/higgs-sample"


@pytest.fixture
def observation() -> Observation:
    return Observation(("x", "y"), np.random.default_rng(2).normal(size=(2, 2_200)))


def test_the_fit_is_that_of_the_binned_score(bdt: Bdt, observation: Observation) -> None:
    assert bdt.trees is not None
    assert bdt.templates is not None
    observed = count(bdt.trees.score(observation.values), bdt.templates.edges)
    assert observed.sum() == observation.n_events
    expected = fit_mu(observed, bdt.templates.signal, bdt.templates.background)
    assert bdt.predict(observation)["mu"] == expected


def test_an_asimov_data_set_gives_mu_back(bdt: Bdt) -> None:
    assert bdt.templates is not None
    t = bdt.templates
    assert t.signal.sum() == pytest.approx(200)
    assert t.background.sum() == pytest.approx(2000)
    assert fit_mu(2 * t.signal + t.background, t.signal, t.background).mu_hat == pytest.approx(2)


def test_training_again_gives_the_same_answer(
    bdt: Bdt, task: Gaussian, pools: Pools, observation: Observation
) -> None:
    again = Bdt(task, threads=2)
    again.fit(pools.train, pools.calibration)
    assert again.predict(observation) == bdt.predict(observation)


def test_saved_and_loaded_it_answers_the_same(
    bdt: Bdt, task: Gaussian, observation: Observation, tmp_path: Path
) -> None:
    bdt.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bdt.json", "trees.ubj"]
    back = Bdt.load(tmp_path, task)
    assert back.predict(observation) == bdt.predict(observation)
    assert back.tree_settings == bdt.tree_settings
    assert back.bin_choice == bdt.bin_choice


def test_every_setting_is_saved(task: Gaussian, tmp_path: Path) -> None:
    events = replace(overlapping(2_000, seed=1), names=("x", "y"))
    given = {
        "nuisances": {"shift": 1.0},
        "max_train_rows": 1_500,
        "n_trees": 12,
        "max_depth": 3,
        "learning_rate": 0.3,
        "min_child_weight": 5.0,
        "patience": 4,
        "seed": 9,
        "threads": 1,
        "max_bins": 6,
        "min_background": 40.0,
        "min_signal": 20.0,
    }
    method = Bdt(task, **given)  # type: ignore[arg-type]
    train, calibration = FixedPool("train", events), FixedPool("calibration", events)
    method.fit(train, calibration)
    assert train.asked == [({"shift": 1.0}, 1_500)]
    assert calibration.asked == [({"shift": 1.0}, None)]
    method.save(tmp_path)
    assert json.loads((tmp_path / "bdt.json").read_text())["settings"] == given
    back = Bdt.load(tmp_path, task)
    assert vars(back).keys() == vars(method).keys()
    for name in ("nuisances", "max_train_rows", "tree_settings", "bin_choice"):
        assert getattr(back, name) == getattr(method, name)


def test_an_observation_without_events_has_an_answer(bdt: Bdt) -> None:
    interval = bdt.predict(Observation(("x", "y"), np.empty((2, 0))))["mu"]
    assert isinstance(interval, Interval)
    assert interval.is_valid
    assert interval.mu_hat < 0


def test_what_cannot_be_done_is_said(bdt: Bdt, task: Gaussian, tmp_path: Path) -> None:
    with pytest.raises(FitError, match="not trained"):
        Bdt(task).predict(Observation(("x", "y"), np.zeros((2, 3))))
    with pytest.raises(FitError, match="not trained"):
        Bdt(task).save(tmp_path)
    values = np.zeros((2, 5))
    values[1, 3] = np.nan
    with pytest.raises(FitError, match="y is nan in event 3"):
        bdt.predict(Observation(("x", "y"), values))
    with pytest.raises(DataError, match="in their order: x, y"):
        bdt.predict(Observation(("y", "x"), np.zeros((2, 5))))


def test_another_task_or_a_damaged_model_is_refused(
    bdt: Bdt, task: Gaussian, tmp_path: Path
) -> None:
    bdt.save(tmp_path)
    other = Gaussian()
    other.name = "another"
    with pytest.raises(ModelMismatchError, match="task 'gaussian', not 'another'"):
        Bdt.load(tmp_path, other)
    other = Gaussian()
    other.features = other.features[::-1]
    with pytest.raises(ModelMismatchError, match="features"):
        Bdt.load(tmp_path, other)
    document = json.loads((tmp_path / "bdt.json").read_text())
    document["settings"]["depth"] = 3
    (tmp_path / "bdt.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="other settings than bdt has"):
        Bdt.load(tmp_path, task)
    (tmp_path / "bdt.json").unlink()
    with pytest.raises(DataError, match="cannot read"):
        Bdt.load(tmp_path, task)


def test_skip_names_the_reason(task: Gaussian) -> None:
    assert Bdt.skip(task) is None
    two = Gaussian()
    two.parameters = (*task.parameters, *task.parameters)
    assert Bdt.skip(two) == "measures one signal strength"


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample of real events is not here")
@pytest.mark.filterwarnings("ignore::sigma68.tasks.higgs.pools.PoolWarning")
def test_a_thousand_real_events_are_enough_to_run(tmp_path: Path) -> None:
    from sigma68.seeds import stream
    from sigma68.tasks.higgs.task import Higgs
    from sigma68.types import Truth

    higgs = Higgs()
    pools = higgs.open(str(SAMPLE))
    method = Bdt(higgs)
    method.fit(pools.train, pools.calibration)
    truth = Truth({"mu": 1.0}, {n.name: n.off for n in higgs.nuisances})
    events = stream("higgs", "test of bdt", 1, 0, 0)
    toy = higgs.pseudo_experiment(pools.scoring, truth, events)
    interval = method.predict(toy)["mu"]
    assert isinstance(interval, Interval)
    assert interval.is_valid
    method.save(tmp_path)
    assert Bdt.load(tmp_path, higgs).predict(toy)["mu"] == interval
