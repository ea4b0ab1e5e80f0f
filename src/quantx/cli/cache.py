"""Commands about the cache: show, clear, warm."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from quantx.cli.options import Json, Symbols, UseLocal, exits, reading_settings, split_symbols
from quantx.cli.output import counted, err, out, print_json, print_table, work_progress
from quantx.errors import ConfigError

cache = typer.Typer(
    help="Show, clear and fill the cache: decoded copies of the lake's files on this machine.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    cache.command("show")(exits(cache_show))
    cache.command("clear")(exits(cache_clear))
    cache.command("warm")(exits(cache_warm))
    app.add_typer(cache, name="cache")


def cache_show(json: Json = False, use_local: UseLocal = False) -> int:
    """Show the folder of the cache, its size and its copies by lake and table.

    Example: quantx cache show --json
    """
    from quantx.reader.cache.folder import folder_of_settings

    settings = reading_settings(use_local)
    folder = folder_of_settings(settings)
    tables: dict[tuple[str, str], dict[str, Any]] = {}
    for copy in folder.copies():
        row = tables.setdefault(
            (copy.lake, copy.table),
            {
                "lake": folder.url_of(copy.lake) or copy.lake,
                "table": copy.table,
                "copies": 0,
                "megabytes": 0.0,
                "used": None,
            },
        )
        row["copies"] += 1
        row["megabytes"] += copy.size / 1e6
        row["used"] = datetime.fromtimestamp(copy.used, UTC)  # the last one is the most recent
    rows = [{**row, "megabytes": round(row["megabytes"], 1)} for row in tables.values()]
    facts = {
        "folder": str(folder.root),
        "on": bool(settings.cache_size),
        "limit_megabytes": round(settings.cache_size / 1e6, 1),
        "megabytes": round(sum(row["megabytes"] for row in rows), 1),
        "copies": rows,
    }
    if json:
        print_json(facts)
        return 0
    limit = f"{facts['limit_megabytes']:,} MB" if facts["on"] else "off (QUANTX_CACHE_SIZE is 0)"
    out.print(f"{facts['folder']}: {facts['megabytes']:,} MB, limit {limit}", markup=False)
    print_table("copies", rows)
    return 0


def cache_clear(
    all_lakes: Annotated[bool, typer.Option("--all", help="The copies of all lakes, not of this one only.")] = False,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Remove the copies of this lake. Running programs are not disturbed: they read the lake again.

    Example: quantx cache clear --all
    """
    from quantx.reader.cache.folder import folder_of_settings

    folder = folder_of_settings(reading_settings(use_local))
    try:
        removed = folder.clear(everything=all_lakes)
    except OSError as error:
        raise ConfigError(f"the cache in {folder.root} can't be removed: {error.strerror}") from None
    size = round(sum(copy.size for copy in removed) / 1e6, 1)
    if json:
        print_json({"removed": len(removed), "megabytes": size})
    else:
        out.print(f"{counted(len(removed), 'copy', 'copies')} removed, {size:,} MB")
    return 0


def cache_warm(
    symbols: Symbols = None,
    universe: Annotated[str | None, typer.Option(help="All members of a refreshed universe.")] = None,
    source: Annotated[str | None, typer.Option(help="Only this vendor.")] = None,
    start: Annotated[str | None, typer.Option(help="First day.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day, inclusive.")] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Write the copies that queries of bars need: of all symbols, or of the files with some symbols and days.

    Programs write copies by themselves for the files that they read more than once.

    Example: quantx cache warm --universe us_sp500 --start 2015-01-01
    """
    from quantx.reader.lake import lake_of

    lake = lake_of(reading_settings(use_local))
    names = None if symbols is None else split_symbols(symbols)
    with work_progress(quiet=json) as display:
        bar = display.add_task("copying", total=None, note="")

        def show(done: int, total: int, table: str) -> None:
            display.update(bar, completed=done, total=total, note=table)

        result = lake.warm(names, universe=universe, source=source, start=start, end=end, on_copy=show)
    if json:
        print_json(asdict(result))
    elif not result.files:
        out.print("no file of the selection is large enough for a copy; small files are decoded when they are needed")
    else:
        out.print(
            f"{counted(result.files, 'file')}: {counted(result.written, 'copy', 'copies')} written,"
            f" {result.megabytes:,} MB"
        )
    if result.without_room:
        err.print(
            f"no room for {counted(result.without_room, 'copy', 'copies')}: raise QUANTX_CACHE_SIZE, free disk space,"
            " or check that the folder can be written (`quantx cache show`)"
        )
    return 1 if result.without_room else 0
