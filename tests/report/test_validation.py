"""The page of a validation and its figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import OutputError
from sigma68.report import validation_figures as figures
from sigma68.report import validation_responses as responses
from sigma68.report.style import render
from sigma68.report.validation import write_validation_report
from sigma68.report.validation_tables import tables_of
from sigma68.tasks.higgs.schema import FEATURE_TABLE
from sigma68.tasks.higgs.validation.judgement import SIMULATION
from sigma68.tasks.higgs.validation.result import Validation
from sigma68.tasks.higgs.validation.roc import ClassifierTest
from sigma68.tasks.higgs.validation.tables import published
from sigma68.tasks.higgs.validation.validate import validate
from tests.tasks.higgs.validation.made_files import halves, write


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Validation:
    """Everything but the classifier, whose result is made up: no test here is about trees."""
    folder = tmp_path_factory.mktemp("events")
    tested, reference = halves(9000, 31)
    parts = ("yields", "distributions", "response", "correlations")
    found = validate(
        write(tested, folder / "pool <1>.parquet"),
        write(reference[reference["detailed_labels"] != "diboson"], folder / "real.parquet"),
        replace(published(), name="a & b"),
        parts=parts,
    )
    # One group is enough to draw.
    return replace(
        found,
        groups={"ztautau": ("ztautau",)},
        parts=(*parts, "classifier"),
        distributions=tuple(t for t in found.distributions if t.group == "ztautau"),
        responses=tuple(r for r in found.responses if r.process in ("ztautau", "sum")),
        correlations=tuple(t for t in found.correlations if t.group == "ztautau"),
        classifiers=(made_test("pooled"),),
    )


def made_test(group: str) -> ClassifierTest:
    return ClassifierTest(
        group=group,
        rows_tested=1000,
        rows_reference=200,
        auc=0.61,
        error=0.02,
        null_error=0.021,
        folds=(0.6, 0.62),
        p_value=1e-9,
        corrected=2e-9,
        detectable=0.58,
        columns=(("PRI_met", 0.5), ("PRI_lep_pt", 0.2)),
        curve=np.linspace(0, 1, 101) ** 0.5,
        verdict="miss",
    )


@pytest.fixture(scope="module")
def page(result: Validation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    told: list[float] = []
    index = write_validation_report(
        result,
        tmp_path_factory.mktemp("report"),
        progress=lambda what, fraction: told.append(fraction),
    )
    assert told == sorted(told)
    return index


def test_the_page_says_at_the_top_what_misses(page: Path) -> None:
    text = page.read_text()
    top = text[: text.index("<h2>Tables")]
    assert "pool &lt;1&gt;.parquet" in top
    assert "a &amp; b" in top
    assert "Not everything agrees" in top
    assert "Misses: yields." in top
    assert "Passes: form." in top
    assert "trees tell simulated from real events" in text.lower()
    assert "pooled: area 0.610 ± 0.020" in text
    assert "http" not in text.replace("http://www.w3.org", "")


def test_every_figure_is_in_the_page_and_beside_it(page: Path, result: Validation) -> None:
    text, folder = page.read_text(), page.parent / "figures"
    names = {path.stem for path in folder.iterdir()}
    processes = ["ztautau", "sum"]
    expected = {"yields", "p_values", "roc"}
    expected |= {f"distributions_{group}" for group in result.groups}
    expected |= {f"correlations_{group}" for group in result.groups}
    expected |= {f"response_{process}" for process in processes}
    assert names == expected
    assert text.count('<img src="data:image/') == len(expected)
    assert all((folder / f"{name}.pdf").read_bytes()[:5] == b"%PDF-" for name in names)
    assert {path.stem for path in folder.glob("*.png")} == {
        f"distributions_{group}" for group in result.groups
    }


def test_the_tables_hold_every_number(page: Path, result: Validation) -> None:
    tables = {table.title.split(",")[0].split(":")[0]: table for table in tables_of(result)}
    assert len(tables["Yields against the a & b"].rows) == 24
    assert len(tables["Distributions"].rows) == len(result.distributions)
    assert len(tables["Responses to tes"].rows) == len(result.responses)
    assert len(tables["Simulated events"].rows) == 24
    assert len(tables["Real events"].rows) == 18
    for table in tables.values():
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert all(0 <= i < len(table.rows) for i in table.bad)
    missed = [i for i, t in enumerate(result.yields) if t.verdict == "miss"]
    assert tables["Yields against the a & b"].bad == frozenset(missed)
    assert page.read_text().count('<tr class="miss">') == sum(len(t.bad) for t in tables.values())


def test_parts_that_were_left_out_are_not_drawn(result: Validation, tmp_path: Path) -> None:
    few = replace(
        result,
        parts=("yields",),
        distributions=(),
        histograms=(),
        responses=(),
        correlations=(),
        classifiers=(),
    )
    write_validation_report(few, tmp_path)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"yields.svg", "yields.pdf"}
    assert "Passes: response" not in (tmp_path / "index.html").read_text()


def test_the_same_validation_gives_the_same_bytes(result: Validation, tmp_path: Path) -> None:
    few = replace(
        result, parts=("classifier",), yields=(), distributions=(), responses=(), correlations=()
    )
    pages = [write_validation_report(few, tmp_path / name).read_bytes() for name in ("a", "b")]
    assert pages[0] == pages[1]


def test_an_old_page_is_gone_if_a_new_one_is_broken_off(result: Validation, tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("of other events")

    def interrupt(what: str, fraction: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_validation_report(result, tmp_path, progress=interrupt)
    assert not (tmp_path / "index.html").exists()


def test_a_place_that_cannot_be_written_is_said(result: Validation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_validation_report(result, tmp_path / "file")


def test_the_grid_has_every_column_with_its_unit(result: Validation) -> None:
    own = [h for h in result.histograms if h.process == "ztautau"]
    tests = [t for t in result.distributions if t.group == "ztautau"]
    figure = figures.distributions_grid(own, tests, "ztautau", SIMULATION)
    labels = [ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()]
    assert len(labels) == len(FEATURE_TABLE) == 28
    assert sum("[GeV]" in label for label in labels) == sum(f.unit == "GeV" for f in FEATURE_TABLE)
    # Points and lines are fractions of all events, those without the column included.
    top = figure.axes[2 * 6]
    drawn = top.patches[0].get_data().values.sum()
    defined = own[6].tested.sum() / (own[6].tested.sum() + own[6].tested_undefined)
    assert drawn == pytest.approx(defined)
    assert 0.2 < defined < 0.8


def test_yields_beyond_the_axis_stand_at_its_end(result: Validation) -> None:
    figure = figures.yields_ratio(result.yields, "tables", SIMULATION)
    ax = figure.axes[0]
    low, high = ax.get_xlim()
    assert low >= 0.5
    assert high <= 1.5
    ends = [line for line in ax.lines if line.get_marker() in ("<", ">")]
    far = [t for t in result.yields if abs(t.ratio - 1) > 0.45]
    assert len(ends) == len(far) > 0


def test_the_correlation_figure_shows_pulls_above_and_differences_below(result: Validation) -> None:
    test = result.correlations[0]
    shown = figures.correlation_pulls(test, SIMULATION).axes[0].images[0].get_array()
    assert shown[0, 3] == pytest.approx(test.pulls[0, 3])
    assert shown[3, 0] == pytest.approx(10 * (test.tested[3, 0] - test.reference[3, 0]))
    assert shown.mask[4, 4]


def test_figures_of_very_little_can_be_drawn(result: Validation) -> None:
    nothing = replace(result.responses[0], tested=None, tested_error=None, reference=None)
    assert render(responses.responses_plot([nothing], "ztautau", SIMULATION), "png")
    assert render(figures.p_values(result.distributions[:1]), "png")
    assert render(figures.yields_ratio([], "tables", SIMULATION), "png")
