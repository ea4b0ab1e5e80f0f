"""The command `quantx options import`."""

from __future__ import annotations

import typer


def register(_: typer.Typer) -> None:
    """Add the command of this module to the group `options`."""
