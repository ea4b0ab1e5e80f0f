"""Read workbooks (.xlsx) as rows of texts, after a check of their decompressed size."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from xml.parsers import expat

import fastexcel

from quantx.errors import RefusedList

_LARGEST = 150_000_000  # bytes of all parts, decompressed; HKEX's list has 17 million
_PARTS = 1000
_ROWS, _COLUMNS, _CELLS = 200_000, 256, 5_000_000
_CELL = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_CHUNK = 1 << 20


def read_workbook(body: bytes, sheet: str | int, where: str) -> list[list[str]]:
    """Return the rows of a sheet, every cell as text and an empty one as ''; raise RefusedList with the problem."""
    _inspect(body, where)
    try:
        book = fastexcel.read_excel(body)
        frame = book.load_sheet(sheet, header_row=None, dtypes="string").to_polars()
    except fastexcel.FastExcelError as error:
        raise RefusedList(f"{where} has no sheet {sheet!r} that can be read; check its sheets' names") from error
    return [[cell or "" for cell in row] for row in frame.iter_rows()]


def _inspect(body: bytes, where: str) -> None:
    """Refuse a file that is not a workbook, or one that would fill the memory: the reader loads a sheet as a whole."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as book:
            parts = book.infolist()
            if "xl/workbook.xml" not in {part.filename for part in parts}:
                raise RefusedList(f"{where} is not a workbook (.xlsx)")
            if len(parts) > _PARTS:
                raise RefusedList(f"{where} has {len(parts):,} parts; a workbook has some dozen")
            left = _LARGEST
            for part in parts:
                left -= _inspect_part(book, part, left, where)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise RefusedList(f"{where} can't be read as a workbook (.xlsx): it is cut, damaged or protected") from error


def _inspect_part(book: zipfile.ZipFile, part: zipfile.ZipInfo, most: int, where: str) -> int:
    """Decompress a part in pieces, whatever size it states, count its rows and cells, and return its bytes."""
    size, sheet = 0, _Extent(where)
    with book.open(part) as stream:
        while piece := stream.read(_CHUNK):
            size += len(piece)
            if size > most:
                raise RefusedList(
                    f"{where} has more than {_LARGEST // 1_000_000} MB decompressed; a list of symbols is smaller"
                )
            if part.filename.endswith((".xml", ".rels")):
                sheet.feed(piece)
    return size


class _Extent:
    """The number of rows and columns of a sheet."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._rows = self._columns = self._in_row = 0
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._element
        self._parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, piece: bytes) -> None:
        """Parse the next piece."""
        try:
            self._parser.Parse(piece, False)
        except expat.ExpatError as error:
            raise RefusedList(f"{self._where} is damaged: a part is not XML") from error

    def _doctype(self, *_: object) -> None:
        raise RefusedList(f"{self._where} declares XML entities, which a workbook never does")

    def _element(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(":")[2]
        if tag == "row":
            self._rows, self._in_row = self._rows + 1, 0
            number = attributes.get("r", "")
            self._reach(int(number) if number.isdecimal() and len(number) < 10 else 0, 0)
        elif tag == "c":
            self._in_row += 1
            place = _CELL.fullmatch(attributes.get("r", ""))
            column = 0
            for letter in place[1] if place else "":
                column = column * 26 + ord(letter) - 64
            self._reach(int(place[2]) if place else 0, max(column, self._in_row))

    def _reach(self, row: int, column: int) -> None:
        self._rows, self._columns = max(self._rows, row), max(self._columns, column)
        if self._rows > _ROWS or self._columns > _COLUMNS or self._rows * self._columns > _CELLS:
            raise RefusedList(
                f"{self._where} has a sheet of {self._rows:,} rows and {self._columns:,} columns; a list of symbols is"
                " smaller"
            )
