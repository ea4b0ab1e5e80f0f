"""Compare the concepts of all pairs of sources with statements of the same companies; differences are findings."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import combinations

import polars as pl
import structlog

from quantx.core.fact_tables import FUNDAMENTALS
from quantx.core.model import Finding
from quantx.core.quality.fact_findings import SEEN_SCHEMA, fact_findings, seen_by
from quantx.core.quality.fundamental_comparison import COMPARISON_RULES, compare_sources, described
from quantx.lake.protocol import Tables
from quantx.state.findings.port import Findings

log = structlog.get_logger()

_RULES = {rule.id: rule for rule in COMPARISON_RULES}
_FIRST = "sec"  # the filings themselves; other sources are compared with them
_COMPANIES = 400  # compared at once
_COLUMNS = ["source", "symbol", "cik", "concept", "period", "end", "value", "unit", "public_at", "accession"]


@dataclass(frozen=True)
class FundamentalPair:
    """The compared values of two sources (`compare_sources`)."""

    a: str
    b: str
    compared: pl.DataFrame


def compare_fundamentals(tables: Tables, symbols: Collection[str] | None = None) -> Iterator[FundamentalPair]:
    """Yield the comparisons of the companies of these symbols, or of all that two sources have."""
    stored = tables[FUNDAMENTALS.name]
    if stored.version() is None:
        return
    rows = stored.scan().select("source", "symbol", "cik")
    if symbols is not None:
        # Files are sorted by symbol, and those of filers by CIK, too: both filters skip most of them.
        named = stored.collect(rows.filter(pl.col("symbol").is_in(list(symbols))).select("cik").unique())
        ciks = named["cik"].drop_nulls().to_list()
        if not ciks:
            return
        rows = rows.filter(pl.col("cik").is_in(ciks))
    companies = stored.collect(rows.unique(), in_pieces=True).drop_nulls("cik")
    shared = companies.group_by("cik").agg(pl.col("source").unique()).filter(pl.col("source").list.len() > 1)
    for part in shared.sort("cik").iter_slices(_COMPANIES):
        some = companies.filter(pl.col("cik").is_in(part["cik"].implode()))
        values = stored.collect(stored.scan().filter(pl.col("symbol").is_in(some["symbol"].to_list())).select(_COLUMNS))
        sources = sorted(some["source"].unique(), key=lambda name: (name != _FIRST, name))
        for a, b in combinations(sources, 2):
            yield FundamentalPair(a, b, compare_sources(values, a, b))


def reconcile_fundamentals(
    tables: Tables, findings: Findings, symbols: Collection[str] | None = None
) -> list[FundamentalPair]:
    """Compare the sources, bring the findings up to date, and return the comparisons.

    A finding is about the symbol of the second source, and is resolved when the values agree.
    """
    pairs = list(compare_fundamentals(tables, symbols))
    current = [finding for pair in pairs for finding in _findings(pair)]
    subjects = None
    if symbols is not None:
        subjects = {name for pair in pairs for name in pair.compared["symbol_b"].drop_nulls()} | set(symbols)
    new, resolved = findings.restate(list(_RULES), None, None, current, "the sources agree now", subjects)
    log.info("fundamentals.compared", pairs=len(pairs), findings=len(current), new=new, resolved=resolved)
    return pairs


def _findings(pair: FundamentalPair) -> list[Finding]:
    rows = pair.compared.filter(pl.col("outcome").is_not_null()).with_columns(
        pl.lit(pair.b).alias("source"), pl.col("symbol_b").alias("symbol")
    )
    text = pl.format("{} ({} and {})", described(), pl.lit(pair.a), pl.lit(pair.b))
    seen = [pl.DataFrame(schema=SEEN_SCHEMA), *(seen_by(rule, rows, "end", text) for rule in COMPARISON_RULES)]
    return fact_findings(pl.concat(seen), _RULES)
