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
    os.umask(0o022)
    # numba uses what it has compiled before only from a folder that it may write to.
    shutil.copytree(wanted["kernels"], wanted["own_kernels"])
    os.environ["NUMBA_CACHE_DIR"] = wanted["own_kernels"]
    if os.getuid() == 0 or os.geteuid() == 0:
        sys.exit("an entry must not run as root: give the container a range of user numbers")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606 (no shell is wanted)


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
