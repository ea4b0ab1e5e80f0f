"""A list of symbols in a file: a CSV with a column of symbols, or one symbol on each line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

from quantx.errors import RefusedList
from quantx.universes.declaration import UniverseSpec
from quantx.universes.protocol import Document
from quantx.universes.sources import parse_members
from quantx.universes.texts import check_lines, csv_rows, decode

_HEADS = ("symbol", "ticker", "code")
_FROM, _TO = "member_from", "member_to"  # as in meta/universe_<phase>.csv


def members_in(document: Document) -> pl.DataFrame:
    """Return the members in a list, as a frame of MEMBERS; RefusedList with the row of a problem.

    The header is the first row with a column `symbol`, `ticker` or `code`, in any case. Without one, the first cell of
    each line is a symbol. Symbols without a suffix are American.
    """
    text = decode(document)
    rows = csv_rows(text, ",", document.origin)
    heads = next((found for row in rows if (found := _heads(row))), None)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(document.origin).stem)[:60]
    declared: dict[str, Any] = {"name": f"list-{name}", "market": "us", "path": Path(document.origin)}
    if heads is None:
        cells = [line.split(",")[0].strip() for line in check_lines(text, document.origin)]
        symbols = tuple(cell for cell in cells if cell and not cell.startswith("#"))
        if not symbols:
            raise RefusedList(f"{document.origin} has no symbols")
        declared |= {"type": "static", "symbols": symbols}
    else:
        declared |= {"type": "csv", **heads}
    return parse_members(UniverseSpec.model_validate(declared), document)[0]


def _heads(row: list[str]) -> dict[str, str] | None:
    """Return the columns of a header as fields of a declaration; None for a row that is not a header."""
    cells = {cell.strip().lower(): cell.strip() for cell in row}
    column = next((cells[head] for head in _HEADS if head in cells), None)
    if column is None:
        return None
    dates = {"from_column": cells.get(_FROM), "to_column": cells.get(_TO)}
    return {"symbol_column": column, **{field: head for field, head in dates.items() if head is not None}}
