"""The framed protocol: what goes in comes out, and a hostile peer gets no further than an error."""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sigma68.errors import ProtocolError
from sigma68.run.frames import (
    MAX_BODY,
    arrow_to_observation,
    observation_to_arrow,
    read_frame,
    write_frame,
)
from sigma68.types import Observation

PREFIX = struct.Struct("<4sHHIQ")


class Pipe:
    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.is_open = True

    def send(self, raw: bytes, *, end: bool = True) -> None:
        os.write(self.writing, raw)
        if end:
            self.hang_up()

    def hang_up(self) -> None:
        if self.is_open:
            os.close(self.writing)
        self.is_open = False

    def close(self) -> None:
        self.hang_up()
        os.close(self.reading)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def framed(header: bytes, body: bytes = b"", /, **changes: Any) -> bytes:
    fields = {"magic": b"S68F", "version": 1, "zero": 0, "header": len(header), "body": len(body)}
    return PREFIX.pack(*(fields | changes).values()) + header + body


def observation(n: int = 1000, dtype: str = "float32", columns: int = 3) -> Observation:
    values = np.random.default_rng(1).normal(size=(columns, n)).astype(dtype)
    return Observation(tuple(f"feature {i}" for i in range(columns)), values)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@settings(deadline=None)
@given(
    header=st.dictionaries(st.text(), json_values, max_size=5),
    body=st.lists(st.binary(max_size=300), max_size=5),
)
def test_round_trip(header: dict[str, Any], body: list[bytes]) -> None:
    pipe = Pipe()
    try:
        write_frame(pipe.writing, header, body)
        write_frame(pipe.writing, {"second": True}, timeout=5)
        pipe.hang_up()
        first = read_frame(pipe.reading, 5)
        second = read_frame(pipe.reading)
        assert first is not None
        assert second is not None
        assert (first[0], bytes(first[1])) == (header, b"".join(body))
        assert (second[0], bytes(second[1])) == ({"second": True}, b"")
        assert read_frame(pipe.reading) is None
    finally:
        pipe.close()


def test_numbers_that_are_none_pass(pipe: Pipe) -> None:
    write_frame(pipe.writing, {"p16": math.nan, "p84": math.inf, "mu_hat": -math.inf})
    frame = read_frame(pipe.reading)
    assert frame is not None
    assert math.isnan(frame[0]["p16"])
    assert (frame[0]["p84"], frame[0]["mu_hat"]) == (math.inf, -math.inf)


@settings(deadline=None)
@given(raw=st.binary(min_size=1, max_size=400))
def test_garbage_is_refused(raw: bytes) -> None:
    pipe = Pipe()
    try:
        pipe.send(raw)
        with pytest.raises(ProtocolError):
            read_frame(pipe.reading, 5)
    finally:
        pipe.close()


@settings(deadline=None)
@given(data=st.data())
def test_a_frame_that_is_cut_off_is_refused(data: st.DataObject) -> None:
    good = framed(b'{"kind":"result"}', b"12345678")
    cut = data.draw(st.integers(1, len(good) - 1))
    pipe = Pipe()
    try:
        pipe.send(good[:cut])
        with pytest.raises(ProtocolError):
            read_frame(pipe.reading, 5)
    finally:
        pipe.close()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"Training epoch 1 of 10\n", "where a frame should begin"),
        (framed(b"{}", magic=b"S68G"), "where a frame should begin"),
        (framed(b"{}", zero=1), "where a frame should begin"),
        (framed(b"{}", version=2), "version 2"),
        (framed(b"{}", header=0xFFFFFFFF), "header of 4294967295 bytes is longer"),
        (framed(b"{}", body=2**64 - 1), "body of 18446744073709551615 bytes is longer"),
        (framed(b"{}", body=MAX_BODY + 1), "is longer"),
        (framed(b"{}", b"1234", body=5), "stopped in the middle"),
        (framed(b"", b""), "not JSON"),
        (framed(b"\xff\xfe{}"), "not JSON"),
        (framed(b"{]"), "not JSON"),
        (framed(b'{"a":' * 100_000)[:65_000], "stopped in the middle"),
        (framed(b"[" * 60_000), "not JSON"),
        (framed(b'{"a":' + b"9" * 5000 + b"}"), "not JSON"),
        (framed(b"[1, 2]"), "JSON list, not an object"),
        (framed(b"NaN"), "JSON float, not an object"),
    ],
)
def test_hostile_frames(pipe: Pipe, raw: bytes, words: str) -> None:
    pipe.send(raw)
    with pytest.raises(ProtocolError, match=words):
        read_frame(pipe.reading, 5)


def test_limits_of_ones_own(pipe: Pipe) -> None:
    write_frame(pipe.writing, {"words": "x" * 100})
    with pytest.raises(ProtocolError, match="header of 112 bytes is longer than the 50 allowed"):
        read_frame(pipe.reading, max_header=50)
    write_frame(pipe.writing, {}, b"x" * 100)


def test_a_claimed_gigabyte_takes_no_memory(pipe: Pipe) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send(framed(b"{}", b"x", body=3 << 30))
    with pytest.raises(ProtocolError, match="stopped in the middle"):
        read_frame(pipe.reading, 5)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@pytest.mark.parametrize("sent", [b"", b"S68F", framed(b'{"a": 1}')[:-1], framed(b"{}", body=9)])
def test_a_silent_peer_runs_into_the_time_limit(pipe: Pipe, sent: bytes) -> None:
    pipe.send(sent, end=False)
    start = time.monotonic()
    with pytest.raises(TimeoutError):
        read_frame(pipe.reading, 0.05)
    assert 0.04 < time.monotonic() - start < 5


def test_a_peer_that_drips_runs_into_the_time_limit(pipe: Pipe) -> None:
    stop = threading.Event()

    def drip() -> None:
        for byte in framed(b'{"slow": true}'):
            if stop.wait(0.02):
                return
            os.write(pipe.writing, bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with pytest.raises(TimeoutError):
            read_frame(pipe.reading, 0.2)
    finally:
        stop.set()
        thread.join()


def test_a_peer_that_does_not_read_runs_into_the_time_limit(pipe: Pipe) -> None:
    with pytest.raises(TimeoutError):
        write_frame(pipe.writing, {}, bytes(10 << 20), timeout=0.05)
    assert os.get_blocking(pipe.writing)


def test_a_peer_that_is_gone(pipe: Pipe) -> None:
    reading = os.dup(pipe.reading)
    os.close(reading)
    read_end, write_end = os.pipe()
    os.close(read_end)
    with pytest.raises(BrokenPipeError):
        write_frame(write_end, {"kind": "toy"})
    os.close(write_end)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 7, 16, 1000])
def test_observation_round_trip(n: int, dtype: str) -> None:
    given = observation(n, dtype)
    body = bytearray(b"".join(observation_to_arrow(given)))
    got = arrow_to_observation(body)
    assert got.names == given.names
    assert got.values.dtype == given.values.dtype
    np.testing.assert_array_equal(got.values, given.values)


def test_observation_is_a_view_at_both_ends() -> None:
    given = observation(100_000)
    pieces = observation_to_arrow(given)
    assert sum(np.shares_memory(np.frombuffer(p, np.uint8), given.values) for p in pieces) == 3
    body = bytearray(b"".join(pieces))
    got = arrow_to_observation(body)
    assert np.shares_memory(got.values, np.frombuffer(body, np.uint8))
    assert all(row.flags.c_contiguous for row in got.values)
    assert got.values.flags.writeable


def test_observation_with_strided_values() -> None:
    values = np.arange(12, dtype=np.float32).reshape(4, 3).T
    got = arrow_to_observation(b"".join(observation_to_arrow(Observation(("a", "b", "c"), values))))
    np.testing.assert_array_equal(got.values, values)


def arrow(table: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, **options) as writer:
        writer.write_table(table, max_chunksize=5)
    return bytes(sink.getvalue())


def test_observation_in_several_batches_or_compressed() -> None:
    table = pa.table({"a": np.arange(12.0), "b": np.arange(12.0) * 2})
    packed = pa.ipc.IpcWriteOptions(compression="zstd")
    for body in (arrow(table), arrow(table, options=packed)):
        np.testing.assert_array_equal(
            arrow_to_observation(body).values, [np.arange(12.0), 2 * np.arange(12.0)]
        )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "the body is empty"),
        (b"garbage" * 10, "not an Arrow stream"),
        (arrow(pa.table({"a": pa.array([1, 2])})), "all be float32 or all float64"),
        (arrow(pa.table({"a": [1.0], "b": pa.array([1.0], pa.float32())})), "all be float32"),
        (arrow(pa.table({"a": pa.array([1.0, None])})), "nulls"),
        (arrow(pa.table([[1.0], [2.0]], names=["a", "a"])), "different names"),
        (arrow(pa.table({})), "all be float32"),
    ],
)
def test_bodies_that_are_no_observation(body: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        arrow_to_observation(body)


@settings(deadline=None)
@given(at=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_damaged_body_is_refused_or_read(at: float, byte: int) -> None:
    body = bytearray(b"".join(observation_to_arrow(observation(20))))
    body[int(at * len(body))] = byte
    try:
        got = arrow_to_observation(body)
    except ProtocolError:
        return
    assert got.values.ndim == 2


def test_standard_streams_are_taken(tmp_path: Path) -> None:
    program = """
import os, sys
from sigma68.run.frames import read_frame, take_standard_streams, write_frame
reading, writing = take_standard_streams()
print("to Python's stdout", flush=True)
os.write(1, b"to the descriptor\\n")
os.system("echo from a child")
frame = read_frame(reading)
write_frame(writing, {"stdin": sys.stdin.read(), **frame[0]})
"""
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        write_frame(process.stdin, {"asked": 1})
        assert read_frame(process.stdout, 30) == ({"asked": 1, "stdin": ""}, memoryview(b""))
        words = process.stderr.read()
    assert b"to Python's stdout" in words
    assert b"to the descriptor" in words
    assert b"from a child" in words


def test_header_is_plain_json(pipe: Pipe) -> None:
    write_frame(pipe.writing, {"kind": "toy", "set": 1})
    raw = os.read(pipe.reading, 1000)
    assert json.loads(raw[PREFIX.size :]) == {"kind": "toy", "set": 1}
