"""The command that reads bars."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
import typer

from quantx.cli.options import UseLocal, exits, reading_settings, split_symbols
from quantx.cli.output import counted, err, print_table
from quantx.core.prices import ADJUSTMENTS
from quantx.errors import ConfigError
from quantx.lake.store import open_location
from quantx.reader.lake import Lake

_SHOWN = 40  # rows of a table on the terminal


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
    as_of: Annotated[
        str | None,
        typer.Option(help="Point-in-time read, as known then: a date, or an instant as in 2024-01-31T15:30:00Z."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Only this vendor; best: per session the bar that no vendor contradicts.")
    ] = None,
    timeframe: Annotated[str, typer.Option(help="1d: daily bars; 1m: minute bars.")] = "1d",
    extended: Annotated[
        bool, typer.Option("--extended", help="Include minute bars outside the regular session.")
    ] = False,
    format: Annotated[str, typer.Option(help="table, csv or parquet.")] = "table",  # noqa: A002 — the option's name
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    use_local: UseLocal = False,
) -> int:
    """Read OHLCV bars from the lake. No database is needed.

    `quantx query latest --symbol AAPL --rows 10` shows the last ten bars.

    Example: quantx query --symbols AAPL,BRK.B --start 2014-01-01 --adjust total --format csv -o bars.csv
    """
    settings = reading_settings(use_local)
    adjustment = next((a for a in ADJUSTMENTS if a == adjust), None)
    if adjustment is None:
        raise ConfigError(f"--adjust {adjust!r} must be one of {', '.join(ADJUSTMENTS)}")
    if format not in ("table", "csv", "parquet"):
        raise ConfigError(f"--format {format!r} must be table, csv or parquet")
    if format == "parquet" and output is None:
        raise ConfigError("--format parquet needs a file: -o bars.parquet")
    lake = Lake(open_location(settings.lake_url, settings, create=False), settings.sources_of)
    names = split_symbols(symbols)
    bars = lake.bars(
        names, start, end, timeframe=timeframe, adjust=adjustment, as_of=as_of, source=source, extended=extended
    )
    if view == "latest" or rows is not None:
        bars = bars.group_by("symbol", maintain_order=True).tail(rows or 1)
    if bars.is_empty():
        err.print(f"no bars for {', '.join(names)}; `quantx show-manifest` lists the lake's series")
    _write(bars, format, output)
    return 0


def _write(bars: pl.DataFrame, format: str, output: Path | None) -> None:  # noqa: A002 — the option's name
    if output is None:
        if format == "csv":
            sys.stdout.write(_csv(bars))
        elif bars.height:
            _print_bars(bars)
        return
    if format == "table":
        raise ConfigError("--format table is for the terminal; use --format csv or parquet with -o")
    try:
        if format == "csv":
            output.write_text(_csv(bars))
        else:
            bars.write_parquet(output)
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror or error}") from error


def _csv(bars: pl.DataFrame) -> str:
    return bars.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")


def _print_bars(bars: pl.DataFrame) -> None:
    rows: list[dict[str, Any]] = bars.drop("known_from").tail(_SHOWN).to_dicts()
    title = counted(bars.height, "bar") + (f", the last {_SHOWN}" if bars.height > _SHOWN else "")
    print_table(title, rows)
