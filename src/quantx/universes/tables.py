"""Members from a table with declared columns: CSV, JSON, workbooks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from quantx.core.symbols import parse_symbol, venue_of
from quantx.errors import InvalidSymbol, RefusedList
from quantx.universes.declaration import UniverseSpec
from quantx.universes.protocol import Document, LatestSymbol, Member, MemberList, Source
from quantx.universes.texts import csv_rows, decode, json_rows, under_header
from quantx.universes.workbook import read_workbook


def parse_csv(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the members in a CSV."""
    return _members(spec, csv_rows(decode(document, spec.encoding), spec.separator, document.origin), document.origin)


def parse_json(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the members in a JSON list of objects."""
    return _members(spec, json_rows(decode(document, spec.encoding), document.origin), document.origin)


def parse_excel(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the members in a sheet of a workbook."""
    return _members(spec, read_workbook(document.body, spec.sheet, document.origin), document.origin)


_LONGEST_SYMBOL = 16

CSV = Source(parse_csv, ".csv")
JSON = Source(parse_json, ".json")
EXCEL = Source(parse_excel, ".xlsx")


def _members(spec: UniverseSpec, rows: Sequence[Sequence[str]], where: str) -> MemberList:
    declared = (spec.symbol_column, spec.name_column, spec.from_column, spec.to_column, *spec.only)
    members: list[Member] = []
    left_out = 0
    for row in _without_notes(list(under_header(rows, [c for c in dict.fromkeys(declared) if c], where))):
        if any(row[column].strip() not in values for column, values in spec.only.items()):
            left_out += 1
            continue
        symbol = as_symbol(_code(spec, row[spec.symbol_column]))
        first, last = _date(spec.from_column, row), _date(spec.to_column, row)
        if first is not None and last is not None and last < first:
            raise RefusedList(f"{where}: {symbol} can't leave ({last}) before it joins ({first})")
        name = row[spec.name_column] if spec.name_column else None
        members.append((symbol, venue_of(symbol).market, name, first, last))
    return MemberList(members, left_out=left_out)


def _without_notes(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Drop the notes below a table of several columns: rows of one cell that is not a symbol."""
    while rows and len(rows[-1]) > 2:
        cells = [cell.strip() for cell in rows[-1].values() if cell.strip()]
        if len(cells) > 1 or len(cells[0]) <= _LONGEST_SYMBOL:
            break
        rows.pop()
    return rows


def _code(spec: UniverseSpec, text: str) -> str:
    """Return the part of a cell that is the symbol, with the exchange's suffix."""
    text = text.strip()
    if spec.symbol_pattern is not None:
        match = re.search(spec.symbol_pattern, text)
        if match is None:
            raise RefusedList(f"a universe has an invalid member: {text[:40]!a} does not match {spec.symbol_pattern}")
        text = match[1] if match.re.groups else match[0]
    return f"{text}{spec.symbol_suffix}" if text else text


def as_symbol(text: str) -> str:
    """Return the canonical symbol; raise RefusedList if the text is not a symbol."""
    try:
        return parse_symbol(text)
    except InvalidSymbol as error:
        raise RefusedList(f"a universe has an invalid member: {error}") from error


def _date(column: str | None, row: dict[str, str]) -> date | None:
    if column is None or not row[column].strip():
        return None
    try:
        return date.fromisoformat(row[column].strip()[:10])
    except ValueError as error:
        raise RefusedList(f"column {column!r} has {row[column]!r}, which is not a date, use YYYY-MM-DD") from error
