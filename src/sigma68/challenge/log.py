"""What a process prints, kept within bounds."""

from __future__ import annotations

import fcntl
import os
import select
import termios
import threading
import time
from array import array
from typing import IO

__all__ = ["Log"]

_SETTLE_S = 1.0


class Log:
    """Reads what a process prints, so that it never blocks, and keeps its two ends."""

    def __init__(self, stream: IO[bytes], head: int = 16 << 10, tail: int = 48 << 10) -> None:
        self._stream = stream
        self._limits = head, tail
        self._head = bytearray()
        self._tail = bytearray()
        self._lost = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def text(self) -> str:
        """The beginning and the end of what was printed up to now."""
        until = time.monotonic() + _SETTLE_S
        while self._is_waiting() and time.monotonic() < until:
            time.sleep(0.005)
        with self._lock:
            lost = f"\n[... {self._lost:,} bytes ...]\n".encode() if self._lost else b""
            return bytes(self._head + lost + self._tail).decode(errors="replace")

    def close(self) -> None:
        """Stop reading; waits a moment for what is still in the pipe."""
        self._thread.join(timeout=1.0)
        if not self._thread.is_alive():
            self._stream.close()

    def _is_waiting(self) -> bool:
        """Whether something that was printed has not been read yet: a busy machine is late."""
        with self._lock:
            if self._stream.closed:
                return False
            count = array("i", [0])
            fcntl.ioctl(self._stream.fileno(), termios.FIONREAD, count)
            return count[0] > 0

    def _drain(self) -> None:
        head, tail = self._limits
        poll = select.poll()
        poll.register(self._stream.fileno(), select.POLLIN)
        while poll.poll():
            # Read and kept in one step: what is in neither place would seem not to be there.
            with self._lock:
                if not (chunk := os.read(self._stream.fileno(), 1 << 16)):
                    return
                room = head - len(self._head)
                self._head += chunk[:room]
                self._tail += chunk[room:]
                surplus = max(len(self._tail) - tail, 0)
                del self._tail[:surplus]
                self._lost += surplus
