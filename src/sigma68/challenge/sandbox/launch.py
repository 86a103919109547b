"""The first thing that runs inside: becomes an ordinary user, accepts limits, starts the entry.

`python -I -S launch.py '{"user": N | null, ...}' COMMAND...`. It imports nothing of ours: where it
runs as root, it is for these few lines.
"""

import ctypes
import json
import os
import resource
import shutil
import sys

_MOST_OPEN_FILES = 1024


def main() -> None:
    """Drop to the user, set the limits, and become the command."""
    wanted = json.loads(sys.argv[1])
    with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 (as few imports as possible)
        file.write("1000")  # where memory runs out, the system shall end the entry first
    if wanted["user"] is not None:
        os.setgroups([])
        os.setresgid(*[wanted["user"]] * 3)
        os.setresuid(*[wanted["user"]] * 3)
        drop_inheritable()
    os.umask(0o022)
    lay_out(wanted["entry"], wanted["work"], wanted["copied"])
    # numba uses what it has compiled before only from a folder that it may write to.
    shutil.copytree(wanted["kernels"], wanted["own_kernels"])
    os.environ["NUMBA_CACHE_DIR"] = wanted["own_kernels"]
    os.chdir(os.path.join(wanted["work"], wanted["package"]))  # noqa: PTH118
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: wanted["disk"],
        # Beyond this, asking for memory fails: what is in use is watched from outside.
        resource.RLIMIT_DATA: wanted["memory"] + (1 << 30),
        resource.RLIMIT_NPROC: wanted["processes"],
        resource.RLIMIT_NOFILE: _MOST_OPEN_FILES,
        resource.RLIMIT_MEMLOCK: 1 << 16,
    }
    for name, value in limits.items():
        now = resource.getrlimit(name)[1]
        value = value if now == resource.RLIM_INFINITY else min(value, now)
        resource.setrlimit(name, (value, value))
    if os.getuid() == 0 or os.geteuid() == 0:
        sys.exit("an entry must not run as root: give the container a range of user numbers")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 (no shell is wanted)


def lay_out(source: str, target: str, most: int) -> None:
    """A working folder like `source` at `target`: copies of the smallest files, links to the rest.

    Entries write beside their model.py. At most `most` bytes are copied.
    """
    os.mkdir(target)  # noqa: PTH102
    files = []
    for where, folders, names in os.walk(source):
        inside = where.replace(source, target, 1)
        for folder in folders:
            os.mkdir(os.path.join(inside, folder))  # noqa: PTH102, PTH118
        for name in names:
            path = os.path.join(where, name)  # noqa: PTH118
            files.append((os.path.getsize(path), path, os.path.join(inside, name)))  # noqa: PTH118, PTH202
    for size, path, copy in sorted(files):
        most -= size
        if most >= 0:
            shutil.copyfile(path, copy)
        else:
            os.symlink(path, copy)  # noqa: PTH211


def drop_inheritable() -> None:
    """Give up the capabilities that the change of user left to programs started later.

    None of them could be used, since nothing here gains privileges; but none is needed. See
    capset(2): version 3, this process, three pairs of words.
    """
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if ctypes.CDLL(None, use_errno=True).capset(header, (ctypes.c_uint32 * 6)()):
        sys.exit(f"capabilities cannot be given up: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    main()
