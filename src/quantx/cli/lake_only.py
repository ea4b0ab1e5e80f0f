"""Commands that report from the lake and the state, where there is no state: a lake of someone else, or a copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from quantx.cli.output import err
from quantx.core.tables import TABLES
from quantx.lake.protocol import StoredTables
from quantx.lake.store import LakeLocation
from quantx.lake.table_reader import TableReader
from quantx.reader.lake import location_of
from quantx.settings import Settings, without_secrets

LakeOnly = Annotated[
    bool, typer.Option("--lake-only", help="Read only the lake, also where there is a state (PostgreSQL).")
]


def has_state(settings: Settings) -> bool:
    """Return whether there is a state to read: its library is installed, and it is a server or an existing folder."""
    try:
        import psycopg  # noqa: F401
    except ModuleNotFoundError:
        return False
    url = settings.state_url
    embedded = "://" not in url or url.startswith("file://")
    return not embedded or Path(url.removeprefix("file://")).expanduser().is_dir()


def open_stored(settings: Settings) -> tuple[LakeLocation, StoredTables]:
    """Open the tables of the lake for reading; ConfigError where there is no lake."""
    location = location_of(settings)
    return location, {name: TableReader(location, table) for name, table in TABLES.items()}


def report_without_state(settings: Settings, *, lake_only: bool) -> None:
    """Print that the state was not read, unless the user wanted that."""
    if not lake_only:
        err.print(f"without the state ({without_secrets(settings.state_url)}): only what the lake knows")
