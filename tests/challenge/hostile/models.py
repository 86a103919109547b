"""Hostile entries by what they try: the text of model.py, and what must become of each.

`HONEST` is the one that shares the judging with them and must not notice.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ENDLESS", "GREEDY", "HONEST", "LYING", "PRYING", "Hostile"]

HONEST = """
class Model:
    def __init__(self, get_train_set=None, systematics=None):
        self.get_train_set = get_train_set

    def fit(self):
        self.n = float(self.get_train_set()["weights"].sum())

    def predict(self, test_set):
        mu = len(test_set["data"]) / self.n
        return {"mu_hat": mu, "delta_mu_hat": 0.1, "p16": mu - 0.1, "p84": mu + 0.1}
"""


@dataclass(frozen=True)
class Hostile:
    """An entry, and what its author is told.

    `status` is how its toys end, "a|b" where the faster of two limits decides; None if it cannot
    be judged at all. `words` (a regular expression) stand in the reason or in the log.
    """

    model: str
    status: str | None
    words: str
    files: Mapping[str, bytes] = field(default_factory=dict)


def in_predict(lines: str, status: str, words: str, **files: bytes) -> Hostile:
    """An entry that does these lines in predict, before it answers like the honest one."""
    named = {name.replace("_", "."): content for name, content in files.items()}
    return Hostile(_put(lines, "        mu = len("), status, words, named)


def in_fit(lines: str, status: str | None, words: str) -> Hostile:
    """An entry that does these lines in fit."""
    return Hostile(_put(lines, "        self.n = "), status, words)


def at_import(lines: str, status: str | None, words: str) -> Hostile:
    """An entry that does these lines when model.py is imported."""
    return Hostile(textwrap.dedent(lines) + HONEST, status, words)


def answering(answer: str, status: str, words: str) -> Hostile:
    """An entry that returns this expression."""
    return Hostile(HONEST.rpartition("return ")[0] + f"return {answer}\n", status, words)


def _put(lines: str, before: str) -> str:
    indented = textwrap.indent(textwrap.dedent(lines).strip("\n"), " " * 8)
    return HONEST.replace(before, f"{indented}\n{before}", 1)


GREEDY = {
    "fork bomb": in_predict(
        """
        import os, time
        for _ in range(100_000):
            try:
                os.fork() or time.sleep(60)
            except OSError:
                time.sleep(0.1)
        """,
        "crashed|timeout",
        "started 24 processes and threads|took longer",
    ),
    "fork bomb whose children fork": in_predict(
        """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """,
        "crashed|timeout",
        "started 24 processes and threads|took longer",
    ),
    "memory hog": in_predict(
        """
        import time
        held = []
        while True:
            held.append(b"x" * (20 << 20))
        """,
        "crashed|timeout|failed",
        "took more than 320 MiB of memory together|took longer|more memory than there is",
    ),
    "memory hog of many processes": in_predict(
        """
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                held = b"x" * (60 << 20)
                time.sleep(60)
        time.sleep(60)
        """,
        "crashed|timeout",
        "took more than 320 MiB of memory together|took longer",
    ),
    "one huge allocation": in_predict(
        "x = bytearray(1 << 40)", "failed", "more memory than there is"
    ),
    "disk filler": in_predict(
        """
        with open("/tmp/filler", "wb") as file:
            while True:
                file.write(bytes(1 << 20))
        """,
        "failed",
        "No space left on device|File too large",
    ),
    "standard output flood": in_predict(
        """
        import os, time
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            os.write(1, b"spam " * 10_000)
            os.write(2, b"spam " * 10_000)
        """,
        "ok",
        "fit took",
    ),
    "many open files": in_predict(
        "kept = [open('/dev/null') for _ in range(100_000)]", "failed", "Too many open files"
    ),
}

ENDLESS = {
    "sleep past the limit": in_predict("import time; time.sleep(60)", "timeout", "took longer"),
    "busy loop": in_predict("while True: pass", "timeout", "took longer"),
    "ignored SIGTERM": in_predict(
        """
        import signal, time
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(1)
        """,
        "timeout",
        "took longer",
    ),
    "stops itself": in_predict(
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", "timeout", "took longer"
    ),
    "daemonised child": in_predict(
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork():
                os._exit(0)
            os.chdir("/")
            os.closerange(0, 100)
            time.sleep(600)
        """,
        "ok",
        "fit took",
    ),
    "os._exit": in_predict("import os; os._exit(0)", "crashed", "ended itself with exit code 0"),
    "kills everything": in_predict(
        "import os, signal; os.kill(-1, signal.SIGKILL)", "failed", "No such process"
    ),
    "kills the first process": in_predict(
        """
        import os, signal
        os.kill(1, signal.SIGKILL)
        """,
        "ok|failed",
        "Operation not permitted|fit took",
    ),
    "crashes in C": in_predict(
        "import ctypes; ctypes.string_at(0)", "crashed", "killed by SIGSEGV"
    ),
    "sys.exit": in_predict("import sys; sys.exit(3)", "failed", r"sys\.exit\(3\)"),
    "sys.exit at import": at_import("import sys; sys.exit('bye')", None, "sys.exit"),
    "os._exit at import": at_import("import os; os._exit(7)", None, "exit code 7"),
    "closes its streams": in_predict(
        "import os; os.closerange(0, 4096)", "crashed", "Bad file|ended|closed its output"
    ),
}

LYING = {
    "NaN": answering("{'p16': float('nan'), 'p84': 1.0}", "invalid", "p16 is nan"),
    "infinite": answering("{'p16': 0.0, 'p84': float('inf')}", "invalid", "p84 is inf"),
    "reversed interval": answering("{'p16': 2.0, 'p84': 1.0}", "invalid", "reversed"),
    "strings": answering("{'p16': '0.5', 'p84': '1.5'}", "invalid", "the string '0.5'"),
    "None": answering("None", "invalid", "returned None"),
    "an array": answering("{'p16': [0, 1], 'p84': [1, 2]}", "invalid", "not a number"),
    "an enormous integer": answering("{'p16': -10**9999, 'p84': 10**9999}", "invalid", "inf"),
    "a mapping that lies": Hostile(
        HONEST
        + """

class Liar(dict):
    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        raise RuntimeError("\\x1b[2J\\u202e nothing here")

Model.predict = lambda self, test_set: Liar()
""",
        "failed",
        "nothing here",
    ),
    "huge JSON": in_predict(
        """
        import json, os, struct, sys
        text = json.dumps({"n": 3, "ok": True, "answer": "x" * (8 << 20)}).encode()
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, struct.pack("<4sHHIQ", b"S68F", 1, 0, len(text), 0) + text)
            except OSError:
                pass
        """,
        "crashed",
        "longer than the",
    ),
    "forged answers": in_predict(
        """
        import json, os, struct
        numbers = {"mu_hat": 1.0, "delta_mu_hat": 0.1, "p16": -9e9, "p84": 9e9}
        for n in (10_000, 3):
            text = json.dumps(
                {"n": n, "ok": True, "seconds": 0, "answer": {"numbers": numbers, "problems": {}}}
            ).encode()
            for descriptor in range(3, 64):
                try:
                    os.write(descriptor, struct.pack("<4sHHIQ", b"S68F", 1, 0, len(text), 0) + text)
                except OSError:
                    pass
        """,
        "crashed",
        "answered out of step",
    ),
    "nonsense on the protocol": in_predict(
        """
        import os
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, b"GET / HTTP/1.0 ")
            except OSError:
                pass
        """,
        "crashed",
        "where a frame should begin",
    ),
    "deeply nested JSON": in_predict(
        """
        import os, struct
        text = b"[" * 200_000
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, struct.pack("<4sHHIQ", b"S68F", 1, 0, len(text), 0) + text)
            except OSError:
                pass
        """,
        "crashed",
        "not JSON",
    ),
    "patched numpy": at_import(
        """
        import json, math, numpy as np, pandas
        np.isfinite = lambda *_: True
        np.asarray = lambda *_, **__: 1.0
        math.isfinite = lambda _: True
        json.dumps = lambda *_, **__: '{"n": 3, "ok": true, "answer": {"numbers": {}, "problems": {}}}'
        """,
        None,
        "out of step",
    ),
    "patched judge": at_import(
        """
        import sigma68.challenge.answers as answers
        import sigma68.types as types
        types.Interval.is_valid = True
        answers.to_interval = lambda *_: None
        answers.describe = lambda *_: {
            "numbers": {"mu_hat": 1.0, "p16": float("nan"), "p84": "wide"}, "problems": {}
        }
        """,
        "invalid",
        "p16 is nan",
    ),
    "pickle payload in weights": in_predict(
        """
        import pickle
        with open("weights.pkl", "rb") as file:
            print(pickle.load(file))
        """,
        "failed",
        "Error",
        weights_pkl=b"cos\nsystem\n(S'echo owned > /entry/owned && exit 1'\ntR"
        b"cbuiltins\nopen\n(S'/etc/shadow'\ntR.",
    ),
}

# What a prying entry gets hold of it prints with this word before it; __TOKENS__ stand for places
# and numbers of the judge's, which the test fills in.
PRYING = {
    "network": in_fit(
        """
        import socket
        for address in (("127.0.0.1", __PORT__), ("192.0.2.1", 53), ("localhost", __PORT__)):
            try:
                socket.create_connection(address, timeout=0.2)
                print("GOT", address)
            except OSError as error:
                print("denied", error)
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect("__LOCAL__".replace("@", chr(0)))
                print("GOT local socket")
        except OSError as error:
            print("denied", error)
        """,
        "ok",
        "denied",
    ),
    "files of the judge": in_fit(
        """
        import os
        for path in __PATHS__:
            try:
                found = os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(10)
                print("GOT", path, found)
            except OSError as error:
                print("denied", error)
        wanted = {"plan.json", "toys.parquet", "events.parquet", "weights.npz", "state.json"}
        for where, folders, files in os.walk("/"):
            folders[:] = [f for f in folders if f not in ("proc", "sys", "usr", "lib")]
            for name in wanted.intersection(files):
                print("GOT", where, name)
        """,
        "ok",
        "denied",
    ),
    "proc of the judge": in_fit(
        """
        import os
        secret = "-".join(["seed", "of", "the", "judge"]).encode()
        for pid in ["__PID__", *os.listdir("/proc")]:
            for name in ("environ", "mem", "cmdline", "maps"):
                try:
                    if secret in open(f"/proc/{pid}/{name}", "rb").read(1 << 20):
                        print("GOT", pid, name)
                except OSError as error:
                    print("denied", error)
        print(["GOT", "nothing in"][secret.decode() not in str(os.environ)], "the environment")
        """,
        "ok",
        "denied",
    ),
    "frames for the truth": in_predict(
        """
        import gc, sys
        frame = sys._getframe()
        while frame is not None:
            for name, value in frame.f_locals.items():
                if name == "header":
                    extra = set(value) - {"op", "n"}
                    print("GOT" if extra else "only", sorted(value))
                if type(value).__name__ in ("Truth", "Plan", "RunSettings"):
                    print("GOT", name)
            frame = frame.f_back
        for thing in gc.get_objects():
            if type(thing).__name__ in ("Truth", "Plan", "RunSettings", "Candidate"):
                print("GOT", type(thing))
        raise ValueError("looked everywhere")
        """,
        "failed",
        "looked everywhere",
    ),
    "other processes by ptrace": in_fit(
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        for pid in (__PID__, 1, os.getppid()):
            if libc.ptrace(16, pid, 0, 0) == 0:
                print("GOT", pid)
            else:
                print("denied", os.strerror(ctypes.get_errno()))
        """,
        "ok",
        "denied",
    ),
    "root by a user namespace": in_fit(
        """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        for flag in (0x10000000, 0x00020000, 0x40000000):
            print(["GOT a namespace", "denied"][libc.unshare(flag) != 0])
        for call in (os.setuid, os.setgid):
            try:
                call(0)
                print("GOT root")
            except OSError as error:
                print("denied", error)
        """,
        "ok",
        "denied",
    ),
    "files of the next entry": in_fit(
        """
        import os
        for place in ("/entry", "/code", "/modules", "/home", "/usr/local", "/dev", "/"):
            try:
                open(place + "/left-behind.py", "w").write("x")
                print("GOT", place)
            except OSError as error:
                print("denied", error)
        print(["GOT leftovers", "nothing left"][sorted(os.listdir("/home/entry")) == [".kernels", "tmp", "work"]])
        open("/tmp/left-behind", "w").write("x")
        """,
        "ok",
        "nothing left",
    ),
}
