"""Workers as processes of their own: as many as were asked for, started again when they die.

A worker ends by itself when the process that started it does, however that ended: it watches its
standard input, which closes then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

__all__ = ["DATABASE", "FILES", "WorkerSettings", "Workers", "start_worker", "stdin_closed"]

DATABASE = "SIGMA68_DATABASE"
FILES = "SIGMA68_FILES"

_LOOK_S = 0.2
_GRACE_S = 20.0
_SLOWEST_S = 60.0
_HEALTHY_S = 60.0


@dataclass(frozen=True)
class WorkerSettings:
    """What a worker is started with, on this machine or another.

    `folder` is where work in progress lies (None for the default place), `trusted` runs
    entries without a sandbox, `lanes` is how many toys it shows at once.
    """

    database_url: str
    files_url: str
    folder: Path | None = None
    trusted: bool = False
    lanes: int = 1


def start_worker(
    settings: WorkerSettings, *, until_empty: bool = False, output: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """Start one worker, which ends with this process at the latest."""
    words = ["worker", "--attached", "--lanes", str(settings.lanes)]
    if settings.folder is not None:
        words += ["--folder", str(settings.folder)]
    if settings.trusted:
        words.append("--trusted")
    if until_empty:
        words.append("--until-empty")
    # Not on the command line, which everybody on the machine can read.
    places = {DATABASE: settings.database_url, FILES: settings.files_url}
    return subprocess.Popen(
        [sys.executable, "-c", "from sigma68.cli import main; main()", *words],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env=os.environ | places,
        # Ctrl-C is for who started them; they are told by their standard input.
        start_new_session=True,
    )


def stdin_closed() -> Callable[[], bool]:
    """A question that is answered with yes once standard input has closed."""
    closed = threading.Event()
    # Not through sys.stdin, whose lock the interpreter needs when it ends.
    descriptor = os.dup(sys.stdin.fileno())

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(descriptor, 4096):
                pass
        closed.set()

    threading.Thread(target=watch, daemon=True, name="stdin").start()
    return closed.is_set


class Workers:
    """`n` workers for as long as the block runs; one that dies is started again, after a while.

    `say` gets a line for each that died.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        n: int,
        *,
        say: Callable[[str], None] = lambda line: None,
        output: IO[bytes] | None = None,
    ) -> None:
        self._settings, self._n = settings, n
        self._say, self._output = say, output
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._keep, daemon=True, name=f"worker-{i}") for i in range(n)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _keep(self) -> None:
        """Have one worker running until the block ends."""
        wait = 1.0
        while not self._over.is_set():
            began = time.monotonic()
            with _ended_at_last(start_worker(self._settings, output=self._output)) as worker:
                while worker.poll() is None and not self._over.wait(_LOOK_S):
                    pass
                if self._over.is_set():
                    return
            # One that dies at once would die again: the longer, the less often.
            wait = 1.0 if time.monotonic() - began > _HEALTHY_S else min(2 * wait, _SLOWEST_S)
            how = f"by signal {-worker.returncode}" if worker.returncode < 0 else "by itself"
            self._say(f"a worker ended {how}: another begins in {wait:.0f} s")
            self._over.wait(wait)


@contextlib.contextmanager
def _ended_at_last(worker: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Let a worker give back what it holds, then see to it that it ends."""
    try:
        yield worker
    finally:
        if worker.stdin is not None:
            worker.stdin.close()
        try:
            worker.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()
