"""The data report: sums that agree with plain NumPy, and figures of them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, OutputError
from sigma68.report.data import DataSource, ScoredEvents, summarise, write_data_report
from sigma68.report.data_figures import feature_figure, roc, shift_figure
from sigma68.report.data_summary import Axis, Correlations, Histograms, Regions, choose_axes
from sigma68.report.style import render
from sigma68.types import Feature, Labelled

FEATURES = (Feature("pt", r"$p_T$", "GeV"), Feature("jets", "Jets"), Feature("phi", "", "rad"))
PROCESSES = ("signal", "background")
UNDEFINED = -25.0


def events(n: int, seed: int, scale: float = 1.0) -> Labelled:
    rng = np.random.default_rng(seed)
    process = rng.integers(0, 2, n).astype(np.int8)
    pt = (20 + rng.exponential(30 + 20 * (process == 0), n)) * scale
    jets = rng.poisson(1.2, n)
    phi = rng.uniform(-math.pi, math.pi, n)
    phi[jets == 0] = UNDEFINED
    values = np.stack([pt, jets, phi]).astype(np.float32)
    weights = rng.uniform(0.5, 2.0, n)
    labels = (process == 0).astype(np.int8)
    return Labelled(("pt", "jets", "phi"), values, weights, labels, process, PROCESSES)


def source(n: int = 3000, pieces: int = 3) -> DataSource:
    def chunks(shifts: Mapping[str, Mapping[str, float]]) -> Iterator[Mapping[str, Labelled]]:
        for piece in range(pieces):
            yield {
                name: events(n // pieces, piece, shift.get("scale", 1.0))
                for name, shift in shifts.items()
            }

    return DataSource(
        name="made <events>",
        features=FEATURES,
        processes=PROCESSES,
        process_labels=("Signal", "Background"),
        is_signal=(True, False),
        regions=Regions(("low, soft", "high"), lambda e: (e.values[0] > 50).astype(np.int8)),
        chunks=chunks,
        n_rows=n,
        shifts={"scale = 1.1": {"scale": 1.1}},
        undefined=UNDEFINED,
    )


def test_axes_follow_the_data() -> None:
    pt, jets, phi = choose_axes(events(5000, 1), FEATURES, UNDEFINED)
    assert not pt.log
    assert pt.edges[0] == 0
    assert 200 < pt.edges[-1] < 400
    assert jets.discrete
    np.testing.assert_allclose(np.diff(jets.edges), 1.0)
    assert (phi.edges[0], phi.edges[-1]) == (-math.pi, math.pi)


def test_wide_positive_features_get_logarithmic_steps() -> None:
    e = events(4000, 1)
    wide = np.exp(np.random.default_rng(1).normal(5, 1.5, (1, 4000)))
    wide = Labelled(("m",), wide, e.weights, e.labels, e.process, PROCESSES)
    (axis,) = choose_axes(wide, (Feature("m"),))
    assert axis.log
    assert axis.index(axis.edges[:-1] * 1.0001).tolist() == list(range(axis.n_bins))


def test_outermost_bins_take_what_lies_beyond() -> None:
    axis = Axis(np.linspace(0, 10, 6))
    assert axis.index(np.array([-3.0, 0.0, 1.99, 2.0, 10.0, 99.0])).tolist() == [0, 0, 0, 1, 4, 4]


def test_histograms_add_up_to_numpy_and_do_not_depend_on_the_chunks() -> None:
    e = events(3000, 2)
    axes = choose_axes(e, FEATURES, UNDEFINED)
    whole = Histograms(FEATURES, PROCESSES, axes, UNDEFINED)
    whole.add(e)
    inside = (e.process == 1) & (e.values[0] < axes[0].edges[-1]) & (e.values[0] > axes[0].edges[0])
    expected = np.histogram(e.values[0][inside], axes[0].edges, weights=e.weights[inside])[0]
    np.testing.assert_allclose(whole[0].sumw[1][:-1], expected[:-1])
    for i in range(3):
        total = whole[i].sumw.sum(axis=1) + whole[i].undefined
        np.testing.assert_allclose(total, np.bincount(e.process, e.weights))
    assert whole[2].undefined.min() > 0
    assert whole[0].undefined.max() == 0

    pieces = Histograms(FEATURES, PROCESSES, axes, UNDEFINED)
    for cut in (slice(0, 700), slice(700, 701), slice(701, 3000)):
        pieces.add(
            Labelled(
                e.names, e.values[:, cut], e.weights[cut], e.labels[cut], e.process[cut], PROCESSES
            )
        )
    for i in range(3):
        np.testing.assert_allclose(pieces[i].sumw, whole[i].sumw)
        np.testing.assert_allclose(pieces[i].sumw2, whole[i].sumw2)


def test_correlations_equal_the_weighted_ones_of_events_where_both_are_defined() -> None:
    e = events(4000, 3)
    correlations = Correlations(FEATURES, PROCESSES, UNDEFINED)
    correlations.add(e)
    chosen = (e.process == 0) & (e.values[2] != UNDEFINED)
    x, y, w = (a[chosen].astype(float) for a in (e.values[0], e.values[2], e.weights))
    covariance = np.cov(x, y, aweights=w)
    expected = covariance[0, 1] / math.sqrt(covariance[0, 0] * covariance[1, 1])
    matrix = correlations.matrix(0)
    assert matrix[0, 2] == pytest.approx(expected, abs=1e-9)
    np.testing.assert_allclose(np.diag(matrix), 1.0)
    np.testing.assert_allclose(matrix, matrix.T)


def test_the_correlation_with_a_constant_is_not_defined() -> None:
    e = events(100, 3)
    values = e.values.copy()
    values[1] = 3.0
    correlations = Correlations(FEATURES, PROCESSES, UNDEFINED)
    correlations.add(Labelled(e.names, values, e.weights, e.labels, e.process, PROCESSES))
    assert np.isnan(correlations.matrix(0)[0, 1])


def test_only_features_that_a_shift_changes_are_compared() -> None:
    assert summarise(source()).affected() == [0]


def test_the_report_is_complete_and_repeats_itself(tmp_path: Path) -> None:
    summary = summarise(source())
    e = events(500, 9)
    scored = ScoredEvents("bdt", e.values[0].astype(float), e)
    told: list[float] = []
    index = write_data_report(
        summary,
        tmp_path / "a",
        scored=scored,
        progress=lambda what, fraction: told.append(fraction),
    )
    assert told[-1] == 1.0
    page = index.read_text()
    assert "made &lt;events&gt;" in page
    assert "3,000 rows" in page
    names = {path.stem for path in (tmp_path / "a/figures").iterdir()}
    assert names == {
        "yields",
        "score_bdt",
        "roc_bdt",
        "feature_pt",
        "feature_jets",
        "feature_phi",
        "shift_signal_pt",
        "shift_background_pt",
        "correlation_signal",
        "correlation_background",
    }
    for name in names:
        assert f"figures/{name}.svg" in page
        assert (tmp_path / f"a/figures/{name}.pdf").read_bytes()[:5] == b"%PDF-"
    again = feature_figure(summary.nominal[0], ("Signal", "Background"))
    assert (tmp_path / "a/figures/feature_pt.pdf").read_bytes() == render(again, "pdf")
    assert (tmp_path / "a/figures/feature_pt.svg").read_bytes() == render(again, "svg")


def test_the_ratio_of_a_shift_stands_on_the_nominal() -> None:
    summary = summarise(source())
    figure = shift_figure(summary.nominal[0], {"same": summary.nominal[0]}, [0, 1], "Both")
    top, bottom = figure.axes
    ratio = bottom.patches[-1].get_data().values
    assert np.nanmax(np.abs(ratio - 1)) == 0
    assert top.get_ylabel() == "Expected events per bin"
    assert bottom.get_xlabel() == r"$p_T$ [GeV]"


def test_roc_of_a_perfect_and_of_a_constant_score() -> None:
    labels = np.array([1, 1, 0, 0], dtype=np.int8)
    weights = np.array([1.0, 3.0, 2.0, 2.0])
    signal, background = roc(np.array([0.9, 0.8, 0.2, 0.1]), weights, labels)
    assert np.trapezoid(signal, background) == pytest.approx(1.0)
    signal, background = roc(np.full(4, 0.5), weights, labels)
    assert (signal.tolist(), background.tolist()) == ([0.0, 1.0], [0.0, 1.0])


def test_no_events_and_no_place_to_write_are_said_clearly(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no event of made <events> passes"):
        summarise(source(n=0))
    weightless = source(300)
    chunks = weightless.chunks
    weightless = replace(
        weightless,
        chunks=lambda shifts: (
            {name: replace(e, weights=0 * e.weights) for name, e in chunk.items()}
            for chunk in chunks(shifts)
        ),
    )
    with pytest.raises(DataError, match="all weights of made <events> are 0"):
        summarise(weightless)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_data_report(summarise(source(300)), blocked)


def test_a_page_that_is_there_has_all_its_figures(tmp_path: Path) -> None:
    """Neither an earlier page nor half a figure stays where drawing is interrupted."""
    (tmp_path / "index.html").write_text("of other data")

    def interrupt(what: str, fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_data_report(summarise(source(300)), tmp_path, progress=interrupt)
    assert not (tmp_path / "index.html").exists()
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} <= {".pdf", ".svg"}
