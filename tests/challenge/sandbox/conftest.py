"""A sandbox that runs a few lines of Python, without the rest of an entry."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sigma68.challenge.sandbox.box import Sandbox
from sigma68.challenge.sandbox.command import Places
from sigma68.challenge.sandbox.limits import Limits
from tests.requirements_of_machine import need


@dataclass(frozen=True)
class Ended:
    """How a few lines of Python ended: what they printed, and what they took too much of."""

    out: str
    errors: str
    code: int
    excess: str
    cpu_seconds: float


RunInside = Callable[..., Ended]


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the code of the package is copied to, once."""
    return tmp_path_factory.mktemp("code")


@pytest.fixture
def places(tmp_path: Path, code: Path) -> Places:
    made = {name: tmp_path / name for name in ("entry", "modules", "home")}
    for place in made.values():
        place.mkdir()
    train = tmp_path / "train.arrow"
    train.write_bytes(b"events")
    return Places(made["entry"], Path(), made["modules"], train, made["home"], code)


@pytest.fixture
def run_inside(places: Places, code: Path) -> RunInside:
    """Runs lines of Python, with arguments, in a sandbox with the given limits."""
    need("bwrap")

    def run(source: str, *arguments: str, limits: Limits | None = None) -> Ended:
        box = Sandbox(limits or Limits(max_processes=64), code)
        lines = ["-I", "-S", "-c", textwrap.dedent(source), *arguments]
        running = box.start(lines, places, {"LANG": "C.UTF-8"})
        try:
            out, errors = running.process.communicate(timeout=60)
        finally:
            running.end()
        return Ended(
            out.decode(), errors.decode(), running.process.returncode, running.excess,
            running.cpu_seconds,
        )  # fmt: skip

    return run
