"""The published findings about a security's day."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import polars as pl

from quantx.core.tables import FINDINGS
from quantx.reader.selection import Selection
from quantx.reader.stored import LakeTables

MISSING, MARKET_MISSING = "missing_sessions", "market_sessions_missing"
_SHOWN = ("severity", "rule", "subject", "source", "dataset", "first_day", "last_day", "status", "message")


def findings_about(tables: LakeTables, symbols: Sequence[str], calendar: str, day: date) -> list[dict[str, Any]]:
    """Return the open and acknowledged findings about some symbols, or their exchange, that concern a day."""
    of_subjects = Selection(where=pl.col("subject").is_in([*symbols, calendar]))
    rows = tables.rows(FINDINGS, of_subjects).sort("severity", "rule", "first_day")
    return [{c: row[c] for c in _SHOWN} for row in rows.iter_rows(named=True) if _concerns(row, day)]


def _concerns(row: dict[str, Any], day: date) -> bool:
    """Return whether a finding is about a day: by its days, by the gaps in its facts, or about the whole series."""
    if row["first_day"] is not None:
        return bool(row["first_day"] <= day <= (row["last_day"] or row["first_day"]))
    gaps = (json.loads(row["facts"]) if row["facts"] else {}).get("gaps")
    if not isinstance(gaps, list):
        return True
    return any(gap["first"] <= day.isoformat() <= gap["last"] for gap in gaps)
