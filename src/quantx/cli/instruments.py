"""Commands about securities: instruments import, list, show, delist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from quantx.cli.options import Json, UseLocal, exits, parse_day, settings_for
from quantx.cli.output import counted, out, print_json, print_table
from quantx.errors import ConfigError
from quantx.pipeline.runtime.platform import open_platform
from quantx.state.audit.login import login_name

instruments = typer.Typer(
    help="Manage securities and their symbol history: list, import from files, delist.",
    no_args_is_help=True,
)

_COLUMNS = ["instrument", "asset_class", "name", "status", "listed_on", "delisted_on", "symbols", "reason", "evidence"]


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
        typer.Option(
            "--format", help="csv: columns symbol, from, to, instrument (name, reason, asset_class); lean: map files"
        ),
    ] = "csv",
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Import the symbol history of securities from files. Existing ids stay.

    A file holds the whole history of the securities that it names. A file that contradicts itself or the stored history
    is refused as a whole.

    Example: quantx instruments import map_files --format lean
    """
    from quantx.pipeline.reference.instruments import import_history
    from quantx.universes.map_files import read_history

    history = read_history(path, form)
    with open_platform(settings_for(use_local)) as platform:
        imported = import_history(platform, platform.tables, history)
    if json:
        print_json(vars(imported))
    else:
        out.print(
            f"{counted(imported.instruments, 'security', 'securities')} with {counted(imported.symbols, 'symbol')};"
            f" new: {imported.new:,}, delisted: {imported.delisted:,}"
        )
    return 0


def instruments_list(
    status: Annotated[
        Literal["listed", "delisted"] | None, typer.Option(help="Only securities with this status.")
    ] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """List the stored securities with their symbols.

    Example: quantx instruments list --status delisted
    """
    from quantx.pipeline.reference.instruments import instrument_rows

    with open_platform(settings_for(use_local)) as platform:
        rows = [row for row in instrument_rows(platform.tables, None, None) if status in (None, row["status"])]
    _show(rows, json=json)
    return 0


def instruments_show(
    symbol: Annotated[str, typer.Argument(help="A current or former symbol.")],
    on: Annotated[str | None, typer.Option(help="Only the security that had the symbol on this day.")] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Show the securities that have or had a symbol.

    Example: quantx instruments show FB --on 2015-06-30
    """
    from quantx.pipeline.reference.instruments import instrument_rows

    with open_platform(settings_for(use_local)) as platform:
        rows = instrument_rows(platform.tables, symbol, parse_day(on, "--on") if on else None)
    if not rows:
        raise ConfigError(
            f"no security has the symbol {symbol!r}{f' on {on}' if on else ''}; import its history with"
            " `quantx instruments import FILE`"
        )
    _show(rows, json=json)
    return 0


def instruments_delist(
    symbol: Annotated[str, typer.Argument(help="Its last symbol.")],
    on: Annotated[str, typer.Option(help="The last day of trading, as in 2018-06-15.")],
    reason: Annotated[str, typer.Option(help="What happened, and the evidence for it.")],
    by: Annotated[str | None, typer.Option(help="Approver; your login by default.")] = None,
    use_local: UseLocal = False,
) -> int:
    """Record a delisting: daily updates skip the security; backfills and stored data keep it.

    Example: quantx instruments delist TWX --on 2018-06-15 --reason "bought by AT&T, press release of that day"
    """
    from quantx.pipeline.reference.instruments import delist

    with open_platform(settings_for(use_local)) as platform:
        day, approver = parse_day(on, "--on"), by or login_name()
        instrument = delist(platform, platform.tables, symbol, day, reason=reason, by=approver)
    out.print(f"{instrument} is delisted as of {on}")
    return 0


def _show(rows: Sequence[Mapping[str, Any]], *, json: bool) -> None:
    if json:
        print_json(rows)
        return
    print_table("instruments", [{**row, "symbols": _periods(row["symbols"])} for row in rows], _COLUMNS)


def _periods(symbols: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{s['symbol']} {s['from'] or '…'}–{s['to'] or '…'}" for s in symbols)
