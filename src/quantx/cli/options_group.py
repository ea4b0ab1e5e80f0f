"""The group options: import archives of options, check them, and show chains."""

from __future__ import annotations

import typer

options = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Import options from a vendor's archives, check them, and show chains with implied volatilities.",
)


def register(app: typer.Typer) -> None:
    """Add the group; the modules after this one add its commands by `options.command(…)`."""
    app.add_typer(options, name="options")
