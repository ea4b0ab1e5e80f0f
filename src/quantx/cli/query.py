"""The command that reads bars."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
import typer

from quantx.cli.options import AsOf, PublicBy, UseLocal, exits, format_of, reading_settings, split_symbols
from quantx.cli.output import counted, incomplete_data_reported, out, print_table
from quantx.core.prices import ADJUSTMENTS, Adjust
from quantx.errors import ConfigError
from quantx.reader.lake import lake_of
from quantx.reader.provenance import PROVENANCE, Provenance, provenance

_SHOWN = 40  # rows of a table on the terminal
_FORMATS = ("table", "csv", "parquet")


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("query")(exits(query))


def query(
    symbols: Annotated[
        str, typer.Option("--symbols", "--symbol", help="Comma-separated symbols, as in AAPL,BRK.B,0700.HK.")
    ],
    view: Annotated[
        Literal["bars", "latest"], typer.Argument(help="bars: all; latest: the last ones of each symbol.")
    ] = "bars",
    rows: Annotated[
        int | None, typer.Option(min=1, help="Only the last bars of each symbol; with `latest` 1 by default.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="First day.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day, inclusive.")] = None,
    adjust: Annotated[str, typer.Option(help="none: as traded; split; total: splits and dividends.")] = "none",
    as_of: AsOf = None,
    public_by: PublicBy = None,
    snapshot: Annotated[
        str | None, typer.Option(help="Read the tables as a named snapshot has them (`quantx snapshot`).")
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Only this vendor; best: per session the bar that no vendor contradicts.")
    ] = None,
    timeframe: Annotated[str, typer.Option(help="1d: daily bars; 1m: minute bars.")] = "1d",
    currency: Annotated[str | None, typer.Option(help="Prices in this currency, as in USD; see fx_rate.")] = None,
    extended: Annotated[
        bool, typer.Option("--extended", help="Include minute bars outside the regular session.")
    ] = False,
    format: Annotated[  # noqa: A002 — the option's name
        str | None, typer.Option(help="table, csv or parquet; by default as the file's name ends, else table.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    use_local: UseLocal = False,
) -> int:
    """Read OHLCV bars from the lake. No database is needed. The exit code is 1 if no bar was found.

    `quantx query latest --symbol AAPL --rows 10` shows the last ten bars.

    Example: quantx query --symbols AAPL,BRK.B --start 2014-01-01 --adjust total -o bars.csv
    """
    lake = lake_of(reading_settings(use_local))
    if snapshot is not None:
        lake = lake.snapshot(snapshot, create=False)
    adjustment, form, names = _adjustment(adjust), format_of(format, output, _FORMATS), split_symbols(symbols)
    with incomplete_data_reported():
        bars = lake.bars(
            names,
            start,
            end,
            timeframe=timeframe,
            adjust=adjustment,
            as_of=as_of,
            public_by=public_by,
            source=source,
            extended=extended,
            currency=currency,
        )
    found = provenance(bars)
    if view == "latest" or rows is not None:
        bars = bars.group_by("symbol", maintain_order=True).tail(rows or 1)
    _write(bars, form, output, found)
    return 0 if bars.height else 1


def _adjustment(given: str) -> Adjust:
    """Return the adjustment of an option; ConfigError for an unknown one."""
    adjustment = next((a for a in ADJUSTMENTS if a == given), None)
    if adjustment is None:
        raise ConfigError(f"--adjust {given!r} must be one of {', '.join(ADJUSTMENTS)}")
    return adjustment


def _write(bars: pl.DataFrame, form: str, output: Path | None, found: Provenance) -> None:
    if output is None:
        if form == "csv":
            sys.stdout.write(_csv(bars))
        elif bars.height:
            _print_bars(bars)
        return
    try:
        if form == "csv":
            output.write_text(_csv(bars))
        else:
            bars.write_parquet(output, metadata={PROVENANCE: json.dumps(found.as_facts(), default=str)})
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror or error}") from error
    symbols = counted(bars["symbol"].n_unique(), "symbol")
    out.print(f"{counted(bars.height, 'bar')} of {symbols} written to {output}", markup=False)


def _csv(bars: pl.DataFrame) -> str:
    return bars.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")


def _print_bars(bars: pl.DataFrame) -> None:
    rows: list[dict[str, Any]] = bars.drop("known_from").tail(_SHOWN).to_dicts()
    title = counted(bars.height, "bar") + (f", the last {_SHOWN}" if bars.height > _SHOWN else "")
    print_table(title, rows)
