"""Members from a table with declared columns: CSV, JSON, workbooks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

from quantx.core.symbols import venue_of
from quantx.errors import InvalidSymbol, RefusedList
from quantx.universes.declaration import UniverseSpec
from quantx.universes.forms import from_any_form
from quantx.universes.protocol import Document, LatestSymbol, Member, MemberList, Source, Spellings
from quantx.universes.texts import csv_rows, decode, json_rows, numbered_rows
from quantx.universes.workbook import read_workbook


def parse_csv(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the members in a CSV."""
    text = decode(document, spec.encoding)
    rows = csv_rows(text, spec.separator, document.origin)
    _check_separator(spec, text, rows, document.origin)
    return members_of_rows(spec, rows, document.origin)


def parse_json(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the members in a JSON list of objects."""
    return members_of_rows(spec, json_rows(decode(document, spec.encoding), document.origin), document.origin)


def parse_excel(spec: UniverseSpec, document: Document, latest: LatestSymbol) -> MemberList:
    """Return the members in a sheet of a workbook."""
    return members_of_rows(spec, read_workbook(document.body, spec.sheet, document.origin), document.origin)


_LONGEST_SYMBOL = 16

CSV = Source(parse_csv, ".csv")
JSON = Source(parse_json, ".json")
EXCEL = Source(parse_excel, ".xlsx")


# Separators of CSV files, with their form in YAML.
_SEPARATORS = {",": '","', ";": '";"', "\t": '"\\t"', "|": '"|"'}
_HEADER_ROWS = 40  # rows before the header: titles, dates, notes


def _check_separator(spec: UniverseSpec, text: str, rows: Sequence[Sequence[str]], where: str) -> None:
    """Raise RefusedList if the header of the symbols is found only with another separator than the declared one."""
    column = spec.symbol_column
    if any(column in (cell.strip() for cell in row) for row in rows[:_HEADER_ROWS]):
        return
    for number, line in enumerate(text.splitlines()[:_HEADER_ROWS], 1):
        for separator, written in _SEPARATORS.items():
            if separator != spec.separator and column in (cell.strip(' "') for cell in line.split(separator)[:256]):
                raise RefusedList(
                    f"the universe {spec.name}: row {number} of {where} is separated by {written}, not by"
                    f" {_SEPARATORS.get(spec.separator, spec.separator)}; declare `separator: {written}`"
                )


def members_of_rows(spec: UniverseSpec, rows: Sequence[Sequence[str]], where: str) -> MemberList:
    """Return the members in the rows of a table with the declared columns; RefusedList with the row of a problem."""
    declared = (
        *(spec.symbol_column, spec.name_column, spec.from_column, spec.to_column, spec.suffix_column),
        *spec.only,
    )
    members: list[Member] = []
    spellings = Spellings()
    left_out = 0
    elsewhere = dict[str, int]()
    for number, row in _without_notes(list(numbered_rows(rows, [c for c in dict.fromkeys(declared) if c], where))):
        if any(row[column].strip() not in values for column, values in spec.only.items()):
            left_out += 1
            continue
        if spec.suffix_column is not None and row[spec.suffix_column].strip() not in spec.suffixes:
            elsewhere[row[spec.suffix_column].strip()] = elsewhere.get(row[spec.suffix_column].strip(), 0) + 1
            continue
        symbol = as_symbol(_code(_of_row(spec, row), row[spec.symbol_column]), spec, f"row {number} of {where}")
        first, last = _date(spec.from_column, row), _date(spec.to_column, row)
        if first is not None and last is not None and last < first:
            raise RefusedList(f"{where}: {symbol} can't leave ({last}) before it joins ({first})")
        name = row[spec.name_column] if spec.name_column else None
        if spellings.is_another(symbol, row[spec.symbol_column], first):
            left_out += 1
        else:
            members.append((symbol, venue_of(symbol).market, name, first, last))
    remarks = [
        f"{count} row{'' if count == 1 else 's'} with the {spec.suffix_column} {value!a} left out:"
        " `suffixes` has no exchange of it"
        for value, count in elsewhere.items()
    ]
    return MemberList(members, [*spellings.remarks, *remarks], left_out + sum(elsewhere.values()))


def _of_row(spec: UniverseSpec, row: dict[str, str]) -> UniverseSpec:
    """Return the declaration with the suffix of a row."""
    if spec.suffix_column is None:
        return spec
    return spec.model_copy(update={"symbol_suffix": spec.suffixes[row[spec.suffix_column].strip()]})


def _without_notes(rows: list[tuple[int, dict[str, str]]]) -> list[tuple[int, dict[str, str]]]:
    """Drop the notes below a table of several columns: rows of one cell that is not a symbol."""
    while rows and len(rows[-1][1]) > 2:
        cells = [cell.strip() for cell in rows[-1][1].values() if cell.strip()]
        if len(cells) > 1 or len(cells[0]) <= _LONGEST_SYMBOL:
            break
        rows.pop()
    return rows


def _code(spec: UniverseSpec, text: str) -> str:
    """Return the part of a cell that is the symbol, with its leading zeros and the exchange's suffix."""
    text = text.strip()
    if spec.symbol_pattern is not None:
        match = re.search(spec.symbol_pattern, text)
        if match is None:
            raise RefusedList(
                f"the universe {spec.name} has an invalid member: {text[:40]!a} does not match {spec.symbol_pattern}"
            )
        text = match[1] if match.re.groups else match[0]
    if spec.symbol_pad is not None:
        number = text.removesuffix(".0")  # a workbook's number as a text
        text = number.zfill(spec.symbol_pad) if number.isascii() and number.isdecimal() else text
    return with_suffix(text, spec)


def with_suffix(text: str, spec: UniverseSpec) -> str:
    """Return a code with the declared suffix of the exchange, unless it has the suffix or is empty."""
    has_it = text.upper().endswith(spec.symbol_suffix.upper())
    return text if has_it or not text else f"{text}{spec.symbol_suffix}"


def as_symbol(text: str, spec: UniverseSpec, position: str) -> str:
    """Return the canonical symbol; raise RefusedList with the universe, the position and the mend if it is none."""
    try:
        return from_any_form(text, spec.market)
    except InvalidSymbol as error:
        raise RefusedList(
            f"the universe {spec.name} has an invalid member in {position}: {error}{_mend(text, spec)}"
        ) from error


def _mend(text: str, spec: UniverseSpec) -> str:
    """Return the declaration that would read the text as a symbol, where one is likely."""
    bare = text.strip()
    separator = next((mark for mark in ";|,\t:_" if mark in bare), None)
    if separator is not None and spec.type == "csv" and separator in _SEPARATORS:
        return f"; if {separator!r} separates columns, declare `separator: {_SEPARATORS[separator]}`"
    if separator is not None:
        return f"; {separator!r} is no separator of a symbol: declare `symbol_pattern` for the part that is the symbol"
    if not bare.removesuffix(".0").isdecimal() or spec.symbol_suffix:
        return ""
    if spec.type == "static":
        return "; add the suffix of the exchange, as in 7203.T"
    return "; declare the exchange's suffix, as in `symbol_suffix: .T`, and `symbol_pad: 4` for lost zeros"


def _date(column: str | None, row: dict[str, str]) -> date | None:
    if column is None or not row[column].strip():
        return None
    try:
        return date.fromisoformat(row[column].strip()[:10])
    except ValueError as error:
        raise RefusedList(f"column {column!r} has {row[column]!r}, which is not a date, use YYYY-MM-DD") from error
