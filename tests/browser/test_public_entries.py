"""Entries that others published, unmodified: handed in by a browser, judged in the sandbox.

They are not ours to copy, so that they lie outside: the variable SIGMA68_PUBLIC_ENTRIES names a
folder with a zip or a folder for each, such as `simple_stat_only_model` of the challenge's public
repository. Some learn for minutes. Without the variable this file is not collected; what such entries
need is tested with entries of our own in `test_taking_part` and `tests/challenge`.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import House
from tests.browser.test_taking_part import hand_in, register

_NAME = "SIGMA68_PUBLIC_ENTRIES"
_PATIENCE_MS = 900_000


def published() -> list[Path]:
    """What lies in the folder, by name."""
    folder = os.environ.get(_NAME)
    if folder is None:
        return []
    return [path for path in sorted(Path(folder).iterdir()) if path.is_dir() or _is_zip(path)]


def _is_zip(path: Path) -> bool:
    return path.suffix == ".zip"


@pytest.mark.parametrize("path", published(), ids=lambda path: path.stem)
def test_a_published_entry_is_judged(
    path: Path, house: House, chromium: Any, tmp_path: Path
) -> None:
    from playwright.sync_api import expect

    packed = path if _is_zip(path) else Path(shutil.make_archive(tmp_path / path.name, "zip", path))
    name = re.sub(r"[^A-Za-z0-9]+", "-", path.stem)
    page = chromium.new_page()
    register(page, house, name)
    hand_in(page, house, f"team {name}", packed)
    # The page renews itself until it has ended.
    page.locator("#live:not([data-get])").wait_for(timeout=_PATIENCE_MS)
    assert page.get_by_text("mean width").count() == 1, page.locator("main").inner_text()
    page.goto(f"{house.address}/c/wild/leaderboard")
    expect(page.get_by_role("link", name=f"team {name}")).to_be_visible()
    page.close()
