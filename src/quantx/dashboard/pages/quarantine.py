"""The quarantine: rejected rows with their rules; one with the vendor's reply and its neighbours; replay and accept.

The rows are in the lake: the page needs no database, only its actions do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast, get_args
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from quantx.core.prices import PRICES
from quantx.core.quality import RULES
from quantx.core.symbols import MARKETS
from quantx.dashboard.actions import Action, Form
from quantx.dashboard.context import Dashboard
from quantx.dashboard.filters import PAGE_ROWS, Filter, Filters, filters_of, page_links
from quantx.dashboard.neighbours import Neighbours, neighbours, stored_bars
from quantx.dashboard.page import WebPage, rendered
from quantx.dashboard.tables import ShownCell, ShownColumn, ShownTable, shortened, shown_table
from quantx.errors import Busy, ConfigError, NotInLake
from quantx.pages.views import text_of
from quantx.pipeline.reprocessing.quarantine import SHOWN, RowSelection, RowState, rejected_page, show
from quantx.reader.lake import Lake

if TYPE_CHECKING:
    from quantx.pipeline.reprocessing.quarantine import ReplayResult
    from quantx.pipeline.runtime.platform import Platform

_FILTERS = (
    Filter("state", "state", tuple((each, each) for each in get_args(RowState))),
    Filter("symbol", "symbol"),
    Filter("source", "vendor"),
    Filter("market", "market", tuple((each, each) for each in MARKETS)),
    Filter("rule", "rule"),
)
_LONGEST_EXCERPT = 4_000  # characters of the vendor's reply


def row_address(row: Mapping[str, Any]) -> str:
    """Return the address of a rejected row's page; the symbol and the vendor limit what it reads."""
    return f"/quarantine/{row['id']}?{urlencode({'symbol': row['symbol'], 'source': row['source']})}"


def quarantine_table(rows: Sequence[Mapping[str, Any]]) -> ShownTable:
    """Return the table of rejected rows, the newest first."""
    columns = [
        ShownColumn("id", "row", value=lambda row: row["id"][:SHOWN], link=row_address),
        ShownColumn("state", level=True),
        ShownColumn("symbol"),
        ShownColumn("date", value=lambda row: row["date"] or "a whole reply"),
        ShownColumn("source", "vendor"),
        ShownColumn("dataset"),
        ShownColumn("rules", value=lambda row: row["rules"].replace(",", ", ")),
        ShownColumn("known_from", "received (UTC)"),
        ShownColumn("row", "values (of a bar: open, high, low, close, volume)", value=in_short, text=True),
    ]
    return shown_table(rows, "rejected rows, the newest first", columns)


def in_short(row: Mapping[str, Any]) -> str:
    """Return the values of a rejected row in one line: prices and volume of a bar, else as they are kept."""
    values = values_of(row["row"])
    if values is None or not any(name in values for name in PRICES):
        return str(row["row"])
    time = f"{values['time'][11:16]} " if row["dataset"] == "bars_1m" and values.get("time") else ""
    return time + " ".join("–" if values.get(c) is None else f"{values[c]:.12g}" for c in (*PRICES, "volume"))


def values_of(text: str) -> dict[str, Any] | None:
    """Return the values of a row that is kept as JSON; None of a text, which whole replies have."""
    try:
        values = json.loads(text)
    except ValueError:
        return None
    return values if isinstance(values, dict) else None


def row_facts(row: Mapping[str, Any]) -> list[tuple[str, ShownCell]]:
    """Return the facts of a rejected row."""
    payload = row["payload"]
    texts = {
        "state": row["state"],
        "symbol": row["symbol"],
        "date": row["date"] or "a whole reply, or an event without a date",
        "vendor": row["source"],
        "dataset": row["dataset"],
        "rules version": row["policy"],
        "received (UTC)": row["known_from"],
        "accepted by": row["by"],
        "reason": row["reason"],
        "decided (UTC)": row["decided_at"],
        "passes rules version": row["passed"],
        "as sent": row["sent"],
        "request": payload.get("request"),
        "HTTP status": payload.get("status"),
        "place in the reply": row["place"],
        "raw object": payload["path"],
        "SHA-256 of the reply": payload["sha256"],
    }
    return [(name, ShownCell(shortened(text_of(value), 2_000))) for name, value in texts.items() if value is not None]


def list_rows(request: Request, dashboard: Dashboard) -> Response:
    """Return a page of rejected rows."""
    filters = filters_of(request, *_FILTERS)
    found = rejected_page(dashboard.tables, _selection(filters), filters.offset, PAGE_ROWS)
    rows = found.rows.to_dicts()
    opened = [
        (row["id"], f"{row['symbol']} {row['date'] or ''}: {row['rules']}") for row in rows if row["state"] == "open"
    ]
    return rendered(
        request,
        "quarantine.html",
        title="Quarantine",
        filters=filters,
        table=quarantine_table(rows),
        links=page_links(filters, len(rows), found.total),
        opened=[(name, shortened(text, 100)) for name, text in opened],
    )


def show_row(request: Request, dashboard: Dashboard) -> Response:
    """Return the page of a rejected row: its rules, its values, the vendor's reply, and the sessions around it."""
    symbol, source = (request.query_params.get(name) or None for name in ("symbol", "source"))
    try:
        row = show(dashboard.tables, dashboard.location, request.path_params["row"][:64], symbol, source)
    except ConfigError as error:
        raise NotInLake(str(error)) from None
    payload = row["payload"]
    return rendered(
        request,
        "rejected_row.html",
        title=f"Rejected row {row['id'][:SHOWN]}",
        row=row,
        facts=row_facts(row),
        values=in_short(row),
        excerpt=shortened_text(payload["excerpt"]) if payload["excerpt"] is not None else None,
        problem=payload.get("problem"),
        can_be_accepted=row["state"] != "accepted" and row["date"] is not None,
        around=_around(dashboard.lake, row),
        series=f"/series?symbol={quote(row['symbol'], safe='')}",
    )


def shortened_text(text: str) -> str:
    """Return a text of several lines, cut to a length that a page can show."""
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}…"


def _around(lake: Lake, row: Mapping[str, Any]) -> Neighbours | None:
    """Return the accepted daily bars around a rejected one; None for other rows, or where there are none."""
    values = values_of(row["row"])
    if row["date"] is None or values is None or "close" not in values or row["dataset"] == "bars_1m":
        return None
    bars = stored_bars(lake, row["symbol"], row["source"], row["date"], row["date"])
    if bars is None or bars.is_empty():
        return None
    rejected, state = values | {"date": row["date"]}, "rejected" if row["state"] == "open" else row["state"]
    return neighbours(bars, f"{row['symbol']} of {row['source']}", (row["date"], row["date"]), rejected, state)


def _selection(filters: Filters) -> RowSelection:
    rule = filters.get("rule")
    if rule is not None and rule not in RULES:
        raise ConfigError(f"there is no rule {rule!r}; the reference of rules has all of them")
    return RowSelection(
        rule=rule,
        symbol=filters.get("symbol"),
        source=filters.get("source"),
        market=filters.get("market"),
        state=cast("RowState | None", filters.get("state")),
    )


def _replay(platform: Platform, form: Form) -> str:
    from quantx.pipeline.reprocessing.quarantine import replay
    from quantx.pipeline.wiring import reprocessor_of

    ids = tuple(form.many("row"))
    done, notes = _curated(platform, lambda: replay(reprocessor_of(platform), RowSelection(ids=ids)))
    passed = done.rows.filter(state="replayed").height
    left = done.rows.filter(state="open").height
    return f"{passed:,} pass the current rules and are curated, {left:,} are still rejected{notes}"


def _accept(platform: Platform, form: Form) -> str:
    from quantx.pipeline.reprocessing.quarantine import accept
    from quantx.pipeline.wiring import reprocessor_of

    row = form.text("row")
    done, notes = _curated(platform, lambda: accept(reprocessor_of(platform), row, form.reason, form.actor))
    facts = done.rows.row(0, named=True)
    return f"{facts['symbol']} {facts['date']} is accepted, and curated whenever the table is derived again{notes}"


def _curated(platform: Platform, run: Callable[[], ReplayResult]) -> tuple[ReplayResult, str]:
    """Run a replay, and inspect what has changed; return also what of it failed, as the end of a sentence.

    Raises ConfigError where another process curates.
    """
    from quantx.pipeline.wiring import inspect_reprocessed

    try:
        done = run()
    except Busy as error:
        raise ConfigError(f"{error}; send the form again later") from None
    failed = inspect_reprocessed(platform, done.reprocessed)
    return done, outcome_notes([why for each in done.reprocessed for why in each.left.values()], failed)


def outcome_notes(left: Sequence[str], failed: Sequence[str]) -> str:
    """Return what a replay could not do, as the end of a sentence: series that stay unchanged, failed inspections.

    >>> outcome_notes(["a reply is damaged"], [])
    '; 1 series is unchanged until it can be derived: a reply is damaged'
    """
    notes = ""
    if left:
        are = "is unchanged until it" if len(left) == 1 else "are unchanged until they"
        notes += f"; {len(left):,} series {are} can be derived: {left[0]}"
    if failed:
        notes += f"; inspection failed: {', '.join(failed)}; `quantx validate run` repeats it"
    return notes


PAGES = (
    WebPage(path="/quarantine", title="Quarantine", handler=list_rows),
    WebPage(path="/quarantine/{row}", handler=show_row),
)
ACTIONS = (
    Action(name="quarantine.replay", label="Validate again", run=_replay, fields=("row",)),
    Action(name="quarantine.accept", label="Accept", run=_accept, fields=("row",)),
)
