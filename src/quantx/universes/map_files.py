"""Symbol histories from files: LEAN's map files, or a CSV with symbol, from, to and instrument.

LEAN's map file of a security (https://github.com/QuantConnect/Lean, Data/equity/usa/map_files, November 2026) has a
first row with its first day, and then a row per symbol with the symbol's last day; 2050-12-31 means: still listed. The
record begins on 1998-01-02: a security with that first day may be older. `fb.1.csv` is the security with the symbol FB
before the one of `fb.csv`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Literal

from quantx.core.asset_classes import ASSET_CLASS_NAMES
from quantx.core.symbol_history import Naming, SecurityHistory, naming_chain
from quantx.core.symbols import parse_symbol, venue_of
from quantx.errors import InvalidSymbol, RefusedList
from quantx.universes.forms import american
from quantx.universes.protocol import Document
from quantx.universes.texts import csv_rows, decode, under_header

_RECORD_BEGINS = date(1998, 1, 2)
_STILL = date(2049, 12, 31)
_COLUMNS = ("symbol", "from", "to", "instrument")
_NOTES = ("name", "reason", "asset_class")
Form = Literal["lean", "csv"]


def read_history(path: Path, form: Form) -> list[SecurityHistory]:
    """Return the histories in a file, or in all map files of a folder; RefusedList has the file and its problem."""
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    if not files:
        raise RefusedList(f"{path} has no .csv file")
    histories: list[SecurityHistory] = []
    for file in files:
        try:
            document = Document(file.name, file.read_bytes())
        except OSError as error:
            raise RefusedList(f"{file} can't be read: {error.strerror}") from error
        histories += [parse_map_file(document)] if form == "lean" else parse_csv(document)
    return histories


def parse_map_file(document: Document) -> SecurityHistory:
    """Return the security of a map file."""
    rows = [
        _map_row(row, document.origin)
        for row in csv_rows(decode(document), ",", document.origin)
        if any(cell.strip() for cell in row)
    ]
    if len(rows) < 2:
        raise RefusedList(
            f"{document.origin} is not a map file: it needs a row with the first day, and one for each symbol"
        )
    # The symbol of the first day is a separate one, or already the first of the rows.
    changes = rows[1:] if rows[0][1] == rows[1][1] else rows
    days = [day for day, _ in changes]
    if rows[0][0] > rows[1][0] or any(later <= earlier for earlier, later in pairwise(days)):
        raise RefusedList(f"{document.origin} is not a map file: its days must increase")
    (first, symbol), last = rows[0], days[-1]
    instrument = f"us.{symbol}.{first:%Y%m%d}"
    begins = None if first <= _RECORD_BEGINS else first
    namings = naming_chain(instrument, changes, begins, None if last >= _STILL else last)
    ended = None if last >= _STILL else "its map file ends"
    return SecurityHistory(tuple(namings), "us", _evidence(document), reason=ended)


def _map_row(row: Sequence[str], where: str) -> tuple[date, str]:
    try:
        day = datetime.strptime(row[0].strip(), "%Y%m%d").date()  # noqa: DTZ007 — a day
        symbol = american(row[1])
    except (ValueError, IndexError) as error:
        raise RefusedList(f"{where} is not a map file: the row {','.join(row)[:60]!a} has no day and symbol") from error
    if symbol is None:
        raise RefusedList(f"{where} has the symbol {row[1][:20]!a}, which is not American")
    return day, symbol


def parse_csv(document: Document) -> list[SecurityHistory]:
    """Return the securities of a CSV with the columns symbol, from, to, instrument.

    Optional are name, reason and asset_class. A fund needs its class, as its symbol has the form of a share.
    """
    namings: dict[str, list[Naming]] = {}
    notes: dict[str, dict[str, str]] = {}
    for row in under_header(csv_rows(decode(document), ",", document.origin), _COLUMNS, document.origin):
        instrument = row["instrument"].strip()
        if not instrument:
            raise RefusedList(
                f"{document.origin}: {row['symbol']} has no instrument; give each security a name of its own"
            )
        try:
            symbol = parse_symbol(row["symbol"])
            _check_class(row.get("asset_class", "").strip())
            first, last = (date.fromisoformat(t) if (t := row[c].strip()) else None for c in ("from", "to"))
        except (ValueError, InvalidSymbol) as error:
            raise RefusedList(f"{document.origin}: {error}") from error
        namings.setdefault(instrument, []).append(Naming(instrument, symbol, first, last))
        notes.setdefault(instrument, {}).update({c: t for c in _NOTES if (t := row.get(c, "").strip())})
    return [_history(document, group, notes[instrument]) for instrument, group in namings.items()]


def _history(document: Document, namings: Iterable[Naming], notes: dict[str, str]) -> SecurityHistory:
    ordered = tuple(sorted(namings, key=lambda n: n.begins))
    market = venue_of(ordered[-1].symbol).market
    reason = notes.get("reason", "its symbol history ends") if ordered[-1].last is not None else None
    kind = notes.get("asset_class")
    return SecurityHistory(
        ordered, market, _evidence(document), name=notes.get("name"), reason=reason, asset_class=kind
    )


def _check_class(name: str) -> None:
    if name and name not in ASSET_CLASS_NAMES:
        raise ValueError(f"{name[:20]!a} is no asset class; it is one of {', '.join(ASSET_CLASS_NAMES)}")


def _evidence(document: Document) -> str:
    return f"{document.origin} (SHA-256 {document.sha256[:16]}…)"
