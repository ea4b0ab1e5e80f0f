"""The rows of tables that a tombstone deletes: those of the vendor, and those that quote its values."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from functools import reduce
from operator import or_

import polars as pl

from quantx.core.fact_datasets import DATASETS
from quantx.core.option_tables import OPTION_TABLES
from quantx.core.options.roots import underlying_expr
from quantx.core.options.symbols import PATTERN
from quantx.core.table import Table
from quantx.core.tables import (
    ACTION_VERDICTS,
    ACTIONS,
    ADJUSTMENT_PROOFS,
    AGREEMENTS,
    BARS_1D,
    BARS_1D_ADJUSTED,
    BARS_1M,
    DECISIONS,
    FINDINGS,
    QUARANTINE,
    TABLES,
    VERDICTS,
)
from quantx.core.tombstones import PRICES, Tombstone

_PRICE_TABLES = {t.name for t in (BARS_1D, BARS_1D_ADJUSTED, BARS_1M, ACTIONS, ADJUSTMENT_PROOFS)}
_COMPARISONS = {t.name for t in (AGREEMENTS, VERDICTS, ACTION_VERDICTS)}
_BY_DATASET = {t.name for t in (QUARANTINE, DECISIONS, FINDINGS)}  # they have a column `dataset`
_MADE_OF_FACTS = ("fundamental_", "cross_section_")  # stored features
_ANY = ("*",)  # as the symbol of a rejected row
_OF_FUNDAMENTALS = {"fundamentals_facts", "fundamentals", "filings", "filers"}


def deleted_rows(table: Table, stone: Tombstone) -> pl.Expr | None:
    """Return the filter of the rows of a table that a tombstone deletes; None where it can have none.

    The filter is never null.
    """
    name = table.name.removesuffix("_revisions")
    if not _has_dataset(table, name, stone.dataset):
        return None
    vendor = _vendor(table, name, stone)
    if vendor is None:
        return None
    where = vendor & _subject(table, stone)
    if name in _BY_DATASET and stone.dataset is not None:
        where &= pl.col("dataset").fill_null("").is_in(sorted(_datasets(stone.dataset)))
    return where.fill_null(False)


def quoted_by_others(table: Table, stone: Tombstone) -> bool:
    """Return whether rows under other vendors' names can have values of the deleted one."""
    name = table.name.removesuffix("_revisions")
    quotes = name in _COMPARISONS or name == FINDINGS.name
    return quotes or (stone.facts and name.startswith(_MADE_OF_FACTS))


def mentions(source: str) -> str:
    """Return the pattern of a text that names a vendor."""
    return rf"\b{re.escape(source)}\b"


def without_deleted(table: Table, rows: pl.DataFrame, stones: Iterable[Tombstone]) -> pl.DataFrame:
    """Return the rows of a table that no tombstone deletes."""
    for stone in stones:
        where = deleted_rows(table, stone)
        if where is not None and rows.height:
            rows = rows.filter(~where)
    return rows


def _datasets(dataset: str) -> set[str]:
    """Return the names that the column `dataset` has for a dataset of tombstones."""
    if dataset == PRICES:
        return {"bars", "actions", *_PRICE_TABLES}
    declared = DATASETS.get(dataset)
    made = {declared.table.name, *([declared.made.name] if declared.made else [])} if declared else set()
    return {dataset, *made, *(_OF_FUNDAMENTALS if dataset == "fundamentals" else ())}


def _has_dataset(table: Table, name: str, dataset: str | None) -> bool:
    if dataset is None or name in _BY_DATASET:
        return True
    if table.zone == "features" and name.startswith(_MADE_OF_FACTS):
        return True
    if dataset == PRICES:
        return name in _PRICE_TABLES | _COMPARISONS or table.zone == "features"
    return name in _datasets(dataset)


def _vendor(table: Table, name: str, stone: Tombstone) -> pl.Expr | None:
    """Return the filter of the rows that are of a vendor, or quote its values."""
    source = stone.source
    if name == AGREEMENTS.name:
        return (pl.col("source_a") == source) | (pl.col("source_b") == source)
    if "source" not in table.schema:
        return None
    own = (pl.col("source") == source).fill_null(False)
    if stone.facts and name.startswith(_MADE_OF_FACTS):
        return pl.lit(True)
    if name in _COMPARISONS:
        return own | pl.col("against").fill_null("").str.contains(mentions(source))
    if name == FINDINGS.name:
        texts = (pl.col(c).fill_null("").str.contains(mentions(source)) for c in ("message", "facts"))
        return reduce(or_, texts, own)
    return own


def _subject(table: Table, stone: Tombstone) -> pl.Expr:
    """Return the filter of the deleted symbols and days."""
    column = next((c for c in ("symbol", "subject", "underlying") if c in table.schema), None)
    if column is None:  # a table without symbols goes with its whole vendor
        return pl.lit(stone.symbols is None) & _days(table, None, _last(stone))
    by_days = defaultdict[tuple[date | None, date | None], list[str]](list)
    for span in stone.spans():
        by_days[span.first, span.last].append(span.symbol)
    parts = []
    subject = _subject_of_quarantine() if table.name == QUARANTINE.name else pl.col(column)
    for (first, last), symbols in by_days.items():
        days = _days(table, first, last)
        parts.append(days if stone.symbols is None else subject.is_in([*symbols, *_ANY]).fill_null(False) & days)
    return reduce(or_, parts, pl.lit(False))


def _subject_of_quarantine() -> pl.Expr:
    """Return the symbols of rejected rows: of a row of options the underlying of its contract.

    A row of an archive of several underlyings that names no contract has `*`; it may be about any of them.
    """
    root = pl.col("symbol").str.extract(PATTERN, 1)
    of_options = pl.col("dataset").is_in([table.name for table in OPTION_TABLES])
    return pl.when(of_options & root.is_not_null()).then(underlying_expr(root)).otherwise("symbol")


def _last(stone: Tombstone) -> date | None:
    return next(stone.spans()).last if stone.before is not None else None


def _days(table: Table, first: date | None, last: date | None) -> pl.Expr:
    """Return the filter of the rows between two days; what can't be placed in time is deleted where it is a quote."""
    if first is None and last is None:
        return pl.lit(True)
    if "month" in table.schema and table.day is None:  # a month that has a deleted day
        month = pl.col("month")
        low = pl.lit(True) if first is None else month >= first.year * 100 + first.month
        return low & (pl.lit(True) if last is None else month <= last.year * 100 + last.month)
    day = "first_day" if "first_day" in table.schema else table.day
    if day is None:
        return pl.lit(False)
    low = pl.lit(True) if first is None else pl.col(day) >= first
    high = pl.lit(True) if last is None else pl.col(day) <= last
    return (low & high).fill_null(table.name.removesuffix("_revisions") in _BY_DATASET)


def touched_tables(stone: Tombstone) -> dict[str, pl.Expr]:
    """Return the filters of the rows to delete, by the name of the table."""
    found = ((name, deleted_rows(table, stone)) for name, table in TABLES.items())
    return {name: where for name, where in found if where is not None}
