"""The command that shows the settings."""

from __future__ import annotations

import typer

from quantx.cli.options import Json, UseLocal, exits, reading_settings
from quantx.cli.output import print_json, print_table
from quantx.settings import setting_references


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("config")(exits(config))


def config(json: Json = False, use_local: UseLocal = False) -> int:
    """Show every setting in force, with secrets hidden.

    Example: quantx config --json
    """
    shown = reading_settings(use_local).redacted()
    if json:
        print_json(shown)
    else:
        references = setting_references()
        rows = [{"setting": n, "value": v, "meaning": references[n].description} for n, v in shown.items()]
        print_table("settings", rows)
    return 0
