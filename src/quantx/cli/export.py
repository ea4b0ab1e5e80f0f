"""The command that exports bars in the layouts of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quantx.cli.options import Json, Phase, Symbols, Universe, UseLocal, exits, reading_settings, split_symbols
from quantx.cli.output import counted, err, out, print_json, work_progress
from quantx.core.prices import ADJUSTMENTS
from quantx.errors import ConfigError
from quantx.lake.store import LakeLocation, open_location
from quantx.reader.export import LAYOUTS, ExportResult
from quantx.reader.lake import lake_of
from quantx.settings import is_symbol_list

_NAMED = 10  # symbols of a message


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("export")(exits(export))


def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder, or that of an earlier export.")],
    layout: Annotated[str, typer.Option(help=f"{', '.join(LAYOUTS)}; docs/reference/exports.md describes them.")],
    symbols: Symbols = None,
    universe: Universe = None,
    phase: Phase = None,
    start: Annotated[str | None, typer.Option(help="First day.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day, inclusive.")] = None,
    adjust: Annotated[
        str, typer.Option(help="none: as traded; split; total: splits and dividends. The adjusted close is there, too.")
    ] = "none",
    source: Annotated[
        str | None, typer.Option(help="Only this vendor; best: per session the bar that no vendor contradicts.")
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option(help="1d: daily bars; 1m: minute bars. Default: 1d; of flat-json both.")
    ] = None,
    extended: Annotated[
        bool, typer.Option("--extended", help="Include minute bars outside the regular session.")
    ] = False,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Export OHLCV bars as files in the layout of another tool: all of the lake, a universe, a phase or symbols.

    Exports are incremental and resumable: only files whose data changed are written. No database is needed.

    Example: quantx export out --layout hive-ticker --universe us_mega_caps --start 2015-01-01
    """
    settings = reading_settings(use_local)
    adjustment = next((a for a in ADJUSTMENTS if a == adjust), None)
    if adjustment is None:
        raise ConfigError(f"--adjust {adjust!r} must be one of {', '.join(ADJUSTMENTS)}")
    lake = lake_of(settings)
    names = None if symbols is None else split_symbols(symbols)
    if names is None and universe is not None and is_symbol_list(universe):
        location = open_location(settings.lake_url, settings, create=False)
        names, universe = _listed(location, universe), None
    with work_progress(quiet=json) as display:
        bar = display.add_task("exporting", total=None, note="")

        def show(done: int, total: int, symbol: str) -> None:
            display.update(bar, completed=done, total=total, note=symbol)

        result = lake.export(
            folder,
            layout,
            symbols=names,
            universe=universe,
            phase=phase,
            start=start,
            end=end,
            adjust=adjustment,
            source=source,
            timeframe=timeframe,
            extended=extended,
            on_progress=show,
        )
    print_json({**vars(result), "folder": str(result.folder)}) if json else _print(result)
    return 1 if result.missing else 0


def _listed(location: LakeLocation, path: str) -> tuple[str, ...]:
    from quantx.pipeline.planning.symbols_of_list import symbols_of_list

    return symbols_of_list(location, path)


def _print(result: ExportResult) -> None:
    out.print(
        f"{counted(result.symbols, 'symbol')} in {result.folder}: {counted(result.written, 'file')} written,"
        f" {result.unchanged:,} unchanged, {result.removed:,} removed",
        markup=False,
    )
    if result.gone:
        err.print(f"removed the files of {_some(result.gone)}: no bars in the lake's selection any more")
    if result.missing:
        err.print(f"no bars for {_some(result.missing)}; `quantx show-manifest` lists the lake's series")
    if not result.symbols and not result.missing:
        err.print("the selection has no bars; `quantx show-manifest` lists the lake's series")


def _some(symbols: tuple[str, ...]) -> str:
    """Return the first symbols of a list for a message."""
    rest = len(symbols) - _NAMED
    return ", ".join(symbols[:_NAMED]) + (f" and {rest:,} more" if rest > 0 else "")
