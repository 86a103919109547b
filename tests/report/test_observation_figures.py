"""Figures of one observation: what they show, and regions that hold what they say."""

from __future__ import annotations

import matplotlib.colors
import numpy as np
import pytest

from sigma68.report.observation_figures import (
    contour_figure,
    enclosing,
    image_figure,
    summary_figure,
)
from sigma68.report.style import render
from sigma68.types import Parameter

X, Y = Parameter("x", -5.0, 5.0), Parameter("y", -5.0, 5.0, label="$y$")


def test_the_image_lies_along_the_page_and_hides_what_is_not_seen() -> None:
    mask = np.ones((60, 12), dtype=bool)
    mask[:5] = False
    image = np.where(mask, 1.0 + np.arange(720).reshape(60, 12), 0.0)
    figure = image_figure(image, mask, pixel_size=0.5, pixel_unit="degrees", label="value")
    axes = figure.axes[0]
    (drawn,) = axes.images
    assert drawn.get_extent() == [0, 30.0, 0, 6.0]
    shown = drawn.get_array()
    assert shown.shape == (12, 60)
    assert np.ma.getmaskarray(shown)[:, :5].all()
    assert axes.get_xlabel() == "Position [degrees]"
    assert matplotlib.colors.to_hex(axes.get_facecolor()) == "#b8b8b8"
    assert render(figure, "png")[:4] == b"\x89PNG"


def test_bands_of_summaries() -> None:
    rng = np.random.default_rng(1)
    others = {name: rng.normal(at, 1.0, (200, 4)) for name, at in (("a", 0.0), ("b", 3.0))}
    figure = summary_figure(
        np.array([0.0, 1.0, 2.0, 3.0]),
        others,
        axis=(100, 200, 500, 1000),
        axis_label="ell",
        label="power",
    )
    above, below = figure.axes
    assert [t.get_text() for t in above.get_legend().get_texts()] == ["a", "b", "this observation"]
    np.testing.assert_allclose(below.lines[0].get_ydata(), [0, 1, 2, 3], atol=0.4)
    assert below.get_xlabel() == "ell"


def test_contours_hold_their_share() -> None:
    density = np.array([[0.4, 0.3], [0.2, 0.1]])
    assert enclosing(density, (0.35, 0.6, 0.95)) == (0.4, 0.3, 0.1)
    rng = np.random.default_rng(2)
    draws = {"round": rng.normal(0, 1, (20_000, 2)), "edge": rng.uniform(-5, 5, (5_000, 2))}
    figure = contour_figure(draws, (X, Y), {"x": 0.0, "y": 1.0})
    axes = figure.axes[0]
    names = [t.get_text() for t in axes.get_legend().get_texts()]
    assert names == ["round", "edge", "truth"]
    # The outer region of a round normal has a radius of sqrt(-2 ln(1 - 0.9545)) = 2.49.
    outer = axes.collections[1].get_paths()[0].vertices
    assert np.hypot(*outer.T).mean() == pytest.approx(2.49, abs=0.15)
