"""Coverage in bins: counts by hand, and slopes found where they were put."""

from __future__ import annotations

import numpy as np
import pytest

from sigma68.errors import DataError
from sigma68.score.diagnostics import coverage_curves, coverage_in_bins
from tests.score.made_toys import MU, made_toys


def test_bins_by_hand() -> None:
    toys = made_toys(2, 100)
    toys["x"] = np.arange(200)
    covers = (toys["p16"] <= toys["mu"]) & (toys["mu"] <= toys["p84"])
    curve = coverage_in_bins(toys, MU, "x", edges=[0, 50, 300, 400])
    assert curve.n.tolist() == [50, 150]  # the empty bin is left out
    assert curve.coverage == pytest.approx([covers[:50].mean(), covers[50:].mean()])
    assert curve.centre == pytest.approx([24.5, 124.5])
    assert curve.width == pytest.approx([0.8, 0.8])
    assert (curve.coverage_low < curve.coverage).all()
    assert (curve.coverage_high > curve.coverage).all()
    assert len(curve.to_json()) == 2


def test_every_toy_is_counted_once_also_where_values_pile_up() -> None:
    toys = made_toys(10, 50)
    toys["smear"] = np.minimum(toys["smear"], 1.0)  # half of them at the clip
    for column in ("mu", "shift", "smear"):
        assert coverage_in_bins(toys, MU, column).n.sum() == 500


def test_good_intervals_cover_in_every_bin() -> None:
    for curve in coverage_curves(made_toys(40, 250), MU).values():
        assert np.abs(curve.deviation).max() < 4


def test_a_method_that_ignores_a_nuisance_loses_coverage_at_its_tails() -> None:
    curves = coverage_curves(made_toys(20, 250, slope=1.5), MU)
    shift = curves["shift"].coverage
    assert shift[0] < 0.4
    assert shift[-1] < 0.4
    assert shift[len(shift) // 2] > 0.6
    assert set(curves) == {"mu", "shift", "smear"}


def test_constant_columns_have_no_curve_but_can_be_asked() -> None:
    toys = made_toys(2, 30, active=False)
    assert set(coverage_curves(toys, MU)) == {"mu"}
    assert coverage_in_bins(toys, MU, "shift").n.tolist() == [60]
    with pytest.raises(DataError, match="nothing"):
        coverage_in_bins(toys, MU, "nothing")


def test_answers_for_another_parameter_are_no_nuisance() -> None:
    toys = made_toys(4, 25)
    rng = np.random.default_rng(1)
    more = {name: rng.uniform(0, 1, len(toys)) for name in ("S8", "S8_hat", "delta_S8_hat")}
    assert set(coverage_curves(toys.assign(**more), MU)) == {*coverage_curves(toys, MU), "S8"}


def test_one_toy() -> None:
    curves = coverage_curves(made_toys(1, 1), MU)
    assert curves["mu"].n.tolist() == [1]
