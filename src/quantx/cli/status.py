"""The command that shows the state of the system."""

from __future__ import annotations

import typer

from quantx.cli.options import Json, UseLocal, exits, settings_for
from quantx.cli.output import counted, out, print_json, print_table
from quantx.pipeline.reporting.status import deletion_counts, status_of
from quantx.pipeline.runtime.platform import open_platform


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("status")(exits(status))


def status(json: Json = False, use_local: UseLocal = False) -> int:
    """Show runs, tasks, the queue, vendors in back-off, refused symbols, freshness of universes, archives of options.

    Example: quantx status --json
    """
    with open_platform(settings_for(use_local)) as platform:
        facts = status_of(platform.state, platform.queue.depth(), platform.location.url, platform.clock.now())
        facts["deletions"] = deletion_counts(platform.location)
    if json:
        print_json(facts)
        return 0
    print_table(
        "runs",
        facts["runs"],
        [
            "id",
            "kind",
            "created_at",
            "tasks",
            "success",
            "failed",
            "skipped",
            "rows_new",
            "rows_changed",
            "rows_rejected",
        ],
    )
    print_table("tasks", [facts["tasks"]])
    print_table("queue", [facts["queue"]])
    print_table("vendors in back-off", facts["closed"])
    print_table("series that their vendor refuses", facts["refused"])
    print_table("universes", facts["universes"])
    members = facts["option_members"]
    print_table("members of option archives", [members] if any(members.values()) else [])
    if left := members["pending"] + members["failed"]:
        again = "`quantx options import` of the same archive resumes"
        out.print(f"{counted(left, 'member')} of option archives not imported; {again}")
    print_table("open findings", [facts["findings"]] if facts["findings"] else [])
    print_table("deletions for good", [facts["deletions"]] if any(facts["deletions"].values()) else [])
    print_table("missing sessions", [facts["gaps"]] if any(facts["gaps"].values()) else [])
    return 0
