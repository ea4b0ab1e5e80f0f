"""The part of a file with several symbols that is about one of them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import polars as pl

from quantx.providers.importing.form import FileForm
from quantx.providers.importing.text import split_line


def slices_of_lines(body: bytes, form: FileForm, position: int) -> list[tuple[str, bytes]]:
    """Return each symbol of a text with its lines, exactly as they are, below the header."""
    lines, utf16 = (body.splitlines(keepends=True), False)
    if form.encoding == "utf-16":
        lines, utf16 = [each.encode() for each in body.decode("utf-16").splitlines(keepends=True)], True
    separator = form.separator.encode()
    head: list[bytes] = []
    found: dict[bytes, list[bytes]] = {}
    for line in lines:
        if not line.strip():
            continue
        if len(head) < form.header:
            head.append(line)
            continue
        if b'"' in line:
            cells = split_line(line.decode("utf-8" if utf16 else form.encoding, "replace"), form.separator)
            name = cells[position].encode() if position < len(cells) else b""
        else:
            parts = line.split(separator, position + 1)
            name = parts[position].strip() if position < len(parts) else b""
        found.setdefault(name, []).append(line)
    top = b"".join(head)
    del lines
    codec = "utf-16" if utf16 else None
    result = []
    for name, own in found.items():
        text = top + b"".join(own)
        result.append((name.decode("utf-8", "replace"), text.decode().encode(codec) if codec else text))
    return [(name, part) for name, part in result if name] or result


def slices_of_columns(body: bytes, form: FileForm, columns: Sequence[int]) -> bytes:
    """Return some columns of a text, cell by cell as they are."""
    rows = (line.split(form.separator) for line in body.decode(form.encoding).splitlines() if line.strip())
    chosen = (form.separator.join(row[at] if at < len(row) else "" for at in columns) for row in rows)
    return ("\n".join(chosen) + "\n").encode(form.encoding)


def slices_of_table(table: pl.DataFrame, column: str) -> list[tuple[str, bytes]]:
    """Return each symbol of a table with its rows as Parquet."""
    parts = table.filter(pl.col(column).is_not_null()).partition_by(column, maintain_order=True)
    return [(str(part[column][0]), _as_parquet(part)) for part in parts]


def _as_parquet(part: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    part.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()
