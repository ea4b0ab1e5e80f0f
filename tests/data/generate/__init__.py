"""Make the sample of market data in tests/data: invented numbers from seeds, in the forms of vendors, with traps.

`python -m tests.data.generate` writes the files; `tests/data/test_sample.py` checks that they are what this makes.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
from pathlib import Path

from . import calendars, daily_dirty, daily_us, lists, members, minutes, repairs, vendor_wires, yahoo_wire

FOLDER = Path(__file__).parents[1]


def sample() -> dict[str, bytes]:
    """Return the content of each file by its path below tests/data; what is packed in the file is unpacked here."""
    folders = {
        "wire_yahoo": yahoo_wire.files(),
        "wire_alpaca/marketdata": vendor_wires.alpaca(),
        "wire_alphavantage": vendor_wires.alpha_vantage(),
        "wire_fmp": vendor_wires.fmp(),
        "daily_us_stooq_download_csv": vendor_wires.stooq(),
        "daily_us_unadjusted_with_events_quandl_wiki": daily_us.quandl(),
        "daily_us_yahoo_csv/sp500": daily_us.yahoo(),
        "daily_us_yahoo_csv/anomalous_small_caps": daily_dirty.small_caps(),
        "daily_us_yahoo_append_job_dirty": daily_dirty.append_job(),
        "daily_hk_yfinance_download_csv": daily_dirty.hong_kong(),
        "daily_jp_yfinance": daily_dirty.tokyo(),
        "daily_us_stooq_bulk_txt": daily_us.stooq(),
        "known_answers/yfinance_price_repair": repairs.files(),
        "known_answers/exchange_calendars": calendars.files(),
        "known_answers/lean_map_files": lists.map_files(),
        "symbols_nasdaqtrader": lists.nasdaq_trader(),
        "symbols_hkex": lists.hkex(),
        "wire_sec_edgar": lists.sec(),
        "constituents": {**lists.indices(), **members.page()},
        "constituents/ishares_ivv_holdings": members.holdings(),
        "known_answers/lean_factor_files": daily_us.lean_factors(),
        "minute_us_lean": minutes.lean(),
        "minute_us_alphavantage_2019-02": minutes.alpha_vantage(),
    }
    return {f"{folder}/{name}": content for folder, files in folders.items() for name, content in files.items()}


def packed(path: str, content: bytes) -> bytes:
    """Return what the file holds: packed as its name says."""
    if path.endswith(".xz"):
        return lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)
    if path.endswith(".gz"):
        return gzip.compress(content, mtime=0)
    if path.endswith(".xlsx"):
        return _workbook(content)
    if path.endswith(".zip"):
        return _zipped({f"{Path(path).stem}.csv": content})
    return content


def _zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


_OFFICE = "http://schemas.openxmlformats.org"
_PARTS = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def _workbook(sheet: bytes) -> bytes:
    """Return a workbook of one sheet; the sheet is its last part."""
    kind = f"{_OFFICE}/officeDocument/2006/relationships"

    def relation(name: str, target: str) -> bytes:
        one = f'<Relationship Id="rId1" Type="{kind}/{name}" Target="{target}"/>'
        return f'<Relationships xmlns="{_OFFICE}/package/2006/relationships">{one}</Relationships>'.encode()

    types = (
        f'<Types xmlns="{_OFFICE}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_PARTS}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_PARTS}.worksheet+xml"/></Types>'
    )
    book = (
        f'<workbook xmlns="{_OFFICE}/spreadsheetml/2006/main" xmlns:r="{kind}">'
        '<sheets><sheet name="ListOfSecurities" sheetId="1" r:id="rId1"/></sheets></workbook>'
    )
    return _zipped(
        {
            "[Content_Types].xml": types.encode(),
            "_rels/.rels": relation("officeDocument", "xl/workbook.xml"),
            "xl/workbook.xml": book.encode(),
            "xl/_rels/workbook.xml.rels": relation("worksheet", "worksheets/sheet1.xml"),
            "xl/worksheets/sheet1.xml": sheet,
        }
    )


def unpacked(path: Path) -> bytes:
    """Return the content of a file: packers of other versions pack the same content otherwise."""
    raw = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(raw)
    if path.suffix == ".gz":
        return gzip.decompress(raw)
    if path.suffix in (".zip", ".xlsx"):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return archive.read(archive.namelist()[-1])
    return raw


def write() -> None:
    """Write each file whose content has changed."""
    for name, content in sample().items():
        path = FOLDER / name
        if not path.is_file() or unpacked(path) != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed(name, content))
