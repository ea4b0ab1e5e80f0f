"""The part of a file with several symbols that is about one of them."""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator, Sequence

import polars as pl

from quantx.providers.importing.form import FileForm
from quantx.providers.importing.text import split_line


class LineSlices:
    """The lines of each symbol of a text, exactly as they are, below the header.

    Only their places are kept, so that a file of gigabytes takes little more than itself.
    """

    def __init__(self, body: bytes, form: FileForm, position: int) -> None:
        self._recoded = form.encoding == "utf-16"
        self._body = body.decode("utf-16").encode() if self._recoded else body
        if b"\n" not in self._body:
            self._body = self._body.replace(b"\r", b"\n")
        self._encoding = "utf-8" if self._recoded else form.encoding
        self._head = 0
        self._places: dict[bytes, array[int]] = {}
        lines, start, end = 0, 0, len(self._body)
        while start < end:
            found = self._body.find(b"\n", start)
            after = end if found < 0 else found + 1
            line = self._body[start:after]
            if line.strip():
                lines += 1
                if lines <= form.header:
                    self._head = after
                else:
                    self._add(self._name_in(line, form.separator, position), start, after)
            start = after

    def __len__(self) -> int:
        """Return the number of symbols."""
        return len(self._places)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        """Yield each symbol in the order of the file, with its part."""
        head = self._body[: self._head]
        for name, places in self._places.items():
            own = b"".join(self._body[a:b] for a, b in zip(places[::2], places[1::2], strict=True))
            part = head + (own if own.endswith(b"\n") else own + b"\n")
            yield name.decode(self._encoding, "replace"), part.decode().encode("utf-16") if self._recoded else part

    def _add(self, name: bytes, start: int, end: int) -> None:
        places = self._places.setdefault(name, array("q"))
        if places and places[-1] == start:
            places[-1] = end
        else:
            places.extend((start, end))

    def _name_in(self, line: bytes, separator: str, position: int) -> bytes:
        if b'"' in line:
            cells = split_line(line.decode(self._encoding, "replace"), separator)
            return cells[position].encode(self._encoding, "replace") if position < len(cells) else b""
        parts = line.split(separator.encode(), position + 1)
        return parts[position].strip() if position < len(parts) else b""


def slices_of_columns(body: bytes, form: FileForm, columns: Sequence[int]) -> bytes:
    """Return some columns of a text, cell by cell as they are."""
    rows = (line.split(form.separator) for line in body.decode(form.encoding).splitlines() if line.strip())
    chosen = (form.separator.join(row[at] if at < len(row) else "" for at in columns) for row in rows)
    return ("\n".join(chosen) + "\n").encode(form.encoding)


def slices_of_table(table: pl.DataFrame, column: str) -> list[tuple[str, bytes]]:
    """Return each symbol of a table with its rows as Parquet."""
    parts = table.partition_by(column, maintain_order=True)
    return [("" if part[column][0] is None else str(part[column][0]), _as_parquet(part)) for part in parts]


def _as_parquet(part: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    part.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()
