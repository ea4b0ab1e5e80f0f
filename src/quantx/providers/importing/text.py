"""The lines of a text file as cells: encodings, separators, quotes, and lines that are no rows."""

from __future__ import annotations

import codecs
import csv
from dataclasses import dataclass

import polars as pl

from quantx.providers.reply_values import WrongForm

_SEPARATORS = (",", ";", "\t", "|")
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclass(frozen=True)
class Cells:
    """The lines of a text that are not blank: their cells, their numbers (from 1), and whether the text is cut off."""

    cells: pl.Series  # List(String)
    numbers: pl.Series
    ends_in_line: bool  # the last line has no end

    def column(self, position: int) -> pl.Series:
        """Return the cells at a position without blanks and quotes around them, null where there is none."""
        cell = self.cells.list.get(position, null_on_oob=True).str.strip_chars()
        return cell.replace({"": None}) if cell.dtype == pl.String else cell.cast(pl.String)

    def where(self, mask: pl.Series) -> Cells:
        """Return some of the lines."""
        return Cells(self.cells.filter(mask), self.numbers.filter(mask), self.ends_in_line)


def encoding_of(body: bytes) -> str:
    """Return the encoding of a text: by its byte order mark, UTF-8, or Windows-1252 where it is not UTF-8."""
    for mark, name in _BOMS:
        if body.startswith(mark):
            return name
    head = body[:65536]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def decoded(body: bytes, encoding: str) -> str:
    """Return the text; WrongForm where the bytes are none in this encoding."""
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise WrongForm(f"it is no text: byte {error.start:,} is not {encoding}") from None
    if "\0" in text[:4096]:
        raise WrongForm("it is no text but binary data")
    return text


def separator_of(line: str) -> str:
    """Return the separator of a header or row: the one that splits it into most cells."""
    counts = {mark: len(split_line(line, mark)) for mark in _SEPARATORS}
    best = max(counts, key=lambda mark: counts[mark])
    return best if counts[best] > 1 else ","


def split_line(line: str, separator: str) -> list[str]:
    """Return the cells of a line; quotes may surround them."""
    if '"' not in line:
        return [cell.strip() for cell in line.split(separator)]
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]


def lines_of(text: str, most: int | None = None) -> list[str]:
    """Return the lines that are not blank, or the first ones."""
    found = []
    for line in text.splitlines() if most is None else text[: most * 2000].splitlines():
        if line.strip():
            found.append(line)
            if len(found) == most:
                break
    return found


def read_cells(text: str, separator: str) -> Cells:
    """Return the cells of all lines that are not blank."""
    every = (text if "\n" in text else text.replace("\r", "\n")).split("\n")
    ends_in_line = bool(every[-1].strip())
    lines = pl.Series("line", every, dtype=pl.String).str.strip_chars_end("\r")
    frame = pl.DataFrame({"line": lines}).with_row_index("number", offset=1)
    frame = frame.filter(pl.col("line").str.strip_chars().str.len_bytes() > 0)
    cells = frame["line"].str.split(separator)
    quoted = frame["line"].str.contains('"', literal=True)
    if quoted.any():
        parts = [
            split_line(line, separator) if has_quote else None
            for line, has_quote in zip(frame["line"], quoted, strict=True)
        ]
        unquoted = pl.Series(parts, dtype=pl.List(pl.String))
        cells = pl.select(pl.when(quoted).then(unquoted).otherwise(cells)).to_series()
    return Cells(cells, frame["number"], ends_in_line)
