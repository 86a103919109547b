"""`python -m sigma68.tasks.higgs.simulate.worker`: a process that makes shards.

It speaks `sigma68.run.frames` over stdin and stdout and ends when stdin does, also in the
middle of a shard, of which then nothing remains. It says "ready", then for each frame "shard"
(a `ShardSpec` and a path) it answers "made" with what the shard says of itself, or "error".
"""

from __future__ import annotations

import faulthandler
import os
import select
import sys
import threading
import traceback
from pathlib import Path

from sigma68.errors import Sigma68Error
from sigma68.run.frames import read_frame, take_standard_streams, write_frame
from sigma68.tasks.higgs.simulate.making import make_shard
from sigma68.tasks.higgs.simulate.shards import ShardSpec

__all__ = ["main"]


def main() -> int:
    """Serve until stdin ends; the exit status."""
    faulthandler.enable()
    reading, writing = take_standard_streams()
    threading.Thread(target=_watch, args=(reading,), daemon=True).start()
    try:
        write_frame(writing, {"kind": "ready"})
        while (frame := read_frame(reading)) is not None:
            write_frame(writing, _made(ShardSpec(**frame[0]["spec"]), Path(frame[0]["path"])))
    except BrokenPipeError:
        return 1
    return 0


def _made(spec: ShardSpec, path: Path) -> dict[str, object]:
    try:
        about = make_shard(spec, path)
    except Sigma68Error as error:
        return {"kind": "error", "error": type(error).__name__, "message": str(error)}
    except Exception as error:  # noqa: BLE001  told to the main process, which raises it
        traceback.print_exc()
        last = traceback.format_exception_only(error)[-1].strip()
        return {"kind": "error", "error": "", "message": last}
    return {"kind": "made", "about": about.to_json()}


def _watch(reading: int) -> None:
    """End this process as soon as the main one has closed its end of stdin, or died."""
    poll = select.poll()
    poll.register(reading, 0)  # only a hang-up counts; the frames are read by the main thread
    poll.poll()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
