"""Without the extra the verbs say what to install."""

from __future__ import annotations

import subprocess
import sys

import pytest

HIDE = """
import sys, importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == MISSING else real(name, *a)
sys.argv = ["sigma68", *WORDS]
from sigma68.cli import main
main()
"""


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("fastapi", ["serve", "--port", "0"]),
        ("sqlalchemy", ["serve", "--port", "0"]),
        ("httpx", ["submit", "x.zip", "--to", "http://127.0.0.1:9"]),
    ],
)
def test_a_missing_package_is_told_with_its_remedy(missing: str, words: list[str]) -> None:
    code = HIDE.replace("MISSING", repr(missing)).replace("WORDS", repr(words))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert "install sigma68[server]" in done.stderr
    assert missing in done.stderr
