"""The command that finds missing sessions and plans their retries: tasks heal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import polars as pl
import typer

from quantx.cli.options import Json, Symbols, UseLocal, exits, settings_for, split_symbols
from quantx.cli.output import counted, err, out, print_json, print_table
from quantx.cli.tasks import tasks
from quantx.core.gap_schedule import Gap
from quantx.core.quality.gaps import to_windows
from quantx.core.symbols import parse_symbol
from quantx.pipeline.runtime.platform import open_platform

_SHOWN = 40  # rows of the table


def register(_: typer.Typer) -> None:
    """Add the command of this module to the group `tasks`."""
    tasks.command("heal")(exits(heal))


def heal(
    symbols: Symbols = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report; record and plan nothing.")] = False,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Find sessions missing between a series' first and last bar, and plan the retries that are due.

    A gap is fetched again after 1, 2, 4 and 8 days, also from the fallback vendors, and then explained. `quantx work`
    processes the tasks.

    Example: quantx tasks heal --symbols AAPL,0700.HK --dry-run
    """
    from quantx.pipeline.inspecting.heal import heal_gaps

    named = tuple(parse_symbol(s) for s in split_symbols(symbols)) or None
    with open_platform(settings_for(use_local)) as platform:
        healed = heal_gaps(platform, platform.tables, named, dry_run=dry_run)
    if not healed.started:
        err.print("another process is searching for gaps; try again when it has ended")
        return 1
    rows = _in_windows(healed.gaps)
    planned = {
        "run_id": healed.plan.run_id if healed.plan else None,
        "tasks": len(healed.plan.task_ids) if healed.plan else 0,
        "due": [{**vars(t.series), "first": t.window.start, "last": t.window.end} for t in healed.tasks],
    }
    if json:
        print_json({"gaps": rows, **planned})
        return 0
    shown = [row for row in rows if row["status"] != "explained"] + [r for r in rows if r["status"] == "explained"]
    columns = ["source", "symbol", "first", "last", "sessions", "status", "asked", "due_at", "reason"]
    heads = {name: name for name in columns} | {"asked": "attempts", "due_at": "next retry"}
    print_table("missing sessions", shown[:_SHOWN], heads)
    if len(shown) > _SHOWN:
        out.print(f"… {len(shown) - _SHOWN:,} more; --json lists all")
    if healed.plan:
        out.print(
            f"run {planned['run_id']}: {counted(len(healed.plan.task_ids), 'task')} enqueued;"
            " `quantx work` processes them"
        )
    elif healed.tasks:
        out.print(f"{counted(len(healed.tasks), 'task')} due")
    else:
        out.print("no gaps due for retry")
    return 0


_SERIES = ("source", "dataset", "timeframe", "symbol")
_HOW: dict[str, pl.DataType | type[pl.DataType]] = {
    "status": pl.String,
    "explanation": pl.String,
    "reason": pl.String,
    "asked": pl.Int64,
    "asked_at": pl.Datetime("us", "UTC"),
    "due_at": pl.Datetime("us", "UTC"),
}


def _in_windows(gaps: Sequence[Gap]) -> list[dict[str, Any]]:
    """Return gaps as rows; adjacent gaps of one series with the same state are one row."""
    rows = [{**vars(g.series), "date": g.session, **{how: getattr(g, how) for how in _HOW}} for g in gaps]
    frame = pl.DataFrame(rows, schema={**dict.fromkeys(_SERIES, pl.String), "date": pl.Date, **_HOW})
    return to_windows(frame, (*_SERIES, *_HOW)).to_dicts()
