"""What a report says of a calibration: numbers, limits, figures of what was learned."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from sigma68.errors import DataError, ModelMismatchError
from sigma68.inference.calibrate import Calibration, calibrate
from sigma68.report.calibration import calibration_section, read_calibration
from sigma68.report.calibration_figures import correction_figure, coverage_before_and_after
from sigma68.report.run import write_report
from sigma68.report.style import render
from sigma68.run.settings import CalibrationSettings
from sigma68.score.files import score_folder
from tests.score.made_toys import MU, NUISANCES, made_toys
from tests.score.runs import FakeTask, made_run

TOYS = made_toys(500, 1, scale=0.7)
KINDS = [
    {"kind": "scale"},
    {"kind": "scale", "degree": 1, "at_edges": "clip"},
    {"kind": "neyman", "degree": 1},
]


@pytest.fixture(scope="module", params=KINDS, ids=str)
def found(request: pytest.FixtureRequest) -> Calibration:
    return calibrate(TOYS, MU, **request.param)


def test_it_says_what_was_done_and_how_well_it_is_known(found: Calibration) -> None:
    section = calibration_section(found, MU)
    text = " ".join(section.sentences)
    assert "500 toys of the calibration pool" in text
    assert "68.27% ± 2.08%" in text
    assert "are not corrected for" in text
    assert ("clipped to the range 0.1 to 3" in text) == (found.correction.at_edges == "clip")
    assert [row[0] for row in section.rows] == ["before", "after"]
    assert section.rows[0][1] == f"{100 * found.before.coverage:.2f}%"
    assert all(len(row) == len(section.columns) for row in section.rows)


def test_figures_draw_what_was_learned(found: Calibration) -> None:
    figure = correction_figure(found.correction, MU)
    first = figure.axes[0].lines[0].get_ydata()
    curve = -found.correction.low(1.0) if found.correction.kind == "scale" else None  # type: ignore[attr-defined]
    if curve is not None and found.correction.at_edges == "extend":
        np.testing.assert_allclose(np.asarray(first), float(curve))
    assert render(figure, "png").startswith(b"\x89PNG")
    both = coverage_before_and_after(found, MU, NUISANCES)
    assert [a.get_xlabel() for a in both.axes] == [
        r"true $\mu$",
        "shift",
        "smearing [GeV]",
    ]
    assert {c.get_label() for c in both.axes[0].containers} == {"before", "after"}
    assert render(both, "png").startswith(b"\x89PNG")


def test_failed_toys_are_said() -> None:
    found = calibrate(made_toys(400, 1, failures=0.05), MU)
    assert f"{found.n_failed} of them failed" in calibration_section(found, MU).sentences[0]


def test_a_report_of_a_calibrated_run(tmp_path: Path) -> None:
    task, out = FakeTask(), tmp_path
    calibration = CalibrationSettings(toys=500)
    made_run(out, made_toys(3, 20), calibration=calibration)
    assert read_calibration(out, task) is None
    found = calibrate(TOYS, MU)
    document = {"task": "fake", "calibration": found.to_json(), "settings": asdict(calibration)}
    path = out / "calibration.json"
    path.write_text(json.dumps(document))
    score_folder(out, task=task)
    write_report(out, task=task)
    page = (out / "report.html").read_text()
    assert "<h2>Calibration</h2>" in page
    assert f"<td>{100 * found.after.coverage:.2f}%</td>" in page
    assert (out / "figures" / "calibration_correction.pdf").is_file()
    path.write_text(json.dumps(document | {"task": "another"}))
    with pytest.raises(ModelMismatchError, match="of the task 'another', not 'fake'"):
        write_report(out, task=task)
    path.write_text(json.dumps({"task": "fake"}))
    with pytest.raises(DataError, match="holds no calibration"):
        write_report(out, task=task)
