"""Series from bytes and bytes from series, without NumPy and PyArrow, which a reader need not have.

Arrow's C data interface (https://arrow.apache.org/docs/format/CDataInterface.html) gives the address of the values.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any, Literal

import polars as pl
from arro3.core import Array  # deltalake depends on it

Format = Literal["d", "q", "i", "B", "H", "I"]
FORMATS: dict[Format, type[pl.DataType]] = {
    "d": pl.Float64,
    "q": pl.Int64,
    "i": pl.Int32,
    "B": pl.UInt8,
    "H": pl.UInt16,
    "I": pl.UInt32,
}
_NAME = b"arrow_array"
_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]


class _ArrowArray(ctypes.Structure):
    """The first fields of the interface's structure."""

    _fields_ = (
        ("length", ctypes.c_int64),
        ("null_count", ctypes.c_int64),
        ("offset", ctypes.c_int64),
        ("n_buffers", ctypes.c_int64),
        ("n_children", ctypes.c_int64),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),  # validity, values
    )


def series_of(name: str, body: bytes | memoryview, form: Format) -> pl.Series:
    """Return the values in some bytes, without a copy; `form` is their format as of `struct`."""
    if len(body) == 0:
        return pl.Series(name, [], dtype=FORMATS[form])
    values: Any = memoryview(body).cast("B").cast(form)
    return pl.Series(Array.from_buffer(values)).alias(name)


def bytes_of(series: pl.Series, form: Format) -> bytes:
    """Return a copy of the values of a series of numbers without nulls."""
    if series.is_empty():
        return b""
    exported = Array.from_arrow(series.rechunk()).__arrow_c_array__()  # a variable: it owns the memory
    found = ctypes.cast(_pointer_of(exported[1], _NAME), ctypes.POINTER(_ArrowArray)).contents
    width = struct.calcsize(form)
    return ctypes.string_at(found.buffers[1] + found.offset * width, found.length * width)
