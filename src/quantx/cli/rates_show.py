"""The commands that show published rates: rates show, rates fx."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import polars as pl
import typer

from quantx.cli.options import AsOf, PublicBy, UseLocal, exits, reading_settings
from quantx.cli.output import counted, incomplete_data_reported, out, print_json, print_table
from quantx.cli.rates import rates
from quantx.reader.lake import lake_of

_SHOWN = 20  # rows of a table on the terminal

Start = Annotated[str | None, typer.Option(help="First day.")]
End = Annotated[str | None, typer.Option(help="Last day, inclusive.")]
Source = Annotated[str | None, typer.Option(help="Only this source.")]
Format = Annotated[Literal["table", "csv", "json"], typer.Option(help="csv and json have all rows and columns.")]


def register(_: typer.Typer) -> None:
    """Add the commands of this module to the group `rates`."""
    rates.command("show")(exits(show))
    rates.command("fx")(exits(fx))


def show(
    series: Annotated[str, typer.Argument(help="UST: the par yields of the US Treasury.")] = "UST",
    tenors: Annotated[str | None, typer.Option(help="Comma-separated, as in 3m,2y,10y; by default all.")] = None,
    start: Start = None,
    end: End = None,
    public_by: PublicBy = None,
    as_of: AsOf = None,
    source: Source = None,
    format: Format = "table",  # noqa: A002 — the option's name
    use_local: UseLocal = False,
) -> int:
    """Show yields by tenor, in per cent. No database is needed. The exit code is 1 if there are none.

    Example: quantx rates show UST --tenors 3m,2y,10y --start 2024-01-01
    """
    lake = lake_of(reading_settings(use_local))
    names = None if tenors is None else [each.strip() for each in tenors.split(",") if each.strip()]
    with incomplete_data_reported():
        rows = lake.rates(series, names, start, end, public_by=public_by, as_of=as_of, source=source)
    return _print(f"{series.upper()}, per cent", rows, format)


def fx(
    pairs: Annotated[str, typer.Argument(help="Comma-separated, as in EURUSD,USDJPY: one euro in dollars, …")],
    start: Start = None,
    end: End = None,
    fill: Annotated[
        int, typer.Option(min=0, max=7, help="Also days without a rate: the last one before, at most N days old.")
    ] = 0,
    public_by: PublicBy = None,
    as_of: AsOf = None,
    source: Source = None,
    format: Format = "table",  # noqa: A002 — the option's name
    use_local: UseLocal = False,
) -> int:
    """Show exchange rates: quoted by the ECB, their inverses, and crosses through the euro.

    No database is needed. The exit code is 1 if there are none.

    Example: quantx rates fx USDJPY,GBPUSD --start 2024-01-01 --fill 5
    """
    lake = lake_of(reading_settings(use_local))
    with incomplete_data_reported():
        rows = lake.fx(
            [each for each in pairs.split(",") if each.strip()],
            start,
            end,
            public_by=public_by,
            as_of=as_of,
            fill=fill,
            source=source,
        )
    return _print("exchange rates", rows, format)


def _print(title: str, rows: pl.DataFrame, form: str) -> int:
    if form == "csv":
        sys.stdout.write(rows.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"))
    elif form == "json":
        print_json(rows.to_dicts())
    elif rows.height:
        cut = f", the last {_SHOWN}" if rows.height > _SHOWN else ""
        last = rows.tail(_SHOWN).drop("known_from")
        print_table(f"{title}: {counted(rows.height, 'row')}{cut}", last.to_dicts())
        if cut:
            out.print("--format csv has all rows, --start and --end limit them")
    return 0 if rows.height else 1
