"""DuckDB's errors in plain words: the fact, and the next step."""

from __future__ import annotations

import re
from collections.abc import Collection

from quantx.errors import LakeError, QuantxError, SqlError, SqlMemoryError
from quantx.reader.arguments import did_you_mean
from quantx.reader.sql.catalog import columns_of

_COLUMN = re.compile(r'[Rr]eferenced column "([^"]+)" (?:was )?not found|does not have a column named "([^"]+)"')
_PLACE = re.compile(r"^LINE (\d+):", re.MULTILINE)
_KIND = re.compile(r"\b([A-Z]\w*(?: [A-Za-z]\w*){0,3}) Error: *", re.DOTALL)
_MEMORY = "the query needs more memory than it may use; narrow it by symbol or date, or aggregate in steps"
_DAMAGED = "a file of the lake is missing or damaged; `quantx verify` names it, --repair mends it"
_OUTSIDE = "a query reads the lake's tables only: no files, addresses, settings or extensions"
_READ_ONLY = "only SELECT is possible here; the lake is read-only"


def plain_error(error: Exception, tables: Collection[str], *, placed: bool = True) -> QuantxError:
    """Return the error to raise for one of DuckDB, of a query that uses some tables and views.

    An error in the middle of a result has DuckDB's text within another class, so that the text decides. `placed`: the
    line in it is one of the query, and not of what the query was put into.
    """
    whole = str(error)
    found = _KIND.search(whole)
    kind, rest = (found.group(1), whole[found.end() :]) if found else ("", whole)
    first = rest.strip().splitlines()[0].strip().rstrip(".") if rest.strip() else "no reason given"
    if kind == "Out of Memory" or "allocat" in whole.lower():
        return SqlMemoryError(_MEMORY)
    if kind in ("IO", "HTTP"):
        return LakeError(_DAMAGED)
    if kind == "Permission":
        return SqlError(_OUTSIDE)
    if kind.startswith("Transaction"):
        return SqlError(_READ_ONLY)
    if kind == "Binder" and (match := _COLUMN.search(first)):
        return _unknown_column(next(filter(None, match.groups())), tables)
    place = _place(whole) if placed else ""
    return SqlError(f"the query has an error{place}: {first}")


def _unknown_column(column: str, tables: Collection[str]) -> SqlError:
    known = columns_of()
    of_tables = {table: known[table] for table in sorted(tables) if table in known}
    names = {c for columns in of_tables.values() for c in columns}
    lists = "; ".join(f"{table} has {', '.join(columns)}" for table, columns in of_tables.items())
    return SqlError(f"there is no column {column!r}{did_you_mean(column, names)}" + (f"; {lists}" if lists else ""))


def _place(whole: str) -> str:
    match = _PLACE.search(whole)
    return f" in line {match.group(1)}" if match else ""
