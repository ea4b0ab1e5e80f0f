"""The command that shows what the lake has."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from quantx.cli.lake_only import LakeOnly, has_state, open_stored, report_without_state
from quantx.cli.options import Json, UseLocal, exits, logged, reading_settings
from quantx.cli.output import out, print_json, print_table
from quantx.settings import Settings

_SHOWN = 40  # series on the terminal


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("show-manifest")(exits(show_manifest))


def show_manifest(
    json: Json = False,
    all_series: Annotated[bool, typer.Option("--all", help=f"All series, not only the first {_SHOWN}.")] = False,
    lake_only: LakeOnly = False,
    use_local: UseLocal = False,
) -> int:
    """Show the manifest of the lake: tables with versions and sizes, and each series with its sessions.

    Without a state (PostgreSQL) it has what the lake alone knows: no fetched windows, gaps and failures.

    Example: quantx show-manifest --json
    """
    facts = _facts(reading_settings(use_local), lake_only=lake_only)
    if json:
        print_json(facts)
        return 0
    out.print(f"lake {facts['lake']}")
    print_table("tables", facts["tables"], ["table", "version", "rows", "files", "megabytes"])
    series = facts["series"]
    shown = [row | {"gaps": row["gaps_open"]} for row in (series if all_series else series[:_SHOWN])]
    print_table(
        "series",
        shown,
        [
            "source",
            "dataset",
            "timeframe",
            "symbol",
            "first",
            "last",
            "rows",
            "revised",
            "rejected",
            "vendor_has_nothing",
            "gaps",
            "last_error",
        ],
    )
    if len(shown) < len(series):
        out.print(f"… {len(series) - len(shown):,} more series; --all lists them")
    return 0


def _facts(settings: Settings, *, lake_only: bool) -> dict[str, Any]:
    if lake_only or not has_state(settings):
        from quantx.lake.inventory import inventory_of

        location, tables = open_stored(settings)
        report_without_state(settings, lake_only=lake_only)
        return inventory_of(tables, location.url)
    from quantx.pipeline.reporting.manifest import manifest_of
    from quantx.pipeline.runtime.platform import open_platform

    with open_platform(logged(settings)) as platform:
        return manifest_of(platform.tables, platform.state.series, platform.state.gaps, platform.location.url)
