"""What --dry-run of backfill and update-daily prints: the needs of the tasks that would be planned."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from quantx.cli.output import counted, err, out, print_json, print_table
from quantx.pipeline.planning.update_request import UpdateRequest
from quantx.pipeline.runtime.platform import Platform

_SUMMED = ("tasks", "requests", "rows", "raw_megabytes", "curated_megabytes")
_SHOWN = 10  # symbols without a vendor


def show_estimate(platform: Platform, request: UpdateRequest, *, json: bool) -> int:
    """Print what a request would need; nothing is recorded, and no vendor is asked."""
    from quantx.pipeline.planning.dry_run import tasks_of_request
    from quantx.pipeline.reporting.estimate import estimate_tasks

    plan, tasks = tasks_of_request(platform, request)
    parts = estimate_tasks(
        tasks,
        runs=platform.state.runs,
        providers=platform.providers,
        quotas=platform.quotas,
        tables=platform.tables,
    )
    rows = [asdict(part) for part in parts]
    total: dict[str, Any] = {name: _sum([row[name] for row in rows]) for name in _SUMMED}
    minutes = [row["minutes"] for row in rows]
    total["minutes"] = None if None in minutes else _slowest(rows)
    unserved = {each.symbol: each.why for each in plan.unserved}
    if json:
        print_json({"dry_run": True, **total, "skipped": plan.skipped, "unserved": unserved, "parts": rows})
        return 0
    print_table("would fetch", [{name: _known(value) for name, value in row.items()} for row in rows])
    figures = ", ".join(
        f"{_known(total[name])} {what}"
        for name, what in (
            ("requests", "requests"),
            ("minutes", "minutes at the rate limit"),
            ("rows", "rows"),
            ("raw_megabytes", "MB raw"),
            ("curated_megabytes", "MB curated"),
        )
    )
    out.print(f"{counted(total['tasks'], 'task')}: {figures}; nothing is recorded")
    if any(None in row.values() for row in rows):
        out.print("unknown: this lake has no finished task of this kind yet; after some symbols it has")
    for symbol in list(unserved)[:_SHOWN]:
        err.print(f"  {symbol} has {unserved[symbol]}", markup=False)
    return 0


def _sum(values: list[Any]) -> Any:
    return None if None in values else round(sum(values), 3)


def _slowest(rows: list[dict[str, Any]]) -> float:
    """Return the minutes of the slowest vendor: vendors are requested at the same time."""
    by_vendor = dict[str, float]()
    for row in rows:
        by_vendor[row["source"]] = by_vendor.get(row["source"], 0.0) + row["minutes"]
    return round(max(by_vendor.values(), default=0.0), 2)


def _known(value: Any) -> Any:
    return "unknown" if value is None else value
