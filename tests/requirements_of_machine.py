"""Programs that some tests need: where one is absent they are skipped, in CI they fail."""

from __future__ import annotations

import os
import shutil
from typing import Literal

import pytest

__all__ = ["need"]


def need(program: Literal["bwrap", "chromium"]) -> None:
    """Skip the test unless the machine has `program` and can use it; with CI=true, fail."""
    reason = _missing(program)
    if reason is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must run this test: {reason}")
    pytest.skip(reason)


def _missing(program: str) -> str | None:
    if shutil.which(program) is None:
        return f"{program} is not installed"
    if program == "bwrap":
        from sigma68.challenge.sandbox.probe import probe

        return probe()
    return None
