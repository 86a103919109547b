"""What code in a sandbox can see and use: each thing is tried, and must be denied."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import sigma68
from sigma68.challenge.sandbox.box import Sandbox
from sigma68.challenge.sandbox.command import Places, disks
from sigma68.challenge.sandbox.limits import Limits
from sigma68.challenge.sandbox.running import Running
from sigma68.challenge.sandbox.system_calls import REFUSED
from tests.challenge.sandbox.conftest import RunInside

PACKAGE = Path(sigma68.__file__).parent

STATUS = """
import os
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(os.getuid(), os.getgid(), len(os.getgroups()) if os.getgroups() != [os.getgid()] else 0)
print(*(int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")))
print(status["NoNewPrivs"].strip(), status["Seccomp"].strip())
"""


def test_it_is_an_ordinary_user_without_capabilities(run_inside: RunInside) -> None:
    ended = run_inside(STATUS)
    (uid, gid, groups), capabilities, rules = (line.split() for line in ended.out.splitlines())
    assert ended.errors == ""
    assert int(uid) > 0
    assert int(gid) > 0
    assert int(groups) == 0
    assert capabilities == ["0"] * 4
    assert rules == ["1", "2"]  # no new privileges; a filter of system calls


def test_files_outside_are_not_there(run_inside: RunInside, tmp_path: Path) -> None:
    secret = tmp_path / "truth.txt"
    secret.write_text("mu = 1.234")
    hidden = [
        secret,
        PACKAGE / "tasks" / "higgs" / "embedded" / "events.parquet",
        PACKAGE / "tasks" / "higgs" / "emulate" / "weights.npz",
        PACKAGE.parents[1] / ".git",
        PACKAGE.parents[1] / "tests",
        Path.home() / ".cache",
        Path.home() / ".ssh",
        Path("/etc/passwd"),
        Path("/etc/shadow"),
        Path("/var"),
        Path("/run"),
        Path("/sys/class"),
    ]
    lines = """
    import os, sys
    for path in sys.argv[1:]:
        if os.path.exists(path):
            print("sees", path)
    for where, folders, files in os.walk("/code"):
        for name in files:
            if not name.endswith((".py", ".pyc", ".nbi", ".nbc")):
                print("data", where, name)
    print(sorted(os.listdir("/")), os.listdir("/entry"), open("/train.arrow").read())
    """
    ended = run_inside(lines, *map(str, hidden))
    assert ended.errors == ""
    assert "sees" not in ended.out
    assert "data" not in ended.out
    assert ended.out.rstrip().endswith("[] events")


def test_nothing_can_be_written_but_its_home(run_inside: RunInside) -> None:
    lines = """
    import os
    for place in ("/", "/entry", "/modules", "/code/sigma68", "/usr/lib", "/dev", "/proc/sys", "/etc"):
        try:
            open(place + "/x", "w")
        except OSError:
            continue
        print("wrote to", place)
    for path in ("/train.arrow", "/proc/sys/kernel/core_pattern"):
        try:
            open(path, "a")
        except OSError:
            continue
        print("opened", path)
    for place in ("/home/entry", "/tmp", "/dev/shm"):
        open(place + "/x", "w").write("y")
    print(os.path.realpath("/tmp"))
    """
    ended = run_inside(lines)
    assert ended.errors == ""
    # Where Python itself is below /tmp, that is a disk of its own.
    assert ended.out == ("/tmp\n" if "/tmp" in disks() else "/home/entry/tmp\n")


def test_an_entry_may_write_beside_its_files_and_changes_none(
    run_inside: RunInside, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sigma68.challenge.sandbox.box.MOST_COPIED", 100)
    (places.entry / "inner").mkdir()
    (places.entry / "inner" / "cut.txt").write_text("small")
    (places.entry / "weights.bin").write_text("large" * 100)
    lines = """
    import os
    open("inner/cut.txt", "a").write("er")
    open("inner/saved", "w").write("new")
    print(os.getcwd(), open("inner/cut.txt").read(), len(open("weights.bin").read()))
    try:
        open("weights.bin", "w")
    except OSError as error:
        print(error.strerror)
    """
    ended = run_inside(lines)
    assert ended.errors == ""
    assert ended.out == "/home/entry/work smaller 500\nRead-only file system\n"
    assert (places.entry / "inner" / "cut.txt").read_text() == "small"
    assert not (places.entry / "inner" / "saved").exists()


def test_other_processes_are_not_in_sight(
    run_inside: RunInside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGMA68_TEST_SEED", "a-secret-of-the-judge")
    lines = """
    import os, sys
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    print(len(pids), int(sys.argv[1]) in pids and int(sys.argv[1]) > 2)
    for pid in pids:
        for name in ("environ", "mem", "maps", "cmdline"):
            try:
                content = open(f"/proc/{pid}/{name}", "rb").read(100_000)
            except OSError:
                continue
            if b"a-secret-of" + b"-the-judge" in content:
                print("read the secret in", name)
        if pid not in (os.getpid(), int(sys.argv[2])):
            try:
                print("looks at", os.listdir(f"/proc/{pid}/fd"), os.readlink(f"/proc/{pid}/root"))
            except PermissionError:
                pass
    """
    # Without root, the sandbox's own first process is of the same user; see below.
    looked_over = "1" if os.geteuid() != 0 else "0"
    ended = run_inside(lines, str(os.getpid()), looked_over)
    assert ended.errors == ""
    assert ended.out == "2 False\n"


def test_the_first_process_has_nothing_to_take_over(run_inside: RunInside) -> None:
    lines = """
    status = dict(line.split(":", 1) for line in open("/proc/1/status"))
    print(status["Seccomp"].strip(), status["NoNewPrivs"].strip(), status["CapEff"].strip())
    """
    filtered, no_new, capabilities = run_inside(lines).out.split()
    assert (filtered, no_new) == ("2", "1")
    assert int(capabilities, 16) == 0


def test_only_its_three_streams_are_open(run_inside: RunInside) -> None:
    lines = """
    import os
    for number in range(3, 1024):
        try:
            os.fstat(number)
        except OSError:
            continue
        print("open:", number)
    """
    ended = run_inside(lines)
    assert (ended.out, ended.errors) == ("", "")


def test_the_network_is_not_there(run_inside: RunInside) -> None:
    lines = """
    import socket, sys
    print([name for _, name in socket.if_nameindex()])
    for family, address in (
        (socket.AF_INET, ("127.0.0.1", int(sys.argv[1]))),
        (socket.AF_INET, ("192.0.2.1", 80)),
        (socket.AF_UNIX, "\\0" + sys.argv[2]),
    ):
        try:
            socket.socket(family, socket.SOCK_STREAM).connect(address)
        except OSError:
            continue
        print("connected to", address)
    """
    name = f"sigma68-test-{os.getpid()}"
    with socket.socket() as server, socket.socket(socket.AF_UNIX) as local:
        server.bind(("127.0.0.1", 0))
        server.listen()
        local.bind(f"\0{name}")
        local.listen()
        ended = run_inside(lines, str(server.getsockname()[1]), name)
    assert ended.errors == ""
    assert ended.out == "['lo']\n"


def test_processes_are_limited_together(run_inside: RunInside) -> None:
    lines = """
    import os, time
    n = 0
    while True:
        try:
            if os.fork() == 0:
                time.sleep(60)
        except BlockingIOError:
            break
        n += 1
    print(n, flush=True)
    time.sleep(60)
    """
    ended = run_inside(lines, limits=Limits(max_processes=20))
    assert int(ended.out) <= 20
    assert ended.excess == "it started 20 processes and threads, more than it may"


def test_one_entry_does_not_take_the_processes_of_another(
    run_inside: RunInside, places: Places, code: Path
) -> None:
    greedy = "import os, time\nfor _ in range(14):\n    os.fork() or time.sleep(60)\nprint(1, flush=True)"
    greedy += "\ntime.sleep(60)"
    first = Sandbox(Limits(max_processes=20), code).start(["-I", "-S", "-c", greedy], places, {})
    try:
        assert first.process.stdout is not None
        first.process.stdout.read(1)
        ended = run_inside("import os\nprint(os.fork() >= 0)", limits=Limits(max_processes=10))
    finally:
        first.end()
        _close(first)
    assert ended.out == "True\nTrue\n"
    assert ended.errors == ""


def test_memory_is_limited_over_all_processes(run_inside: RunInside) -> None:
    lines = """
    import os, time
    for _ in range(4):
        if os.fork() == 0:
            mine = b"x" * (60 << 20)
            time.sleep(60)
    time.sleep(60)
    """
    ended = run_inside(lines, limits=Limits(memory_bytes=150 << 20))
    assert ended.excess == "its processes took more than 150 MiB of memory together"


def test_memory_that_processes_share_counts_once(run_inside: RunInside) -> None:
    lines = """
    import os, time
    mine = b"x" * (60 << 20)
    for _ in range(4):
        if os.fork() == 0:
            time.sleep(1)
            os._exit(0)
    time.sleep(1)
    print("done")
    """
    ended = run_inside(lines, limits=Limits(memory_bytes=150 << 20))
    assert ended.excess == ""
    assert ended.out == "done\n"


def test_one_allocation_far_beyond_the_limit_fails_at_once(run_inside: RunInside) -> None:
    ended = run_inside("x = bytearray(8 << 30)", limits=Limits(memory_bytes=100 << 20))
    assert "MemoryError" in ended.errors


def test_disk_is_limited(run_inside: RunInside) -> None:
    lines = """
    import errno
    for place in ("/home/entry/a", "/tmp/b", "/dev/shm/c"):
        try:
            with open(place, "wb") as file:
                for _ in range(20):
                    file.write(bytes(1 << 20))
        except OSError as error:
            print(errno.errorcode[error.errno])
    """
    ended = run_inside(lines, limits=Limits(disk_bytes=10 << 20))
    assert ended.out.split()[0] in ("ENOSPC", "EFBIG")
    assert len(ended.out.split()) == 3


@pytest.mark.parametrize("place", ["/home/entry", "/dev/shm"])
def test_the_number_of_files_is_limited(run_inside: RunInside, place: str) -> None:
    lines = """
    import sys, time
    for n in range(500):
        open(f"{sys.argv[1]}/{n}", "w").close()
    time.sleep(60)
    """
    ended = run_inside(lines, place, limits=Limits(max_files=300))
    assert ended.excess == "it wrote more than 300 files, the most that it may"


def test_refused_system_calls_are_refused(run_inside: RunInside) -> None:
    lines = """
    import ctypes, errno, sys
    libc = ctypes.CDLL(None, use_errno=True)
    for number in map(int, sys.argv[1:]):
        ctypes.set_errno(0)
        if libc.syscall(number, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != errno.EPERM:
            print("not refused:", number)
    NEW_USER = 0x10000000
    print(libc.syscall(int(sys.argv[1]), 0) , libc.unshare(NEW_USER))
    """
    import platform

    column = ["x86_64", "aarch64"].index(platform.machine())
    ended = run_inside(lines, *(str(numbers[column]) for numbers in REFUSED.values()))
    assert ended.errors == ""
    assert ended.out == "-1 -1\n"


def test_all_processes_end_with_it_and_their_time_counts(
    places: Places, code: Path, run_inside: RunInside
) -> None:
    mark = f"sigma68-daemon-{os.getpid()}"
    lines = f"""
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open("/proc/self/comm", "w").write("{mark[:15]}")
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
        print(1, flush=True)
        time.sleep(60)
    os._exit(0)
time.sleep(60)
"""
    running = Sandbox(Limits(), code).start(["-I", "-S", "-c", lines], places, {})
    assert running.process.stdout is not None
    running.process.stdout.read(1)
    begin = time.monotonic()
    running.end()
    assert time.monotonic() - begin < 5
    assert running.cpu_seconds >= 0.3
    left = subprocess.run(["pgrep", "-x", mark[:15]], capture_output=True, check=False)
    assert left.stdout == b""
    _close(running)


def test_time_of_children_that_nobody_waits_for_counts(run_inside: RunInside) -> None:
    lines = """
    import os, signal, time
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # they vanish without leaving their time
    if os.fork() == 0:
        end = time.process_time() + 0.6
        while time.process_time() < end:
            pass
        os._exit(0)
    time.sleep(3)
    """
    assert run_inside(lines).cpu_seconds >= 0.4


def test_it_ends_with_who_started_it(places: Places, code: Path, run_inside: RunInside) -> None:
    mark = f"s68-orphan-{os.getpid()}"[:15]
    names = ("entry", "package", "modules", "train", "home", "code")
    given = [mark, *(str(getattr(places, name)) for name in names)]
    starter = """
import sys, time
from pathlib import Path
from sigma68.challenge.sandbox.box import Sandbox
from sigma68.challenge.sandbox.command import Places
from sigma68.challenge.sandbox.limits import Limits
places = Places(*map(Path, sys.argv[2:]))
lines = "import sys, time; open('/proc/self/comm', 'w').write(sys.argv[1])"
lines += "; print(1, flush=True); time.sleep(60)"
start = Sandbox(Limits(), places.code).start
running = start(["-I", "-S", "-c", lines, sys.argv[1]], places, {})
running.process.stdout.read(1)
print(1, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", starter, *given], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"1"
        process.kill()
    deadline = time.monotonic() + 10
    while subprocess.run(["pgrep", "-x", mark], capture_output=True, check=False).stdout:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _close(running: Running) -> None:
    for stream in (running.process.stdin, running.process.stdout, running.process.stderr):
        assert stream is not None
        stream.close()
