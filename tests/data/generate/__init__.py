"""Makes the sample of market data in tests/data: invented numbers from seeds, in the forms and with the traps of vendors.

`python -m tests.data.generate` writes the files; `tests/data/test_sample.py` checks that they are what this makes.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
from pathlib import Path

from . import daily_dirty, daily_us, minutes, repairs, vendor_wires, yahoo_wire

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
    if path.endswith(".zip"):
        return _zipped(f"{Path(path).stem}.csv", content)
    return content


def _zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def unpacked(path: Path) -> bytes:
    """Return the content of a file: packers of other versions pack the same content otherwise."""
    raw = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(raw)
    if path.suffix == ".gz":
        return gzip.decompress(raw)
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return archive.read(archive.namelist()[0])
    return raw


def write() -> None:
    """Write each file whose content has changed."""
    for name, content in sample().items():
        path = FOLDER / name
        if not path.is_file() or unpacked(path) != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed(name, content))
