"""Whether a machine can shut strangers in: tried, and said in a sentence where it cannot."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sigma68.challenge.sandbox import probe as module
from sigma68.challenge.sandbox.box import Sandbox
from sigma68.challenge.sandbox.limits import Limits
from sigma68.challenge.sandbox.probe import memory_is_held_by, probe, require
from sigma68.challenge.sandbox.users import claim_user
from sigma68.errors import IsolationError
from tests.requirements_of_machine import need


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    probe.cache_clear()
    yield
    probe.cache_clear()


def test_a_machine_with_bubblewrap_can() -> None:
    need("bwrap")
    assert probe() is None
    require()


def test_another_system_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert probe() == "a sandbox needs Linux, and this is Darwin"
    with pytest.raises(IsolationError, match=r"needs Linux.*run without a sandbox"):
        require()


def test_an_unknown_machine_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert probe() == "the system calls of riscv64 are not known here"


def test_without_bubblewrap_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "install bubblewrap" in str(probe())


def test_a_bubblewrap_that_fails_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    false = tmp_path / "bwrap"
    false.write_text("#!/bin/sh\necho 'bwrap: no namespaces for you' >&2\nexit 1\n")
    false.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert "no namespaces for you" in str(probe())


def test_a_sandbox_that_leaks_is_named() -> None:
    tight = {
        "user": 1,
        "outside": False,
        "etc": False,
        "capabilities": 0,
        "gains": False,
        "networks": [],
        "writes": False,
        "processes": 2,
    }
    assert module._weakness(tight) is None
    for name, value, words in (
        ("user", 0, "its user is root"),
        ("etc", True, "sees files outside"),
        ("capabilities", 1 << 21, "keeps capabilities"),
        ("gains", True, "may gain privileges"),
        ("networks", ["eth0"], "has a network"),
        ("writes", True, "can write"),
        ("processes", 40, "sees other processes"),
    ):
        assert words in str(module._weakness({**tight, name: value}))


def test_who_holds_the_memory_is_said() -> None:
    assert memory_is_held_by() in ("watcher", "control group and watcher")


def test_users_differ_as_long_as_they_are_held() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root gives away users")
    with claim_user() as one, claim_user() as other:
        assert one.number != other.number
        assert min(one.number, other.number) >= 40_000


def test_a_sandbox_that_cannot_be_made_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("bwrap")
    descriptors = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    false = tmp_path / "bwrap"
    false.write_text("#!/bin/sh\nexit 1\n")
    false.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for _ in range(3):
        with pytest.raises(IsolationError, match="it said nothing"):
            module._try(_folder(tmp_path))
    assert set(os.listdir("/proc/self/fd")) == descriptors  # noqa: PTH208


def _folder(tmp_path: Path) -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(dir=tmp_path))


# As root: another root folder where an ordinary user can reach Python, then that user.
_AS_ORDINARY_USER = """
set -e
mkdir -p "$1/python" "$1/packages"
mount --bind "$2" "$1/python"
mount -t tmpfs -o mode=755 none /root
mkdir -p "$2"
mount --bind "$1/python" "$2"
exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "${@:3}"
"""

_ASK = """
import os, sys, tempfile
from pathlib import Path
os.environ["HOME"] = "/nonexistent"
from sigma68.challenge.sandbox.probe import probe
assert os.geteuid() != 0
print(probe())
"""


def test_an_ordinary_user_can_too_or_is_told_why(tmp_path: Path) -> None:
    """Without root a user namespace does it, where the kernel gives one."""
    need("bwrap")
    command = [sys.executable, "-c", _ASK]
    if os.geteuid() == 0:
        place = tmp_path / "mounts"
        place.mkdir()
        command = [
            "unshare",
            "-m",
            "bash",
            "-c",
            _AS_ORDINARY_USER,
            "bash",
            str(place),
            sys.base_prefix,
            *command,
        ]
    environment = {**os.environ, "TMPDIR": "/var/tmp"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if "Permission denied" in done.stderr or "not permitted" in done.stderr:
        pytest.skip("an ordinary user cannot reach Python here")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "None" or "bubblewrap" in done.stdout or "trial" in done.stdout


def test_limits_are_said_in_words() -> None:
    assert Limits(memory_bytes=8 << 30).memory_words == "8 GiB"
    assert Limits(disk_bytes=16 << 20).disk_words == "16 MiB"
    assert Sandbox(Limits(), Path()).limits == Limits()
