"""The process that runs somebody's entry: started by `entry_process`, speaks frames, knows nothing.

What it is told: where the entry's files and the training events are, and the events of one toy
at a time. It is never told a truth, a seed, or which toy it is looking at.

Requests are `{"op": "start" | "fit" | "predict", "n": ...}`; a reply repeats `n` and has `ok`,
`seconds`, and either `answer` or `error` (a sentence), `traceback` and `hint`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import inspect
import os
import random
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from sigma68.challenge.strays import end_strays
from sigma68.run.frames import (
    arrow_to_observation,
    read_frame,
    take_standard_streams,
    write_frame,
)

_LONGEST = 8000
_LONGEST_WORDS = 400


class Host:
    """Holds the entry's model and does to it what is asked."""

    def __init__(self) -> None:
        self.folder = Path.cwd()
        self.private: Path | None = None
        self.model: Any = None

    def start(self, header: dict[str, Any], body: memoryview) -> None:
        """Import model.py and construct its Model."""
        from sigma68.challenge.train_set import TrainSet

        self.private = Path(header["private"])
        sys.path.insert(0, str(self.folder))
        compat = header.get("compat")
        systematics: Any = None
        if compat is not None:
            systematics = importlib.import_module(compat).systematics
        get_train_set = TrainSet(Path(header["train"]))
        _seed(68)
        module = importlib.import_module("model")
        cls = getattr(module, "Model", None)
        if not isinstance(cls, type):
            raise NotAnEntry(_no_model(module))
        for name in ("fit", "predict"):
            if not callable(getattr(cls, name, None)):
                raise NotAnEntry(f"class Model in model.py has no method {name}: add it")
        self.model = cls(**_arguments(cls, get_train_set, systematics))

    def fit(self, header: dict[str, Any], body: memoryview) -> None:
        """Let the model learn."""
        _seed(68)
        self.model.fit()

    def predict(self, header: dict[str, Any], body: memoryview) -> dict[str, Any]:
        """The model's answer to the events in `body`."""
        import numpy as np

        from sigma68.challenge.answers import describe

        # An entry that draws random numbers draws the same ones for the same events, whatever
        # it was asked before: a run does not depend on who does which toy.
        digest = hashlib.blake2b(body[: 1 << 16], digest_size=4).digest()
        _seed(int.from_bytes(digest, "little"))
        frame = arrow_to_observation(body).frame()
        return describe(self.model.predict({"data": frame, "weights": np.ones(len(frame))}))


class NotAnEntry(Exception):  # noqa: N818
    """What was found is not an entry; the words are for its author."""


def main() -> None:
    """Serve requests until the other side closes."""
    reading, writing = take_standard_streams()
    host = Host()
    me = os.getpid()
    os.register_at_fork(after_in_child=lambda: _forget(reading, writing))
    with contextlib.suppress(OSError):  # a container may forbid it
        # Where memory runs out, the system shall end the entry and not the run.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    threading.Thread(target=_die_with_parent, args=(reading, host), daemon=True).start()
    jobs: dict[str, Callable[[dict[str, Any], memoryview], dict[str, Any] | None]] = {
        "start": host.start,
        "fit": host.fit,
        "predict": host.predict,
    }
    while (frame := read_frame(reading)) is not None:
        header, body = frame
        reply: dict[str, Any] = {"n": header["n"], "ok": True}
        begin = time.perf_counter()
        try:
            reply["answer"] = jobs[header["op"]](header, body)
        except BaseException as error:  # noqa: BLE001 (sys.exit() in an entry must not end us)
            reply = {"n": header["n"], "ok": False, **_explain(error, host.folder)}
        reply["seconds"] = time.perf_counter() - begin
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):  # the entry may have closed or replaced it
                stream.flush()
        if os.getpid() != me:
            os._exit(0)  # the entry has forked, and its child came back here: it is not asked
        write_frame(writing, reply)
        del frame, body
    _end(host.private)


def _arguments(cls: type, get_train_set: Any, systematics: Any) -> dict[str, Any]:
    """What the entry's constructor asks for by name."""
    offered = {"get_train_set": get_train_set, "systematics": systematics}
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            given.update(offered)
        elif parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            continue
        elif name in offered and parameter.kind is not inspect.Parameter.POSITIONAL_ONLY:
            given[name] = offered[name]
        elif name == "model_type" and parameter.default is inspect.Parameter.empty:
            given[name] = "sample_model"
        elif parameter.default is inspect.Parameter.empty:
            raise NotAnEntry(
                f"Model.__init__ needs an argument {name!r} that no run gives: it may take "
                "get_train_set and systematics, by these names"
            )
    return given


def _no_model(module: ModuleType) -> str:
    own = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    ]
    found = f"its classes are {', '.join(own)}" if own else "it defines no class"
    return f"model.py has no class Model ({found}): call the entry's class Model"


def _explain(error: BaseException, folder: Path) -> dict[str, str]:
    """A sentence about an exception, pointing at the entry's own line, and its traceback."""
    kind = type(error).__name__
    words = _words(error)
    hint = kind
    if isinstance(error, NotAnEntry):
        sentence = words
    elif isinstance(error, SyntaxError):
        name = Path(error.filename or "model.py").name
        sentence = f"{name}, line {error.lineno}, is not valid Python: {error.msg}"
    else:
        sentence = f"{kind}: {words}"
        where = _place(error, folder)
        if isinstance(error, ModuleNotFoundError) and error.name:
            package = error.name.split(".")[0]
            sentence = f"it imports {error.name!r}, and no package {package!r} is installed here"
        elif isinstance(error, SystemExit):
            sentence = f"it called sys.exit({error.code!r})"
        elif isinstance(error, MemoryError):
            sentence = f"it asked for more memory than there is for it ({kind}: {words})"
        if where:
            sentence += f" ({where})"
    text = "".join(traceback.format_exception(error))
    return {"error": sentence[:_LONGEST], "traceback": text[-_LONGEST:], "hint": hint}


def _words(error: BaseException) -> str:
    try:
        words = str(error).strip()
    except Exception:  # noqa: BLE001 (an entry's own exception may fail at this as well)
        words = "its own message cannot be shown"
    return words[:_LONGEST_WORDS] or "no message"


def _place(error: BaseException, folder: Path) -> str:
    """The last line of the entry's own code that the exception went through."""
    root = str(folder.resolve()) + os.sep
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = os.path.realpath(frame.filename)
        if path.startswith(root):
            return f"{path.removeprefix(root)}, line {frame.lineno}, in {frame.name}"
    return ""


def _seed(value: int) -> None:
    import numpy as np

    random.seed(value)
    np.random.seed(value)  # noqa: NPY002 (entries use the global state)


def _forget(reading: int, writing: int) -> None:
    """In a child that the entry has forked: our pipes are not its own, and end when we do."""
    for descriptor in (reading, writing):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _die_with_parent(reading: int, host: Host) -> None:
    """Kill this process and its children as soon as the other end of the pipe is closed."""
    poll = select.poll()
    poll.register(reading, 0)  # POLLHUP is always reported, data is not
    poll.poll()
    _end(host.private)


def _end(private: Path | None) -> None:
    """End this process and whatever it has started."""
    if private is not None:
        end_strays(private)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    main()
