"""The command that lists what changed in the lake."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from quantx.cli.options import Json, Symbols, UseLocal, exits, reading_settings, split_symbols
from quantx.cli.output import counted, out, print_json, print_table

_KEY = ["table", "change"]


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("changes")(exits(changes))


def changes(
    since: Annotated[
        str | None, typer.Option(help="A date (its end in UTC), or an instant; by default a day before now.")
    ] = None,
    symbols: Symbols = None,
    source: Annotated[str | None, typer.Option(help="Only this vendor.")] = None,
    timeframe: Annotated[
        str | None, typer.Option(help="1d: only daily bars and actions; 1m: only minute bars and actions.")
    ] = None,
    table: Annotated[
        str | None,
        typer.Option(
            help="Only this table: bars_1d, bars_1m, actions, fundamentals, fundamentals_facts, filings, quarantine,"
            " instruments, symbol_history, universe_members, tombstones."
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="Only these changes, comma-separated: new, revised, withdrawn, rejected, delisted, renamed, joined,"
            " left, deleted."
        ),
    ] = None,
    run: Annotated[str | None, typer.Option(help="Since this run was planned, in place of --since.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Maximum number of rows, the newest first.")] = 50,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """List what is new, revised, withdrawn, rejected, delisted, renamed or deleted since a moment or a run.

    It reads bars, actions, fundamentals, filings, rejected rows, securities, symbols, universes and deletions. No
    database is needed.

    Example: quantx changes --since 2024-06-10 --symbols AAPL --kind revised,rejected
    """
    from quantx.reader.lake import lake_of

    moment = since if since or run else datetime.now(UTC) - timedelta(days=1)
    found = lake_of(reading_settings(use_local)).changes(
        moment,
        split_symbols(symbols) or None,
        timeframe=timeframe,
        source=source,
        table=table,
        kind=None if kind is None else [part.strip() for part in kind.split(",")],
        run=run,
    )
    newest = found.reverse().head(limit)
    if json:
        print_json(newest.to_dicts())
        return 0
    counts = found.group_by(_KEY).len().sort(_KEY)
    summary = ", ".join(f"{number:,} {change} in {table}" for table, change, number in counts.iter_rows())
    out.print(f"since {moment or f'run {run}'}: {summary or 'nothing changed'}", markup=False)
    if newest.height:
        shown = newest.drop("time") if newest["time"].null_count() == newest.height else newest
        print_table(
            f"{counted(found.height, 'change')}{_cut(found.height, limit)}", [_row(r) for r in shown.to_dicts()]
        )
    return 0


def _cut(number: int, limit: int) -> str:
    return f", the newest {limit:,}" if number > limit else ""


def _row(row: dict[str, object]) -> dict[str, object]:
    fields = row["fields"]
    return row | {"fields": ", ".join(fields) if isinstance(fields, list) else None}
