"""What `check_entry` finds, and that the template it starts people with passes."""

from __future__ import annotations

from pathlib import Path

import pytest

from sigma68.challenge.entries import Finding, check_entry, new_entry
from sigma68.errors import OutputError, SettingsError
from sigma68.tasks.gaussian.task import Gaussian
from tests.challenge.conftest import GOOD, WriteEntry


@pytest.fixture(scope="module")
def small() -> Gaussian:
    """The gaussian task with a training pool that exports at once."""
    return Gaussian()


def found(findings: list[Finding], level: str) -> dict[str, str]:
    return {finding.what: finding.words for finding in findings if finding.level == level}


def test_the_template_passes(tmp_path: Path, small: Gaussian) -> None:
    folder = new_entry("mine", tmp_path)
    assert (folder / "README.md").read_text().startswith("# mine\n")
    seen: list[Finding] = []
    findings = check_entry(folder, small, toys=3, report=seen.append)
    assert seen == findings
    assert {finding.level for finding in findings} == {"ok"}, findings
    expected = {"structure", "packages", "loading", "fit", "predict", "answer", "repeatable"}
    assert expected <= found(findings, "ok").keys()


def test_the_template_measures_mu(tmp_path: Path, small: Gaussian) -> None:
    findings = check_entry(new_entry("mine", tmp_path), small, toys=12)
    words = found(findings, "ok")["truth"]
    assert int(words.split()[0]) >= 4, words


@pytest.mark.parametrize(
    ("model", "what", "words"),
    [
        ("class Modell: pass", "loading", "no class Model"),
        ("import surely_not_installed_xyz\n" + GOOD, "loading", "surely_not_installed_xyz"),
        (GOOD.replace("self.n =", "self.m ="), "toy 1", "failed: predict failed: AttributeError"),
        (GOOD.replace('"p84": mu + 0.1', '"p84": None'), "toy 1", "invalid: p84 is None"),
        (GOOD.replace("mu = len", "import os; os._exit(3)\n        mu = len"), "toy 1", "crashed"),
        (GOOD.replace("float(self.get", "1/0 + float(self.get"), "fit", "ZeroDivisionError"),
    ],
)
def test_errors_are_found(
    model: str, what: str, words: str, write_entry: WriteEntry, small: Gaussian
) -> None:
    findings = check_entry(write_entry(model), small, toys=2)
    errors = found(findings, "error")
    assert what in errors
    assert words in errors[what]


@pytest.mark.parametrize(
    ("model", "what", "words"),
    [
        (
            GOOD.replace('len(test_set["data"])', 'getattr(self, "n", 1)'),
            "events",
            "does predict use the events",
        ),
        (GOOD.replace('"mu_hat": mu', '"mu_hat": 99.0'), "mu_hat", "outside"),
        (GOOD.replace("mu - 0.1", "mu").replace("mu + 0.1", "mu"), "width", "no width"),
        (
            GOOD.replace("mu =", "self.n *= 1.01\n        mu ="),
            "repeatable",
            "depend on what it was asked",
        ),
        (
            "try:\n    import not_there_xyz\nexcept ImportError:\n    pass\n" + GOOD,
            "packages",
            "xyz",
        ),
        (GOOD.replace("mu =", "print('x' * 90000)\n        mu ="), "printing", "prints a lot"),
    ],
)
def test_warnings_are_found(
    model: str, what: str, words: str, write_entry: WriteEntry, small: Gaussian
) -> None:
    findings = check_entry(write_entry(model), small, toys=2)
    assert found(findings, "error") == {}
    warnings = found(findings, "warning")
    assert what in warnings
    assert words in warnings[what]


def test_what_cannot_be_checked(tmp_path: Path, small: Gaussian, write_entry: WriteEntry) -> None:
    assert found(check_entry(tmp_path / "nothing", small), "error").keys() == {"structure"}
    with pytest.raises(SettingsError, match="at least 1 toy"):
        check_entry(write_entry(), small, toys=0)

    class NeedsData(Gaussian):
        default_source = None

    with pytest.raises(SettingsError, match="give --data PATH"):
        check_entry(write_entry(), NeedsData())


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "a b"])
def test_names_that_are_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be called"):
        new_entry(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_new_entry_overwrites_nothing(tmp_path: Path) -> None:
    folder = new_entry("mine", tmp_path / "deep" / "er")
    before = (folder / "model.py").read_text()
    with pytest.raises(OutputError, match="exists already"):
        new_entry("mine", tmp_path / "deep" / "er")
    assert (folder / "model.py").read_text() == before
    assert [p.name for p in folder.parent.iterdir()] == ["mine"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        new_entry("mine", tmp_path / "file")
