"""The vendors: requests, errors, quota and back-off, and how often each agrees with the others, month by month.

How long each fetch took is in the traces only: no table has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl
from starlette.requests import Request
from starlette.responses import Response

from quantx.core.model import Quota
from quantx.core.tables import AGREEMENTS
from quantx.dashboard.context import Dashboard
from quantx.dashboard.lake_rows import collected
from quantx.dashboard.page import WebPage, rendered
from quantx.dashboard.tables import ShownColumn, ShownTable, shown_table
from quantx.pages.views import HtmlTable, month_text, per_cent, table_of, text_of
from quantx.reader.lake import Lake

if TYPE_CHECKING:
    from quantx.pipeline.runtime.platform import Platform

DAYS = 7  # of the runs that are counted
_MONTHS = 12
_DAY = 86_400


def vendors_table(usage: Sequence[Mapping[str, Any]], limits: Mapping[str, dict[str, Any]]) -> ShownTable:
    """Return requests, failures, rows, quota and back-off by vendor."""
    totals: dict[str, dict[str, Any]] = {name: _unused(name) for name in limits}
    for row in usage:
        total = totals.setdefault(row["source"], _unused(row["source"]))
        for name in ("tasks", "requests", "failed", "unfinished", "accepted", "rejected"):
            total[name] += row[name]
        total["last_at"] = max(filter(None, (total["last_at"], row["last_at"])), default=None)
    rows = [total | {"quota": "–", "back_off": "–"} | limits.get(name, {}) for name, total in sorted(totals.items())]
    columns = [
        ShownColumn("source", "vendor", link=lambda row: f"/tasks?source={row['source']}"),
        *(ShownColumn(name) for name in ("requests", "tasks", "failed", "unfinished")),
        ShownColumn("accepted", "rows accepted"),
        ShownColumn("rejected", "rows rejected"),
        ShownColumn("quota", "quota used"),
        ShownColumn("last_at", "last task (UTC)"),
        ShownColumn("back_off", "back-off", text=True),
    ]
    return shown_table(rows, f"vendors, runs of the last {DAYS} days", columns)


def _unused(source: str) -> dict[str, Any]:
    counts = dict.fromkeys(("tasks", "requests", "failed", "unfinished", "accepted", "rejected"), 0)
    return {"source": source, "last_at": None, **counts}


def errors_table(usage: Sequence[Mapping[str, Any]]) -> ShownTable:
    """Return the tasks by vendor and class of the last error, the most frequent first."""
    rows = sorted((row for row in usage if row["error_class"]), key=lambda row: -row["tasks"])
    columns = [ShownColumn("source", "vendor"), ShownColumn("error_class", "error"), ShownColumn("tasks")]
    return shown_table(rows, f"last errors of tasks, runs of the last {DAYS} days", [*columns, ShownColumn("failed")])


def quota_text(used: int, quota: Quota | None) -> str:
    """Return the used part of a quota.

    >>> quota_text(12, Quota(25, 86_400)), quota_text(0, None)
    ('12 of 25 a day', 'unlimited')
    """
    if quota is None:
        return "unlimited"
    period = "a day" if quota.seconds == _DAY else "a minute" if quota.seconds == 60 else f"in {quota.seconds:g} s"
    return f"{used:,} of {quota.count:,} {period}"


def scores(agreements: pl.DataFrame) -> HtmlTable:
    """Return the share of compared sessions on which each vendor was not wrong, by month, the newest first.

    `agreements` has month, source, sessions and wrong.
    """
    months = sorted(agreements["month"].unique(), reverse=True)
    found = {(row["source"], row["month"]): row for row in agreements.iter_rows(named=True)}
    rows = []
    for source in sorted(agreements["source"].unique()):
        cells = {str(month): _share(found.get((source, month))) for month in months}
        rows.append({"vendor": source, **cells})
    heads = {"vendor": "vendor", **{str(month): month_text(month) for month in months}}
    return table_of(rows, "sessions on which a vendor was not wrong, in per cent of those compared", heads)


def _share(row: Mapping[str, Any] | None) -> str:
    if row is None or not row["sessions"]:
        return "–"
    return f"{text_of(per_cent(row['sessions'] - row['wrong'], row['sessions']))} ({row['sessions']:,})"


def monthly_agreements(lake: Lake, today: date) -> pl.DataFrame:
    """Return the compared sessions and those on which a vendor was wrong, by vendor and month, of the last months."""
    number = today.year * 12 + today.month - _MONTHS
    first = number // 12 * 100 + number % 12 + 1
    rows = lake.scan(AGREEMENTS.name).filter(pl.col("month") >= first)
    sides = [
        rows.select(
            "month", "sessions", pl.col(f"source_{side}").alias("source"), pl.col(f"wrong_{side}").alias("wrong")
        )
        for side in ("a", "b")
    ]
    found = pl.concat(sides).group_by("source", "month").agg(pl.col("sessions", "wrong").cast(pl.Int64).sum())
    return collected(found)


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of the vendors."""
    found = dashboard.from_state(_usage)
    no_database = "" if found is not None else dashboard.no_database
    usage, limits = found or ([], {})
    return rendered(
        request,
        "vendors.html",
        title="Vendors",
        no_database=no_database,
        table=vendors_table(usage, limits),
        errors=errors_table(usage),
        scores=scores(monthly_agreements(dashboard.lake, dashboard.now().date())),
    )


def _usage(platform: Platform) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    quotas = platform.state.quotas
    closed = {row["source"]: f"until {row['closed_until']:%H:%M}: {row['reason']}" for row in quotas.closed()}
    limits = {
        source: {
            "quota": quota_text(quotas.used(source, quota) if quota else 0, quota),
            "back_off": closed.get(source, "–"),
        }
        for source, quota in platform.quotas.items()
    }
    return platform.state.runs.vendor_usage(DAYS), limits


PAGES = (WebPage(path="/vendors", title="Vendors", handler=show),)
