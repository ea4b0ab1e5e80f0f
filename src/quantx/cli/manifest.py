"""The command that shows what the lake has."""

from __future__ import annotations

from typing import Annotated

import typer

from quantx.cli.options import Json, UseLocal, exits, settings_for
from quantx.cli.output import out, print_json, print_table
from quantx.pipeline.reporting.manifest import manifest_of
from quantx.pipeline.runtime.platform import open_platform

_SHOWN = 40  # series on the terminal


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("show-manifest")(exits(show_manifest))


def show_manifest(
    json: Json = False,
    all_series: Annotated[bool, typer.Option("--all", help=f"All series, not only the first {_SHOWN}.")] = False,
    use_local: UseLocal = False,
) -> int:
    """Show the manifest of the lake: tables with versions and sizes, and each series with its sessions.

    Example: quantx show-manifest --json
    """
    with open_platform(settings_for(use_local)) as platform:
        facts = manifest_of(platform.tables, platform.state.series, platform.state.gaps, platform.location.url)
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
