"""The layouts of exports as declared data: paths, columns, formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

import polars as pl

from quantx.core.file_names import file_name, partition_value
from quantx.core.symbols import venue_of

Encoding = Literal["parquet", "json", "csv"]
TIMEFRAMES = ("1d", "1m")
_NUMBERED = {"hk": ".HK", "jp": ".T"}  # the markets of one exchange: its code alone is the ticker


@dataclass(frozen=True)
class ExportColumn:
    """A column of an exported file."""

    name: str
    value: pl.Expr = field(repr=False)  # of the columns of `Lake.bars`
    meaning: str
    dtype: str  # as in a Parquet file


@dataclass(frozen=True)
class BarFiles:
    """The files of one timeframe's bars: where they lie, and what they hold."""

    path: str  # with {symbol}, {source}, {year} and so on
    encoding: Encoding
    columns: tuple[ExportColumn, ...]
    _: KW_ONLY
    periods: tuple[str, ...] = ()  # a file per symbol and: year, month, day

    @property
    def by_source(self) -> bool:
        """Return whether each vendor has files of its own."""
        return "{source}" in self.path

    def table(self, bars: pl.DataFrame) -> pl.DataFrame:
        """Return the columns of the files for bars of `Lake.bars`."""
        return bars.select(column.value.alias(column.name) for column in self.columns)

    def slices(self, bars: pl.DataFrame) -> Iterator[tuple[str, str, int, int]]:
        """Yield symbol, path, offset and length of each file; `bars` are sorted by symbol and date."""
        keys = bars.select("symbol", "source", *(getattr(pl.col("date").dt, p)().alias(p) for p in self.periods))
        parts = ("symbol", *self.periods)
        changes = pl.any_horizontal(pl.col(p) != pl.col(p).shift() for p in parts).fill_null(True)
        starts = keys.with_row_index("at").filter(changes)
        for row, end in zip(starts.iter_rows(named=True), [*starts["at"].to_list()[1:], bars.height], strict=True):
            values = {p: row[p] for p in self.periods}
            yield row["symbol"], self._path(row["symbol"], row["source"], values), row["at"], end - row["at"]

    def _path(self, symbol: str, source: str, periods: Mapping[str, int]) -> str:
        exchange, ticker = exchange_and_ticker(symbol)
        return self.path.format(
            symbol=partition_value(symbol),
            name=file_name(symbol),
            source=partition_value(source),
            exchange=exchange,
            ticker=partition_value(ticker),
            **periods,
        )


@dataclass(frozen=True)
class ExportLayout:
    """A layout of exported files, by the name that users give."""

    name: str
    purpose: str
    bars: Mapping[str, BarFiles]  # by timeframe
    _: KW_ONLY
    reference: bool = False  # also actions and reference data
    default: tuple[str, ...] = ("1d",)  # timeframes without --timeframe


def exchange_and_ticker(symbol: str) -> tuple[str, str]:
    """Return the market and the ticker of a symbol, as `hive-ticker` writes them.

    >>> exchange_and_ticker("AAPL"), exchange_and_ticker("0700.HK"), exchange_and_ticker("ASML.AS")
    (('us', 'AAPL'), ('hk', '0700'), ('eu', 'ASML.AS'))
    """
    market = venue_of(symbol).market
    return market, symbol.removesuffix(_NUMBERED.get(market, ""))


def symbol_of(exchange: str, ticker: str) -> str:
    """Return the symbol of an exchange and a ticker of `hive-ticker`.

    >>> symbol_of("hk", "0700"), symbol_of("us", "BRK.B"), symbol_of("hk", "^HSI")
    ('0700.HK', 'BRK.B', '^HSI')
    """
    return ticker if ticker.startswith("^") else f"{ticker}{_NUMBERED.get(exchange, '')}"


_SESSION = "session of the exchange"
_MINUTE = "start of the minute, UTC"
_PRICE = "price per share in the quoted currency, with the adjustment of the export (default none: as traded)"
_VOLUME = "shares, with the splits of the export's adjustment"
_ADJUSTED = "close adjusted for splits and dividends, whatever the adjustment of the export"
_INGESTED = "ingestion time: when the system learned the bar, UTC"
_VENDOR = "the vendor of the bar"
_UTC = "timestamp (UTC)"


def _renamed(stored: str, name: str, meaning: str, dtype: str) -> ExportColumn:
    return ExportColumn(name, pl.col(stored), meaning, dtype)


def _prices(*names: str) -> tuple[ExportColumn, ...]:
    stored = ("open", "high", "low", "close")
    return tuple(_renamed(s, n, f"{s}: {_PRICE}", "double") for s, n in zip(stored, names, strict=True))


def _of_symbol(fact: Callable[[str], str]) -> pl.Expr:
    """Return a fact of each row's symbol, computed once per symbol."""

    def facts(symbols: pl.Series) -> pl.Series:
        distinct = symbols.unique()
        return symbols.replace_strict(distinct, [fact(symbol) for symbol in distinct], return_dtype=pl.String)

    return pl.col("symbol").map_batches(facts, pl.String)


_SYMBOL = _renamed("symbol", "symbol", "canonical symbol, as in AAPL, BRK.B, 0700.HK", "string")
_DATE = _renamed("date", "date", _SESSION, "date")
_LOWER = _prices("open", "high", "low", "close")
_LOWER_VOLUME = _renamed("volume", "volume", _VOLUME, "int64")
_SOURCE = _renamed("source", "source", _VENDOR, "string")
_TIMESTAMP = _renamed("time", "timestamp", _MINUTE, _UTC)

_TICKER = (
    *_prices("Open", "High", "Low", "Close"),
    _renamed("adj_close", "Adj Close", _ADJUSTED, "double"),
    _renamed("volume", "Volume", _VOLUME, "int64"),
    ExportColumn(
        "Ticker",
        _of_symbol(lambda symbol: exchange_and_ticker(symbol)[1]),
        "the ticker of the path: the symbol, without .HK and .T",
        "string",
    ),
    ExportColumn(
        "Exchange",
        _of_symbol(lambda symbol: exchange_and_ticker(symbol)[0]),
        "the exchange of the path: us, hk, jp, eu, fx, crypto or futures",
        "string",
    ),
)
_SYMBOL_SOURCE = (
    *_LOWER,
    _renamed("adj_close", "adjusted_close", _ADJUSTED, "double"),
    _LOWER_VOLUME,
    _SOURCE,
    _renamed("known_from", "ingested_at", _INGESTED, _UTC),
)
_OWN = (
    *_LOWER,
    _LOWER_VOLUME,
    _renamed("adj_close", "adj_close", _ADJUSTED, "double"),
    _SOURCE,
    _renamed("known_from", "known_from", _INGESTED, _UTC),
)
_TIME = _renamed("time", "time", _MINUTE, _UTC)

LAYOUTS: Mapping[str, ExportLayout] = {
    layout.name: layout
    for layout in (
        ExportLayout(
            "hive-ticker",
            "scripts in the style of pandas and yfinance: a folder per exchange, ticker and year",
            {
                "1d": BarFiles(
                    "exchange={exchange}/ticker={ticker}/year={year}/data.parquet",
                    "parquet",
                    (ExportColumn("Date", pl.col("date").cast(pl.Datetime("us")), _SESSION, "timestamp"), *_TICKER),
                    periods=("year",),
                ),
                "1m": BarFiles(
                    "exchange={exchange}/ticker={ticker}/year={year}/data.parquet",
                    "parquet",
                    (_renamed("time", "Datetime", _MINUTE, _UTC), *_TICKER),
                    periods=("year",),
                ),
            },
        ),
        ExportLayout(
            "hive-symbol-source",
            "all vendors side by side: a folder per symbol, vendor and year. Each vendor has its own bars, adjusted"
            " with its own splits and dividends",
            {
                "1d": BarFiles(
                    "symbol={symbol}/source={source}/year={year}/data.parquet",
                    "parquet",
                    (_DATE, *_SYMBOL_SOURCE),
                    periods=("year",),
                ),
                "1m": BarFiles(
                    "symbol={symbol}/source={source}/year={year}/data.parquet",
                    "parquet",
                    (_DATE, _TIMESTAMP, *_SYMBOL_SOURCE),
                    periods=("year",),
                ),
            },
        ),
        ExportLayout(
            "flat-json",
            "programs that read JSON: daily bars and actions as JSON, minutes as Parquet, with reference data. Actions"
            " are not limited by `--start` and `--end`: prices in the window need the later ones",
            {
                "1d": BarFiles(
                    "ticks/daily/{name}/{year}/ticks.json", "json", (_SYMBOL, _DATE, *_SYMBOL_SOURCE), periods=("year",)
                ),
                "1m": BarFiles(
                    "ticks/minute/{name}/{year}/{month:02d}/{day:02d}/ticks.parquet",
                    "parquet",
                    (_SYMBOL, _DATE, _TIMESTAMP, *_SYMBOL_SOURCE),
                    periods=("year", "month", "day"),
                ),
            },
            reference=True,
            default=TIMEFRAMES,
        ),
        ExportLayout(
            "hive-day",
            "engines that prune by day: a folder per symbol and day",
            {
                timeframe: BarFiles(
                    "symbol={symbol}/year={year}/month={month}/day={day}/data.parquet",
                    "parquet",
                    columns,
                    periods=("year", "month", "day"),
                )
                for timeframe, columns in (("1d", (_DATE, *_OWN)), ("1m", (_DATE, _TIME, *_OWN)))
            },
        ),
        ExportLayout(
            "csv",
            "spreadsheets: a file per symbol (minutes: per symbol and year)",
            {
                "1d": BarFiles("{name}.csv", "csv", (_SYMBOL, _DATE, *_OWN)),
                "1m": BarFiles("{name}/{year}.csv", "csv", (_SYMBOL, _DATE, _TIME, *_OWN), periods=("year",)),
            },
        ),
    )
}
