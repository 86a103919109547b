"""Entries at work: good ones of every style, and ones that hang, die, lie or stumble."""

from __future__ import annotations

import json
import os
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from sigma68.challenge.entries import (
    EntryCrashed,
    EntryFailed,
    EntryInvalid,
    EntryProcess,
    EntryTimeout,
    EntryToyError,
    open_entry,
)
from sigma68.errors import EntryError
from sigma68.run.frames import observation_to_arrow, write_frame
from sigma68.tasks.gaussian.task import Gaussian
from sigma68.types import Interval, Observation, Parameter
from tests.challenge.conftest import GOOD, RunEntry, WriteEntry


def with_predict(body: str, fit: str = "pass", top: str = "") -> str:
    """An entry whose predict and fit have these bodies."""
    lines = "\n        ".join(body.strip().splitlines())
    return f"""
import os, sys, time, subprocess, signal
import numpy as np
{top}

class Model:
    def __init__(self, get_train_set, systematics):
        self.get_train_set = get_train_set
        self.systematics = systematics
        self.asked = 0

    def fit(self):
        {fit}

    def predict(self, test_set):
        self.asked += 1
        data = test_set["data"]
        {lines}
"""


ANSWER = 'return {"mu_hat": 1.0, "delta_mu_hat": 0.5, "p16": 0.5, "p84": 1.5}'


def answered(process: EntryProcess, toy: Observation) -> Interval:
    answer = process.predict(toy)["mu"]
    assert isinstance(answer, Interval)
    return answer


def test_a_good_entry_answers(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    process = run_entry(write_entry())
    interval = answered(process, toy)
    assert interval.is_valid
    assert interval.mu_hat == pytest.approx(toy.n_events / 2200, rel=0.05)
    assert interval.upper - interval.lower == pytest.approx(0.2)
    assert process.predict(toy) == process.predict(toy)


def test_an_entry_one_level_down_finds_its_files_and_modules(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    model = with_predict(
        'mu = float(open("mu.txt").read()) * FACTOR\n'
        'assert os.path.exists(os.path.join(os.path.dirname(__file__), "mu.txt"))\n'
        'return {"mu_hat": mu, "delta_mu_hat": 0.1, "p16": mu, "p84": mu}',
        top="from helper import FACTOR",
    )
    folder = write_entry(
        model=None,
        **{
            "deep__slash__model.py": model,
            "deep__slash__mu.txt": "1.5",
            "deep__slash__helper.py": "FACTOR = 2",
        },
    )
    before = sorted(folder.rglob("*"))
    assert answered(run_entry(folder), toy).mu_hat == 3.0
    assert sorted(folder.rglob("*")) == before


def test_the_entry_sees_features_and_ones_and_may_change_them(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    body = """
assert list(test_set) == ["data", "weights"], list(test_set)
assert list(data.columns) == ["x", "y"]
assert (test_set["weights"] == 1).all() and len(test_set["weights"]) == len(data)
total = float(data["x"].sum())
data.loc[data["x"] > 0, "x"] = 0.0
data["z"] = 1.0
return {"mu_hat": total, "delta_mu_hat": 1.0, "p16": 0.0, "p84": 1.0}
"""
    process = run_entry(write_entry(with_predict(body)))
    assert answered(process, toy).mu_hat == pytest.approx(float(toy["x"].sum()))


def test_old_imports_and_constructors_work(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    model = """
from model_parts import *

class Model:
    def __init__(self, model_type, get_train_set=None, **kwargs):
        assert model_type == "sample_model" and "systematics" in kwargs
    def fit(self):
        pass
    def predict(self, test_set):
        return {"mu_hat": np.float32(1), "delta_mu_hat": np.array(1.0), "p16": np.array([0.5]), "p84": 2}
"""
    folder = write_entry(model, **{"model_parts.py": "import numpy as np"})
    interval = answered(run_entry(folder), toy)
    assert (interval.mu_hat, interval.lower, interval.upper) == (1.0, 0.5, 2.0)


def test_printing_and_reading_stdin_disturb_nothing(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    body = """
print("S68F" * 50000)
sys.stderr.write("to stderr\\n")
os.write(1, b"raw bytes to descriptor one\\n")
subprocess.run(["echo", "from a child"], check=True)
assert sys.stdin.read() == ""
print("the end")
"""
    process = run_entry(write_entry(with_predict(body + ANSWER)))
    assert answered(process, toy).lower == 0.5
    deadline = time.monotonic() + 5
    while "the end" not in process.log and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(process.log) < 70_000
    for words in ("to stderr", "raw bytes", "from a child", "the end", "bytes ..."):
        assert words in process.log


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        ("None", "predict returned None"),
        ("[0.5, 1.5]", "predict returned a list, not a dictionary"),
        ("{**good, 'p16': float('nan')}", "p16 is nan"),
        ("{**good, 'p84': float('inf')}", "p84 is inf"),
        ("{**good, 'p16': 2.0}", "reversed"),
        ("{**good, 'p16': None}", "p16 is None, not a number"),
        ("{**good, 'p84': '1.5'}", "p84 is the string '1.5', not a number"),
        (
            "{**good, 'p16': np.array([0.1, 0.2])}",
            r"p16 is a ndarray of shape \(2,\), not a number",
        ),
        ("{**good, 'p16': 1 + 2j}", "p16 is a complex"),
        ("{**good, 'p16': True}", "p16 is a bool"),
        ("{'mu_hat': 1.0, 'delta_mu_hat': 1.0, 'p16': 0.0}", "p84 is missing"),
    ],
)
def test_answers_that_are_none(returned: str, words: str) -> None:
    import numpy as np

    from sigma68.challenge.answers import describe, to_interval

    good = {"mu_hat": 1.0, "delta_mu_hat": 0.5, "p16": 0.5, "p84": 1.5}
    answer = eval(returned, {"np": np, "good": good})
    with pytest.raises(EntryInvalid, match=words):
        to_interval(json.loads(json.dumps(describe(answer))))


@pytest.mark.parametrize(
    "forged",
    [
        {},
        {"numbers": 3, "problems": {}},
        {"numbers": {"p16": "0", "p84": 1.0}, "problems": {}},
        {"numbers": {"p16": 0.0, "p84": 10**400}, "problems": {}},
        {"numbers": {"p16": True, "p84": 1.0}, "problems": {}},
        {"numbers": {}, "problems": {"p16": ["\x1b[2J"]}},
    ],
)
def test_a_forged_description_is_invalid(forged: dict[str, object]) -> None:
    from sigma68.challenge.answers import to_interval

    with pytest.raises(EntryInvalid) as caught:
        to_interval(forged)
    assert str(caught.value).isprintable()


def test_only_p16_and_p84_decide(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    process = run_entry(write_entry(with_predict('return {"p16": 0.5, "p84": 1.5, "mu_hat": "?"}')))
    interval = answered(process, toy)
    assert (interval.lower, interval.upper, interval.status) == (0.5, 1.5, "ok")
    assert interval.mu_hat != interval.mu_hat
    assert interval.delta_mu_hat != interval.delta_mu_hat


ODD = """
class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no words")
"""


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("raise Odd", "Odd: its own message cannot be shown (model.py, line"),
        (r"raise ValueError('\udc80\x1b[2J\x00')", "ValueError:   [2J  (model.py, line"),
        ("raise ValueError('x' * 5_000_000)", "xxx (model.py, line"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: no message (model.py, line"),
        ("raise BaseException('base')", "BaseException: base (model.py, line"),
        ("return {'p16': 0.5, 'p84': -10**400}", "p84 is -inf: predict must return finite"),
    ],
)
def test_odd_exceptions_are_put_in_plain_words(
    act: str, words: str, write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    process = run_entry(write_entry(with_predict(act, top=ODD)))
    with pytest.raises(EntryToyError) as caught:
        process.predict(toy)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) <= 600
    assert process.is_ready


def test_an_entry_may_close_its_streams_and_fork(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    body = """
if self.asked == 1:
    sys.stdout.close()
    os.close(2)
if self.asked == 2:
    sys.stdout = sys.stderr = None
if self.asked == 3 and os.fork() == 0:
    pass  # the child returns as well, and may not answer
if self.asked == 4 and os.fork() == 0:
    sys.exit("the child")
if self.asked == 5:
    if os.fork() == 0:
        time.sleep(600)
    os._exit(5)
"""
    process = run_entry(write_entry(with_predict(body + ANSWER)))
    for _ in range(4):
        assert answered(process, toy).lower == 0.5
    begin = time.monotonic()
    with pytest.raises(EntryCrashed, match="exit code 5"):
        process.predict(toy)
    assert time.monotonic() - begin < 10


def test_an_exception_in_predict_costs_one_toy_and_no_restart(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    body = """
if self.asked == 1:
    raise ValueError("too many\\nsurprises")
if self.asked == 2:
    sys.exit(3)
if self.asked == 3:
    return {"p16": None, "p84": 1.0}
assert self.asked == 4
"""
    process = run_entry(write_entry(with_predict(body + ANSWER)))
    with pytest.raises(
        EntryFailed, match=r"(?s)ValueError: too many.*\(model.py, line \d+, in predict"
    ):
        process.predict(toy)
    assert "raise ValueError" in process.traceback
    with pytest.raises(EntryFailed, match=r"sys\.exit\(3\)"):
        process.predict(toy)
    with pytest.raises(EntryInvalid) as caught:
        process.predict(toy)
    assert caught.value.status == "invalid"
    assert answered(process, toy).lower == 0.5


# Each dies or hangs on its first toy; a file outside its folder says that it has done so.
DEADLY = {
    "hang": ("while True: time.sleep(1)", EntryTimeout, "longer than 1 s"),
    "busy": ("while True: pass", EntryTimeout, "longer than 1 s"),
    "exit": ("os._exit(7)", EntryCrashed, "exit code 7"),
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", EntryCrashed, "killed by SIGKILL"),
    "stop": ("os.kill(os.getpid(), signal.SIGSTOP)", EntryTimeout, "longer than 1 s"),
    "garbage": (
        "[os.write(fd, b'hello hello hello hello hello') for fd in range(3, 20) if is_pipe(fd)]",
        EntryCrashed,
        "broke the protocol",
    ),
    "closed": ("os.closerange(3, 30); time.sleep(60)", EntryCrashed, "predict: "),
}


@pytest.mark.parametrize("name", DEADLY)
def test_a_deadly_toy_is_recorded_and_the_next_is_answered(
    name: str, write_entry: WriteEntry, run_entry: RunEntry, toy: Observation, tmp_path: Path
) -> None:
    act, error, words = DEADLY[name]
    top = """
import fcntl, stat
def is_pipe(fd):
    try:
        written = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY
        return written and stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False
"""
    mark = tmp_path / "was-here"
    body = f"""
if not os.path.exists({str(mark)!r}):
    open({str(mark)!r}, "w").close()
    {act}
"""
    process = run_entry(write_entry(with_predict(body + ANSWER, top=top)))
    if error is EntryTimeout:
        process.predict_seconds = 1.0
    begin = time.monotonic()
    with pytest.raises(error, match=words) as caught:
        process.predict(toy)
    assert time.monotonic() - begin < 10
    assert caught.value.status == ("timeout" if error is EntryTimeout else "crashed")
    assert not process.is_ready
    process.predict_seconds = 20.0
    assert answered(process, toy).lower == 0.5


def test_children_of_the_entry_die_with_it(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    body = f"""
child = subprocess.Popen(["sleep", "600"])
open({str(note)!r}, "w").write(str(child.pid))
time.sleep(600)
"""
    process = run_entry(write_entry(with_predict(body)), predict_seconds=1.0)
    with pytest.raises(EntryTimeout):
        process.predict(toy)
    pid = int(note.read_text())
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(pid)


# A child that leaves the process group: by its own session, and as a daemon from elsewhere.
ESCAPES = {
    "session": "pid = subprocess.Popen(['setsid', 'sleep', '600']).pid",
    "daemon": """
reading, writing = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        os.write(writing, str(os.getpid()).encode())
        time.sleep(600)
    os._exit(0)
pid = int(os.read(reading, 20))
""",
    "other home": "pid = subprocess.Popen(['setsid', 'env', '-i', 'sleep', '600']).pid",
}


@pytest.mark.parametrize("escape", ESCAPES)
@pytest.mark.parametrize("end", ["close", "crash", "orphaned"])
def test_children_that_left_the_process_group_die_too(
    escape: str,
    end: str,
    write_entry: WriteEntry,
    run_entry: RunEntry,
    toy: Observation,
    tmp_path: Path,
) -> None:
    note = tmp_path / "pid"
    body = ESCAPES[escape] + f"\nopen({str(note)!r}, 'w').write(str(pid))\n"
    body += "os._exit(1)\n" if end == "crash" else ""
    process = run_entry(write_entry(with_predict(body + ANSWER)))
    assert process._running is not None
    child = process._running.process
    assert child.stdin is not None
    if end == "crash":
        with pytest.raises(EntryCrashed):
            process.predict(toy)
    else:
        process.predict(toy)
        if end == "close":
            process.close()
        else:
            child.stdin.close()  # what happens to a pipe when its owner is killed
            assert child.wait(timeout=10) == -signal.SIGKILL
    pid = int(note.read_text())
    deadline = time.monotonic() + 5
    while _alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(pid)


def test_folders_that_an_entry_has_locked_are_removed(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    body = """
os.makedirs("locked/in")
open("locked/in/file", "w").close()
for folder in ("locked/in", "locked", os.environ["TMPDIR"], os.environ["HOME"], "."):
    os.chmod(folder, 0)
if self.asked == 1:
    os._exit(1)
"""
    process = run_entry(write_entry(with_predict(body + ANSWER)))
    for _ in range(2):
        with pytest.raises(EntryCrashed, match="exit code 1"):
            process.predict(toy)
    process.close()
    assert not process._private.exists()


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_an_entry_that_never_comes_back_is_given_up(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation, tmp_path: Path
) -> None:
    mark = tmp_path / "fitted"
    fit = f"assert not os.path.exists({str(mark)!r}); open({str(mark)!r}, 'w').close()"
    process = run_entry(write_entry(with_predict("os._exit(1)", fit=fit)))
    with pytest.raises(EntryCrashed, match="exit code 1"):
        process.predict(toy)
    for _ in range(3):
        with pytest.raises(EntryCrashed, match=r"could not be started again: .*AssertionError"):
            process.predict(toy)
    begin = time.monotonic()
    with pytest.raises(EntryCrashed, match="3 times in a row"):
        process.predict(toy)
    assert time.monotonic() - begin < 0.2


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("class Modell: pass", "no class Model .*its classes are Modell"),
        ("x = 1", "no class Model .*defines no class"),
        ("class Model:\n    def fit(self): pass\n", "no method predict"),
        ("def broken(:\n    pass\n", r"model\.py, line 1, is not valid Python"),
        ("import surely_not_installed_xyz\n", "no package 'surely_not_installed_xyz' is installed"),
        ("raise RuntimeError('at import')", r"RuntimeError: at import \(model\.py, line 1"),
        (GOOD.replace("get_train_set=None", "training"), "needs an argument 'training'"),
        (with_predict(ANSWER, fit="raise KeyError('mass')"), r"KeyError: 'mass' \(model.py, line"),
        (with_predict(ANSWER, fit="os._exit(4)"), "exit code 4"),
        (with_predict(ANSWER, fit="print('at step 3', flush=True); os._exit(4)"), "at step 3"),
        (with_predict(ANSWER, fit="self.get_train_set(train_size=2.0)"), "between 0.0 and 1.0"),
    ],
)
def test_an_entry_that_cannot_be_used_ends_in_words(
    model: str, words: str, write_entry: WriteEntry, run_entry: RunEntry
) -> None:
    process = run_entry(write_entry(model), ready=False)

    def prepare() -> None:
        process.start()
        process.fit()

    with pytest.raises(EntryError, match=words) as caught:
        prepare()
    assert str(caught.value).startswith("entry: ")
    assert not process.is_ready


def test_loading_and_fitting_have_one_time_limit(
    write_entry: WriteEntry, run_entry: RunEntry
) -> None:
    asleep = write_entry(with_predict(ANSWER, top="time.sleep(60)"), folder="one")
    process = run_entry(asleep, ready=False, fit_seconds=1.0)
    with pytest.raises(EntryError, match=r"loading model\.py took longer than 1 s"):
        process.start()
    slow = write_entry(with_predict(ANSWER, fit="time.sleep(60)"), folder="two")
    process = run_entry(slow, ready=False, fit_seconds=20.0)
    process.start()
    assert 0 < process._fit_seconds_left < 20.0
    process._fit_seconds_left = 0.5
    with pytest.raises(EntryError, match=r"fit took longer than 0\.5 s"):
        process.fit()
    assert not process.is_ready


def test_nothing_of_the_truth_or_the_run_reaches_the_process(
    write_entry: WriteEntry,
    run_entry: RunEntry,
    toy: Observation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SIGMA68_CACHE", "/secret/cache")
    monkeypatch.setenv("SOME_SEED", "987654321")
    note = tmp_path / "seen.json"
    body = f"""
import json, gc
seen = {{
    "environment": dict(os.environ),
    "arguments": sys.orig_argv,
    "frames": [],
    "descriptors": [os.readlink(f"/proc/self/fd/{{fd}}") for fd in range(20) if os.path.exists(f"/proc/self/fd/{{fd}}")],
}}
frame = sys._getframe()
while frame is not None:
    seen["frames"].append(repr({{k: v for k, v in frame.f_locals.items() if k not in ("seen", "body")}}))
    frame = frame.f_back
json.dump(seen, open({str(note)!r}, "w"))
"""
    process = run_entry(write_entry(with_predict(body + ANSWER)))
    process.predict(toy)
    seen = json.loads(note.read_text())
    everything = json.dumps(seen)
    for secret in ("987654321", "1.2345678", "0.7654321", "1.0123456", "SIGMA68", "/secret"):
        assert secret not in everything
    allowed = {"PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "HOME", "TMPDIR"}
    allowed |= {
        "PYTHONHASHSEED",
        "PYTHONUNBUFFERED",
        "PYTHONPATH",
        "MPLBACKEND",
        "NUMBA_THREADING_LAYER",
    }
    assert set(seen["environment"]) <= allowed | {"CUDA_VISIBLE_DEVICES"}
    assert seen["arguments"][1:] == ["-P", "-s", "-m", "sigma68.challenge.entry_child"]
    assert Path(seen["environment"]["HOME"]).name == "home"
    assert any("'op': 'predict'" in frame for frame in seen["frames"])
    assert all(name.startswith(("pipe:", "/dev/null", "/")) for name in seen["descriptors"])


def test_the_truth_is_nowhere_in_its_memory(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    body = "self.known = float(data['x'].iloc[7])\n"
    process = run_entry(write_entry(with_predict(body + ANSWER)))
    process.predict(toy)
    assert process._running is not None
    pid = process._running.process.pid

    known, secrets = float(toy["x"][7]), (1.2345678, 0.7654321, 1.0123456)
    held = {
        value
        for memory in _memory(pid)
        for value in (known, *secrets)
        if struct.pack("<d", value) in memory
    }
    assert held == {known}  # what is there is found


def _memory(pid: int) -> Iterator[bytes]:
    """All that a child of ours may write to and has touched, piece by piece; see proc(5)."""
    page = os.sysconf("SC_PAGE_SIZE")
    home = Path(f"/proc/{pid}")
    with (
        (home / "mem").open("rb", buffering=0) as memory,
        (home / "pagemap").open("rb", buffering=0) as pages,
    ):
        for line in (home / "maps").read_text().splitlines():
            span, mode, *_ = line.split()
            first, last = (int(end, 16) // page for end in span.split("-"))
            if not mode.startswith("rw"):
                continue
            pages.seek(8 * first)
            there = np.frombuffer(pages.read(8 * (last - first)), np.uint64) >> np.uint64(62) > 0
            edges = np.flatnonzero(np.diff(np.concatenate(([False], there, [False]))))
            for begin, end in edges.reshape(-1, 2).tolist():
                memory.seek((first + begin) * page)
                yield memory.read((end - begin) * page)


def test_what_is_sent_for_a_toy_is_its_events_alone(
    write_entry: WriteEntry,
    run_entry: RunEntry,
    toy: Observation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sigma68.challenge import entry_process

    sent: list[tuple[dict[str, object], bytes]] = []
    real = entry_process.write_frame

    def spy(stream: object, header: dict[str, object], body: object = b"", **more: object) -> None:
        pieces = body if isinstance(body, list) else [body]
        sent.append((header, b"".join(pieces)))
        real(stream, header, body, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(entry_process, "write_frame", spy)
    process = run_entry(write_entry())
    process.predict(toy)
    assert [set(header) for header, _ in sent] == [
        {"op", "n", "train", "compat", "private"},
        {"op", "n"},
        {"op", "n"},
    ]
    assert sent[-1] == ({"op": "predict", "n": 3}, b"".join(observation_to_arrow(toy)))


def test_random_numbers_of_an_entry_depend_on_the_events_alone(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    body = """
low = np.random.rand()
return {"mu_hat": low, "delta_mu_hat": 0.1, "p16": low, "p84": low + 1}
"""
    folder = write_entry(with_predict(body))
    first, second = run_entry(folder), run_entry(folder)
    other = Observation(toy.names, toy.values[:, ::-1].copy())
    assert answered(first, toy) != answered(first, other)
    assert answered(second, other) == answered(first, other)
    assert answered(second, toy) == answered(first, toy)


def test_the_process_ends_when_ours_does(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation, tmp_path: Path
) -> None:
    note = tmp_path / "busy"
    body = f"open({str(note)!r}, 'w').close()\nwhile True: pass"
    process = run_entry(write_entry(with_predict(body)))
    assert process._running is not None
    child = process._running.process
    assert child.stdin is not None
    write_frame(child.stdin, {"op": "predict", "n": 3}, observation_to_arrow(toy))
    deadline = time.monotonic() + 10
    while not note.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.stdin.close()  # what happens to a pipe when its owner is killed
    assert child.wait(timeout=10) == -9


def test_close_leaves_nothing_behind(
    write_entry: WriteEntry, run_entry: RunEntry, toy: Observation
) -> None:
    process = run_entry(write_entry())
    assert process._running is not None
    private, child = process._private, process._running.process
    process.close()
    assert not private.exists()
    assert not _alive(child.pid)


def test_other_kinds_of_task_are_refused(
    write_entry: WriteEntry, train: Path, tmp_path: Path
) -> None:
    class TwoParameters(Gaussian):
        answer: ClassVar = "estimates"
        parameters = (Parameter("a", 0, 1), Parameter("b", 0, 1))

        def __init__(self) -> None:
            pass

    entry = open_entry(write_entry(), tmp_path / "work")
    with pytest.raises(EntryError, match="asks for something else"):
        EntryProcess(entry, TwoParameters(), train)
