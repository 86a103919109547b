"""The one framed protocol: how the main process talks to a worker and to somebody's entry.

A frame is, little-endian::

    4 bytes   magic b"S68F"
    uint16    version (1)
    uint16    zero
    uint32    length of the header
    uint64    length of the body
    header    a JSON object, UTF-8
    body      bytes; an observation travels as an Arrow IPC stream, a column per feature

JSON here is what Python's `json` reads and writes: the tokens NaN, Infinity and -Infinity are
allowed on purpose, since an entry's answer may be NaN and the toy's record shall say so. Who
reads must judge the numbers. Nothing is ever pickled.

Both ends are file descriptors (or unbuffered objects that have one): buffering in between
would hide bytes from the time limit.
"""

from __future__ import annotations

import json
import os
import select
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sigma68.errors import ProtocolError
from sigma68.types import Observation

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "MAX_BODY",
    "MAX_HEADER",
    "PIPE_SIZE",
    "arrow_to_observation",
    "observation_to_arrow",
    "read_frame",
    "take_standard_streams",
    "write_frame",
]

MAX_HEADER = 64 << 20
"""Longest header accepted, in bytes."""
MAX_BODY = 4 << 30
"""Longest body accepted, in bytes."""
PIPE_SIZE = 1 << 20
"""A good `pipesize` for `subprocess.Popen`: fewer switches than the default 64 KiB."""

_MAGIC = b"S68F"
_VERSION = 1
_PREFIX = struct.Struct("<4sHHIQ")
_MAX_PIECES = 512  # per writev; POSIX promises 16, Linux takes 1024
_ALIGNMENT = 64  # what Arrow prefers

Buffer = bytes | bytearray | memoryview


class HasFileno(Protocol):
    """An unbuffered stream."""

    def fileno(self) -> int:
        """Its file descriptor."""
        ...


def write_frame(
    target: int | HasFileno,
    header: Mapping[str, Any],
    body: Buffer | Sequence[Buffer] = b"",
    *,
    timeout: float | None = None,
) -> None:
    """Write one frame; the pieces of `body` are written one after the other, without a copy.

    Raises
    ------
    ProtocolError
        If the header or the body is longer than the limits.
    TimeoutError
        If the peer has not taken the frame within `timeout` seconds; half of it may be sent.
    BrokenPipeError
        If the peer is gone.
    """
    descriptor = _descriptor(target)
    text = json.dumps(header, separators=(",", ":")).encode()
    pieces = [memoryview(piece).cast("B") for piece in _pieces(body) if len(memoryview(piece))]
    length = sum(piece.nbytes for piece in pieces)
    _check_lengths(len(text), length, MAX_HEADER, MAX_BODY)
    prefix = _PREFIX.pack(_MAGIC, _VERSION, 0, len(text), length)
    pending = [memoryview(prefix + text), *pieces]
    if timeout is None:
        _write_all(descriptor, pending, None)
        return
    # A pipe in blocking mode would swallow the time limit in one long write.
    was_blocking = os.get_blocking(descriptor)
    os.set_blocking(descriptor, False)
    try:
        _write_all(descriptor, pending, time.monotonic() + timeout)
    finally:
        os.set_blocking(descriptor, was_blocking)


def read_frame(
    source: int | HasFileno,
    timeout: float | None = None,
    *,
    max_header: int = MAX_HEADER,
    max_body: int = MAX_BODY,
) -> tuple[dict[str, Any], memoryview] | None:
    """The next frame as (header, body); None if the peer closed its end between two frames.

    The body is writable memory of its own.

    Raises
    ------
    ProtocolError
        If what comes is not a frame, is longer than the limits, or ends in the middle.
    TimeoutError
        If the whole frame is not there within `timeout` seconds (0 or less: at once).
    """
    descriptor = _descriptor(source)
    deadline = None if timeout is None else time.monotonic() + timeout
    prefix = bytearray(_PREFIX.size)
    if not _read_into(descriptor, memoryview(prefix), deadline, at_start=True):
        return None
    magic, version, zero, header_length, body_length = _PREFIX.unpack(prefix)
    if magic != _MAGIC or zero != 0:
        raise ProtocolError(
            f"the peer sent {bytes(prefix[:8])!r} where a frame should begin: does something "
            "else write to its protocol stream?"
        )
    if version != _VERSION:
        raise ProtocolError(f"the peer speaks version {version} of the protocol, not {_VERSION}")
    _check_lengths(header_length, body_length, max_header, max_body)
    text = bytearray(header_length)
    _read_into(descriptor, memoryview(text), deadline)
    header = _parse(bytes(text))
    try:
        body = _aligned(body_length)
    except MemoryError as error:
        raise ProtocolError(f"no memory for a body of {body_length} bytes") from error
    _read_into(descriptor, body, deadline)
    return header, body


def take_standard_streams() -> tuple[int, int]:
    """Claim stdin and stdout for the protocol; returns (descriptor to read, to write).

    Afterwards whatever prints goes to stderr and whatever reads stdin finds its end, in this
    process and its children, also from C code.
    """
    reading, writing = os.dup(0), os.dup(1)  # not inherited by children
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return reading, writing


def observation_to_arrow(observation: Observation) -> list[memoryview]:
    """The observation as an Arrow IPC stream, in pieces that share its memory where possible."""
    import pyarrow as pa

    columns = [pa.array(np.ascontiguousarray(values)) for values in observation.values]
    batch = pa.record_batch(columns, names=list(observation.names))
    sink = _Pieces()
    with pa.PythonFile(sink, mode="w") as file, pa.ipc.new_stream(file, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.pieces


def arrow_to_observation(body: Buffer) -> Observation:
    """The observation in an Arrow IPC stream; a view of `body` where it lies there evenly.

    Raises
    ------
    ProtocolError
        If `body` is not such a stream, has columns of other types than one of float32 and
        float64, duplicate names or nulls.
    """
    import pyarrow as pa

    view = memoryview(body)
    if not view.nbytes:
        raise ProtocolError("an observation was expected, and the body is empty")
    try:
        with pa.ipc.open_stream(pa.py_buffer(view)) as reader:
            table = reader.read_all()
        table.validate()
        names = tuple(table.column_names)  # decodes them: they may not be UTF-8
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ProtocolError(f"the body is not an Arrow stream: {error}") from error
    types = set(table.schema.types)
    if not names or types not in ({pa.float32()}, {pa.float64()}):
        raise ProtocolError(
            f"an observation's columns must all be float32 or all float64, not {sorted(map(str, types))}"
        )
    if len(set(names)) != len(names):
        raise ProtocolError("an observation's columns must have different names")
    if any(column.null_count for column in table.columns):
        raise ProtocolError("an observation must not have nulls")
    dtype = np.dtype(np.float32 if types == {pa.float32()} else np.float64)
    values = _view(table, view, dtype)
    if values is None:
        values = np.empty((len(names), table.num_rows), dtype)
        for i, column in enumerate(table.columns):
            values[i] = column.to_numpy()
    return Observation(names, values)


def _view(table: pa.Table, body: memoryview, dtype: np.dtype[Any]) -> np.ndarray[Any, Any] | None:
    """The columns as one array over `body`; None if they do not lie in it at one stride."""
    if table.num_rows == 0 or any(column.num_chunks != 1 for column in table.columns):
        return None
    buffers = [column.chunk(0).buffers()[1] for column in table.columns]
    offsets = {column.chunk(0).offset for column in table.columns}
    start = np.frombuffer(body, np.uint8).ctypes.data
    places = [buffer.address - start for buffer in buffers]
    width = table.num_rows * dtype.itemsize
    stride = places[1] - places[0] if len(places) > 1 else width
    even = all(place == places[0] + i * stride for i, place in enumerate(places))
    inside = places[0] >= 0 and places[-1] + width <= body.nbytes
    if offsets != {0} or not even or not inside or stride < width or places[0] % dtype.itemsize:
        return None
    return np.ndarray(
        (len(places), table.num_rows), dtype, body, places[0], (stride, dtype.itemsize)
    )


class _Pieces:
    """A file that keeps what Arrow writes, as views: big buffers are not copied."""

    def __init__(self) -> None:
        self.pieces: list[memoryview] = []
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self.pieces.append(view)
        return view.nbytes

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def _pieces(body: Buffer | Sequence[Buffer]) -> Iterable[Buffer]:
    return (body,) if isinstance(body, bytes | bytearray | memoryview) else body


def _descriptor(stream: int | HasFileno) -> int:
    return stream if isinstance(stream, int) else stream.fileno()


def _check_lengths(header: int, body: int, max_header: int, max_body: int) -> None:
    for what, length, limit in (("header", header, max_header), ("body", body, max_body)):
        if length > limit:
            raise ProtocolError(
                f"a frame's {what} of {length} bytes is longer than the {limit} allowed"
            )


def _aligned(length: int) -> memoryview:
    # Untouched pages cost nothing, so that a false length alone does not fill the memory.
    memory: Any = np.empty(length + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memoryview(memory)[start : start + length]


def _parse(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a frame's header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise ProtocolError(f"a frame's header is a JSON {type(header).__name__}, not an object")
    return header


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    left = max(0.0, deadline - time.monotonic())
    if not poll.poll(left * 1000):
        raise TimeoutError("the peer took longer than its time limit")


def _write_all(descriptor: int, pending: list[memoryview], deadline: float | None) -> None:
    first = 0
    while first < len(pending):
        if deadline is not None:
            _wait(descriptor, select.POLLOUT, deadline)
        try:
            written = os.writev(descriptor, pending[first : first + _MAX_PIECES])
        except BlockingIOError:
            continue
        while first < len(pending) and written >= pending[first].nbytes:
            written -= pending[first].nbytes
            first += 1
        if written:
            pending[first] = pending[first][written:]


def _read_into(
    descriptor: int, memory: memoryview, deadline: float | None, *, at_start: bool = False
) -> bool:
    """Fill `memory`; False if `at_start` and the stream ends before its first byte."""
    done = 0
    while done < memory.nbytes:
        if deadline is not None:
            _wait(descriptor, select.POLLIN, deadline)
        try:
            count = os.readv(descriptor, [memory[done:]])
        except BlockingIOError:
            if deadline is None:
                _wait(descriptor, select.POLLIN, time.monotonic() + 3600)
            continue
        except ConnectionResetError:
            count = 0
        if count == 0:
            if at_start and done == 0:
                return False
            raise ProtocolError("the peer stopped in the middle of a frame")
        done += count
    return True
