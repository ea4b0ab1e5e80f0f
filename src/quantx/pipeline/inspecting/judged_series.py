"""The record of an inspection of series: what was judged, and the verdicts; an object of the lake that may be deleted.

With it the next inspection reads only what has changed. Without it, or under other rules, all series are judged again.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from importlib.metadata import version

import polars as pl

from quantx.core.quality import POLICY_VERSION
from quantx.core.quality.market_moves import MARKET
from quantx.core.quality.series_rules import VIOLATIONS
from quantx.core.table import Table
from quantx.errors import DamagedObject
from quantx.lake.store import LakeLocation

Part = tuple[str, int]  # source and year
_BESIDE_RULES = (
    "asset_classes.py",
    "calendars.py",
    "open_markets.py",
    "prices.py",
    "symbols.py",
)  # modules that the rules' verdicts depend on, too

_YEARS = {"source": pl.String, "year": pl.Int32, "symbol": pl.String, "rows": pl.Int64, "digest": pl.UInt64}
_SERIES = {
    "source": pl.String,
    "symbol": pl.String,
    "bars": pl.Int64,
    "last": pl.Date,
    "again_at": pl.Int64,  # the number of bars from which the whole series is judged again
    "evidence": pl.UInt64,  # a digest of its events and rejected rows
    "whole": pl.String,  # an id of the judgement that judged the whole series last
}
_FRAMES = {
    "years": _YEARS,
    "series": _SERIES,
    "violations": {"source": pl.String, **VIOLATIONS},
    "market": MARKET,
}


def _frame(name: str) -> pl.DataFrame:
    return pl.DataFrame(schema=_FRAMES[name])


@dataclass(frozen=True, kw_only=True)
class JudgedSeries:
    """The judged series of one table."""

    parts: Mapping[Part, list[str]] = field(default_factory=dict)  # the files of each source and year
    years: pl.DataFrame = field(default_factory=lambda: _frame("years"))  # of each series, with a digest of its rows
    series: pl.DataFrame = field(default_factory=lambda: _frame("series"))
    violations: pl.DataFrame = field(default_factory=lambda: _frame("violations"))
    market: pl.DataFrame = field(default_factory=lambda: _frame("market"))


def read_judged(location: LakeLocation, table: Table) -> JudgedSeries:
    """Return the record of a table; an empty one where there is none, or where other rules have made it."""
    try:
        record = json.loads(location.get(_path(table)))
        if record["rules"] != rules_in_force():
            return JudgedSeries()
        frames = {name: pl.read_parquet(io.BytesIO(base64.b64decode(record[name]))) for name in _FRAMES}
        parts = {(source, year): files for source, year, files in record["parts"]}
    except (DamagedObject, ValueError, KeyError, TypeError, pl.exceptions.PolarsError):
        return JudgedSeries()
    return JudgedSeries(parts=parts, **frames)


def store_judged(location: LakeLocation, table: Table, judged: JudgedSeries) -> None:
    """Store the record of a table; it replaces the one before."""
    record = {"rules": rules_in_force(), "parts": [[*part, files] for part, files in judged.parts.items()]}
    for name in _FRAMES:
        buffer = io.BytesIO()
        getattr(judged, name).write_parquet(buffer)
        record[name] = base64.b64encode(buffer.getvalue()).decode()
    location.put(_path(table), json.dumps(record).encode())


@lru_cache(maxsize=1)
def rules_in_force() -> str:
    """Return a digest of the rules: of their code, of the calendars, and of the library that computes digests."""
    digest = hashlib.sha256(f"{POLICY_VERSION} {pl.__version__} {version('exchange_calendars')}".encode())
    core = resources.files("quantx.core")
    beside = [core / name for name in _BESIDE_RULES]
    for file in sorted((*core.joinpath("quality").iterdir(), *beside), key=lambda each: each.name):
        if file.name.endswith(".py"):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _path(table: Table) -> str:
    return f"meta/inspected/{table.name}.json"
