"""The curated tables of facts about filers: what they reported, and the standard concepts made of it.

The symbol of a row is that of its series: `CIK0000320193` for a filer of the SEC, AAPL for a vendor that knows no
filers. A row belongs to the day on which it was filed, and is public from `public_at` on (UTC). A later filing that
reports a period again adds a row; a stored row changes only where a vendor corrects its own data.
"""

from __future__ import annotations

import polars as pl

from quantx.core.table import INSTANT, PRICE_TOLERANCE, Table

# Every fact as reported. `start` is null for an instant (a balance); a duration includes both days. `fy`, `fp` are
# those of the filing, not of the period.
FUNDAMENTALS_FACTS = Table(
    "fundamentals_facts",
    {
        "source": pl.String,
        "year": pl.Int32,  # of `filed`
        "symbol": pl.String,
        "cik": pl.Int64,
        "taxonomy": pl.String,  # us-gaap, ifrs-full, dei, ecd …; the vendor's name for its own items
        "tag": pl.String,
        "unit": pl.String,  # USD, shares, USD/shares …
        "start": pl.Date,
        "end": pl.Date,
        "value": pl.Float64,
        "form": pl.String,
        "accession": pl.String,
        "fy": pl.Int32,
        "fp": pl.String,
        "filed": pl.Date,
        "public_at": INSTANT,
        "public_how": pl.String,
        "revision": pl.String,
        "raw": pl.String,
        "known_from": INSTANT,
    },
    partitions=("source", "year"),
    key=("source", "symbol", "taxonomy", "tag", "unit", "start", "end", "accession"),
    sort=("symbol", "taxonomy", "tag", "end", "filed"),
    values=("value", "form", "fy", "fp", "filed", "public_at", "public_how", "revision"),
    null_is_unknown=False,
)

# Standard concepts per period, made of facts. Each row is the value as it was known from `public_at` on: that of the
# last fact it is made of. A null value has a reason.
FUNDAMENTALS = Table(
    "fundamentals",
    {
        "source": pl.String,
        "year": pl.Int32,  # of `filed`
        "symbol": pl.String,
        "cik": pl.Int64,
        "concept": pl.String,
        "period": pl.String,  # quarter, annual or ttm
        "start": pl.Date,
        "end": pl.Date,
        "value": pl.Float64,
        "unit": pl.String,
        "tag": pl.String,
        "origin": pl.String,  # reported or derived
        "reason": pl.String,
        "operands": pl.String,  # JSON
        "accession": pl.String,  # of the last operand
        "filed": pl.Date,
        "public_at": INSTANT,
        "raw": pl.String,
        "known_from": INSTANT,
    },
    partitions=("source", "year"),
    key=("source", "symbol", "concept", "period", "end", "accession"),
    sort=("symbol", "concept", "period", "end", "public_at"),
    values=("start", "value", "unit", "tag", "origin", "reason", "operands", "filed", "public_at"),
    relative_tolerance={"value": PRICE_TOLERANCE},
    null_is_unknown=False,
)

FILINGS = Table(
    "filings",
    {
        "source": pl.String,
        "year": pl.Int32,  # of `filed`
        "symbol": pl.String,
        "cik": pl.Int64,
        "accession": pl.String,
        "form": pl.String,
        "items": pl.String,  # of an 8-K: comma-separated, as in 2.02,9.01
        "report_end": pl.Date,
        "filed": pl.Date,
        "public_at": INSTANT,
        "public_how": pl.String,
        "description": pl.String,
        "url": pl.String,
        "raw": pl.String,
        "known_from": INSTANT,
    },
    partitions=("source", "year"),
    key=("source", "symbol", "accession"),
    sort=("symbol", "filed", "accession"),
    values=("form", "items", "report_end", "filed", "public_at", "public_how", "description", "url"),
    null_is_unknown=False,
)

# Filers as the SEC describes them now; earlier descriptions are in the revisions.
FILERS = Table(
    "filers",
    {
        "source": pl.String,
        "symbol": pl.String,
        "cik": pl.Int64,
        "name": pl.String,
        "kind": pl.String,  # the SEC's entity type
        "sic": pl.String,
        "industry": pl.String,  # the SEC's name of the code
        "sector": pl.String,  # the division of the code
        "fiscal_year_end": pl.String,  # MMDD
        "tickers": pl.String,  # comma-separated, canonical
        "raw": pl.String,
        "known_from": INSTANT,
    },
    partitions=("source",),
    key=("source", "symbol"),
    sort=("symbol",),
    values=("name", "kind", "sic", "industry", "sector", "fiscal_year_end", "tickers"),
    null_is_unknown=False,
)

# Facts about environment, social matters and governance, each with how its value was made. No scores.
ESG_FACTS = Table(
    "esg_facts",
    {
        "source": pl.String,
        "year": pl.Int32,  # of `filed`
        "symbol": pl.String,
        "cik": pl.Int64,
        "metric": pl.String,
        "unit": pl.String,
        "start": pl.Date,
        "end": pl.Date,
        "value": pl.Float64,
        "method": pl.String,  # reported, estimated or target
        "licence": pl.String,
        "form": pl.String,
        "accession": pl.String,
        "filed": pl.Date,
        "public_at": INSTANT,
        "public_how": pl.String,
        "raw": pl.String,
        "known_from": INSTANT,
    },
    partitions=("source", "year"),
    key=("source", "symbol", "metric", "unit", "start", "end", "method", "accession"),
    sort=("symbol", "metric", "end", "filed"),
    values=("value", "licence", "form", "filed", "public_at", "public_how"),
    null_is_unknown=False,
)

FACT_TABLES = (FUNDAMENTALS_FACTS, FUNDAMENTALS, FILINGS, FILERS, ESG_FACTS)

# Which symbols a filer's securities carried; a reorganisation moves a ticker to another filer. No vendor's reply alone
# has it: see pipeline/reference/filers.py.
FILER_SYMBOLS = Table(
    "filer_symbols",
    {
        "filer": pl.String,  # CIK0000320193
        "symbol": pl.String,
        "symbol_from": pl.Date,  # null: since before the record began
        "symbol_to": pl.Date,  # null: still
        "evidence": pl.String,
        "known_from": INSTANT,
    },
    partitions=(),
    key=("filer", "symbol", "symbol_from"),
    sort=("symbol", "symbol_from", "filer"),
    values=("symbol_to", "evidence"),
    null_is_unknown=False,
)
