"""`nn`: what it shares with `bdt`, what it saves, and that a trained one needs no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, FitError
from sigma68.inference.poisson import fit_mu
from sigma68.learning.binning import count
from sigma68.methods.nn import Nn
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Observation
from tests.learning.events import overlapping
from tests.methods.pools import FixedPool

pytest.importorskip("torch")

GIVEN = {
    "nuisances": {"shift": 1.0},
    "max_train_rows": 1_500,
    "units": 12,
    "hidden_layers": 2,
    "passes": 3,
    "steps": 100,
    "batch": 200,
    "learning_rate": 0.01,
    "weight_decay": 0.2,
    "patience": 2,
    "seed": 9,
    "threads": 1,
    "max_bins": 6,
    "min_background": 40.0,
    "min_signal": 20.0,
}


@pytest.fixture(scope="module")
def nn(task: Gaussian) -> Nn:
    events = replace(overlapping(4_000, seed=1), names=("x", "y"))
    method = Nn(task, **GIVEN)  # type: ignore[arg-type]
    train, calibration = FixedPool("train", events), FixedPool("calibration", events)
    method.fit(train, calibration)
    assert train.asked == [({"shift": 1.0}, 1_500)]
    assert calibration.asked == [({"shift": 1.0}, None)]
    return method


@pytest.fixture
def observation() -> Observation:
    return Observation(("x", "y"), np.random.default_rng(2).normal(size=(2, 2_200)))


def test_the_fit_is_that_of_the_binned_score(nn: Nn, observation: Observation) -> None:
    assert nn.network is not None
    assert nn.templates is not None
    observed = count(nn.network.score(observation.values), nn.templates.edges)
    assert 1 < len(observed) <= 6
    expected = fit_mu(observed, nn.templates.signal, nn.templates.background)
    assert nn.predict(observation)["mu"] == expected


def test_every_setting_is_saved(
    nn: Nn, task: Gaussian, observation: Observation, tmp_path: Path
) -> None:
    nn.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["network.safetensors", "nn.json"]
    assert json.loads((tmp_path / "nn.json").read_text())["settings"] == GIVEN
    back = Nn.load(tmp_path, task)
    assert back.predict(observation) == nn.predict(observation)
    assert (back.network_settings, back.bin_choice) == (nn.network_settings, nn.bin_choice)


def test_a_trained_one_needs_no_torch(nn: Nn, observation: Observation, tmp_path: Path) -> None:
    nn.save(tmp_path)
    np.save(tmp_path / "values.npy", observation.values, allow_pickle=False)
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['xgboost'] = None\n"
        "from pathlib import Path; import numpy as np\n"
        "from sigma68.discover import load_task, method_class\n"
        "from sigma68.types import Observation\n"
        "folder = Path(sys.argv[1])\n"
        "method = method_class('nn').load(folder, load_task('gaussian'))\n"
        "seen = Observation(('x', 'y'), np.load(folder / 'values.npy'))\n"
        "print(repr(method.predict(seen)['mu'].mu_hat))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) == nn.predict(observation)["mu"].mu_hat


def test_what_cannot_be_done_is_said(nn: Nn, task: Gaussian, tmp_path: Path) -> None:
    with pytest.raises(FitError, match="nn is not trained"):
        Nn(task).predict(Observation(("x", "y"), np.zeros((2, 3))))
    with pytest.raises(FitError, match="nn is not trained"):
        Nn(task).score(np.zeros((2, 3)))
    with pytest.raises(FitError, match="nn is not trained"):
        Nn(task).save(tmp_path)
    with pytest.raises(DataError, match="nn was trained on, in their order: x, y"):
        nn.predict(Observation(("y", "x"), np.zeros((2, 5))))


def test_a_damaged_network_is_refused(nn: Nn, task: Gaussian, tmp_path: Path) -> None:
    nn.save(tmp_path)
    path = tmp_path / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(DataError, match="damaged"):
        Nn.load(tmp_path, task)


def test_a_training_that_fails_leaves_no_old_bins(nn: Nn, task: Gaussian) -> None:
    method = Nn(task, **GIVEN)  # type: ignore[arg-type]
    method.templates = nn.templates
    nothing = replace(overlapping(50, seed=1), labels=np.zeros(50, np.int8), names=("x", "y"))
    with pytest.raises(DataError, match="no signal"):
        method.fit(FixedPool("train", nothing), FixedPool("calibration", nothing))
    assert method.templates is None
