"""Sockets that a network namespace does not shut in are not to be had; those of Python's own are."""

from __future__ import annotations

from tests.challenge.sandbox.conftest import RunInside

OTHERS = {
    "to the host of a virtual machine": 40,
    "of the kernel's cryptography": 38,
    "of raw frames": 17,
    "of CAN": 29,
    "of TIPC": 30,
    "of Bluetooth": 31,
    "of XDP": 44,
    "of keys": 15,
}


def test_sockets_of_other_families_are_refused(run_inside: RunInside) -> None:
    lines = """
    import errno, socket, sys
    for number in map(int, sys.argv[1:]):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                socket.socket(number, kind)
                print("made", number, kind)
            except OSError as error:
                if error.errno != errno.EAFNOSUPPORT:
                    print("other", number, kind, error)
    """
    ended = run_inside(lines, *map(str, OTHERS.values()))
    assert ended.errors == ""
    assert ended.out == ""


def test_processes_speak_with_each_other(run_inside: RunInside) -> None:
    lines = """
    import os, socket
    one, other = socket.socketpair()
    one.sendall(b"hello")
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    client.sendall(other.recv(5))
    print(server.accept()[0].recv(5).decode(), socket.if_nameindex())
    """
    ended = run_inside(lines)
    assert ended.errors == ""
    assert ended.out == "hello [(1, 'lo')]\n"
