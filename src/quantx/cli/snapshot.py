"""Commands about named snapshots of all tables: create, list, drop."""

from __future__ import annotations

from typing import Annotated

import typer

from quantx.cli.options import Json, UseLocal, exits, reading_settings
from quantx.cli.output import counted, out, print_json, print_table

snapshot = typer.Typer(
    help="Pin the versions of all tables under a name, list such snapshots, and drop them.", no_args_is_help=True
)

Name = Annotated[str, typer.Argument(help="The snapshot's name: letters, digits, dots, hyphens, underscores.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    snapshot.command("create")(exits(snapshot_create))
    snapshot.command("list")(exits(snapshot_list))
    snapshot.command("drop")(exits(snapshot_drop))
    app.add_typer(snapshot, name="snapshot")


def snapshot_create(name: Name, json: Json = False, use_local: UseLocal = False) -> int:
    """Pin the present versions of all tables: their files are kept until the snapshot is dropped.

    `lake.snapshot(NAME)` and `quantx query --snapshot NAME` read them. An existing snapshot stays as it is.

    Example: quantx snapshot create paper-2026
    """
    from quantx.reader.lake import lake_of

    lake = lake_of(reading_settings(use_local))
    lake.snapshot(name)
    facts = next(row for row in lake.snapshots().iter_rows(named=True) if row["name"] == name)
    print_json(facts) if json else out.print(
        f"snapshot {name} of {facts['created_at']:%Y-%m-%d %H:%M:%S} UTC: {counted(facts['tables'], 'table')},"
        f" {counted(facts['rows'], 'row')}, {facts['megabytes']:,} MB",
        markup=False,
    )
    return 0


def snapshot_list(json: Json = False, use_local: UseLocal = False) -> int:
    """List the snapshots with their time and size.

    Example: quantx snapshot list
    """
    from quantx.reader.lake import lake_of

    rows = lake_of(reading_settings(use_local)).snapshots().to_dicts()
    print_json(rows) if json else print_table("snapshots", rows)
    return 0


def snapshot_drop(name: Name, use_local: UseLocal = False) -> int:
    """Drop a snapshot: the files that only it kept are deleted, and no query can read it any more.

    Example: quantx snapshot drop paper-2026
    """
    from quantx.reader.lake import lake_of

    deleted = lake_of(reading_settings(use_local)).drop_snapshot(name)
    out.print(f"snapshot {name} is dropped; {counted(deleted, 'file')} deleted", markup=False)
    return 0
