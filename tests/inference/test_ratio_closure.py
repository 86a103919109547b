"""Closure of density ratios that are right by construction, and of ones that are not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sigma68.inference.ratio_closure import (
    LearnedRatios,
    LearnsRatios,
    closure,
    of_model,
    of_network,
    response_closure,
    share_calibration,
)
from sigma68.learning.inputs import Inputs
from sigma68.learning.ratios import ratio_polynomials
from sigma68.report.closure import closure_document, closure_rows
from sigma68.report.ratio_figures import response_figure, share_figure
from sigma68.report.style import render
from sigma68.types import Feature
from tests.learning.regions_toy import EXPECTED, PLACES, SHIFT, WIDTHS, MadePool

POOL = MadePool("closure", 30_000)
OFF = {"shift": 0.0}
Float32 = npt.NDArray[np.float32]


def exact(slope: float = 1.0, power: float = 1.0) -> LearnedRatios:
    """The true ratios between -1 and 2; `slope` and `power` spoil responses and shares."""

    def evaluate(values: npt.NDArray[Any]) -> tuple[Float32, Float32]:
        x = values[0].astype(float)
        place, width = (np.array(a[:2])[:, None] for a in (PLACES, WIDTHS))
        density = (
            np.array(EXPECTED[:2])[:, None] / width * np.exp(-(((x - place) / width) ** 2) / 2)
        )
        shares = density**power / (density**power).sum(axis=0)
        first = slope * SHIFT.width * (x - place) / width**2
        second = np.broadcast_to(-0.5 * (SHIFT.width / width) ** 2, first.shape)
        return shares.astype(np.float32), np.stack([first, second], axis=1).astype(np.float32)

    return LearnedRatios(
        "middle", lambda v: (v[0] > -1) & (v[0] < 2), evaluate, ratio_polynomials([SHIFT])
    )


def test_shares_that_are_right_are_found() -> None:
    closure = share_calibration(exact(), POOL.labelled())
    assert closure.said.shape == (2, 10)
    pulls = (closure.found - closure.said) / closure.error
    assert np.sqrt(np.mean(pulls**2)) < 1.8
    wrong = share_calibration(exact(power=1.3), POOL.labelled())
    assert np.abs((wrong.found - wrong.said) / wrong.error).max() > 8


def test_responses_that_are_right_close_in_every_bin() -> None:
    closures = response_closure(exact(), POOL, "shift", 2 * SHIFT.width, OFF, ["x", "y"])
    assert {(c.process, c.variable) for c in closures} == {
        (p, v) for p in ("signal", "background") for v in ("x", "y")
    }
    pulls = np.concatenate([c.pulls for c in closures])
    assert np.sqrt(np.nanmean(pulls**2)) < 1.6
    assert all(len(c.counted) == len(c.edges) - 1 == 10 for c in closures)
    # What scatters alike in nominal and moved events does not count as an error.
    still, moved = (
        next(c for c in closures if (c.process, c.variable) == ("signal", v)) for v in "yx"
    )
    assert still.error.max() < 0.5 * moved.error.max()
    assert np.ptp(moved.counted) > 0.3


def test_a_wrong_response_is_seen() -> None:
    closures = response_closure(exact(slope=0.5), POOL, "shift", 2 * SHIFT.width, OFF, ["x"])
    assert max(np.nanmax(np.abs(c.pulls)) for c in closures) > 5


def test_bins_of_hardly_any_events_say_nothing() -> None:
    few = MadePool("few", 40)
    assert response_closure(exact(), few, "shift", 0.1, OFF, ["x"]) == []
    closure = share_calibration(exact(), few.labelled())
    assert closure.said.shape == (2, 10)


def test_ratios_come_from_models_and_from_single_networks() -> None:
    from sigma68.learning.region_ratios import silent
    from sigma68.methods.gollum import Gollum
    from tests.learning.regions_toy import MadeTask
    from tests.methods.test_gollum import QUICK

    made = Gollum(MadeTask(), profiled=[], **{**QUICK, "passes": 1})
    made.fit(MadePool("train", 2_000), MadePool("calibration", 5_000))
    (middle,) = of_model(made.model)
    events = POOL.labelled()
    np.testing.assert_array_equal(middle.inside(events.values), made.bins(events.values) == 0)
    assert share_calibration(middle, events).region == "middle"
    alone = of_network(silent(("x", "y"), ratio_polynomials([SHIFT])), Inputs.of(MadeTask()))
    assert alone.inside(events.values).all()
    assert alone.evaluate(events.values)[1].shape == (1, 2, events.n_events)


def test_all_checks_of_a_method_are_those_of_its_parts() -> None:
    told: list[float] = []
    both = closure(
        [exact(), exact(slope=0.5)],
        POOL,
        [SHIFT],
        ["x"],
        max_rows=20_000,
        progress=lambda what, fraction: told.append(fraction),
    )
    assert told == [0.0, 0.5]
    assert len(both.shares) == 2
    few = POOL.labelled(max_rows=20_000)
    assert both.n_events == few.n_events
    np.testing.assert_array_equal(both.shares[0].found, share_calibration(exact(), few).found)
    assert [c.value for c in both.responses] == pytest.approx(
        [z * SHIFT.width for z in (-1, -1, -1, -1, 1, 1, 1, 1)]
    )
    one = response_closure(exact(), POOL, "shift", -SHIFT.width, OFF, ["x"], max_rows=20_000)
    np.testing.assert_array_equal(both.responses[0].learned, one[0].learned)


def test_a_table_says_where_closure_is_worst() -> None:
    found = closure([exact(), exact(slope=0.5)], POOL, [SHIFT], ["y", "x"])
    rows = closure_rows(found)
    assert [row[1] for row in rows] == ["probabilities"] * 2 + ["shift = -0.06", "shift = 0.06"]
    # Both parts have the same name here, so that their responses stand together: x is the worst.
    assert rows[2][4].endswith(", x")
    assert float(rows[2][3]) > 5
    document = json.loads(json.dumps(closure_document(found), allow_nan=False))
    assert document["responses"][0]["learned"] == pytest.approx(found.responses[0].learned)
    assert len(document["shares"][0]["found"]) == 2


def test_methods_say_that_they_learn_ratios() -> None:
    from sigma68.discover import method_class

    learning = {
        name
        for name in ("gollum", "nsbi", "bdt_profile", "nn")
        if issubclass(method_class(name), LearnsRatios)
    }
    assert learning == {"gollum", "nsbi"}


def test_figures_show_every_panel() -> None:
    shares = [share_calibration(exact(), POOL.labelled())] * 2
    figure = share_figure(shares)
    assert len(figure.axes) == 4
    assert figure.axes[0].get_title() == "signal"
    closures = [
        c
        for z in (-2, 2)
        for c in response_closure(exact(), POOL, "shift", z * SHIFT.width, OFF, ["x", "y"])
        if c.process == "signal"
    ]
    figure = response_figure(closures, {"x": Feature("x", label="$x$", unit="cm")})
    assert [axes.get_xlabel() for axes in figure.axes] == ["$x$ [cm]", "y"]
    assert figure.axes[0].get_ylabel().startswith("signal")
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"simulation, shift = -0.12", "simulation, shift = 0.12", "learned"} <= labels
    assert render(figure, "png").startswith(b"\x89PNG")


def test_a_pool_without_the_variable_is_refused() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        response_closure(exact(), POOL, "shift", 0.1, OFF, ["z"])
