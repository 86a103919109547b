"""Figures and page of an emulator's validation, of results made up here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sigma68.report import validation_learned as learned
from sigma68.report.style import render
from sigma68.report.validation import write_validation_report
from sigma68.report.validation_tables import tables_of
from sigma68.tasks.higgs.validation.gap import Gap, ScoreHistogram, Separation
from sigma68.tasks.higgs.validation.judgement import EMULATOR
from sigma68.tasks.higgs.validation.neighbours import NeighbourTest
from sigma68.tasks.higgs.validation.result import TrainingSummary, Validation
from sigma68.tasks.higgs.validation.validate import validate
from sigma68.tasks.higgs.validation.verdict import findings
from tests.report.test_validation import made_test
from tests.tasks.higgs.validation.made_files import shared_out, write

EDGES = np.concatenate([[0.0], np.geomspace(0.001, 10, 61)])


def made_gap(difference: float) -> Gap:
    curve = np.linspace(0, 1, 101) ** 0.3
    return Gap(0.87 + difference, 0.001, 0.87, 0.002, difference, 0.0022, curve, curve**1.01)


def made_separation(name: str, difference: float) -> Separation:
    shapes = np.full((2, 30), 1 / 30)
    scores = ScoreHistogram(np.linspace(-3, 3, 31), shapes, 0.02 * shapes, shapes, 0.05 * shapes)
    verdict = "none" if name == "simulated" else "miss" if abs(difference) > 0.005 else "pass"
    return Separation(
        trained_on=name,
        rows_training=5000,
        rows_tested=6000,
        rows_reference=3000,
        gap=made_gap(difference),
        backgrounds={"ztautau": made_gap(0.001), "ttbar": made_gap(-0.002)},
        scores=scores,
        verdict=verdict,
    )


def made_neighbours(process: str, copies: int) -> NeighbourTest:
    shares = np.exp(-((np.log(np.maximum(EDGES[1:], 1e-3)) / 0.4) ** 2))
    shares[shares < 1e-5] = 0
    shares /= shares.sum()
    tested = shares.copy()
    tested[0] += copies / 2000
    return NeighbourTest(
        process=process,
        rows_training=9000,
        rows_tested=2000,
        rows_reference=1000,
        share=0.01 + copies / 2000,
        error=0.002,
        p_value=0.4,
        corrected=0.8,
        copies_tested=copies,
        copies_reference=0,
        tested_median=1.01,
        edges=EDGES,
        tested=tested,
        reference=shares,
        reference_error=0.1 * shares,
        verdict="miss" if copies else "pass",
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Validation:
    """Yields and responses as they are made, the rest made up: no test here is about trees."""
    folder = tmp_path_factory.mktemp("events")
    frames = shared_out(9000, 31)
    names = {name: write(frame, folder / f"{name}.parquet") for name, frame in frames.items()}
    found = validate(
        names["emulated"], names["held out"], judgement=EMULATOR, parts=("yields", "response")
    )
    test = replace(made_test("ztautau"), verdict="pass", auc=0.51)
    return replace(
        found,
        parts=EMULATOR.parts,
        training=TrainingSummary("training <2>.parquet", 10, {"ztautau": 10}),
        responses=tuple(r for r in found.responses if r.process == "sum"),
        classifiers=(test, replace(test, group="ttbar", verdict="unsure")),
        controls=(replace(test, auc=0.502, corrected=1.0),),
        separations=(made_separation("emulated", 0.004), made_separation("simulated", 0.009)),
        neighbours=(made_neighbours("ztautau", 0), made_neighbours("ttbar", 12)),
    )


@pytest.fixture(scope="module")
def page(result: Validation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_validation_report(result, tmp_path_factory.mktemp("report"))


def test_the_page_speaks_of_emulated_and_simulated_events(page: Path) -> None:
    text = page.read_text()
    assert "emulated rows against" in text
    assert "simulated ones (held out.parquet)" in text
    assert "events of held out.parquet" in text
    assert "training &lt;2&gt;.parquet" in text
    assert "judged by limits on their size" in text
    assert " real " not in text
    assert "Misses: neighbours." in text
    assert "Passes: separation." in text


def test_every_part_has_its_figure(page: Path) -> None:
    names = {path.stem for path in (page.parent / "figures").iterdir()}
    assert names == {
        *("yields", "response_sum", "roc", "areas"),
        *("separation_emulated", "separation_simulated", "neighbours"),
    }


def test_every_number_is_in_a_table(result: Validation) -> None:
    tables = {table.title: table for table in tables_of(result)}
    for table in tables.values():
        assert all(len(row) == len(table.columns) for row in table.rows), table.title
    classifier = tables["Classifier"]
    assert [row[1] for row in classifier.rows] == [
        *["emulated against simulated"] * 2,
        "control: training against held out",
    ]
    assert classifier.rows[1][2] == "not judged: too large an error"
    separation = tables["Separation of signal and background"]
    assert len(separation.rows) == 6
    assert separation.rows[0][-1] == "+0.0040 ± 0.0022"
    neighbours = tables["Neighbours among training events"]
    assert neighbours.bad == {1}
    assert neighbours.rows[1][-2] == "12"
    assert tables["Files"].rows[-1][:4] == ("training", "training <2>.parquet", "ztautau", "10")


def test_what_is_learned_is_judged_in_words(result: Validation) -> None:
    found = {finding.part: finding for finding in findings(result)}
    assert found["separation"].passed
    assert "+0.0040 ± 0.0022, within 0.005" in found["separation"].headline
    assert not found["neighbours"].passed
    assert "12 (held out: 0 of 1,000)" in found["neighbours"].details[0]
    assert any(detail.startswith("control, ") for detail in found["classifier"].details)
    assert "at most 0.53 in 1 of 1 groups" in found["classifier"].headline
    off = replace(result, separations=(made_separation("emulated", 0.02),))
    assert not next(f for f in findings(off) if f.part == "separation").passed
    few = replace(result, separations=(), neighbours=(), classifiers=(), controls=())
    said = {f.part: f.headline for f in findings(few)}
    assert said["neighbours"] == "too few events to look for neighbours"
    assert said["separation"].startswith("too few events of signal or background")
    control = replace(result.controls[0], corrected=1e-4)
    odd = next(f for f in findings(replace(result, controls=(control,))) if f.part == "classifier")
    assert any("the control itself finds a difference" in detail for detail in odd.details)


def test_figures_show_what_they_were_given(result: Validation) -> None:
    figure = learned.areas(result.classifiers, result.controls, EMULATOR)
    ax = figure.axes[0]
    assert ax.get_xlim()[0] < 0.5 < 0.53 < ax.get_xlim()[1]
    assert len(ax.containers) == 3
    separation = learned.separation_plot(result.separations[0], EMULATOR)
    top, roc, _, difference = separation.axes
    assert len(top.patches) == 4
    drawn = difference.lines[0].get_ydata()
    gap = result.separations[0].gap
    np.testing.assert_allclose(drawn, gap.tested_curve - gap.reference_curve)
    assert len(roc.lines) == 2
    neighbours = learned.neighbour_distances(result.neighbours, EMULATOR)
    left = neighbours.axes[0].get_xlim()[0]
    assert 0 < left < 0.001  # where the copies of ttbar are
    assert render(neighbours, "png")
    alone = learned.neighbour_distances(result.neighbours[:1], EMULATOR)
    assert alone.axes[0].get_xlim()[0] > 0.01
    assert not alone.axes[1].get_visible()
    assert render(learned.areas(result.classifiers[:1], (), replace(EMULATOR)), "png")
