"""Read daily files of vendors and download jobs; the header identifies the layout."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

import polars as pl

Basis = Literal["as_traded", "split_adjusted", "fully_adjusted"]

_FIELDS = ("open", "high", "low", "close", "volume")
_ROW = re.compile(r"\d{4}-?\d{2}-?\d{2}[ ,T]|[A-Z0-9.^-]+,D,\d{8},")
_NULLS = ["", "null", "NaN", "nan"]
_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_FRAME = {
    "time": pl.String,
    "date": pl.Date,
    **dict.fromkeys((*_FIELDS, "adj_close", "dividend", "split"), pl.Float64),
}
# The names of the columns, in lower case and without brackets; other columns are ignored.
_NAMES = {
    "time": ("date", "datetime", "timestamp", "data", "price"),  # yfinance writes `Price` over its dates
    "open": ("open", "otwarcie"),
    "high": ("high", "najwyzszy"),
    "low": ("low", "najnizszy"),
    "close": ("close", "zamkniecie"),
    "volume": ("volume", "wolumen", "vol"),
    "adj_close": ("adj close", "adjclose"),
    "dividend": ("dividends", "exdividend"),
    "split": ("stock splits", "splitratio"),
}
_FIELD_OF = {name: field for field, names in _NAMES.items() for name in names}


@dataclass(frozen=True)
class Layout:
    """A layout of daily files, identified by the beginning of its header."""

    name: str
    header: str
    basis: Basis  # of open, high, low and close
    headers: int = 1  # number of header lines


QUANDL = Layout("quandl", "Date,Open,High,Low,Close,Volume,ExDividend,SplitRatio", "as_traded")
YAHOO_EVENTS = Layout("yahoo_events", "Date,Open,High,Low,Close,Adj Close,Volume,Dividends", "split_adjusted")
YAHOO_TIMES = Layout("yahoo_times", "Datetime,Open,High,Low,Close,Adj Close,Volume", "split_adjusted")
YAHOO = Layout("yahoo", "Date,Open,High,Low,Close,Adj Close,Volume", "split_adjusted")
YFINANCE = Layout("yfinance", "Price,Close,High,Low,Open,Volume", "fully_adjusted", headers=3)
TOKYO = Layout("tokyo", "timestamp,open,high,low,close,volume", "fully_adjusted")
ALPHAVANTAGE = Layout("alphavantage", "datetime,open,high,low,close,volume", "as_traded")
STOOQ = Layout("stooq", "Date,Open,High,Low,Close,Volume", "fully_adjusted")
STOOQ_POLISH = Layout("stooq_polish", "Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen", "fully_adjusted")
STOOQ_BULK = Layout("stooq_bulk", "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>", "fully_adjusted")
# Of two headers with the same beginning, the longer one comes first.
LAYOUTS = (
    QUANDL,
    YAHOO_EVENTS,
    YAHOO_TIMES,
    YAHOO,
    YFINANCE,
    TOKYO,
    ALPHAVANTAGE,
    STOOQ,
    STOOQ_POLISH,
    STOOQ_BULK,
)


@dataclass(frozen=True)
class DailyFile:
    """The rows of a file, in its order, and its other lines.

    `rows` has time (as written), date, open, high, low, close, volume, adj_close, dividend, split; nulls stay.
    """

    layout: Layout
    rows: pl.DataFrame
    strange: tuple[str, ...]  # lines that are neither header nor row: error pages that a job wrote into its file

    @property
    def is_daily(self) -> bool:
        """Return whether the rows are daily (a few days may be there twice), not hours or minutes."""
        return self.rows.height < 1.5 * self.rows["date"].n_unique()


def read_daily_file(text: str) -> DailyFile:
    """Read the text of a daily file; raise ValueError if no line of it is a row in a known layout."""
    lines = [line for line in text.splitlines() if line.strip()]
    layout, at = _layout_of(lines)
    header = YAHOO.header if at is None else lines[at]
    names = [_FIELD_OF.get(name.strip("<>").lower(), "") for name in header.split(",")]
    # Stooq omits the volume of a row where it is unknown.
    whole = (len(names) - 1, len(names) - 2) if layout.name.startswith("stooq") else (len(names) - 1,)
    is_row = [_ROW.match(line) is not None and line.count(",") in whole for line in lines]
    rows = [line for line, row in zip(lines, is_row, strict=True) if row]
    if not rows:
        begins = f"; it begins with {lines[0][:60]!r}" if lines else "; it is empty"
        raise ValueError(f"no daily rows in a known layout ({', '.join(known.name for known in LAYOUTS)}){begins}")
    headers = () if at is None else range(at, at + layout.headers)
    strange = tuple(lines[i] for i, row in enumerate(is_row) if not row and i not in headers)
    return DailyFile(layout, _parse(names, rows), strange)


def _layout_of(lines: list[str]) -> tuple[Layout, int | None]:
    """Return the layout of a file, and the line on which its header begins."""
    for at, line in enumerate(lines):
        for layout in LAYOUTS:
            if line.startswith(layout.header):
                return layout, at
    return YAHOO, None  # an append job's file may begin with an error page where the header should be


def _parse(fields: list[str], rows: list[str]) -> pl.DataFrame:
    names = [field or f"unread_{i}" for i, field in enumerate(fields)]
    padded = [row + "," * (len(names) - 1 - row.count(",")) for row in rows]
    frame = pl.read_csv(
        "\n".join(padded).encode(),
        has_header=False,
        new_columns=names,
        schema=dict.fromkeys(names, pl.String),
        null_values=_NULLS,
    )
    day = pl.col("time").str.replace(_DAY.pattern, "$1-$2-$3").str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    frame = frame.with_columns(date=day).filter(pl.col("date").is_not_null())
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in _FRAME.items() if name not in frame.columns]
    return frame.with_columns(missing).select(pl.col(name).cast(kind, strict=False) for name, kind in _FRAME.items())
