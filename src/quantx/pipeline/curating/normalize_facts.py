"""Normalize replies about filers to rows of the tables of facts: pure, given the replies, the adapter, known rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from quantx.core.fact_tables import FILERS, FILINGS, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.fundamentals.acceptance import FILED_DAY, end_of_day, public_times, settle_shifts
from quantx.core.fundamentals.concepts import concept_values
from quantx.core.fundamentals.filing_days import coverage_of_filings
from quantx.core.fundamentals.industries import with_sector
from quantx.core.fundamentals.revisions import revision_classes
from quantx.core.model import Payload
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.table import INSTANT, Table
from quantx.errors import ProviderError
from quantx.pipeline.curating.known_rows import KnownRows, NothingKnown
from quantx.pipeline.curating.normalize import Rows, malformed_tasks, rejected_payloads
from quantx.pipeline.curating.reply_frames import UnreadableReply
from quantx.pipeline.curating.schema_drift import compare_replies
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.providers.protocol import (
    VENDOR_FACTS,
    VENDOR_FILERS,
    VENDOR_FILINGS,
    FactFrames,
    FactProvider,
    Provider,
)
from quantx.settings.concepts import shipped_concepts

_ORIGIN: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "source": pl.String, "symbol": pl.String, "raw": pl.String, "known_from": INSTANT, "page": pl.Int32
}  # fmt: skip


def normalize_facts(
    source: str,
    landed: Sequence[ReadReply],
    provider: Provider,
    policy: RowPolicy,
    known: KnownRows = NothingKnown(),  # noqa: B008 - it has no state
) -> Rows:
    """Return the rows of replies of the dataset `fundamentals` from one source, at most one good reply per symbol."""
    assert isinstance(provider, FactProvider), f"{source} has the dataset fundamentals"
    frames: dict[int, FactFrames | str] = {}
    read: list[tuple[ReadReply, list[FactFrames]]] = []
    broken: list[UnreadableReply] = []
    for item in landed:
        if item.stored.malformed is not None:
            broken.append(UnreadableReply(item, item.stored.malformed, item.payload))
            continue
        for page in item.pages:
            frames[id(page)] = _frames(provider, page)
        pages = [frames[id(page)] for page in item.pages]
        wrong = next((n for n, why in enumerate(pages) if isinstance(why, str)), None)
        if wrong is None:
            read.append((item, [page for page in pages if isinstance(page, FactFrames)]))
        else:
            broken.append(UnreadableReply(item, str(pages[wrong]), item.pages[wrong]))
    sent = _stacked(source, read, VENDOR_FILINGS, lambda page: page.filings)
    filings = public_times(sent).unique(["symbol", "accession"], keep="first", maintain_order=True)
    filings = settle_shifts(filings, known.filing_times(source, [item.symbol for item, _ in read]))
    facts = _with_public_times(_stacked(source, read, VENDOR_FACTS, lambda page: page.facts), filings)
    facts = facts.with_columns(revision_classes(facts))
    return Rows(
        table=FUNDAMENTALS_FACTS.name,
        tables={
            FUNDAMENTALS_FACTS.name: _rows(facts, FUNDAMENTALS_FACTS),
            FUNDAMENTALS.name: concept_values(_rows(facts, FUNDAMENTALS_FACTS), policy.concepts or shipped_concepts()),
            FILINGS.name: _rows(filings, FILINGS),
            FILERS.name: _rows(with_sector(_stacked(source, read, VENDOR_FILERS, lambda page: page.filers)), FILERS),
        },
        quarantine=rejected_payloads(broken, FUNDAMENTALS_FACTS, policy),
        coverage={item.symbol: coverage_of_filings(item.stored.window, item.as_of) for item, _ in read},
        sessions={
            symbol: (first, last)
            for symbol, first, last in filings.group_by("symbol")
            .agg(pl.col("filed").min().alias("first"), pl.col("filed").max().alias("last"))
            .iter_rows()
        },
        malformed=malformed_tasks(broken),
        compared=compare_replies(landed, frames, provider),
    )


def _frames(provider: FactProvider, page: Payload) -> FactFrames | str:
    try:
        return provider.normalize_facts(page)
    except ProviderError as error:
        return str(error)


def _stacked(
    source: str,
    read: Sequence[tuple[ReadReply, Sequence[FactFrames]]],
    schema: Mapping[str, pl.DataType | type[pl.DataType]],
    part: Callable[[FactFrames], pl.DataFrame],
) -> pl.DataFrame:
    """Concatenate one kind of rows of all replies, with the origin of each row."""
    rows = [
        part(page).with_columns(
            pl.lit(source).alias("source"),
            pl.lit(item.symbol).alias("symbol"),
            pl.lit(item.raw).alias("raw"),
            pl.lit(item.payload.fetched_at, INSTANT).alias("known_from"),
            pl.lit(number, pl.Int32).alias("page"),
        )
        for item, pages in read
        for number, page in enumerate(pages)
    ]
    return pl.concat([pl.DataFrame(schema={**schema, **_ORIGIN}), *rows])


def _with_public_times(facts: pl.DataFrame, filings: pl.DataFrame) -> pl.DataFrame:
    """Return the facts with the times of their filings; a fact of an unlisted filing is public after its day."""
    times = filings.select("symbol", "accession", "public_at", "public_how")
    facts = facts.join(times, on=["symbol", "accession"], how="left", maintain_order="left")
    return facts.with_columns(
        pl.coalesce("public_at", end_of_day("filed")).alias("public_at"), pl.col("public_how").fill_null(FILED_DAY)
    )


def _rows(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return the columns of a table, the missing ones null; `year` is that of the day of filing."""
    if "year" in table.schema:
        rows = rows.with_columns(pl.col("filed").dt.year().alias("year"))
    missing = [pl.lit(None, kind).alias(name) for name, kind in table.schema.items() if name not in rows.columns]
    return rows.with_columns(missing).select(list(table.schema))
