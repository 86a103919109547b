"""Starting an entry's process: in a sandbox, or trusted, with the rights of who starts it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Protocol

from sigma68.challenge.sandbox.cgroup import Group, make_group
from sigma68.challenge.sandbox.code import KERNELS, copy_code, open_to_all
from sigma68.challenge.sandbox.command import INSIDE, MOST_COPIED, Places, arguments
from sigma68.challenge.sandbox.limits import Limits
from sigma68.challenge.sandbox.running import Running
from sigma68.challenge.sandbox.system_calls import filter_program
from sigma68.challenge.sandbox.users import ClaimedUser, claim_user
from sigma68.errors import IsolationError
from sigma68.printable import printable
from sigma68.run.frames import PIPE_SIZE

__all__ = ["Box", "Sandbox", "Trusted"]

_START_S = 20.0
_PATH_INSIDE = "/usr/local/bin:/usr/bin:/bin"


class Box(Protocol):
    """Whatever an entry's process is started in."""

    def inside(self, outside: Places) -> Places:
        """The places as the process will see them."""
        ...

    def start(
        self, arguments: Sequence[str], outside: Places, environment: dict[str, str]
    ) -> Running:
        """Python, started with these arguments in the entry's folder.

        Its standard streams are pipes.
        """
        ...


class Trusted:
    """No walls: the process may do what who starts it may. CPU time is measured."""

    def inside(self, outside: Places) -> Places:
        """The places as they are."""
        return outside

    def start(
        self, arguments: Sequence[str], outside: Places, environment: dict[str, str]
    ) -> Running:
        """Start Python with these arguments in the entry's folder."""
        process = _started(
            [sys.executable, *arguments], environment, cwd=outside.entry / outside.package
        )
        return Running(process, process.pid)


class Sandbox:
    """A bubblewrap sandbox for each process that is started.

    Without network, with a file system of its own that holds none of ours, with processes,
    memory and disk limited, and as an unprivileged user. The processes end with whoever started
    them.

    Parameters
    ----------
    limits
        What the processes of one sandbox may use together.
    folder
        An existing folder for the copy of the package's code; it must outlive the processes.
    """

    def __init__(self, limits: Limits, folder: Path) -> None:
        self.limits = limits
        self._folder = folder
        self._code: Path | None = None

    def inside(self, outside: Places) -> Places:
        """The places at their names in the sandbox."""
        return Places(
            INSIDE.entry, outside.package, INSIDE.modules, INSIDE.train, INSIDE.home, INSIDE.code
        )

    def start(
        self, arguments: Sequence[str], outside: Places, environment: dict[str, str]
    ) -> Running:
        """Start Python with these arguments in the entry's folder, behind walls.

        Raises
        ------
        IsolationError
            If bubblewrap is not there, or does not do it; its own words are in it.
        """
        bwrap = shutil.which("bwrap")
        if bwrap is None:
            raise IsolationError(NO_BUBBLEWRAP)
        for place in (outside.entry, outside.modules, outside.train):
            open_to_all(place)
        as_root = os.geteuid() == 0
        user = claim_user() if as_root else None
        group = make_group(self.limits)
        try:
            return self._start(bwrap, arguments, outside, environment, user, group)
        except BaseException:
            _release(user, group)
            raise

    def _start(
        self,
        bwrap: str,
        rest: Sequence[str],
        outside: Places,
        environment: dict[str, str],
        user: ClaimedUser | None,
        group: Group | None,
    ) -> Running:
        places = Places(
            outside.entry, outside.package, outside.modules, outside.train, outside.home,
            self._copied_code(),
        )  # fmt: skip
        told, tell = os.pipe()
        wait, go = os.pipe()
        rules, write_rules = os.pipe()
        fds = {"info-fd": tell, "block-fd": wait, "seccomp": rules}
        command = [
            *arguments(bwrap, places, self.limits, as_root=user is not None, fds=fds),
            *self._launcher(user, outside.package),
            sys.executable,
            *rest,
        ]
        # Less than a pipe holds: nobody has to read meanwhile.
        os.write(write_rules, filter_program())
        os.close(write_rules)
        process = None
        try:
            process = _started(command, {**environment, "PATH": _PATH_INSIDE}, fds=fds.values())
            for descriptor in fds.values():
                os.close(descriptor)
            fds = {}
            first = _first_process(process, told)
            if group is not None:
                try:
                    group.attach(first)
                except OSError:  # made, but not for us to use: the watcher holds the limits
                    group.close()
                    group = None
            running = Running(
                process,
                first,
                limits=self.limits,
                group=group,
                on_end=lambda: _release(user, None),
            )
            with contextlib.suppress(BrokenPipeError):  # it has ended: it will be asked why
                os.write(go, b"1")
            return running
        except ProcessLookupError as error:
            raise IsolationError(_no_sandbox(_words_of(process))) from error
        except BaseException:
            if process is not None:
                _abandon(process)
            raise
        finally:
            for descriptor in (told, go, *fds.values()):
                os.close(descriptor)

    def _launcher(self, user: ClaimedUser | None, package: Path) -> list[str]:
        wanted = {
            "user": None if user is None else user.number,
            "memory": self.limits.memory_bytes,
            "disk": self.limits.disk_bytes,
            # Without root, bubblewrap's first process is of the same user, and counts.
            "processes": self.limits.max_processes + (user is None),
            "entry": str(INSIDE.entry),
            "work": str(INSIDE.home / "work"),
            "package": str(package),
            "copied": MOST_COPIED,
            "kernels": str(INSIDE.code / KERNELS),
            "own_kernels": str(INSIDE.home / ".kernels"),
        }
        launch = INSIDE.code / "sigma68" / "challenge" / "sandbox" / "launch.py"
        return [sys.executable, "-I", "-S", str(launch), json.dumps(wanted)]

    def _copied_code(self) -> Path:
        if self._code is None:
            self._code = copy_code(self._folder)
        return self._code


NO_BUBBLEWRAP = (
    "the program bwrap is not installed, which shuts entries in: install bubblewrap (Debian and "
    "Ubuntu: apt install bubblewrap)"
)


def _started(
    command: Sequence[str],
    environment: dict[str, str],
    *,
    fds: Iterable[int] = (),
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environment,
        pass_fds=tuple(fds),
        start_new_session=True,
        bufsize=0,
        pipesize=PIPE_SIZE,
    )


def _first_process(process: subprocess.Popen[bytes], told: int) -> int:
    """The sandbox's first process, as bubblewrap says it."""
    deadline = time.monotonic() + _START_S
    text = b""
    while time.monotonic() < deadline:
        poll = select.poll()
        poll.register(told, select.POLLIN)
        if poll.poll(max(deadline - time.monotonic(), 0.0) * 1000):
            chunk = os.read(told, 4096)
            text += chunk
            if not chunk or text.rstrip().endswith(b"}"):
                break
    try:
        return int(json.loads(text)["child-pid"])
    except (ValueError, KeyError, TypeError) as error:
        raise IsolationError(_no_sandbox(_words_of(process))) from error


def _no_sandbox(words: str) -> str:
    return f"bubblewrap makes no sandbox here ({words}): see the guide, under isolation"


def _words_of(process: subprocess.Popen[bytes] | None) -> str:
    if process is None:
        return "it was not started"
    _abandon(process, close=False)
    stream: IO[bytes] | None = process.stderr
    words = b"" if stream is None else stream.read(2000) or b""
    _abandon(process)
    return printable(words.decode(errors="replace").strip() or "it said nothing")


def _abandon(process: subprocess.Popen[bytes], *, close: bool = True) -> None:
    process.kill()
    process.wait()
    if close:
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _release(user: ClaimedUser | None, group: Group | None) -> None:
    if user is not None:
        user.close()
    if group is not None:
        group.close()
