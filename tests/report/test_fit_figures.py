"""Figures of a fit show what its diagnostics say, for odd fits as well."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from scipy.stats import poisson

from sigma68.inference.binned import BinnedLikelihood
from sigma68.inference.diagnostics import correlation, impacts, profile_scan, pulls
from sigma68.inference.fit_quality import goodness, post_fit, toy_goodness
from sigma68.report.fit_figures import (
    _poisson_errors,
    fit_correlation_figure,
    goodness_figure,
    post_fit_figure,
    pulls_and_impacts_figure,
    scan_figure,
)
from sigma68.report.style import render
from sigma68.seeds import stream
from tests.inference import binned_toy as toy

MODEL = toy.likelihood()
COUNTS = toy.drawn(MODEL, 1.2, {"shift": 1.008, "own": 1.1}, 11)
NAMES = ("signal", "main", "other")
LABELS = {"mu": r"$\mu$", "own": "Own scale"}


def beyond_the_cap() -> toy.Floats:
    point = MODEL.point(1.0)
    point[2] = math.log(20)
    return MODEL.expected(point)


def few() -> tuple[BinnedLikelihood, toy.Floats]:
    model = toy.likelihood(0.02)
    n = toy.drawn(model, 1.0, {}, 4)
    n[3] = 0
    return model, n


def test_a_scan_has_both_curves_and_the_best_fit() -> None:
    scan = profile_scan(MODEL, COUNTS, "mu")
    axes = scan_figure(scan, r"$\mu$").axes[0]
    curves = {str(line.get_label()): line for line in axes.lines}
    np.testing.assert_array_equal(curves["all others fitted"].get_ydata(), scan.profiled)
    known = curves["other nuisances and templates known"]
    np.testing.assert_array_equal(known.get_ydata(), scan.statistical)
    assert axes.get_xlim()[0] < scan.best < axes.get_xlim()[1]
    assert {text.get_text() for text in axes.texts} == {"1σ", "2σ"}


def test_a_scan_that_leaves_the_domain_is_drawn_as_far_as_it_goes() -> None:
    model, n = few()
    scan = profile_scan(model, n, "mu", np.linspace(-20, 3, 150))
    assert np.isinf(scan.profiled).any()
    axes = scan_figure(scan, "mu").axes[0]
    assert axes.get_xlim()[0] > -10


def test_pulls_are_ranked_by_impact() -> None:
    given, shifts = pulls(MODEL, COUNTS), impacts(MODEL, COUNTS)
    figure = pulls_and_impacts_figure(given, shifts, toy.MU, LABELS)
    axes, bars = figure.axes
    texts = dict(
        zip(axes.get_yticks(), (label.get_text() for label in axes.get_yticklabels()), strict=True)
    )
    downward = [texts[y] for y in sorted(texts, reverse=True)]
    assert downward == [LABELS.get(name, name) for name in shifts.names]
    (points,) = (c for c in axes.containers if isinstance(c, ErrorbarContainer))
    order = [given.names.index(name) for name in shifts.names]
    np.testing.assert_array_equal(points.lines[0].get_xdata(), given.best[order])
    widths = [patch.get_width() for patch in bars.containers[0]]
    np.testing.assert_allclose(widths, shifts.after[:, 1])
    assert max(abs(np.array(bars.get_xlim()))) > np.abs(shifts.after).max()


def test_a_nuisance_at_its_limit_is_an_open_point() -> None:
    n = beyond_the_cap()
    figure = pulls_and_impacts_figure(pulls(MODEL, n), impacts(MODEL, n), toy.MU, {})
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "fitted z at limit" in labels


def test_correlations_are_written_in_per_cent() -> None:
    given = correlation(MODEL, COUNTS)
    axes = fit_correlation_figure(given, LABELS).axes[0]
    texts = [text.get_text() for text in axes.texts]
    wanted = [f"{value:.0f}" for value in 100 * given.matrix.ravel()]
    assert [text.replace("−", "-") for text in texts] == [w.replace("-0", "0") for w in wanted]
    assert axes.get_yticklabels()[0].get_text() == r"$\mu$"


def test_the_stack_adds_up_to_the_fit() -> None:
    bins = post_fit(MODEL, COUNTS)
    upper, lower = post_fit_figure(bins, NAMES).axes
    stacked = [patch.get_data() for patch in upper.patches if str(patch.get_label()) in NAMES]
    np.testing.assert_allclose(stacked[-1].values, bins.after.sum(axis=0))
    assert upper.get_yscale() == "log"
    low, high = upper.get_ylim()
    assert 0 < low < bins.after.sum(axis=0).min()
    assert high > COUNTS.max()
    (points,) = (c for c in lower.containers if isinstance(c, ErrorbarContainer))
    np.testing.assert_allclose(points.lines[0].get_ydata(), COUNTS / bins.after.sum(axis=0))


def test_errors_of_counts_are_central_intervals() -> None:
    counts = np.array([0.0, 1.0, 7.0, 400.0])
    down, up = _poisson_errors(counts)
    tail = (1 - 0.6827) / 2
    np.testing.assert_allclose(poisson.cdf(counts, counts + up), tail)
    np.testing.assert_allclose(poisson.sf(counts[1:] - 1, counts[1:] - down[1:]), tail)
    assert down[0] == 0


def test_goodness_says_its_probability() -> None:
    given = goodness(MODEL, COUNTS)
    toys = toy_goodness(MODEL, COUNTS, stream("test", "goodness", 0), 100)
    axes = goodness_figure(given, toys).axes[0]
    said = [text.get_text() for text in axes.get_legend().get_texts()]
    assert said[0] == "χ² of 7 degrees of freedom"
    assert said[1] == "100 toys"
    assert f"p = {given.probability:.2g}" in said[2]
    assert f"toys: {toys.probability:.2g}" in said[2]


@pytest.mark.parametrize("kind", ["usual", "capped", "few", "alone"])
def test_every_figure_of_any_fit_can_be_drawn(kind: str) -> None:
    model, n = MODEL, COUNTS
    if kind == "capped":
        n = beyond_the_cap()
    elif kind == "few":
        model, n = few()
    elif kind == "alone":
        model = toy.likelihood(profiled=())
        n = model.expected(model.point(1.0))
    for figure in (
        scan_figure(profile_scan(model, n, model.names[-1], points=5), "z"),
        pulls_and_impacts_figure(pulls(model, n), impacts(model, n), toy.MU, {}),
        fit_correlation_figure(correlation(model, n), {}),
        post_fit_figure(post_fit(model, n), NAMES),
        goodness_figure(goodness(model, n)),
    ):
        assert render(figure, "svg").startswith(b"<?xml")


def test_the_same_fit_gives_the_same_bytes() -> None:
    bins = post_fit(MODEL, COUNTS)
    one, other = (render(post_fit_figure(bins, NAMES), "svg") for _ in range(2))
    assert one == other
