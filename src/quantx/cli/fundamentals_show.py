"""The command that shows the fundamentals of a filer: fundamentals show."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

import polars as pl
import typer

from quantx.cli.fundamentals import fundamentals
from quantx.cli.options import AsOf, UseLocal, exits, reading_settings
from quantx.cli.output import counted, incomplete_data_reported, out, print_json, print_table
from quantx.reader.lake import lake_of

_PERIODS = 5  # columns of the statement
_ROWS = 20
_FEW = 4  # a day with less than this part of the most values of a day is no period of the statement
_OF_CONCEPT = ("end", "value", "unit", "origin", "tag", "reason", "filed", "public_at", "accession", "source")
_OF_HISTORY = ("end", "value", "before", "unit", "form", "filed", "public_at", "accession", "revision", "tag", "source")


def register(_: typer.Typer) -> None:
    """Add the command of this module to the group `fundamentals`."""
    fundamentals.command("show")(exits(show))


def show(
    symbol: Annotated[str, typer.Argument(help="A symbol, as in AAPL, or a filer, as in CIK0000320193 or 320193.")],
    concept: Annotated[
        str | None, typer.Option(help="Only this concept, as in revenue; by default all, the newest periods.")
    ] = None,
    period: Annotated[
        Literal["quarter", "annual", "ttm"], typer.Option(help="ttm: the sum of four quarters in a row.")
    ] = "quarter",
    public_by: Annotated[
        str | None,
        typer.Option(help="Only what was public then: an instant, or a date: before the close of New York's session."),
    ] = None,
    as_of: AsOf = None,
    history: Annotated[bool, typer.Option("--history", help="Show every version of a value, with its filing.")] = False,
    source: Annotated[str | None, typer.Option(help="Only this source; by default the preferred one.")] = None,
    start: Annotated[str | None, typer.Option(help="Periods that end on this day or later.")] = None,
    end: Annotated[str | None, typer.Option(help="Periods that end on this day or earlier.")] = None,
    format: Annotated[  # noqa: A002 — the option's name
        Literal["table", "csv", "json"], typer.Option(help="csv and json have all rows and columns.")
    ] = "table",
    use_local: UseLocal = False,
) -> int:
    """Show the standard concepts of a filer as they were public. The exit code is 1 if there are none.

    `--history` shows how a value was restated: value, filing, form, time and class of the change. No database is
    needed.

    Example: quantx fundamentals show AAPL --concept revenue --period annual --public-by 2024-10-31
    """
    lake = lake_of(reading_settings(use_local))
    query = lake.restatements if history else lake.fundamentals
    with incomplete_data_reported():
        rows = query(
            symbol,
            concept,
            period=period,
            public_by=public_by,
            as_of=as_of,
            source=source,
            start=start,
            end=end,
        )
    if format == "csv":
        sys.stdout.write(rows.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ"))
    elif format == "json":
        print_json(rows.to_dicts())
    elif rows.height:
        _print(rows, concept, history=history)
    return 0 if rows.height else 1


def _print(rows: pl.DataFrame, concept: str | None, *, history: bool) -> None:
    title = f"{rows['symbol'][0]}, {rows['period'][0]}"
    if concept is None and not history:
        print_table(title, _statement(rows))
        return
    columns = [c for c in (_OF_HISTORY if history else _OF_CONCEPT) if rows[c].null_count() < rows.height]
    named = columns if concept is not None else ["concept", *columns]
    cut = f", the last {_ROWS}" if rows.height > _ROWS else ""
    label = "" if concept is None else f"{concept}, "
    print_table(f"{title}: {label}{counted(rows.height, 'value')}{cut}", rows.tail(_ROWS).select(named).to_dicts())
    if cut:
        out.print("--format csv has all rows, --start and --end limit them")


def _statement(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row per concept, with a column for each of the newest periods; not of days with a few values only."""
    values = rows.group_by("end").agg(pl.col("value").count())
    usual = values.filter(pl.col("value") * _FEW > values["value"].max()).sort("end")
    ends = usual["end"][-_PERIODS:]
    newest = rows.filter(pl.col("end").is_in(ends.to_list()))
    wide = newest.pivot("end", index=["concept", "unit"], values="value", sort_columns=True)
    return wide.filter(~pl.all_horizontal(pl.exclude("concept", "unit").is_null())).to_dicts()
