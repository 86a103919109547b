"""A workspace's fit in pyhf, with MINUIT, is ours: estimate and error to 1%."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyhf
import pytest

from sigma68.errors import DataError
from sigma68.inference.binned import BinnedFit, BinnedLikelihood
from sigma68.inference.interchange import pyhf_workspace
from tests.inference import binned_toy as toy

NAMES = ("signal", "main", "other")

# What pyhf 0.7.6 says of the jsonschema it is installed with.
pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")


@pytest.fixture(autouse=True)
def _minuit() -> Any:
    before = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(strategy=2, tolerance=1e-3))
    yield
    pyhf.set_backend(*before)


def fitted_by_pyhf(document: dict[str, Any]) -> tuple[float, float, dict[str, float], float]:
    """The parameter, its error, the nuisances, and what -2 ln L is at the minimum."""
    workspace = pyhf.Workspace(json.loads(json.dumps(document)))
    model = workspace.model()
    result, value = pyhf.infer.mle.fit(
        workspace.data(model), model, return_uncertainties=True, return_fitted_val=True
    )
    place = model.config.poi_index
    rest = dict(zip(model.config.par_names, result[:, 0], strict=True))
    return float(result[place, 0]), float(result[place, 1]), rest, float(value)


def assert_alike(model: BinnedLikelihood, n: toy.Floats, around: BinnedFit | None) -> None:
    ours = model.fit(n)
    best, error, _, _ = fitted_by_pyhf(pyhf_workspace(model, n, NAMES, around=around))
    assert best == pytest.approx(ours.best[0], rel=0.01)
    assert error == pytest.approx(ours.errors[0], rel=0.01)


@pytest.mark.parametrize("mu", [0.5, 2.0])
@pytest.mark.parametrize("mc_errors", [True, False])
def test_asimov_data_are_fitted_alike(mu: float, mc_errors: bool) -> None:
    model = toy.likelihood(mc_errors=mc_errors)
    assert_alike(model, model.expected(model.point(mu)), None)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_toys_near_the_centre_are_fitted_alike(seed: int) -> None:
    model = toy.likelihood()
    z = 0.4 * np.random.default_rng(seed).standard_normal(4)
    values = {q.name: q.from_z(float(v)) for q, v in zip(toy.NUISANCES, z, strict=True)}
    assert_alike(model, toy.drawn(model, 1.0, values, seed), None)


@pytest.mark.parametrize(
    "values", [{"shift": 1.025, "own": 1.3}, {"noise": 4.0, "all": 0.98}, {"shift": 0.97}]
)
def test_around_the_fit_toys_far_out_are_fitted_alike(values: dict[str, float]) -> None:
    model = toy.likelihood()
    n = toy.drawn(model, 1.4, values, 7)
    assert_alike(model, n, model.fit(n))


def test_rates_alone_are_exact() -> None:
    model = toy.likelihood(mc_errors=False, profiled=(toy.OWN,))
    n = toy.drawn(model, 1.3, {"own": 1.4}, 4)
    ours = model.fit(n)
    best, error, rest, value = fitted_by_pyhf(pyhf_workspace(model, n))
    assert best == pytest.approx(ours.best[0], abs=1e-4)
    assert rest["own"] == pytest.approx(ours.best[1], abs=1e-3)
    assert error == pytest.approx(ours.errors[0], rel=1e-3)
    document = pyhf_workspace(model, n)
    workspace = pyhf.Workspace(document)
    there = workspace.model()
    # The two likelihoods differ by a constant, wherever they are compared.
    offsets = []
    for mu, z in ((1.0, 0.0), (0.4, -1.7), (2.2, 2.3)):
        given = {"mu": mu, "own": z}
        parameters = [given[name] for name in there.config.par_names]
        theirs = -2 * float(there.logpdf(parameters, workspace.data(there))[0])
        offsets.append(theirs - model.value(np.array([mu, z]), n))
    np.testing.assert_allclose(offsets, offsets[0], atol=1e-8)
    assert value == pytest.approx(offsets[0] + ours.value, abs=1e-6)


def test_a_nuisance_at_its_cap_stays_in_its_bounds() -> None:
    model = toy.likelihood()
    point = model.point(1.0)
    point[2] = np.log(20)
    n = model.expected(point)
    document = pyhf_workspace(model, n, around=model.fit(n))
    _, _, rest, _ = fitted_by_pyhf(document)
    assert rest["noise"] <= 1e-9


def test_the_document_has_a_sample_per_component() -> None:
    model = toy.likelihood()
    n = model.expected(model.point(1.0))
    document = pyhf_workspace(model, n, NAMES, channel="score", measurement="mine")
    (channel,) = document["channels"]
    assert channel["name"] == "score"
    assert [sample["name"] for sample in channel["samples"]] == list(NAMES)
    total = np.sum([sample["data"] for sample in channel["samples"]], axis=0)
    np.testing.assert_allclose(total, n)
    modifiers = {
        sample["name"]: [(m["name"], m["type"]) for m in sample["modifiers"]]
        for sample in channel["samples"]
    }
    assert modifiers["signal"] == [
        ("mu", "normfactor"),
        ("shift", "histosys"),
        ("simulation_score", "staterror"),
    ]
    assert ("own", "histosys") in modifiers["other"]
    (measurement,) = document["measurements"]
    assert measurement["name"] == "mine"
    assert measurement["config"]["poi"] == "mu"


def test_what_no_workspace_can_hold_is_refused() -> None:
    model = toy.likelihood()
    n = model.expected(model.point(1.0))
    with pytest.raises(ValueError, match="3 components"):
        pyhf_workspace(model, n, ["a", "b"])
    with pytest.raises(ValueError, match="3 components"):
        pyhf_workspace(model, n, ["a", "b", "b"])
    with pytest.raises(ValueError, match=r"shape \(8,\)"):
        pyhf_workspace(model, n[1:])
    full = toy.surfaces()
    nominal, variance = full.nominal.copy(), full.variance.copy()
    nominal[:, 3] = variance[:, 3] = 0.0
    empty = BinnedLikelihood(
        replace(full, nominal=nominal, variance=variance), toy.FACTORS, toy.MU, toy.NUISANCES, {}
    )
    with pytest.raises(DataError, match="bin 3 expects no events"):
        pyhf_workspace(empty, n)
