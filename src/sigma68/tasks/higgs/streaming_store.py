"""Writing columns past the caches.

A kernel writes 28 columns at once, each a short piece at a time. Ordinary stores first read the
lines that they overwrite, and push the pool out of the caches; whole lines written with
non-temporal stores do neither, and take half the time. Python has no word for them: this file is
the one place where we speak to the compiler's intermediate language.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = ["store_column"]

_FLOATS = 16
_LINE = 4 * _FLOATS


@intrinsic
def _store_line(typing_context: Any, target: Any, source: Any) -> Any:
    """Copy the 64 bytes at address `source` to address `target`, which a line begins at."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        line = ir.VectorType(ir.FloatType(), _FLOATS)
        to, origin = (builder.inttoptr(a, line.as_pointer()) for a in arguments)
        store = builder.store(builder.load(origin, align=4), to, align=_LINE)
        flag = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        store.set_metadata("nontemporal", flag)
        return context.get_dummy_value()

    return types.void(types.uintp, types.uintp), generate


@njit(cache=True)
def store_column(values, n, out, column, at):  # type: ignore[no-untyped-def]
    """``out[column, at : at + n] = values[:n]``; both float32, the rows of `out` contiguous."""
    address = out.ctypes.data + column * out.strides[0] + at * 4
    head = min(((-address) % _LINE) // 4, n)
    for i in range(head):
        out[column, at + i] = values[i]
    target = np.uintp(address + 4 * head)
    source = np.uintp(values.ctypes.data + 4 * head)
    lines = (n - head) // _FLOATS
    for _ in range(lines):
        _store_line(target, source)
        target += np.uintp(_LINE)
        source += np.uintp(_LINE)
    for i in range(head + lines * _FLOATS, n):
        out[column, at + i] = values[i]
