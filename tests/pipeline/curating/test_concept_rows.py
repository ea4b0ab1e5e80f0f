"""Rows of concepts from replies that have a part of the facts, drop some, or correct one."""

from __future__ import annotations

import polars as pl
from tests.core.fundamentals.histories import Fact, document
from tests.core.fundamentals.recorded import facts_of

from quantx.core.fact_tables import FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.merge import merge
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext
from quantx.pipeline.curating.concept_rows import classed_facts, concept_rows
from quantx.pipeline.curating.known_rows import RowsOfTables
from quantx.settings.concepts import shipped_concepts

YEARS = [("10-K", f"{year + 1}-02-20", [("Revenues", "USD", f"{year}-01-01", f"{year}-12-31", year * 1e6)])
         for year in (2020, 2021, 2022)]  # fmt: skip


class Store:
    """The two tables, and replies about one filer that are curated one after the other."""

    def __init__(self) -> None:
        self.tables = {table.name: MemoryTable(table) for table in (FUNDAMENTALS_FACTS, FUNDAMENTALS)}
        self.replies = 0

    def curate(self, *filings: tuple[str, str, list[Fact]]) -> None:
        self.replies += 1
        facts = facts_of(document(*filings)).with_columns(pl.lit(f"reply {self.replies}").alias("raw"))
        known = RowsOfTables(self.tables)
        facts, beside = classed_facts("sec", facts, known)
        rows = concept_rows("sec", facts, beside, shipped_concepts(), known)
        for table, incoming in ((FUNDAMENTALS_FACTS, facts), (FUNDAMENTALS, rows)):
            stored = self.tables[table.name]
            merged = merge(stored.read(), incoming, table)
            stored.commit(CommitContext(self.replies), merged.new, merged.changed)

    def values(self, period: str = "annual") -> list[tuple[float | None, str | None, str, str]]:
        rows = self.tables[FUNDAMENTALS.name].read()
        rows = rows.filter((pl.col("concept") == "revenue") & (pl.col("period") == period)).sort("end", "public_at")
        return rows.select("value", "reason", pl.col("filed").cast(pl.String), "raw").rows()


def test_a_stored_fact_that_a_reply_has_no_longer_still_counts() -> None:
    store = Store()
    store.curate(*YEARS[:2])
    before = store.values()
    missing = ("10-K", "2021-02-20", list[Fact]())  # the same accessions
    store.curate(missing, *YEARS[1:])
    assert store.values()[:2] == before
    assert [row[0] for row in store.values()] == [2020e6, 2021e6, 2022e6]


def test_parts_of_the_facts_make_the_rows_of_all_in_any_reply() -> None:
    quarters = [
        ("10-Q", day, [("Revenues", "USD", "2022-01-01", end, total)])
        for day, end, total in (("2022-05-01", "2022-03-31", 1e6), ("2022-08-01", "2022-06-30", 3e6))
    ]
    store, whole = Store(), Store()
    store.curate(quarters[0])
    store.curate(("10-Q", "2022-05-01", []), quarters[1])
    whole.curate(*quarters)
    assert [row[:3] for row in store.values("quarter")] == [row[:3] for row in whole.values("quarter")]
    assert store.values("quarter")[1][0] == 2e6


def test_a_corrected_fact_leaves_no_version_that_it_made() -> None:
    """The amendment reported 7; the vendor corrects it to the value filed before: the value in force then is 5."""

    def history(amended: float) -> list[tuple[str, str, list[Fact]]]:
        period = ("2022-01-01", "2022-12-31")
        return [("10-K", "2023-02-20", [("Revenues", "USD", *period, 5e6)]),
                ("10-K/A", "2023-06-20", [("Revenues", "USD", *period, amended)])]  # fmt: skip

    store = Store()
    store.curate(*history(7e6))
    assert [row[0] for row in store.values()] == [5e6, 7e6]
    store.curate(*history(5e6))
    store.curate(*history(5e6))
    assert store.values() == [(5e6, None, "2023-02-20", "reply 1"), (5e6, None, "2023-06-20", "reply 2")]


def test_a_value_that_no_facts_make_any_more_is_withdrawn() -> None:
    store = Store()
    year: Fact = ("Revenues", "USD", "2022-01-01", "2022-12-31", 5e6)
    store.curate(("10-K", "2023-02-20", [year]))
    facts = store.tables[FUNDAMENTALS_FACTS.name]
    facts.commit(CommitContext(9), FUNDAMENTALS_FACTS.empty(), gone=facts.read())
    store.replies = 9
    store.curate(("10-K", "2023-02-20", [("Assets", "USD", None, "2022-12-31", 9e6)]))
    assert store.values() == [(None, "withdrawn", "2023-02-20", "reply 10")]
