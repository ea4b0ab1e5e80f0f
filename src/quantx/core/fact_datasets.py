"""The datasets of facts about companies and of published rates.

One declaration makes a dataset known to the whole pipeline. The curator, `quantx reprocess`, verification, quarantine,
the coverage page, SQL and `lake.dataset_rows` read the declarations. docs/how-to/add-a-dataset.md has the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from quantx.core.coverage import Coverage
from quantx.core.fact_tables import ESG_FACTS, FACT_TABLES, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.fundamentals.filing_days import coverage_of_filings
from quantx.core.model import Window
from quantx.core.quality.fact_rules import FACT_ROW_RULES, REPORTED_ROW_RULES
from quantx.core.quality.rate_rules import FX_ROW_RULES, YIELD_ROW_RULES
from quantx.core.quality.rule import Rule
from quantx.core.rate_series import EURO, UST
from quantx.core.rate_tables import FX_RATES, RATES
from quantx.core.sought_facts import SoughtFact
from quantx.core.sought_rates import SoughtInReply, SoughtRate
from quantx.core.table import INSTANT, Table
from quantx.core.tables import TABLES

Columns = Mapping[str, pl.DataType | type[pl.DataType]]
# The coverage of a reply, by its window, its time, and the newest day of its accepted rows.
CoverageOf = Callable[[Window, datetime, date | None], Coverage]

# Columns that the pipeline adds to a vendor's rows.
_OF_PIPELINE = ("source", "year", "symbol", "public_how", "revision", "raw", "known_from")


@dataclass(frozen=True, kw_only=True)
class FactDataset:
    """One dataset of facts."""

    name: str  # of tasks, raw paths and the capabilities of providers
    table: Table  # of the vendor's rows
    item: str  # the column that names what a row is about
    rules: Sequence[Rule] = FACT_ROW_RULES  # of rows
    made: Table | None = None  # a table that is made of the vendor's rows, whose items the coverage counts instead
    counted_rows: tuple[pl.Expr, ...] = ()  # the rows that the coverage counts
    value: str = "value"  # the column of the value
    needed: tuple[str, ...] = ("end", "value", "unit", "filed")  # without these no decision can accept a row
    coverage: CoverageOf = lambda window, as_of, last: coverage_of_filings(window, as_of)
    sought: Callable[[str, Mapping[str, Any]], SoughtInReply] = SoughtFact.of_row  # a row, to find it in its reply

    @property
    def of_companies(self) -> bool:
        """Return whether the rows are facts about companies, else published rates."""
        return "filed" in self.table.schema

    @property
    def item_column(self) -> str:
        """Return the column of `table` that names what a row is about."""
        return self.item if self.item in self.table.schema else "tag"

    @property
    def identity(self) -> tuple[str, ...]:
        """Return the columns that identify a fact of a symbol, whichever source or filing reports it."""
        return tuple(name for name in self.table.key if name not in ("source", "symbol", "accession", "filed"))

    @property
    def counted(self) -> Table:
        """Return the table whose items the coverage counts per year."""
        return self.made or self.table

    @property
    def columns(self) -> Columns:
        """Return the columns of the frame that `normalize_facts` of a provider returns; missing ones are null.

        `public_at` is the instant at which the row was public, where the vendor sends it.
        """
        return {name: kind for name, kind in self.table.schema.items() if name not in _OF_PIPELINE}


def fact_table(name: str, columns: Columns, *, key: Sequence[str], values: Sequence[str] = ()) -> Table:
    """Return a table of facts with these columns beside the common ones.

    `key` and `values` name those of `columns` that identify a fact, and those whose change is a revision. The common
    columns are source, year (of `filed`), symbol, start, end, value, unit, filed, public_at, public_how, raw and
    known_from. A fact is identified by symbol, `key`, unit, start, end and `filed`.
    """
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "source": pl.String,
        "year": pl.Int32,
        "symbol": pl.String,
        **columns,
        "unit": pl.String,
        "start": pl.Date,
        "end": pl.Date,
        "value": pl.Float64,
        "filed": pl.Date,
        "public_at": INSTANT,
        "public_how": pl.String,
        "raw": pl.String,
        "known_from": INSTANT,
    }
    return Table(
        name,
        schema,
        partitions=("source", "year"),
        key=("source", "symbol", *key, "unit", "start", "end", "filed"),
        sort=("symbol", *key, "end", "filed"),
        values=("value", *values, "public_at", "public_how"),
        null_is_unknown=False,
    )


FUNDAMENTALS_DATASET = FactDataset(
    name="fundamentals",
    table=FUNDAMENTALS_FACTS,
    item="concept",
    rules=REPORTED_ROW_RULES,
    made=FUNDAMENTALS,
    counted_rows=(pl.col("period") == "annual",),
)
ESG_DATASET = FactDataset(name="esg", table=ESG_FACTS, item="metric")
RATES_DATASET = FactDataset(
    name=UST.dataset,
    table=RATES,
    item="tenor",
    rules=YIELD_ROW_RULES,
    needed=("date", "value", "unit"),
    coverage=UST.coverage,
    sought=SoughtRate.of_row,
)
FX_DATASET = FactDataset(
    name=EURO.dataset,
    table=FX_RATES,
    item="quote",
    rules=FX_ROW_RULES,
    value="rate",
    needed=("date", "base", "quote", "rate"),
    coverage=EURO.coverage,
    sought=SoughtRate.of_row,
)

DATASETS: dict[str, FactDataset] = {
    each.name: each for each in (FUNDAMENTALS_DATASET, ESG_DATASET, RATES_DATASET, FX_DATASET)
}


def tables_of_facts() -> tuple[Table, ...]:
    """Return the curated tables of all datasets of facts."""
    own = tuple(each.table for each in DATASETS.values() if each.table not in FACT_TABLES)
    return (*FACT_TABLES, *own)


def dataset_of(table: str) -> FactDataset | None:
    """Return the dataset whose vendors' rows a table has; None for other tables."""
    return next((each for each in DATASETS.values() if each.table.name == table), None)


@contextmanager
def declared(dataset: FactDataset) -> Iterator[FactDataset]:
    """Declare the dataset of an application: within the block the pipeline and the readers know it.

    Raises ValueError where the name of the dataset or of its table is in use.
    """
    added = {table.name: table for table in (dataset.table, dataset.table.revisions)}
    if dataset.name in DATASETS or not TABLES.keys().isdisjoint(added):
        raise ValueError(f"the dataset {dataset.name} or the table {dataset.table.name} exists already")
    DATASETS[dataset.name] = dataset
    TABLES.update(added)
    try:
        yield dataset
    finally:
        del DATASETS[dataset.name]
        for name in added:
            del TABLES[name]
