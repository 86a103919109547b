"""Where randomness comes from: a stream is a function of its named axes, and nothing else.

Every random number in sigma68 belongs to a `Stream`, named by (task, purpose, seed, set, toy).
The name is hashed to a 128-bit key of the counter-based Philox generator, so that

- a toy is the same with 1 worker or 16, in any order, resumed or not;
- two toys, two purposes or two tasks never share a stream;
- mu belongs to a set: its stream has no toy in it.

NumPy code takes `Stream.generator()`; numba kernels take `Stream.key32` and count events.

Reference: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11 (2011).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Stream", "stream"]


@dataclass(frozen=True)
class Stream:
    """One independent stream of random numbers, known by its 128-bit key."""

    key: int

    def generator(self) -> np.random.Generator:
        """A NumPy generator at the start of the stream."""
        return np.random.Generator(np.random.Philox(key=self.key))

    @property
    def key32(self) -> npt.NDArray[np.uint32]:
        """The two 32-bit words that key a Philox4x32 kernel, shape (2,).

        Taken from the upper half of the key, so that a kernel and a generator of the same
        stream do not share words.
        """
        upper = self.key >> 64
        return np.array([upper & 0xFFFFFFFF, upper >> 32], dtype=np.uint32)

    def child(self, name: str) -> Stream:
        """A stream of its own below this one, for a step that needs a second generator."""
        return Stream(_hash(self.key.to_bytes(16, "little") + name.encode()))


def stream(
    task: str,
    purpose: str,
    seed: int,
    set: int | None = None,
    toy: int | None = None,
) -> Stream:
    """The stream of the given axes.

    `seed` may be any non-negative integer, 256 secret bits included. `set` and `toy` are left
    out where the purpose has no such axis.

    Raises
    ------
    ValueError
        If `seed`, `set` or `toy` is negative, or a toy is given without its set.
    """
    if seed < 0 or (set is not None and set < 0) or (toy is not None and toy < 0):
        raise ValueError(f"seed, set and toy count from 0; got seed={seed}, set={set}, toy={toy}")
    if toy is not None and set is None:
        raise ValueError("a toy belongs to a set: give both")
    axes = (
        task,
        purpose,
        str(seed),
        "" if set is None else str(set),
        "" if toy is None else str(toy),
    )
    # Length-prefixed, so that no two different names give the same bytes.
    return Stream(_hash(b"".join(len(a.encode()).to_bytes(4, "little") + a.encode() for a in axes)))


def _hash(name: bytes) -> int:
    return int.from_bytes(
        hashlib.blake2b(name, digest_size=16, person=b"sigma68").digest(), "little"
    )
