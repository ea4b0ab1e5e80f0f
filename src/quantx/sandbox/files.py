"""Loads a folder of daily files: each is recognised by its header, read with polars, and becomes one history."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import structlog

from quantx.errors import ConfigError, InvalidSymbol
from quantx.sandbox.hours import day_of
from quantx.sandbox.implied import implied_dividends
from quantx.sandbox.market import FIELDS, Dividend, Market, SymbolHistory, history, split_of
from quantx.sandbox.minute_files import Days, by_symbol, daily_history, read_minutes
from quantx.sandbox.recorded import Recordings, canonical_symbol, read_recording

log = structlog.get_logger()

_NAME = re.compile(r"(?P<symbol>.+?)(_daily)?\.csv(\.gz|\.xz)?")
_OPENERS: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.decompress, ".xz": lzma.decompress}
_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    pl.exceptions.PolarsError,
)
_ROW = re.compile(r"\d{4}-\d{2}-\d{2}[ ,]")
_NULLS = ["", "null", "NaN", "nan"]


@dataclass(frozen=True)
class Layout:
    """One form of daily files: its header and where our fields are in it."""

    name: str
    header: str
    columns: tuple[str, ...]  # "" for a column that is not read

    @property
    def commas(self) -> int:
        """How many commas a whole row has."""
        return len(self.columns) - 1


_BARS = ("date", *FIELDS)
QUANDL = Layout(
    "quandl",
    "Date,Open,High,Low,Close,Volume,ExDividend,SplitRatio,Adj",
    (*_BARS, "dividend", "ratio", "", "", "", "", ""),
)
YAHOO = Layout("yahoo", "Date,Open,High,Low,Close,Adj Close,Volume", (*_BARS[:5], "adjclose", "volume"))
YFINANCE = Layout("yfinance", "Price,Close,High,Low,Open,Volume", ("date", "close", "high", "low", "open", "volume"))
TOKYO = Layout("tokyo", "timestamp,open,high,low,close,volume", _BARS)
ALPHAVANTAGE = Layout("alphavantage", "datetime,open,high,low,close,volume", _BARS)
_LAYOUTS = (QUANDL, YAHOO, YFINANCE, TOKYO, ALPHAVANTAGE)


def load_folder(folder: Path) -> Market:
    """Return the market in a folder and its subfolders, or raise ConfigError where nothing in it can be served.

    Files that cannot be read are skipped with a warning; of two files for one symbol the first by path is served.
    """
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; name a folder of daily files or of recorded Yahoo replies")
    histories: dict[str, SymbolHistory] = {}
    recordings = []
    minutes: Days = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with _skipping(path):
            if path.name.endswith((".json", ".json.gz")):
                recording = read_recording(path)
                recordings += [recording] if recording is not None else []
            elif found := read_minutes(path):
                minutes |= found
            elif match := _NAME.fullmatch(path.name):
                known = _read_history(path, match["symbol"])
                if histories.setdefault(known.symbol, known) is not known:
                    log.warning("sandbox.file_skipped", path=str(path), reason="another file has the symbol")
    for symbol, days in by_symbol(minutes.items()).items():
        if symbol not in histories:
            histories[symbol] = daily_history(symbol, days)
    if not histories and not recordings:
        raise ConfigError(
            f"{folder} has no file that the sandbox can serve; it reads daily CSV files named by symbol "
            "(as-traded with events, Yahoo, yfinance), minutes (QuantConnect, Alpha Vantage) and recorded chart "
            "replies (JSON)"
        )
    log.info(
        "sandbox.loaded",
        folder=str(folder),
        symbols=len(histories),
        recordings=len(recordings),
        days_of_minutes=len(minutes),
    )
    kind = "files" if histories else "recorded"
    return Market(kind, histories, Recordings(recordings) if recordings else None, minutes)


def _read_history(path: Path, name: str) -> SymbolHistory:
    symbol = canonical_symbol(name)
    raw = _OPENERS.get(path.suffix, bytes)(path.read_bytes())
    return read_daily(symbol, raw.decode("utf-8", errors="replace"))


@contextlib.contextmanager
def _skipping(path: Path) -> Iterator[None]:
    """Leave a file out that can't be read, with a line in the log."""
    try:
        yield
    except InvalidSymbol:
        log.debug("sandbox.file_skipped", path=str(path), reason="not named by a symbol")
    except _BROKEN as error:
        log.warning("sandbox.file_skipped", path=str(path), reason=str(error)[:200])


def read_daily(symbol: str, text: str) -> SymbolHistory:
    """Return the history in the text of a daily file, or raise ValueError where it has no row that can be read.

    Lines that are no rows (error pages that a download job wrote into its files) are left out and counted in the log.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    layout = _layout_of(lines)
    rows = [line for line in lines if _ROW.match(line) and line.count(",") == layout.commas]
    if not rows:
        raise ValueError(f"no daily rows in a form that is known ({', '.join(known.name for known in _LAYOUTS)})")
    headers = 3 if layout is YFINANCE else 1
    if len(lines) - len(rows) > headers:
        log.warning("sandbox.lines_skipped", symbol=symbol, lines=len(lines) - len(rows) - headers)
    return _history(symbol, layout, _parse(layout, rows))


def _layout_of(lines: list[str]) -> Layout:
    for line in lines:
        for layout in _LAYOUTS:
            if line.startswith(layout.header):
                return layout
    return YAHOO  # an append job's file may begin with an error page where the header should be


def _parse(layout: Layout, rows: list[str]) -> pl.DataFrame:
    names = [name or f"unused_{i}" for i, name in enumerate(layout.columns)]
    frame = pl.read_csv(
        "\n".join(rows).encode(),
        has_header=False,
        new_columns=names,
        schema=dict.fromkeys(names, pl.String),
        null_values=_NULLS,
    )
    numbers = [name for name in layout.columns if name not in ("", "date", "ratio")]
    return frame.with_columns(
        pl.col("date").str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False),
        pl.col(numbers).cast(pl.Float64, strict=False),
    ).filter(pl.col("date").is_not_null())


def _history(symbol: str, layout: Layout, frame: pl.DataFrame) -> SymbolHistory:
    frame = frame.sort("date", maintain_order=True)
    days = frame["date"].to_physical().cast(pl.Int64).to_numpy()
    columns = {name: _floats(frame, name) for name in FIELDS}
    facts: dict[str, Any] = {}
    if layout is QUANDL:
        dates = frame["date"].to_list()
        ratios = enumerate(frame["ratio"].to_list())
        splits = (split_of(dates[i], ratio) for i, ratio in ratios if ratio not in (None, "1.0"))
        facts["splits"] = tuple(split for split in splits if split is not None)
        paid = _floats(frame, "dividend")
        facts["dividends"] = tuple(Dividend(dates[i], float(paid[i])) for i in np.flatnonzero(paid > 0).tolist())
    elif layout is YAHOO:
        adjclose = _floats(frame, "adjclose")
        implied = implied_dividends(days, columns["close"], adjclose)
        facts["dividends"] = implied.dividends
        if not implied.explained:
            log.info("sandbox.adjclose_kept", symbol=symbol, last=str(day_of(int(days[-1]))))
            facts["adjclose"] = adjclose
    return history(symbol, days, columns, **facts)


def _floats(frame: pl.DataFrame, name: str) -> Any:
    return frame[name].fill_null(float("nan")).to_numpy().astype(np.float64)
