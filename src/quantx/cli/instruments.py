"""Commands about securities: instruments import, list, show, delist."""

from __future__ import annotations

import getpass
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from quantx.cli.options import Json, UseLocal, exits, parse_day, settings_for
from quantx.cli.output import out, print_json, print_table
from quantx.errors import ConfigError
from quantx.pipeline.runtime.platform import open_platform

instruments = typer.Typer(
    help="Look at securities and the symbols that they carried, learn them from files, and end them.",
    no_args_is_help=True,
)

_COLUMNS = ["instrument", "name", "status", "listed_on", "delisted_on", "symbols", "reason", "evidence"]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    instruments.command("import")(exits(instruments_import))
    instruments.command("list")(exits(instruments_list))
    instruments.command("show")(exits(instruments_show))
    instruments.command("delist")(exits(instruments_delist))
    app.add_typer(instruments, name="instruments")


def instruments_import(
    path: Annotated[Path, typer.Argument(help="A file, or a folder of files (*.csv).")],
    form: Annotated[
        Literal["csv", "lean"],
        typer.Option("--format", help="csv: columns symbol, from, to, instrument (name, reason); lean: map files."),
    ] = "csv",
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Learn from files which security carried which symbol from when to when; ids that are known already stay.

    A file tells all about the securities that it names. Where it contradicts itself or what is known, nothing is taken.

    Example: quantx instruments import map_files --format lean
    """
    from quantx.pipeline.reference.instruments import import_history
    from quantx.universes.map_files import read_history

    told = read_history(path, form)
    with open_platform(settings_for(use_local)) as platform:
        imported = import_history(platform.tables, platform.state, platform.clock, told)
    if json:
        print_json(vars(imported))
    else:
        out.print(
            f"{imported.instruments:,} securities with {imported.symbols:,} symbols, {imported.new:,} of them new,"
            f" {imported.delisted:,} ended"
        )
    return 0


def instruments_list(
    status: Annotated[Literal["listed", "delisted"] | None, typer.Option(help="Only those.")] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """List the securities that are known, with their symbols.

    Example: quantx instruments list --status delisted
    """
    from quantx.pipeline.reference.instruments import instrument_rows

    with open_platform(settings_for(use_local)) as platform:
        rows = [row for row in instrument_rows(platform.tables, None, None) if status in (None, row["status"])]
    _show(rows, json=json)
    return 0


def instruments_show(
    symbol: Annotated[str, typer.Argument(help="A symbol that it carries, or has carried.")],
    on: Annotated[str | None, typer.Option(help="Only who carried it on this day.")] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Show the securities that carry a symbol, or have carried it.

    Example: quantx instruments show FB --on 2015-06-30
    """
    from quantx.pipeline.reference.instruments import instrument_rows

    with open_platform(settings_for(use_local)) as platform:
        rows = instrument_rows(platform.tables, symbol, parse_day(on, "--on") if on else None)
    if not rows:
        raise ConfigError(
            f"nothing is known of {symbol!r}{f' on {on}' if on else ''}; `quantx instruments import` learns it from a file"
        )
    _show(rows, json=json)
    return 0


def instruments_delist(
    symbol: Annotated[str, typer.Argument(help="Its last symbol.")],
    on: Annotated[str, typer.Option(help="The last day of trading, as in 2018-06-15.")],
    reason: Annotated[str, typer.Option(help="What has happened, and how you know.")],
    by: Annotated[str | None, typer.Option(help="Who says so; your login by default.")] = None,
    use_local: UseLocal = False,
) -> int:
    """Record that a security is delisted: daily updates leave it out, backfills and what is stored keep it.

    Example: quantx instruments delist TWX --on 2018-06-15 --reason "bought by AT&T, press release of that day"
    """
    from quantx.pipeline.reference.instruments import delist

    with open_platform(settings_for(use_local)) as platform:
        parts, day = (platform.tables, platform.state, platform.clock), parse_day(on, "--on")
        instrument = delist(*parts, symbol, day, reason=reason, by=by or getpass.getuser())
    out.print(f"{instrument} is delisted since {on}")
    return 0


def _show(rows: Sequence[Mapping[str, Any]], *, json: bool) -> None:
    if json:
        print_json(rows)
        return
    print_table("instruments", [{**row, "symbols": _in_words(row["symbols"])} for row in rows], _COLUMNS)


def _in_words(symbols: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{s['symbol']} {s['from'] or '…'}–{s['to'] or '…'}" for s in symbols)
