"""The commands that show options: options chain, options expirations."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import typer

from quantx.cli.options import AsOf, UseLocal, exits, reading_settings
from quantx.cli.options_group import options
from quantx.cli.output import counted, incomplete_data_reported, out, print_json, print_table
from quantx.reader.lake import lake_of

_SHOWN = 40  # rows of a table on the terminal
_TABLE = ("contract", "bid", "ask", "bid_size", "ask_size", "last", "time", "age")
_GREEKS = ("contract", "bid", "ask", "age", "forward", "iv", "delta", "gamma", "vega", "theta", "reason")

Underlying = Annotated[str, typer.Argument(help="The symbol of the underlying, as in SPY.")]
Format = Annotated[Literal["table", "csv", "json"], typer.Option(help="csv and json have all rows and columns.")]
Adjusted = Annotated[bool, typer.Option("--adjusted", help="Also roots with an adjusted deliverable, as in SPY1.")]


def register(_: typer.Typer) -> None:
    """Add the commands of this module to the group `options`."""
    options.command("chain")(exits(chain))
    options.command("expirations")(exits(expirations))


def chain(
    underlying: Underlying,
    at: Annotated[str, typer.Option(help="A time of New York, as in 2025-08-07T15:30, or an instant with a zone.")],
    greeks: Annotated[bool, typer.Option("--greeks", help="Add implied volatilities and greeks (Black-76).")] = False,
    expiration: Annotated[str | None, typer.Option(help="Comma-separated dates; by default all.")] = None,
    rate: Annotated[
        float | None, typer.Option(help="Yearly, continuously compounded, as in 0.043; by default from parity.")
    ] = None,
    adjusted: Adjusted = False,
    as_of: AsOf = None,
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    format: Format = "table",  # noqa: A002 — the option's name
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Write all rows to a Parquet file.")] = None,
    use_local: UseLocal = False,
) -> int:
    """Show the chain of an underlying: the last quote of each contract at or before a time of its session.

    A date without a time is the end of its session. No database is needed. The exit code is 1 if there are no quotes.

    Example: quantx options chain SPY --at 2025-08-07T15:30 --greeks
    """
    lake = lake_of(reading_settings(use_local))
    days = None if expiration is None else [each.strip() for each in expiration.split(",") if each.strip()]
    with incomplete_data_reported():
        rows = lake.chain(
            underlying, at, greeks=greeks, expiration=days, rate=rate, adjusted=adjusted, as_of=as_of, source=source
        )
    if output is not None:
        rows.write_parquet(output)
        out.print(f"{counted(rows.height, 'contract')} written to {output}")
        return 0 if rows.height else 1
    return _print(f"{underlying.upper()} at {at}", rows, _GREEKS if greeks else _TABLE, format)


def expirations(
    underlying: Underlying,
    on: Annotated[str | None, typer.Option(help="Only those that were listed on this day.")] = None,
    adjusted: Adjusted = False,
    format: Format = "table",  # noqa: A002 — the option's name
    use_local: UseLocal = False,
) -> int:
    """Show the expirations of an underlying with their settlement, and the number of contracts of each.

    No database is needed. The exit code is 1 if there are none.

    Example: quantx options expirations SPY --on 2025-08-07
    """
    lake = lake_of(reading_settings(use_local))
    with incomplete_data_reported():
        rows = lake.expirations(underlying, on, adjusted=adjusted)
    return _print(f"expirations of {underlying.upper()}", rows, rows.columns, format)


def _print(title: str, rows: pl.DataFrame, columns: tuple[str, ...] | list[str], form: str) -> int:
    if form == "csv":
        sys.stdout.write(rows.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"))
    elif form == "json":
        print_json(rows.to_dicts())
    elif rows.height:
        cut = f", the first {_SHOWN}" if rows.height > _SHOWN else ""
        shown = rows.head(_SHOWN).select(columns).with_columns(pl.selectors.float().round(4))
        print_table(f"{title}: {counted(rows.height, 'row')}{cut}", shown.to_dicts())
        if cut:
            out.print("--format csv has all rows and columns, --expiration limits them")
    return 0 if rows.height else 1
