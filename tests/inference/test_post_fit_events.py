"""Distributions after a fit to events, on a problem whose density ratios are known."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.inference.fit_summary import summarise_events
from sigma68.inference.post_fit_events import EventSample, distributions
from sigma68.inference.vector import Fit
from sigma68.methods.gollum import Gollum
from sigma68.types import Labelled
from tests.learning.regions_toy import MadePool, MadeTask
from tests.methods.test_gollum import CALIBRATION, QUICK, TRAIN, TRUTH, observed


@pytest.fixture(scope="module")
def method() -> Gollum:
    made = Gollum(MadeTask(), **QUICK)
    made.fit(TRAIN, CALIBRATION)
    return made


def simulated(method: Gollum, pool: MadePool = CALIBRATION) -> EventSample:
    events: Labelled = pool.labelled()
    return method.sample(events.observation(), events.weights.astype(np.float64))


def test_a_sample_holds_the_events_that_are_fitted_one_by_one(method: Gollum) -> None:
    seen = observed(TRUTH, "sample")
    sample = method.sample(seen)
    inside = method.bins(seen.values) < len(method.regions.unbinned)
    assert sample.values.shape == (2, inside.sum())
    np.testing.assert_array_equal(np.sort(sample.values[0]), np.sort(seen.values[0, inside]))
    np.testing.assert_array_equal(sample.ratios.shares, method.events(seen).shares)
    assert (sample.weights == 1).all()


def test_what_the_fit_expects_is_what_is_expected_in_the_regions(method: Gollum) -> None:
    likelihood, sample = method.ratio_likelihood, simulated(method)
    seen = method.sample(observed(TRUTH, "toy 1"))
    fit = likelihood.fit(seen.ratios)
    (x, y) = distributions(likelihood, fit, seen, sample, ["x", "y"])
    assert (x.feature, y.feature) == ("x", "y")
    for one in (x, y):
        total = one.bins.after.sum()
        assert total == pytest.approx(likelihood.inclusive.expected(fit.best).sum(), rel=0.02)
        assert one.bins.counts.sum() == pytest.approx(len(seen.weights), rel=0.01)
        # Within the errors of the counts and of the fit, bin by bin.
        expected = one.bins.after.sum(axis=0)
        pulls = (one.bins.counts - expected) / np.sqrt(expected + one.bins.after_error**2)
        assert np.sqrt(np.mean(pulls**2)) < 1.4
    # The fit knows more than the priors of the nuisances.
    assert (x.bins.after_error < x.bins.before_error).mean() > 0.5


def test_a_wrong_parameter_is_seen(method: Gollum) -> None:
    likelihood, sample = method.ratio_likelihood, simulated(method)
    seen = method.sample(observed({**TRUTH, "mu": 3.0}, "toy 2"))
    found = likelihood.fit(seen.ratios)
    wrong = Fit(np.array([0.0, *found.best[1:]]), found.covariance, found.value)
    right, off = (
        distributions(likelihood, fit, seen, sample, ["x"])[0].bins for fit in (found, wrong)
    )

    def chi_square(after: np.ndarray, counts: np.ndarray) -> float:
        expected = after.sum(axis=0)
        return float(np.sum((counts - expected) ** 2 / expected))

    assert chi_square(off.after, off.counts) > 3 * chi_square(right.after, right.counts)


def test_an_asimov_fit_gives_back_its_point(method: Gollum) -> None:
    from dataclasses import replace

    likelihood, sample = method.ratio_likelihood, simulated(method)
    point = likelihood.point(1.5)
    asimov = replace(sample, ratios=likelihood.asimov(point, sample.ratios))
    summary = summarise_events(likelihood, asimov, sample, ["x"])
    # Up to what the shares that quick networks have learned and the simulation's sums differ by;
    # with exact ratios the point itself comes back (test_density_ratios).
    assert summary.fit.best[0] == pytest.approx(1.5, abs=summary.fit.errors[0])
    assert [scan.name for scan in summary.scans] == list(likelihood.names)
    bins = summary.distributions[0].bins
    np.testing.assert_allclose(bins.counts, bins.after.sum(axis=0), rtol=0.05)
