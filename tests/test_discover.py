"""Plug-ins are found by where they lie and imported only when asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sigma68 import discover
from sigma68.errors import MissingExtraError, SettingsError


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of its own, laid out like sigma68, in which `discover` looks."""
    root = tmp_path / "house68"
    for folder in ("tasks/slab", "tasks/notask", "methods"):
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").write_text("")
    (root / "__init__.py").write_text("")
    (root / "tasks/__init__.py").write_text("")
    (root / "tasks/slab/task.py").write_text('class Slab:\n    """A slab of lead."""\n')
    methods = root / "methods"
    (methods / "two_words.py").write_text('"""The module."""\n\n\nclass TwoWords:\n    pass\n')
    (methods / "_private.py").write_text("raise RuntimeError('imported')\n")
    (methods / "broken.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(discover, "_ROOT", root)
    monkeypatch.setattr(discover, "_PACKAGE", "house68")
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "house68"]:
        del sys.modules[name]


def test_names_come_from_files_and_nothing_is_imported(house: Path) -> None:
    assert discover.task_names() == ("slab",)
    assert discover.method_names() == ("broken", "two_words")
    assert discover.summaries("methods") == {
        "broken": "(no description)",
        "two_words": "The module.",
    }
    assert discover.summaries("tasks") == {"slab": "A slab of lead."}


def test_the_class_is_named_after_the_file(house: Path) -> None:
    assert discover.method_class("two_words").__name__ == "TwoWords"
    assert type(discover.load_task("slab")).__name__ == "Slab"


def test_an_unknown_name_lists_the_known_ones(house: Path) -> None:
    with pytest.raises(SettingsError, match=r"no method called 'bdtt'; there are: broken, two_wo"):
        discover.method_class("bdtt")


def test_a_module_without_its_class_says_which(house: Path) -> None:
    (house / "methods/empty.py").write_text("")
    with pytest.raises(
        SettingsError, match=r"house68\.methods\.empty must define a class named Empt"
    ):
        discover.method_class("empty")


@pytest.mark.parametrize(
    ("requirement", "remedy"),
    [
        ("absentlib-cpu>=3; extra == 'trees'", r"install house68\[trees\]"),
        ("absentlib; extra == 'torch'", r"install house68\[torch\]"),
        ("absentlib2; extra == 'torch'", "install absentlib$"),
    ],
)
def test_a_missing_package_names_the_extra_that_brings_it(
    house: Path, monkeypatch: pytest.MonkeyPatch, requirement: str, remedy: str
) -> None:
    (house / "methods/needy.py").write_text("import absentlib.deep\n\n\nclass Needy: ...\n")
    monkeypatch.setattr(discover.metadata, "requires", lambda _: ["numpy>=2", requirement])
    with pytest.raises(MissingExtraError, match=f"needs the package 'absentlib', .*{remedy}"):
        discover.method_class("needy")


def test_the_real_metadata_know_the_trees_extra() -> None:
    assert discover._extra_of("xgboost", "sigma68") == "trees"


def test_a_broken_import_of_our_own_is_not_disguised(house: Path) -> None:
    (house / "methods/buggy.py").write_text("import house68.nowhere\n\n\nclass Buggy: ...\n")
    with pytest.raises(ModuleNotFoundError, match=r"house68\.nowhere"):
        discover.method_class("buggy")


def test_packages_outside_add_theirs(house: Path, tmp_path: Path) -> None:
    (tmp_path / "outsider.py").write_text('class Clever:\n    """Knows better."""\n')
    info = tmp_path / "outsider-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[house68.methods]\nclever = outsider:Clever\n")
    assert "clever" in discover.method_names()
    assert discover.summaries("methods")["clever"] == "Knows better."
    assert discover.method_class("clever").__name__ == "Clever"
    (info / "entry_points.txt").write_text("[house68.methods]\ntwo_words = outsider:Clever\n")
    with pytest.raises(SettingsError, match="defined more than once, by house68 and outsider"):
        discover.method_class("two_words")
    sys.modules.pop("outsider", None)


def test_listing_imports_no_heavy_package() -> None:
    code = (
        "import sys; from sigma68 import discover as d; d.summaries('methods'); d.task_names();"
        "print([m for m in ('pandas','numba','scipy','matplotlib','pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
