"""Workbooks: what a sheet says, and what is refused before it is opened."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import xlsxwriter

from quantx.errors import ConfigError, RefusedList
from quantx.universes.declaration import UniverseSpec
from quantx.universes.protocol import Document
from quantx.universes.sources import parse_members
from quantx.universes.workbook import read_workbook

from ..market_data import either

Rows = list[list[object]]
HEADER = ["Stock Code", "Name of Securities", "Category", "Board Lot"]
HKEX = UniverseSpec(name="hk", market="hk", type="hkex")


def workbook(rows: Rows, sheet: str = "Sheet1") -> bytes:
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        page = book.add_worksheet(sheet)
        for r, row in enumerate(rows):
            for c, value in enumerate(row):
                page.write(r, c, value)
    return buffer.getvalue()


def with_part(body: bytes, name: str, content: bytes) -> bytes:
    """The workbook with one part replaced or added."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(body)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.namelist():
            if part != name:
                new.writestr(part, old.read(part))
        new.writestr(name, content)
    return buffer.getvalue()


def test_a_sheet_is_read_as_texts_also_below_a_title() -> None:
    body = workbook(
        [["List of members"], [], ["Code", "Name", "Group"], [7203, "Toyota", "A"], ["9984", "SoftBank", "B"]]
    )
    spec = UniverseSpec(
        name="jp", market="jp", type="excel", path=Path("x.xlsx"), symbol_column="Code", name_column="Name",
        symbol_suffix=".T", only={"Group": ("A", "B")},
    )  # fmt: skip
    members, _ = parse_members(spec, Document("x.xlsx", body))
    assert members.select("symbol", "market", "name").rows() == [
        ("7203.T", "jp", "Toyota"),
        ("9984.T", "jp", "SoftBank"),
    ]
    one, listing = parse_members(spec.model_copy(update={"only": {"Group": ("B",)}}), Document("x.xlsx", body))
    assert (one["symbol"].to_list(), listing.left_out) == (["9984.T"], 1)
    with pytest.raises(ConfigError, match="no sheet 'Other' that can be read"):
        parse_members(spec.model_copy(update={"sheet": "Other"}), Document("x.xlsx", body))


def test_the_list_of_the_exchange_of_hong_kong_is_read_to_its_last_share(market_data: Path) -> None:
    body = (market_data / "symbols_hkex" / "2021-12_ListOfSecurities.xlsx").read_bytes()
    members, listing = parse_members(HKEX, Document("ListOfSecurities.xlsx", body))
    assert (members.height, listing.left_out) == either((2594, 19008 - 2594), (41, 60))
    assert members.filter(members["symbol"] == "0700.HK")["name"].to_list() == [either("TENCENT", "INVENTED 700")]
    assert {"0001.HK", "0005.HK"} <= set(members["symbol"])


SHEET = "xl/worksheets/sheet1.xml"
OPEN, SHUT = (
    b"<worksheet xmlns='http://schemas.openxmlformats.org/spreadsheetml/2006/main'><sheetData>",
    b"</sheetData></worksheet>",
)
GOOD = workbook([HEADER, ["00700", "TENCENT", "Equity", "100"]])


def sheet(rows: bytes) -> Callable[[], bytes]:
    return lambda: with_part(GOOD, SHEET, OPEN + rows + SHUT)


BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (lambda: b"", "as a workbook"),
    "a page": (lambda: b"<!DOCTYPE html><html>Not found</html>", "as a workbook"),
    "another archive": (lambda: with_part(GOOD, "x", b"")[:0] or _zip({"a.txt": b"x"}), r"not a workbook \(\.xlsx\)"),
    "half of it": (lambda: GOOD[: len(GOOD) // 2], "as a workbook"),
    "only the header": (lambda: workbook([HEADER]), "has no members"),
    "a renamed header": (
        lambda: workbook([["Code", *HEADER[1:]], ["00700", "T", "Equity", ""]]),
        "no column 'Stock Code'",
    ),
    "a header twice": (lambda: workbook([[*HEADER, "Category"], ["00700", "T", "Equity", "", ""]]), "'Category' twice"),
    "no share": (lambda: workbook([HEADER, ["10001", "W", "Warrants", ""]]), "has no members"),
    "a code in words": (lambda: workbook([HEADER, ["TENCENT", "T", "Equity", ""]]), "which is not a code of Hong Kong"),
    "a share twice": (
        lambda: workbook([HEADER, ["00700", "T", "Equity", ""], ["700", "T", "Equity", ""]]),
        "has 0700.HK twice",
    ),
    "a bomb": (lambda: with_part(GOOD, "xl/media/big.bin", bytes(160_000_000)), "has more than 150 MB decompressed"),
    "a million empty rows": (sheet(b"<row/>" * 1_000_000), "a list of symbols is smaller"),
    "one cell very far down": (
        sheet(b'<row r="1048576"><c r="A1048576"><v>1</v></c></row>'),
        "a list of symbols is",
    ),
    "one cell very far right": (sheet(b'<row r="1"><c r="XFD1"><v>1</v></c></row>'), "a list of symbols is smaller"),
    "a wide and long sheet": (sheet(b'<row r="1"><c r="IV1"/></row><row r="190000"/>'), "a list of symbols is smaller"),
    "entities": (
        lambda: with_part(GOOD, SHEET, b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + OPEN + b"&b;" + SHUT),
        "declares XML entities",
    ),
    "no XML": (lambda: with_part(GOOD, SHEET, b"<<<"), "is damaged"),
    "very many parts": (lambda: _zip({"xl/workbook.xml": b"", **{f"p{i}": b"" for i in range(1001)}}), "1,002 parts"),
}  # fmt: skip


def _zip(parts: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize(("body", "message"), BAD.values(), ids=BAD)
def test_what_is_no_sensible_list_is_refused(body: Callable[[], bytes], message: str) -> None:
    with pytest.raises(RefusedList, match=message):
        parse_members(HKEX, Document("ListOfSecurities.xlsx", body()))


def test_a_part_is_measured_by_what_it_unpacks_to_and_not_by_what_it_says() -> None:
    body = with_part(GOOD, "xl/media/big.bin", bytes(160_000_000))
    size = (160_000_000).to_bytes(4, "little")
    assert size in body
    with pytest.raises(RefusedList, match=r"can't be read as a workbook|has more"):
        read_workbook(body.replace(size, (10).to_bytes(4, "little")), 0, "lying.xlsx")
