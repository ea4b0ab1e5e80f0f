"""A small lake of facts, written row by row."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.fact_tables import FILER_SYMBOLS, FILINGS, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.model import Payload
from quantx.core.symbols import filer_symbol
from quantx.core.table import Table
from quantx.core.tables import SESSIONS, TABLES
from quantx.lake.protocol import CommitContext
from quantx.lake.raw import RawPage, write_batch
from quantx.lake.store import open_location
from quantx.lake.table import open_tables

KNOWN = datetime(2026, 1, 1, tzinfo=UTC)
ACME, OLD, NEW = 1001, 2001, 2002  # CIKs
ULID = "01M8PV3893SAC0TPQRPZEKWXNG"
BODY = b"""{"cik":1001,"facts":{"us-gaap":{"Revenues":{"units":{"USD":[
 {"start":"2024-01-01","end":"2024-03-31","val":100,"accn":"202405022005"},
 {"start":"2024-01-01","end":"2024-03-31","val":101,"accn":"202408011400"}]}}}}}"""
OPERANDS = json.dumps(
    [
        {"sign": 1, "tag": "Revenues", "start": "2024-01-01", "end": "2024-03-31", "value": 101.0}
        | {"accession": "202408011400"},
        {"sign": -1, "tag": "Sales", "start": "2023-01-01", "end": "2023-03-31", "value": 7.0} | {"accession": "gone"},
    ]
)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def frame_of(table: Table, rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """Return rows of a table; the columns that a row lacks have a usual value."""
    return pl.DataFrame([_whole(table, row) for row in rows], schema=dict(table.schema), orient="row")


def _whole(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    usual: dict[str, Any] = {"source": "sec", "known_from": KNOWN, "raw": ULID, "public_how": "accepted_utc"}
    if "public_at" in row:
        usual["filed"] = row["public_at"].date()
        usual["year"] = usual["filed"].year
        usual["accession"] = f"{row['public_at']:%Y%m%d%H%M}"
    if "cik" in row:
        usual["symbol"] = filer_symbol(row["cik"])
    return {column: row.get(column, usual.get(column)) for column in table.schema}


def value(end: str, amount: float | None, public: str, **other: Any) -> dict[str, Any]:
    """Return a row of fundamentals of ACME: its revenue of a quarter in USD, unless given otherwise."""
    last = date.fromisoformat(end)
    return {
        "cik": ACME,
        "concept": "revenue",
        "period": "quarter",
        "start": last - timedelta(days=90),
        "end": last,
        "value": amount,
        "unit": "USD",
        "tag": "Revenues",
        "origin": "reported",
        "public_at": instant(public),
        **other,
    }


def commit(folder: Path, table: Table, rows: pl.DataFrame) -> None:
    open_tables(open_location(str(folder)), TABLES)[table.name].commit(CommitContext(1), rows)


def filed_lake(folder: Path) -> Path:
    """Write the lake and return its folder.

    ACME (CIK 1001) has revenue by quarter: Q1 2024 was restated by the report of Q2. Its 10:1 split was on 2024-07-15.
    MOVE went on 2021-04-21 from OLD to NEW; REUSE was OLD's until 2010 and is NEW's since 2020.
    """
    rows = [
        value("2023-12-31", 90.0, "2024-02-01 21:30"),
        value("2024-03-31", 100.0, "2024-05-02 20:05"),  # five minutes after the close in New York
        value("2024-06-30", 120.0, "2024-08-01 14:00"),
        value("2024-03-31", 101.0, "2024-08-01 14:00"),
        value("2024-09-30", None, "2024-11-01 14:00", reason="no_tag"),
        value("2024-03-31", 7.0, "2024-05-02 20:05", concept="eps_diluted", unit="USD/shares"),
        value("2024-03-31", 50.0, "2024-05-02 20:05", concept="shares_diluted", unit="shares"),
        value("2024-06-30", 430.0, "2024-08-01 14:00", period="ttm", origin="derived", operands=OPERANDS),
        value("2020-12-31", 5.0, "2021-03-01 12:00", cik=OLD),
        value("2020-12-31", 6.0, "2021-06-01 12:00", cik=OLD),  # after the symbol had moved
        value("2021-06-30", 8.0, "2021-08-01 12:00", cik=NEW),
        value("2024-03-31", 100.5, "2024-05-01 12:00", source="fmp", symbol="ACME", cik=None),
        value("2022-12-31", 70.0, "2023-02-01 12:00", source="fmp", symbol="ACME", cik=None),
    ]
    for row in rows:
        if row["cik"] is None:
            del row["cik"]
    commit(folder, FUNDAMENTALS, frame_of(FUNDAMENTALS, rows))
    fact = {"cik": ACME, "taxonomy": "us-gaap", "unit": "USD", "start": date(2024, 1, 1), "end": date(2024, 3, 31)}
    facts = [
        {**fact, "tag": "Revenues", "value": 100.0, "form": "10-Q", "public_at": instant("2024-05-02 20:05")},
        {**fact, "tag": "Revenues", "value": 101.0, "form": "10-Q", "public_at": instant("2024-08-01 14:00")}
        | {"revision": "rounding"},
        {
            **fact,
            "tag": "Assets",
            "start": None,
            "value": 9.0,
            "form": "10-Q",
            "public_at": instant("2024-05-02 20:05"),
        },
    ]
    payload = Payload(filer_symbol(ACME), "GET facts", 200, KNOWN, content_type="application/json", body=BODY)
    path = f"raw/source=sec/dataset=fundamentals/ingest_date=2026-11-30/{ULID}.parquet"
    write_batch(open_location(str(folder)), path, [RawPage(1, payload)])
    commit(folder, FUNDAMENTALS_FACTS, frame_of(FUNDAMENTALS_FACTS, facts))
    report = {"cik": ACME, "form": "8-K", "items": "2.02,9.01"}
    filings = [
        {**report, "public_at": instant("2024-05-02 20:05")},  # after the close
        {**report, "public_at": instant("2024-08-01 12:00")},  # before the open
        {**report, "public_at": instant("2024-11-01 14:00"), "items": "2.02"},  # during the session
        {**report, "public_at": instant("2024-11-02 14:00"), "items": "2.02"},  # a Saturday
        {**report, "public_at": instant("2024-06-01 12:00"), "items": "5.02,9.01"},
        {**report, "public_at": instant("2004-05-03 12:00"), "items": "12"},
        {**report, "public_at": instant("2024-05-03 12:00"), "form": "10-Q", "items": None},
    ]
    commit(folder, FILINGS, frame_of(FILINGS, filings))
    carriers = [
        {"filer": filer_symbol(ACME), "symbol": "ACME"},
        {"filer": filer_symbol(OLD), "symbol": "MOVE", "symbol_to": date(2021, 4, 20)},
        {"filer": filer_symbol(NEW), "symbol": "MOVE", "symbol_from": date(2021, 4, 21)},
        {"filer": filer_symbol(OLD), "symbol": "REUSE", "symbol_to": date(2010, 4, 20)},
        {"filer": filer_symbol(NEW), "symbol": "REUSE", "symbol_from": date(2020, 4, 21)},
        {"filer": filer_symbol(3001), "symbol": "SILENT"},
    ]
    commit(folder, FILER_SYMBOLS, frame_of(FILER_SYMBOLS, [{"evidence": "test", **each} for each in carriers]))
    days = calendar("XNYS")
    columns = {"calendar": "XNYS", "date": days.days, "open": days.opens, "close": days.closes, "known_from": KNOWN}
    commit(folder, SESSIONS, pl.DataFrame(columns).cast(dict(SESSIONS.schema)).select(list(SESSIONS.schema)))
    return folder
