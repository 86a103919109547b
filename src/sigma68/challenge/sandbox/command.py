"""The bubblewrap command: what a sandbox is made of, as arguments.

Inside, the root is empty but for the system's programs and libraries, Python and its packages
(all read-only), a `/proc` and `/dev` of its own, and these places::

    /entry          the entry's files, read-only
    /modules        modules that older entries import, read-only
    /code           the code of sigma68 without its data, read-only
    /train.arrow    the training events, read-only
    /home/entry     its home, on a disk of its own. In `work` its files lie once more, copied (the
                    largest are links): the working folder. /tmp is a folder there
    /dev/shm        memory that its processes share, another disk of its own
"""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sigma68.challenge.sandbox.code import CODE, KERNELS, package_folder
from sigma68.challenge.sandbox.limits import Limits

__all__ = ["HOME", "INSIDE", "MOST_COPIED", "Places", "arguments", "disks"]

HOME = "/home/entry"
_TEMPORARY = "/tmp"  # noqa: S108 (the sandbox's own)
_DISKS = (HOME, "/dev/shm")  # noqa: S108
_SYSTEM = (
    "/usr",
    "/etc/ld.so.cache",
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/localtime",
    "/etc/mime.types",
    "/sys/devices/system/cpu",
)
MOST_COPIED = 64 << 20
"""Bytes of an entry's files that are copied to its working folder; they do not count as its own."""
_PAGE = 4096
_LINKED = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


@dataclass(frozen=True)
class Places:
    """Where an entry's files, its old modules and the training events are.

    `package` is the folder of model.py below `entry`.
    """

    entry: Path
    package: Path
    modules: Path
    train: Path
    home: Path
    code: Path

    @property
    def temporary(self) -> Path:
        """For temporary files."""
        return self.home / "tmp"


INSIDE = Places(
    entry=Path("/entry"),
    package=Path(),
    modules=Path("/modules"),
    train=Path("/train.arrow"),
    home=Path(HOME),
    code=Path(CODE),
)
"""The places as an entry in a sandbox sees them."""


def arguments(
    bwrap: str, outside: Places, limits: Limits, *, as_root: bool, fds: dict[str, int]
) -> list[str]:
    """The command up to the program that it starts.

    As root no user namespace is made: in one, root stays root to the system's limits. What is
    started must then become another user itself (see `launch`). `fds` are file descriptors by
    option: `info-fd`, `block-fd`, `seccomp`.
    """
    command = [bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]
    command += ["--unshare-cgroup-try", "--die-with-parent", "--hostname", "entry"]
    if as_root:
        command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        user = ["--uid", str(os.getuid()), "--gid", str(os.getgid())]
        command += ["--unshare-user", *user]
    room = limits.disk_bytes + _size(outside.code / KERNELS) + _size(outside.entry, MOST_COPIED)
    command += _system()
    if _TEMPORARY in disks():
        command += ["--perms", "1777", "--size", str(room), "--tmpfs", _TEMPORARY]
    command += _python()
    for source, target in (
        (outside.entry, INSIDE.entry),
        (outside.modules, INSIDE.modules),
        (outside.code, INSIDE.code),
        (outside.train, INSIDE.train),
    ):
        command += ["--ro-bind", str(source), str(target)]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for place in _DISKS:
        command += ["--perms", "0755", "--dir", str(Path(place).parent)]
        # Everybody's inside, who is one user: whom the folder belongs to is bubblewrap's choice.
        command += ["--perms", "1777", "--size", str(room), "--tmpfs", place]
    command += ["--perms", "1777", "--dir", f"{HOME}/tmp"]  # noqa: S108
    if _TEMPORARY not in disks():
        command += ["--symlink", f"{HOME}/tmp", _TEMPORARY]  # noqa: S108
    command += ["--remount-ro", "/dev", "--remount-ro", "/"]
    command += ["--chdir", HOME]
    for option, descriptor in fds.items():
        command += [f"--{option}", str(descriptor)]
    return [*command, "--"]


def disks() -> tuple[str, ...]:
    """Where an entry may write; each is in memory, and ends with the sandbox.

    Where Python itself lies below /tmp, this cannot be a link to the home and is a disk of its own.
    """
    below = any(place.is_relative_to(_TEMPORARY) for place in _places_of_python())
    return (*_DISKS, _TEMPORARY) if below else _DISKS


def _size(folder: Path, most: int | None = None) -> int:
    """What the files of a folder take on a disk of whole pages, in bytes.

    With `most`, only so many bytes of them are there; the others are links.
    """
    sizes = [path.stat().st_size for path in folder.rglob("*")]
    total = sum(sizes)
    return (total if most is None else min(total, most)) + _PAGE * len(sizes)


def _system() -> list[str]:
    command: list[str] = []
    for place in _SYSTEM:
        if Path(place).exists():
            command += [*_parents(Path(place)), "--ro-bind", place, place]
    for linked in map(Path, _LINKED):
        if linked.is_symlink():
            command += ["--symlink", str(linked.readlink()), str(linked)]
        elif linked.is_dir():
            command += ["--ro-bind", str(linked), str(linked)]
    return command


def _python() -> list[str]:
    """Python and the packages beside it, at their own places; this package's own place is empty."""
    places = _places_of_python()
    command: list[str] = []
    for place in places:
        if place.is_dir() and not place.is_relative_to("/usr"):
            command += [*_parents(place), "--ro-bind", str(place), str(place)]
    ours = package_folder()
    if any(ours.is_relative_to(place) for place in (*places, Path("/usr"))):
        command += ["--perms", "0755", "--tmpfs", str(ours), "--remount-ro", str(ours)]
    return command


def _places_of_python() -> list[Path]:
    places = [Path(sys.base_prefix), Path(sys.prefix)]
    if site.ENABLE_USER_SITE:
        places.append(Path(site.getusersitepackages()))
    return places


def _parents(place: Path) -> Sequence[str]:
    """Arguments that make the folders above a place, which bubblewrap would close to others."""
    command: list[str] = []
    for parent in [p for p in reversed(place.parents) if p != Path("/")]:
        command += ["--perms", "0755", "--dir", str(parent)]
    return command
