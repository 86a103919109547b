"""Which system calls an entry is refused, as a filter that the kernel runs (seccomp, BPF).

Most are refused to an unprivileged user anyway; here fall those with which a process reads
another, makes namespaces (and so is root under another name), or holds memory where nobody
counts it; and sockets of kinds that a network namespace does not shut in, such as those by which
a virtual machine speaks with its host (vsock). Everything that numerical code needs stays.

Reference: linux/Documentation/userspace-api/seccomp_filter.rst.
"""

from __future__ import annotations

import errno
import platform
import struct

__all__ = ["REFUSED", "filter_program", "is_known_machine"]

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# name -> number on (x86_64, aarch64)
REFUSED = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "syslog": (103, 116),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
}
"""Refused with EPERM. `clone` with a flag for a namespace is as well; `clone3`, whose flags no
filter can see, does not exist (ENOSYS), and libraries then use `clone`."""

_SOCKETS = ((41, 198), (53, 199))
"""`socket` and `socketpair`, refused with EAFNOSUPPORT for other families than these."""
_FAMILIES = (1, 2, 10, 16)  # Unix, IPv4, IPv6, netlink: each has only its own namespace's

_CLONE = (56, 220)
_CLONE3 = (435, 435)
_NAMESPACES = 0x7E020000  # CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # places in struct seccomp_data
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_OTHER_ABI = 0x40000000  # x32 on x86_64


def is_known_machine() -> bool:
    """Whether the numbers of this machine's system calls are known here."""
    return platform.machine() in _ARCH


def filter_program() -> bytes:
    """The filter for this machine, as `struct sock_filter`s.

    Raises
    ------
    KeyError
        If `is_known_machine` says no.
    """
    machine = platform.machine()
    column = list(_ARCH).index(machine)
    refuse = _ERRNO | errno.EPERM
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCH[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _OTHER_ABI),
        (_RETURN, 0, 0, _KILL),
        (_EQUAL, 0, 1, _CLONE3[column]),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for numbers in REFUSED.values():
        program += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, refuse)]
    for numbers in _SOCKETS:
        program += _of_families(numbers[column])
    program += [
        (_EQUAL, 1, 0, _CLONE[column]),
        (_RETURN, 0, 0, _ALLOW),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _NAMESPACES),
        (_RETURN, 0, 0, refuse),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *one) for one in program)


def _of_families(number: int) -> list[tuple[int, int, int, int]]:
    """Lines that end at the call `number`: well for the known families, badly for others."""
    count = len(_FAMILIES)
    return [
        (_EQUAL, 0, count + 3, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        *((_EQUAL, count - i, 0, family) for i, family in enumerate(_FAMILIES)),
        (_RETURN, 0, 0, _ERRNO | errno.EAFNOSUPPORT),
        (_RETURN, 0, 0, _ALLOW),
    ]
