"""Facts of recorded replies, as rows of FUNDAMENTALS_FACTS: each filing public at 22:00 UTC of its day."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from tests.market_data import FOLDER

from quantx.core.fact_tables import FUNDAMENTALS_FACTS
from quantx.core.fundamentals.revisions import revision_classes

RECORDED = {
    "AAPL": FOLDER / "wire_sec_edgar/companyfacts/CIK0000320193.json.gz",
    "NVDA": FOLDER / "wire_sec_edgar/companyfacts/CIK0001045810.json.gz",
    "LPA": FOLDER / "wire_sec_edgar/companyfacts/CIK0001997711_LPA_ifrs.json.gz",
    "GOOGL": FOLDER / "known_answers/sec_fundamentals/companyfacts/CIK0001652044_GOOGL_2026-07-09.json.gz",
    "SNOW": FOLDER / "known_answers/sec_fundamentals/companyfacts/CIK0001640147_SNOW.json.gz",
}
FETCHED = datetime(2026, 11, 30, tzinfo=UTC)


@lru_cache(maxsize=8)
def recorded_facts(name: str) -> pl.DataFrame:
    """Return the facts of a recorded reply with their classes."""
    return facts_of(reply(RECORDED[name]))


def reply(path: Path) -> dict[str, Any]:
    """Return a stored reply."""
    return dict(json.loads(gzip.decompress(path.read_bytes())))


def facts_of(document: dict[str, Any]) -> pl.DataFrame:
    """Return the facts of a reply in its form, with their classes."""
    rows = pl.DataFrame(list(_rows(document)), schema=dict(FUNDAMENTALS_FACTS.schema), orient="row")
    return rows.with_columns(revision_classes(rows))


def _rows(document: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    cik = int(document["cik"])
    for taxonomy, tags in document["facts"].items():
        for tag, item in tags.items():
            for unit, facts in item["units"].items():
                for fact in facts:
                    filed = date.fromisoformat(fact["filed"])
                    start = date.fromisoformat(fact["start"]) if "start" in fact else None
                    yield (
                        "sec", filed.year, f"CIK{cik:010}", cik, taxonomy, tag, unit, start,
                        date.fromisoformat(fact["end"]), float(fact["val"]), fact.get("form"), fact["accn"],
                        fact.get("fy"), fact.get("fp"), filed, datetime.combine(filed, time(22), UTC), "filed_day",
                        None, "raw", FETCHED,
                    )  # fmt: skip
