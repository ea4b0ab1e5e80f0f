"""FMP's statements in the sandbox: made of the facts that the filers of the SEC's wire have filed.

The fields are those that the map of concepts names for FMP. Quarters are discrete, as FMP's are; a restated value
replaces the first one, and the times of filing stay those of the first filing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

import polars as pl

from quantx.core.fact_tables import FUNDAMENTALS_FACTS
from quantx.core.fundamentals.acceptance import NEW_YORK
from quantx.core.fundamentals.concepts import concept_values
from quantx.core.fundamentals.revisions import revision_classes
from quantx.core.quality.statement_rules import in_force
from quantx.providers.fmp_statements import BALANCE, CASH_FLOW, INCOME, TAXONOMY
from quantx.providers.sec_facts import read_facts
from quantx.sandbox.book import Book
from quantx.settings.concepts import shipped_concepts

_STATEMENTS = {
    INCOME: ("income", "per_share", "shares"),
    BALANCE: ("balance",),
    CASH_FLOW: ("cash_flow",),
}
_DAY_OF_FILING = time(16, 30)  # New York's time of acceptance


class FmpStatements:
    """The statements of the filers of a book."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._made: dict[tuple[int, datetime], pl.DataFrame] = {}

    def rows(self, path: str, wire: str, period: str) -> list[dict[str, Any]]:
        """Return the statements of a symbol in FMP's form, the newest first; none for an unknown one."""
        now = self._book.clock.now()
        listed = self._book.market.filers.tickers_at(now)
        cik = next((int(row["cik_str"]) for row in listed if row["ticker"] == wire), None)
        if cik is None:
            return []
        kind = "annual" if period in ("annual", "FY") else "quarter"
        values = self._values(cik, now).filter(pl.col("period") == kind, pl.col("concept").is_in(list(_fields(path))))
        currency = pl.col("unit").filter(pl.col("unit").str.contains(r"^[A-Z]{3}")).str.slice(0, 3).first()
        ends = values.group_by("end").agg(pl.col("filed").min(), currency.fill_null("USD")).sort("end")
        years = self._values(cik, now).filter(pl.col("period") == "annual")["end"].unique().sort()
        by_end = values.partition_by("end", as_dict=True)
        return [
            _about(cik, wire, end, filed, unit) | _label(kind, end, years) | _amounts(path, by_end[end,])
            for end, filed, unit in reversed(ends.rows())
        ]

    def _values(self, cik: int, now: datetime) -> pl.DataFrame:
        """Return the concepts of a filer in force, with the day of their first filing in `filed`."""
        at = now.replace(minute=0, second=0, microsecond=0)
        if (cik, at) not in self._made:
            filer = self._book.market.filers.by_cik.get(cik)
            document = None if filer is None else filer.facts_at(at)
            self._made = {} if len(self._made) > 50 else self._made
            self._made[cik, at] = _concepts(document)
        return self._made[cik, at]


def _concepts(document: dict[str, Any] | None) -> pl.DataFrame:
    facts = FUNDAMENTALS_FACTS.empty()
    if document is not None:
        public = pl.col("filed").cast(pl.Datetime("us")) + pl.duration(hours=_DAY_OF_FILING.hour)
        rows = read_facts(document).filter(pl.col("end") <= pl.col("filed"))
        rows = rows.with_columns(
            pl.lit("sec").alias("source"),
            pl.lit("CIK").alias("symbol"),
            pl.lit("").alias("raw"),
            public.dt.replace_time_zone(NEW_YORK).dt.convert_time_zone("UTC").alias("public_at"),
            pl.lit(datetime(2000, 1, 1, tzinfo=UTC)).dt.cast_time_unit("us").alias("known_from"),
        )
        rows = rows.with_columns(revision_classes(rows))
        missing = [
            pl.lit(None, kind).alias(n) for n, kind in FUNDAMENTALS_FACTS.schema.items() if n not in rows.columns
        ]
        facts = rows.with_columns(missing).select(list(FUNDAMENTALS_FACTS.schema))
    values = concept_values(facts, shipped_concepts())
    first = values.group_by("concept", "period", "end").agg(pl.col("filed").min())
    known = in_force(values).drop("filed").join(first, on=["concept", "period", "end"])
    return known.filter(pl.col("value").is_not_null())


def _fields(path: str) -> dict[str, str]:
    """Return FMP's field of each concept of a statement; one with a minus sign before it has the other sign."""
    return {
        name: concept.tags[TAXONOMY][0].replace("cashFlow.", "")
        for name, concept in shipped_concepts().concepts.items()
        if TAXONOMY in concept.tags and concept.statement in _STATEMENTS[path]
    }


def _amounts(path: str, values: pl.DataFrame) -> dict[str, float]:
    found, amounts = dict(values.select("concept", "value").iter_rows()), {}
    for concept, field in _fields(path).items():
        value = found.get(concept, 0)  # as FMP does
        value = int(value) if value == int(value) else value
        amounts[field.removeprefix("-")] = -value if field.startswith("-") else value
    return amounts


def _about(cik: int, wire: str, end: date, filed: date, currency: str) -> dict[str, Any]:
    return {
        "date": end.isoformat(),
        "symbol": wire,
        "reportedCurrency": currency,
        "cik": f"{cik:010}",
        "filingDate": filed.isoformat(),
        "acceptedDate": f"{filed} {_DAY_OF_FILING}",
    }


def _label(kind: str, end: date, years: pl.Series) -> dict[str, str]:
    """Return the fiscal year, and FY or the quarter by the distance from the last end of a fiscal year."""
    if kind == "annual":
        return {"fiscalYear": str(end.year), "period": "FY"}
    before = years.filter(years <= end)
    quarter = round((end - before[-1]).days / 91) % 4 if len(before) else (end.month - 1) // 3 + 1
    year = before[-1].year + 1 if quarter and len(before) else end.year
    return {"fiscalYear": str(year), "period": f"Q{quarter or 4}"}
