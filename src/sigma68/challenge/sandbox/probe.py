"""Can this machine shut strangers' code in? Tried, not guessed."""

from __future__ import annotations

import functools
import json
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from sigma68.challenge.sandbox.box import NO_BUBBLEWRAP, Sandbox
from sigma68.challenge.sandbox.command import Places
from sigma68.challenge.sandbox.limits import Limits
from sigma68.challenge.sandbox.system_calls import is_known_machine
from sigma68.challenge.sandbox.usage import can_follow
from sigma68.errors import IsolationError
from sigma68.printable import printable

__all__ = ["memory_is_held_by", "probe", "require"]

_TRY_S = 30.0

# What the sandbox of the trial says of itself; its secret lies where no entry may look.
_QUESTION = """
import json, os, socket, sys
said = {"user": os.geteuid(), "processes": len([p for p in os.listdir("/proc") if p.isdigit()])}
for name in ("outside", "etc"):
    said[name] = os.path.exists({"outside": sys.argv[1], "etc": "/etc/passwd"}[name])
status = dict(l.split(":", 1) for l in open("/proc/self/status"))
said["capabilities"] = int(status["CapEff"], 16) | int(status["CapPrm"], 16)
said["gains"] = status["NoNewPrivs"].strip() != "1"
said["networks"] = [n for _, n in socket.if_nameindex() if n != "lo"]
try:
    os.mkdir("/entry/x")
    said["writes"] = True
except OSError:
    said["writes"] = False
print(json.dumps(said))
"""


@functools.cache
def probe() -> str | None:
    """Why strangers' code cannot be isolated on this machine; None if it can.

    A sandbox is made and asked what it sees. The answer is kept as long as this process lives.
    """
    if platform.system() != "Linux":
        return f"a sandbox needs Linux, and this is {platform.system()}"
    if not is_known_machine():
        return f"the system calls of {platform.machine()} are not known here"
    if not can_follow():
        return "the kernel does not list the children of processes (CONFIG_PROC_CHILDREN)"
    if shutil.which("bwrap") is None:
        return NO_BUBBLEWRAP
    try:
        with tempfile.TemporaryDirectory(prefix="sigma68-probe-") as folder:
            return _weakness(_try(Path(folder)))
    except (IsolationError, OSError) as error:
        return str(error)


def require() -> None:
    """Refuse to go on where strangers' code cannot be isolated.

    Raises
    ------
    IsolationError
        With the reason, and what is possible instead.
    """
    reason = probe()
    if reason is not None:
        raise IsolationError(
            f"strangers' code cannot be run safely on this machine: {reason}. Your own entries "
            "run without a sandbox with --trusted"
        )


def memory_is_held_by() -> str:
    """What holds the limit of memory here: "control group and watcher", or "watcher" alone."""
    from sigma68.challenge.sandbox.cgroup import make_group

    group = make_group(Limits())
    if group is None:
        return "watcher"
    group.close()
    return "control group and watcher"


def _try(folder: Path) -> dict[str, object]:
    names = ("entry", "modules", "home", "code")
    made = {name: folder / name for name in names}
    for place in made.values():
        place.mkdir()
    train = folder / "train.arrow"
    train.touch()
    places = Places(made["entry"], Path(), made["modules"], train, made["home"], made["code"])
    box = Sandbox(Limits(), made["code"])
    running = box.start(["-I", "-S", "-c", _QUESTION, str(train)], places, {"LANG": "C.UTF-8"})
    try:
        said, words = running.process.communicate(timeout=_TRY_S)
    except subprocess.TimeoutExpired as error:
        raise IsolationError(f"the trial took longer than {_TRY_S:g} s") from error
    finally:
        running.end()
    if running.process.returncode:
        reason = printable(words.decode(errors="replace").strip()[-500:])
        raise IsolationError(f"the trial of a sandbox failed ({reason})")
    answer: dict[str, object] = json.loads(said)
    return answer


def _weakness(said: dict[str, object]) -> str | None:
    """What the sandbox of the trial lets through, in words."""
    found = {
        "its user is root": said["user"] == 0,
        "it sees files outside": bool(said["outside"] or said["etc"]),
        "it keeps capabilities": bool(said["capabilities"]),
        "it may gain privileges": bool(said["gains"]),
        "it has a network": bool(said["networks"]),
        "it can write to the entry's files": bool(said["writes"]),
        "it sees other processes": int(str(said["processes"])) > 2,
    }
    weak = [words for words, is_so in found.items() if is_so]
    return None if not weak else f"a sandbox made here is not tight: {', '.join(weak)}"
