"""The records of a DBN stream in blocks, each of whose lengths and types is checked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from quantx.errors import MalformedPayload
from quantx.providers.options.dbn_header import DbnHeader
from quantx.providers.options.dbn_layouts import RecordLayout
from quantx.providers.options.dbn_rows import Block
from quantx.providers.options.kinds import ROWS_PER_BATCH
from quantx.providers.options.members import reading

_ZSTD = b"\x28\xb5\x2f\xfd"
_SKIPPED = b"\x2a\x4d\x18"  # the end of a mark of a frame without content, which parallel compressors put first
# Few bytes can expand to terabytes. Quotes shrink to a quarter, equal records to a hundredth.
_MOST_EXPANDED = 1_000
_ALWAYS_READ = 256 << 20


def plain_stream(stream: IO[bytes]) -> Any:
    """Return the decompressed bytes of a stream, which is read from its beginning."""
    import pyarrow as pa

    head = stream.read(len(_ZSTD))
    stream.seek(0)
    compressed = head == _ZSTD or (head[1:] == _SKIPPED and head[0] >> 4 == 5)
    return pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd") if compressed else stream


def blocks(stream: Any, name: str, header: DbnHeader, layout: RecordLayout, size: int) -> Iterator[Block]:
    """Yield at most 262,144 records at a time; MalformedPayload where one is not of the schema, or is cut.

    `size` is the size of the member, by which a stream that never ends is recognized.
    """
    record = layout.dtype(header.version, header.ts_out)
    at, most = 0, max(_ALWAYS_READ, _MOST_EXPANDED * size) // record.itemsize
    while True:
        with reading(name):
            content = stream.read(ROWS_PER_BATCH * record.itemsize)
        whole, rest = divmod(len(content), record.itemsize)
        block = np.frombuffer(content, record, whole)
        wrong = (block["length"] != record.itemsize // 4) | (block["rtype"] != layout.rtype)
        if wrong.any():
            place = at + int(wrong.argmax()) + 1
            raise MalformedPayload(f"{name}: record {place:,} is not one of {header.schema}; download it again")
        if rest:
            raise MalformedPayload(f"{name} ends within record {at + whole + 1:,}; download it again")
        if not whole:
            return
        yield block
        at += whole
        if at > most:
            raise MalformedPayload(f"{name} expands more than {_MOST_EXPANDED:,}-fold, which no market data does")
