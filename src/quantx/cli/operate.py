"""Commands for who runs an installation: migrate."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from quantx.cli.options import Json, UseLocal, exits, settings_for
from quantx.cli.output import out, print_json
from quantx.state.database import Database
from quantx.state.entra import identity_of_state
from quantx.state.migrations import SCHEMA_VERSION


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("migrate")(exits(migrate))


def migrate(
    grant_to: Annotated[
        list[str] | None,
        typer.Option("--grant", help="A role that may read and write, but change no table; may be repeated."),
    ] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Bring the state's schema to this program's version, as its owner; where it is there already, nothing happens.

    Example: quantx migrate --grant quantx-functions
    """
    settings = settings_for(use_local)
    with closing(Database(settings.state_url, identity=identity_of_state(settings))) as database:
        for role in grant_to or ():
            database.grant(role)
        facts = {"version": SCHEMA_VERSION, "was": database.migrated_from, "granted": list(grant_to or ())}
        where = database.shown_url
    if json:
        print_json(facts)
        return 0
    was = "" if facts["was"] == SCHEMA_VERSION else f", it was {facts['was'] or 'empty'}"
    out.print(f"the schema in {where} has version {SCHEMA_VERSION}{was}", markup=False)
    for role in grant_to or ():
        out.print(f"{role} may read and write", markup=False)
    return 0
