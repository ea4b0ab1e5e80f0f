"""Rows of texts under a header from CSV, a workbook, JSON or an HTML table."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from quantx.errors import RefusedList
from quantx.universes.protocol import Document

_MOST_ROWS = 200_000
_LONGEST_LINE = 100_000
_MOST_TAGS = 1_000_000  # of a page; Wikipedia's has 60,000
_PREAMBLE = 40  # rows before the header: titles, dates, notes
_HTML_HEADER = 3  # rows of an HTML table among which its header is
# What a reader of the page does not see: sort keys and styles of templates, which stand inside of cells.
_NOT_SHOWN = "//body//style|//body//script|//body//*[contains(translate(@style, ' ', ''), 'display:none')]"
_NOTE = re.compile(r"\[[^\]]*\]")  # a footnote, as in Symbol[a]


def decode(document: Document, encoding: str = "utf-8-sig") -> str:
    """Return the document's text; raise RefusedList if it is not a text, or an HTML page instead of a list."""
    try:
        text = document.body.decode(encoding)
    except UnicodeDecodeError as error:
        raise RefusedList(f"can't read {document.origin}: byte {error.start} is not text in {encoding}") from error
    except LookupError as error:
        raise RefusedList(f"can't read {document.origin}: {encoding} is not a known encoding") from error
    start = text[:2000].lstrip().lower()
    if start.startswith(("<!doctype html", "<html")):
        title = text[:20_000].partition("<title>")[2].partition("</title>")[0].strip()[:80]
        raise RefusedList(f"can't read {document.origin}: it is an HTML page{f' ({title})' if title else ''}")
    return text


def csv_rows(text: str, separator: str, where: str) -> list[list[str]]:
    """Return the rows of a CSV; raise RefusedList for an open quote, or too many or too long rows."""
    check_lines(text, where)
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True):
            rows.append(row)
    except csv.Error as error:
        raise RefusedList(
            f"can't read {where}: row {len(rows) + 1} has an open quote or a character outside of one"
        ) from error
    return rows


def check_lines(text: str, where: str) -> list[str]:
    """Return the lines of a text; raise RefusedList if they are too many or too long for a list of symbols."""
    lines = text.splitlines()
    if len(lines) > _MOST_ROWS:
        raise RefusedList(f"{where} has more than {_MOST_ROWS:,} rows; a list of symbols is smaller")
    if max(map(len, lines), default=0) > _LONGEST_LINE:
        raise RefusedList(f"{where} has a line of more than {_LONGEST_LINE:,} characters; a list of symbols is smaller")
    return lines


def json_rows(text: str, where: str) -> list[list[str]]:
    """Return a JSON list of objects, or an object of them, as rows under a header of all their names."""
    if text.count("{") + text.count("[") > _MOST_ROWS:
        raise RefusedList(f"{where} has more than {_MOST_ROWS:,} rows; a list of symbols is smaller")
    try:
        document: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise RefusedList(f"can't read {where}: it is not JSON (line {error.lineno}, column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise RefusedList(f"can't read {where}: a number is too long, or it is nested too deeply") from error
    records = list(document.values()) if isinstance(document, dict) else document
    if not isinstance(records, list) or not all(isinstance(r, dict) for r in records):
        raise RefusedList(f"{where} is not a JSON list of objects")
    header = list(dict.fromkeys(name for record in records for name in record))
    return [header, *([_cell(record.get(name)) for name in header] for record in records)]


def _cell(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def html_tables(document: Document, ids: Sequence[str]) -> list[list[list[str]]]:
    """Return the tables with these ids, as rows of texts; cells that span several columns or rows are repeated."""
    page, tables = _html_page(document), []
    for wanted in ids:
        matches = page.xpath("//table[@id=$id]", id=wanted)
        if len(matches) != 1:
            counted = f"has {len(matches)} tables with the id {wanted!r}, not one"
            raise RefusedList(f"{document.origin} ({_title(page)}) {counted}")
        tables.append(list(_table_rows(matches[0], document.origin)))
    return tables


def has_tables(document: Document, ids: Sequence[str]) -> bool:
    """Return whether a page has one table with each of these ids."""
    page = _html_page(document)
    return all(len(page.xpath("//table[@id=$id]", id=wanted)) == 1 for wanted in ids)


def html_table_with(document: Document, columns: Sequence[str]) -> tuple[str, list[list[str]]]:
    """Return the first of `columns` that heads a table of the page, and that table's rows.

    A table with the id `constituents` comes first, then the others in their order. RefusedList if there is none.
    """
    page, heads = _html_page(document), []
    tables = sorted(page.xpath("//table"), key=lambda table: table.get("id") != "constituents")
    for table in tables:
        rows = list(_table_rows(table, document.origin))
        for row in rows[:_HTML_HEADER]:
            cells = [_NOTE.sub("", cell).strip() for cell in row]
            if found := next((column for column in columns if column in cells), None):
                return found, [[_NOTE.sub("", cell) for cell in each] for each in rows]
            heads += [cell for cell in cells if cell and len(cells) > 1]
    shown = ", ".join(dict.fromkeys(heads))[:300] or "none"
    raise RefusedList(
        f"{document.origin} ({_title(page)}) has no table with a column {' or '.join(columns)}; its columns are"
        f" {shown}; declare one of them as `symbol_column`"
    )


def _html_page(document: Document) -> Any:
    if document.body.count(b"<") > _MOST_TAGS:
        raise RefusedList(f"{document.origin} has more than {_MOST_TAGS:,} tags; a list of symbols is smaller")
    # Imported late: a trigger that reads a CSV does not have it.
    import lxml.etree  # type: ignore[import-untyped]
    import lxml.html  # type: ignore[import-untyped]

    parser = lxml.html.HTMLParser(no_network=True, huge_tree=False, encoding="utf-8")
    try:
        page = lxml.html.document_fromstring(document.body, parser=parser)
    except (lxml.etree.LxmlError, ValueError) as error:
        raise RefusedList(f"can't read {document.origin}: it is not an HTML page") from error
    for unseen in page.xpath(_NOT_SHOWN):
        unseen.drop_tree()
    return page


def _title(page: Any) -> str:
    return (page.findtext(".//title") or "").strip()[:80]


def _table_rows(table: Any, where: str) -> Iterator[list[str]]:
    below: dict[int, tuple[int, str]] = {}  # column → number of further rows of its cell, and its text
    for count, row in enumerate(table.xpath(".//tr")):
        if count > _MOST_ROWS:
            raise RefusedList(f"{where} has a table of more than {_MOST_ROWS:,} rows")
        cells: list[str] = []
        for cell in row.xpath("./td|./th"):
            _continue(cells, below)
            text = " ".join(cell.text_content().split())
            wide, high = (_span(cell.get(name)) for name in ("colspan", "rowspan"))
            for _ in range(wide):
                if high > 1:
                    below[len(cells)] = (high - 1, text)
                cells.append(text)
        _continue(cells, below)
        yield cells


def _continue(cells: list[str], below: dict[int, tuple[int, str]]) -> None:
    """Add the cells that span from the rows above."""
    while len(cells) in below:
        left, text = below.pop(len(cells))
        if left > 1:
            below[len(cells)] = (left - 1, text)
        cells.append(text)


def _span(text: str | None) -> int:
    return min(max(int(text), 1), 50) if text and text.isdecimal() and len(text) < 6 else 1


def under_header(rows: Sequence[Sequence[str]], columns: Sequence[str], where: str) -> Iterator[dict[str, str]]:
    """Yield each row below the header as column → text; the header is the first row that has all of `columns`."""
    return (row for _, row in numbered_rows(rows, columns, where))


def numbered_rows(
    rows: Sequence[Sequence[str]], columns: Sequence[str], where: str
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the number of each row below the header, and the row as column → text.

    Rows without text are skipped. RefusedList if there is no such header, or a row is longer than the header.
    """
    places = [i for i, row in enumerate(rows[:_PREAMBLE]) if {c.strip() for c in row}.issuperset(columns)]
    if not places:
        # The likeliest header is the longest row.
        likely = max((list(row) for row in rows[:_PREAMBLE]), key=len, default=[])
        missing = next((c for c in columns if c not in likely), columns[0])
        if not likely:
            raise RefusedList(f"can't read {where}: it is empty")
        raise RefusedList(f"{where} has no column {missing!r}; it has {', '.join(likely)[:300]}")
    header = [c.strip() for c in rows[places[0]]]
    duplicates = [c for c in columns if header.count(c) > 1]
    if duplicates:
        raise RefusedList(f"{where} has the column {duplicates[0]!r} twice")
    for number, row in enumerate(rows[places[0] + 1 :], places[0] + 2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]):
            raise RefusedList(f"can't read {where}: row {number} has more cells than the header")
        yield number, dict(zip(header, [*row, *([""] * (len(header) - len(row)))], strict=False))
