"""Universes: their members on any day and through time, and which lists were taken or refused."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any
from urllib.parse import urlencode

import polars as pl
from starlette.requests import Request
from starlette.responses import Response

from quantx.dashboard.context import Dashboard
from quantx.dashboard.page import WebPage, rendered
from quantx.dashboard.series.request import address_of
from quantx.dashboard.series.tables import finding_table
from quantx.dashboard.tables import ShownColumn, shown_table
from quantx.errors import ConfigError, NotInLake, QuantxError
from quantx.lake.store import LakeLocation
from quantx.pages.views import HtmlTable, table_of
from quantx.reader.arguments import to_date
from quantx.reader.known_names import collected_warnings

_MEMBERS, _CHANGES, _LISTS = 500, 100, 20  # shown
_AT_ONCE = 8  # requests to the store


_UNIVERSES = (
    ShownColumn("universe", link=lambda row: f"/universes?{urlencode({'name': row['universe']})}"),
    ShownColumn("phase"),
    ShownColumn("members"),
    ShownColumn("ever"),
    ShownColumn("since"),
    ShownColumn("known_from", "known since"),
)
_OF_MEMBERS = (
    ShownColumn("symbol", link=address_of),
    ShownColumn("name", text=True),
    ShownColumn("market"),
    ShownColumn("member_from", "from"),
    ShownColumn("member_to", "last day"),
)
_OF_CHANGES = (
    ShownColumn("day"),
    ShownColumn("change"),
    ShownColumn("symbol", link=address_of),
    ShownColumn("name", text=True),
)
_LISTS_READ = (
    ShownColumn("at", "read at (UTC)"),
    ShownColumn("decision", level=True),
    ShownColumn("members", "members after it"),
    ShownColumn("joined", text=True),
    ShownColumn("left", text=True),
    ShownColumn("why", text=True),
    ShownColumn("reason", "reason of the user", text=True),
    ShownColumn("origin", "source", text=True),
)


def show(request: Request, dashboard: Dashboard) -> Response:
    """Return the list of universes, or one of them."""
    name, on = (request.query_params.get(key, "").strip() for key in ("name", "on"))
    problem, status = "", 200
    try:
        if name:
            return _universe(request, dashboard, name, to_date(on or None))
    except NotInLake as error:
        problem, status = str(error), 404
    except QuantxError as error:
        problem, status = str(error), 400 if isinstance(error, ConfigError) else 503
    try:
        rows = dashboard.lake.universes().to_dicts()
    except QuantxError as error:
        problem, status, rows = problem or str(error), 503, []
    universes = shown_table(rows, "Universes", _UNIVERSES)
    return rendered(request, "universes.html", title="Universes", status=status, universes=universes, problem=problem)


def _universe(request: Request, dashboard: Dashboard, name: str, on: date | None) -> Response:
    with dashboard.lake.in_one_state("page of a universe") as lake, collected_warnings() as warned:
        members = lake.universe(name, on=on)
        intervals = lake.membership(name)
        findings = lake.findings(name)
    return rendered(
        request,
        "universe.html",
        title=name,
        on="" if on is None else on.isoformat(),
        warnings=[str(each) for each in warned],
        total=members.height,
        members=shown_table(members.head(_MEMBERS).to_dicts(), "Members", _OF_MEMBERS),
        years=years_table(intervals, dashboard.now().date()),
        changes=shown_table(changes_of(intervals)[:_CHANGES], "Changes, the newest first", _OF_CHANGES),
        lists=shown_table(
            decisions_of(dashboard.location, name), "Lists that were read, the newest first", _LISTS_READ
        ),
        findings=finding_table(findings),
    )


def years_table(intervals: pl.DataFrame, today: date) -> HtmlTable:
    """Return, by year, how many joined, how many left, and how many were members at its end."""
    begun, ended = intervals["member_from"], intervals["member_to"]
    known = [*begun.drop_nulls(), *ended.drop_nulls()]
    rows = []
    for year in range(today.year, min((day.year for day in known), default=today.year) - 1, -1):
        end = min(date(year, 12, 31), today)
        joined = begun.is_between(date(year, 1, 1), end).sum()
        left = ended.is_between(date(year, 1, 1), end).sum()
        is_member = (begun.is_null() | (begun <= end)) & (ended.is_null() | (ended > end))
        rows.append({"year": str(year), "joined": joined, "left": left, "members": int(is_member.sum())})
    return table_of(rows, "By year", {"year": "year", "joined": "joined", "left": "left", "members": "at its end"})


def changes_of(intervals: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the days on which symbols joined, or were members for the last time; the newest first."""
    columns = ("symbol", "name")
    joined = intervals.select("member_from", pl.lit("joined").alias("change"), *columns).rename({"member_from": "day"})
    left = intervals.select("member_to", pl.lit("last day").alias("change"), *columns).rename({"member_to": "day"})
    changes = pl.concat([joined, left]).drop_nulls("day")
    return changes.sort("day", "symbol", descending=[True, False]).to_dicts()


def decisions_of(location: LakeLocation, universe: str) -> list[dict[str, Any]]:
    """Return the decisions about the lists of a universe that the lake has: taken, refused or accepted."""
    paths = [path for path in location.paths(f"meta/snapshots/universe={universe}/") if _is_decision(path)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [*map(_decision, pool.map(location.get, sorted(paths, reverse=True)[:_LISTS]))]


def _is_decision(path: str) -> bool:
    """Return whether an object is a decision, named by its time as a ULID, and not a document, named by its hash."""
    name = path.rpartition("/")[2]
    return name.endswith(".json") and len(name.removesuffix(".json")) == 26


def _decision(text: bytes) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except ValueError:
        facts = {}
    at = str(facts.get("at", ""))[:16].replace("T", " ")
    members = facts.get("members")
    count = len(members) if isinstance(members, list) else members
    return {each.name: _text(facts.get(each.name)) for each in _LISTS_READ} | {"at": at or "–", "members": count}


def _text(value: Any) -> Any:
    return ", ".join(map(str, value)) or None if isinstance(value, list) else value


PAGES = (WebPage(path="/universes", title="Universes", handler=show),)
