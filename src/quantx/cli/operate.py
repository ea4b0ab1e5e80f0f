"""Commands for operators: ready, migrate, cost."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from quantx.cli.options import Json, UseLocal, exits, settings_for
from quantx.cli.output import out, print_json
from quantx.pipeline.reporting.cost import as_facts, estimate, page, read_prices
from quantx.pipeline.reporting.price_table import price_table
from quantx.pipeline.reporting.readiness import check_readiness, is_ready, readiness_facts
from quantx.state.database import Database
from quantx.state.entra import identity_of_state
from quantx.state.postgres import open_state
from quantx.state.runs.port import RunUsage
from quantx.state.schema.migrations import SCHEMA_VERSION


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("ready")(exits(ready))
    app.command("migrate")(exits(migrate))
    app.command("cost")(exits(cost))


def ready(json: Json = False, use_local: UseLocal = False) -> int:
    """Check that database, queue and lake answer, and that the lake is that of the state. Exit code 1 if not.

    Example: quantx ready --json
    """
    parts = check_readiness(settings_for(use_local))
    facts = readiness_facts(parts, with_reasons=True)
    if json:
        print_json(facts)
    else:
        for name, part in facts["parts"].items():
            reason = f": {part['reason']}" if "reason" in part else ""
            out.print(f"{name} {part['state']} in {part['seconds']:.2f} s{reason}", markup=False)
    return 0 if is_ready(parts) else 1


def migrate(
    grant_to: Annotated[
        list[str] | None,
        typer.Option(
            "--grant", help="Grant this role reading and writing of rows, without schema changes; may be repeated."
        ),
    ] = None,
    grant_read: Annotated[
        list[str] | None,
        typer.Option("--grant-read", help="Grant this role reading of rows and nothing else; may be repeated."),
    ] = None,
    grant_progress: Annotated[
        list[str] | None,
        typer.Option("--grant-progress", help="Let this role see whether tasks are in progress; may be repeated."),
    ] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Migrate the state's schema to this program's version. Run it as the owner of the schema; it is idempotent.

    Example: quantx migrate --grant quantx-functions
    """
    settings = settings_for(use_local)
    with closing(Database(settings.state_url, identity=identity_of_state(settings))) as database:
        for role in grant_to or ():
            database.grant(role)
        for role in grant_read or ():
            database.grant(role, "read")
        for role in grant_progress or ():
            database.grant(role, "progress")
        version = database.schema_version()
        facts = {
            "version": version,
            "was": database.migrated_from,
            "granted": list(grant_to or ()),
            "granted_read": list(grant_read or ()),
            "granted_progress": list(grant_progress or ()),
        }
        where = database.shown_url
    if json:
        print_json(facts)
        return 0
    was = "" if facts["was"] == version else f", it was {facts['was'] or 'empty'}"
    newer = f"; this program has {SCHEMA_VERSION} and works with it" if version > SCHEMA_VERSION else ""
    out.print(f"the schema in {where} has version {version}{was}{newer}", markup=False)
    for role in grant_to or ():
        out.print(f"{role} may read and write", markup=False)
    for role in grant_read or ():
        out.print(f"{role} may read", markup=False)
    for role in grant_progress or ():
        out.print(f"{role} may see whether tasks are in progress", markup=False)
    return 0


def cost(
    symbols: Annotated[
        int | None, typer.Option(min=1, help="Number of symbols; that of the past runs by default.")
    ] = None,
    updates: Annotated[int, typer.Option(min=1, max=31, help="Daily updates in a month.")] = 21,
    days: Annotated[int, typer.Option(min=1, max=366, help="Days of past runs to use.")] = 30,
    reference: Annotated[
        bool, typer.Option("--reference", help="Ignore past runs; use the measured reference.")
    ] = False,
    server_hours: Annotated[
        float | None, typer.Option(min=0, max=744, help="Hours per month that PostgreSQL runs; all by default.")
    ] = None,
    prices: Annotated[
        Path | None,
        typer.Option(help="A price table; config/prices.yaml, or the shipped one, by default."),
    ] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Estimate the monthly cost in Azure from the usage of past daily runs and a dated price table.

    Example: quantx cost --symbols 500 --reference
    """
    table = read_prices(*price_table(prices))
    usage = RunUsage() if reference else _past_runs(days, use_local)
    estimated = estimate(table, usage, symbols, updates, server_hours)
    print_json(as_facts(estimated)) if json else out.print(page(estimated), markup=False)
    return 0


def _past_runs(days: int, use_local: bool) -> RunUsage:
    settings = settings_for(use_local)
    with closing(open_state(settings.state_url, identity_of_state(settings))) as state:
        return state.runs.usage("daily", days)
