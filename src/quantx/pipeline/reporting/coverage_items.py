"""Coverage of the datasets of facts: the companies with a value, per item (concept, metric) and year."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import polars as pl

from quantx.core.fact_datasets import DATASETS, FactDataset
from quantx.core.fact_tables import FILER_SYMBOLS
from quantx.lake.protocol import StoredTables
from quantx.pages.views import HtmlTable, per_cent, table_of

ITEM_COVERAGE = {
    "dataset": pl.String,
    "source": pl.String,
    "item": pl.String,
    "year": pl.Int32,  # of the end of the period
    "companies": pl.UInt32,  # with a value
    "of": pl.UInt32,  # with a value of any item
}
_YEARS = 12  # on the page
_COMPANIES = "companies"


def item_coverage(tables: StoredTables, symbols: Collection[str] | None = None) -> pl.DataFrame:
    """Return ITEM_COVERAGE of all datasets of facts about companies, or of some symbols and their filers."""
    wanted = None if symbols is None else sorted({*symbols, *_filers(tables, symbols)})
    parts = [_counted(tables, dataset, wanted) for dataset in DATASETS.values() if dataset.of_companies]
    return pl.concat([pl.DataFrame(schema=ITEM_COVERAGE), *parts]).sort("dataset", "source", "item", "year")


def item_tables(coverage: pl.DataFrame) -> Iterator[HtmlTable]:
    """Yield a table per dataset and source: the share of companies that have each item, by year, in per cent."""
    for (dataset, source), part in coverage.group_by("dataset", "source", maintain_order=True):
        years = part["year"].unique().sort().tail(_YEARS).to_list()
        heads = {"item": DATASETS[str(dataset)].item} | {str(year): str(year) for year in years}
        whole = dict(part.select("year", "of").unique().iter_rows())
        rows = [{"item": _COMPANIES} | {str(year): whole[year] for year in years}]
        for (item,), counts in part.group_by("item", maintain_order=True):
            found = dict(counts.select("year", "companies").iter_rows())
            shares = {str(year): per_cent(found[year], whole[year]) if year in found else None for year in years}
            rows.append({"item": item} | shares)
        yield table_of(rows, f"{dataset} of {source}: companies, and the share that has each item in per cent", heads)


def _filers(tables: StoredTables, symbols: Collection[str]) -> list[str]:
    stored = tables[FILER_SYMBOLS.name].read(pl.col("symbol").is_in(list(symbols)))
    return stored["filer"].unique().to_list()


def _counted(tables: StoredTables, dataset: FactDataset, symbols: list[str] | None) -> pl.DataFrame:
    stored = tables[dataset.counted.name]
    if stored.version() is None:
        return pl.DataFrame(schema=ITEM_COVERAGE)
    rows = stored.scan().filter(pl.col("value").is_not_null(), *dataset.counted_rows)
    if symbols is not None:
        rows = rows.filter(pl.col("symbol").is_in(symbols))
    rows = rows.select("source", "symbol", pl.col(dataset.item).alias("item"), pl.col("end").dt.year().alias("year"))
    companies = pl.col("symbol").n_unique().alias("companies")
    whole = pl.lit(None, pl.String).alias("item")
    counts = pl.concat(
        [
            rows.group_by("source", "year", "item").agg(companies),
            rows.group_by("source", "year").agg(companies).select("source", "year", whole, "companies"),
        ]
    )
    counted = stored.collect(counts, in_pieces=True)
    of = counted.filter(pl.col("item").is_null()).select("source", "year", of="companies")
    return (
        counted.filter(pl.col("item").is_not_null())
        .join(of, on=["source", "year"])
        .with_columns(pl.lit(dataset.name).alias("dataset"))
        .select(pl.col(name).cast(kind) for name, kind in ITEM_COVERAGE.items())
    )
