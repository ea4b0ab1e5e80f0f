"""An index's page in Wikipedia.

The page of the S&P 500 has the past members, too: https://en.wikipedia.org/wiki/List_of_S%26P_500_companies (November
2026) has tables with the ids `constituents` and `changes`, the latter under a header of two rows. So may that of
another American index (https://en.wikipedia.org/wiki/Nasdaq-100). Of any other page, today's members are read: from the
first table with the declared `symbol_column`, or a usual heading of symbols.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from urllib.parse import unquote

from quantx.core.symbols import US
from quantx.errors import RefusedList
from quantx.universes.changes import CurrentMember, MembershipChange, membership
from quantx.universes.declaration import UniverseSpec
from quantx.universes.forms import american
from quantx.universes.protocol import Document, LatestSymbol, MemberList, Source, Spellings
from quantx.universes.tables import members_of_rows
from quantx.universes.texts import has_tables, html_table_with, html_tables, under_header

# Earlier revisions of the page had other headings.
_SYMBOL, _NAME = ("Symbol", "Ticker symbol", "Ticker"), ("Security", "Company")
_SINCE = ("Date added", "Date first added")
_IDS = ("constituents", "changes")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_NOTE = re.compile(r"\[[^\]]*\]")
_WITH_HISTORY = "List_of_S&P_500_companies"
_SYMBOLS = ("Symbol", "Ticker symbol", "Ticker", "Code", "Stock code", "EPIC")
_MOST_UNREADABLE = 0.05  # of the changes


def parse(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the members: with the intervals from the changes where the page has them, else the current ones.

    The page of the S&P 500 without readable changes is refused; of another page this is a remark.
    """
    if spec.url is None or _WITH_HISTORY in unquote(spec.url):
        return _members_with_history(document, latest, dated=True)
    if spec.market != US.market or not has_tables(document, _IDS):
        return _members_today(spec, document)
    try:
        return _members_with_history(document, latest, dated=False)
    except RefusedList as unreadable:
        today = _members_today(spec, document)
        return replace(today, remarks=[*today.remarks, f"the past members can't be read: {unreadable}"])


def _members_with_history(document: Document, latest: LatestSymbol, *, dated: bool) -> MemberList:
    constituents, changes_table = html_tables(document, _IDS)
    spellings = Spellings()
    current = _current(constituents, document.origin, spellings, dated=dated)
    changes, remarks = _changes(changes_table, document.origin)
    members, contradictions = membership(current, changes, latest)
    return MemberList(members, [*spellings.remarks, *remarks, *contradictions])


def _members_today(spec: UniverseSpec, document: Document) -> MemberList:
    """Return the members in a page's table of constituents."""
    declared = "symbol_column" in spec.model_fields_set
    column, rows = html_table_with(document, [spec.symbol_column] if declared else _SYMBOLS)
    # Where the exchange stands before the code (SEHK: 5), the code is the symbol.
    pattern = spec.symbol_pattern or r"^(?:[A-Za-z ]+:)?\s*(.+)$"
    of_page = {"symbol_column": column, "symbol_pattern": pattern}
    return members_of_rows(spec.model_copy(update=of_page), rows, document.origin)


def _current(rows: Sequence[Sequence[str]], where: str, spellings: Spellings, *, dated: bool) -> list[CurrentMember]:
    header = [cell.strip() for cell in rows[0]] if rows else []
    symbol, name = (_heading(header, names, where) for names in (_SYMBOL, _NAME))
    since = _heading(header, _SINCE, where) if dated else next((each for each in _SINCE if each in header), None)
    short = next((row for row in rows if row and len(row) != len(header)), None)
    if short is not None:
        raise RefusedList(f"{where}: the row {' | '.join(short)[:80]} has {len(short)} cells, not {len(header)}")
    members: list[CurrentMember] = []
    for row in under_header(rows, [column for column in (symbol, name, since) if column], where):
        ticker = american(_NOTE.sub("", row[symbol]))
        if ticker is None:
            raise RefusedList(f"{where} has the member {row[symbol][:40]!a}, which is not an American symbol")
        if spellings.is_another(ticker, _NOTE.sub("", row[symbol])):
            continue
        if any(ticker == c.symbol for c in members):
            raise RefusedList(f"the list {where} has {ticker} twice")
        day = _DAY.match(row[since].strip()) if since else None
        members.append(CurrentMember(ticker, _NOTE.sub("", row[name]).strip(), _iso(day[0]) if day else None))
    return members


def _changes(rows: Sequence[Sequence[str]], where: str) -> tuple[list[MembershipChange], list[str]]:
    if len(rows) < 2 or not rows[0] or not rows[0][0].endswith("ate"):
        raise RefusedList(f"{where}: the table of changes does not begin with a date")
    header = [f"{top} {below}".strip() for top, below in zip(rows[0], rows[1], strict=False)]
    columns = ("Added Ticker", "Added Security", "Removed Ticker", "Removed Security")
    missing = next((c for c in columns if c not in header), None)
    if missing is not None:
        raise RefusedList(f"{where}: the table of changes has no column {missing!r}; it has {', '.join(header)}")
    places = [header.index(c) for c in columns]
    changes: list[MembershipChange] = []
    remarks: list[str] = []
    for row in rows[2:]:
        change = _change(row, places) if len(row) == len(header) else None
        if change is None:
            remarks.append(f"the change {' | '.join(row)[:80]} can't be read")
        else:
            changes.append(change)
    if len(remarks) > _MOST_UNREADABLE * len(rows):
        raise RefusedList(f"{where}: {len(remarks)} of {len(rows) - 2} changes can't be read; {remarks[0]}")
    return changes, remarks


def _change(row: Sequence[str], places: Sequence[int]) -> MembershipChange | None:
    try:
        day = datetime.strptime(_NOTE.sub("", row[0]).strip(), "%B %d, %Y").date()  # noqa: DTZ007 — a day
    except ValueError:
        return None
    added, added_name, removed, removed_name = (_NOTE.sub("", row[i]).strip() for i in places)
    symbols = [american(text) if text else "" for text in (added, removed)]
    if None in symbols or not any(symbols):
        return None
    return MembershipChange(
        day, added=symbols[0] or None, added_name=added_name, removed=symbols[1] or None, removed_name=removed_name
    )


def _heading(header: Sequence[str], names: Sequence[str], where: str) -> str:
    heading = next((name for name in names if name in header), None)
    if heading is None:
        raise RefusedList(f"{where} has no column {names[0]!r}; it has {', '.join(header)}")
    return heading


def _iso(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


SOURCE = Source(parse, ".html", "https://en.wikipedia.org/wiki/List_of_S%26P_500_companies", history_from_changes=True)
