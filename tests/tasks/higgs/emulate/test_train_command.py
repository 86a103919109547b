"""The command that trains an emulator says what is missing."""

from __future__ import annotations

import subprocess
import sys

COMMAND = "sigma68.tasks.higgs.emulate.train"


def run(*arguments: str, without: str | None = None) -> subprocess.CompletedProcess[str]:
    code = (
        "import runpy, sys\n"
        f"sys.modules.update({{name: None for name in {[without] if without else []}}})\n"
        f"sys.argv = ['train', *{list(arguments)!r}]\n"
        f"runpy.run_module({COMMAND!r}, run_name='__main__')\n"
    )
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_torch_the_extra_is_named() -> None:
    done = run("events.parquet", "--out", "weights.npz", without="torch")
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "training an emulator needs torch, which is not installed: pip install 'sigma68[torch]'"
    )


def test_weights_go_where_they_were_asked_for_and_nowhere_else() -> None:
    done = run("events.parquet")
    assert done.returncode == 2
    assert "required: --out" in done.stderr
