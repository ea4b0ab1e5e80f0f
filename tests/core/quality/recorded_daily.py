"""Recorded daily files as frames: symbol, date, close, vendor_adj_close, volume, and the events beside them."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterable
from pathlib import Path

import polars as pl

BARS = {
    "symbol": pl.String,
    "date": pl.Date,
    "close": pl.Float64,
    "vendor_adj_close": pl.Float64,
    "volume": pl.Float64,
}
ACTIONS = {"symbol": pl.String, "ex_date": pl.Date, "kind": pl.String, "value": pl.Float64}


def _read(
    path: Path, names: dict[str, str], splits: str = "", dividends: str = ""
) -> tuple[pl.DataFrame, pl.DataFrame]:
    content = path.read_bytes()
    if path.suffix in (".gz", ".xz"):
        content = (gzip if path.suffix == ".gz" else lzma).decompress(content)
    raw = pl.read_csv(content, infer_schema_length=None, null_values=["null", ""])
    symbol = pl.lit(path.name.partition(".csv")[0]).alias("symbol")
    columns = [pl.col(name).cast(pl.Float64).alias(column) for name, column in names.items()]
    day = pl.col(raw.columns[0]).str.slice(0, 10).str.to_date().alias("date")
    events = [pl.col(c).cast(pl.Float64).alias(k) for c, k in ((splits, "split"), (dividends, "dividend")) if c]
    rows = raw.select(symbol, day, *columns, *events).sort("date", maintain_order=True)
    no_event = {"split": (0.0, 1.0), "dividend": (0.0,)}
    actions = [
        rows.filter(~pl.col(kind).is_in(no_event[kind])).select(
            "symbol", pl.col("date").alias("ex_date"), pl.lit(kind).alias("kind"), pl.col(kind).alias("value")
        )
        for kind in ("split", "dividend")
        if kind in rows.columns
    ]
    return rows.select(list(BARS)), pl.concat([pl.DataFrame(schema=ACTIONS), *actions])


_YAHOO = {"Close": "close", "Adj Close": "vendor_adj_close", "Volume": "volume"}


def repair_file(folder: Path, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return bars and actions of a file of `known_answers/yfinance_price_repair`, which is divided by splits."""
    (path,) = (folder / "known_answers" / "yfinance_price_repair").glob(f"{name}.csv*")
    return _read(path, _YAHOO, "Stock Splits", "Dividends")


def wiki_files(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return bars and actions of all files of Quandl WIKI: as traded."""
    names = {"Close": "close", "AdjClose": "vendor_adj_close", "Volume": "volume"}
    paths = sorted((folder / "daily_us_unadjusted_with_events_quandl_wiki").glob("*.csv.xz"))
    return _all(_read(path, names, "SplitRatio", "ExDividend") for path in paths)


def yahoo_files(folder: Path) -> pl.DataFrame:
    """Return bars of the files of S&P 500 members from Yahoo: divided by splits, without events."""
    paths = sorted((folder / "daily_us_yahoo_csv" / "sp500").glob("*.csv.xz"))
    return _all(_read(path, _YAHOO) for path in paths)[0]


def _all(files: Iterable[tuple[pl.DataFrame, pl.DataFrame]]) -> tuple[pl.DataFrame, pl.DataFrame]:
    bars, actions = zip(*files, strict=True)
    return pl.concat(bars), pl.concat(actions)
