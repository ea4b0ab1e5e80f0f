"""Normalize replies about filers to rows of the tables of facts: pure, given the replies, the adapter, known rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import polars as pl

from quantx.core.esg import esg_values
from quantx.core.fact_datasets import DATASETS, FUNDAMENTALS_DATASET, FactDataset
from quantx.core.fact_tables import ESG_FACTS, FILERS, FILINGS, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.fundamentals.acceptance import FILED_DAY, public_or_filed_day, public_times, reconcile_times
from quantx.core.fundamentals.industries import with_sector
from quantx.core.model import Payload
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.table import INSTANT, Table
from quantx.errors import ProviderError
from quantx.pipeline.curating.concept_rows import classed_facts, concept_rows
from quantx.pipeline.curating.fact_rows import check_facts, public_rows
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
from quantx.settings.esg import shipped_metrics

_Read = Sequence[tuple[ReadReply, Sequence[FactFrames]]]
_Made = tuple[Mapping[str, pl.DataFrame], pl.DataFrame, pl.DataFrame]

_ORIGIN: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "source": pl.String, "symbol": pl.String, "raw": pl.String, "known_from": INSTANT, "page": pl.Int32,
    "payload_sha256": pl.String,
}  # fmt: skip


def normalize_facts(
    source: str,
    landed: Sequence[ReadReply],
    provider: Provider,
    policy: RowPolicy,
    known: KnownRows = NothingKnown(),  # noqa: B008 - it has no state
) -> Rows:
    """Return the rows of replies of one dataset of facts from one source, at most one good reply per symbol."""
    assert isinstance(provider, FactProvider), f"{source} has datasets of facts"
    dataset = DATASETS[landed[0].stored.series.dataset]
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
    make = _fundamentals if dataset is FUNDAMENTALS_DATASET else _other_facts
    tables, rejected, days = make(dataset, source, read, policy, known)
    sessions = _first_and_last(days, dataset.table.day or "filed")
    return Rows(
        table=dataset.table.name,
        tables=tables,
        quarantine=pl.concat([rejected, rejected_payloads(broken, dataset.table, policy)]),
        coverage={
            item.symbol: dataset.coverage(item.stored.window, item.as_of, sessions.get(item.symbol, (None, None))[1])
            for item, _ in read
        },
        sessions=sessions,
        malformed=malformed_tasks(broken),
        compared=compare_replies(landed, frames, provider),
    )


def _fundamentals(dataset: FactDataset, source: str, read: _Read, policy: RowPolicy, known: KnownRows) -> _Made:
    """Return the rows of the tables of fundamentals, the quarantine rows, and the filings with their days."""
    sent = _stacked(source, read, VENDOR_FILINGS, lambda page: page.filings)
    filings = public_times(sent).unique(["symbol", "accession"], keep="first", maintain_order=True)
    filings = reconcile_times(filings, known.filing_times(source, [item.symbol for item, _ in read]))
    facts = _stacked(source, read, VENDOR_FACTS, lambda page: page.facts)
    facts, rejected = check_facts(facts, dataset, policy)
    facts = _rows(_with_public_times(facts, filings), FUNDAMENTALS_FACTS)
    facts, beside = classed_facts(source, facts, known)
    tables = {
        FUNDAMENTALS_FACTS.name: facts,
        FUNDAMENTALS.name: concept_rows(source, facts, beside, policy.concepts or shipped_concepts(), known),
        FILINGS.name: _rows(filings, FILINGS),
        FILERS.name: _rows(with_sector(_stacked(source, read, VENDOR_FILERS, lambda page: page.filers)), FILERS),
        ESG_FACTS.name: _rows(esg_values(facts, shipped_metrics()), ESG_FACTS),
    }
    return tables, rejected, filings if filings.height else facts


def _other_facts(dataset: FactDataset, source: str, read: _Read, policy: RowPolicy, known: KnownRows) -> _Made:
    """Return the rows of a dataset with one table, the quarantine rows, and the accepted rows with their days."""
    rows, rejected = check_facts(_stacked(source, read, dataset.columns, lambda page: page.rows), dataset, policy)
    rows = _rows(public_rows(rows) if dataset.of_companies else rows, dataset.table)
    return {dataset.table.name: rows}, rejected, rows


def _first_and_last(rows: pl.DataFrame, day: str) -> dict[str, tuple[date, date]]:
    """Return the first and the last day of each symbol."""
    spans = rows.group_by("symbol").agg(pl.col(day).min().alias("first"), pl.col(day).max().alias("last"))
    return {symbol: (first, last) for symbol, first, last in spans.iter_rows()}


def _frames(provider: FactProvider, page: Payload) -> FactFrames | str:
    try:
        return provider.normalize_facts(page)
    except ProviderError as error:
        return str(error)


def _stacked(
    source: str,
    read: _Read,
    schema: Mapping[str, pl.DataType | type[pl.DataType]],
    part: Callable[[FactFrames], pl.DataFrame],
) -> pl.DataFrame:
    """Concatenate one kind of rows of all replies, with the origin of each row."""
    rows = [
        frame.with_columns(
            pl.lit(source).alias("source"),
            pl.lit(item.symbol).alias("symbol"),
            pl.lit(item.raw).alias("raw"),
            pl.lit(item.payload.fetched_at, INSTANT).alias("known_from"),
            pl.lit(number, pl.Int32).alias("page"),
            pl.lit(item.payload.sha256).alias("payload_sha256"),
        )
        for item, pages in read
        for number, page in enumerate(pages)
        if (frame := part(page)).height
    ]
    return pl.concat([pl.DataFrame(schema={**schema, **_ORIGIN}), *rows], how="diagonal")


def _with_public_times(facts: pl.DataFrame, filings: pl.DataFrame) -> pl.DataFrame:
    """Return the facts with the times of their filings; a fact of an unlisted filing is public after its day.

    A vendor without filings sends `public_at` with its facts.
    """
    if "public_at" in facts.columns:
        return public_rows(facts)
    times = filings.select("symbol", "accession", "public_at", "public_how")
    listed = facts.join(times, on=["symbol", "accession"], how="left", maintain_order="left")
    return listed.with_columns(public_or_filed_day(), pl.col("public_how").fill_null(FILED_DAY))


def _rows(rows: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return the columns of a table, the missing ones null; `year` is that of the day of filing."""
    if "year" in table.schema:
        rows = rows.with_columns(pl.col("filed").dt.year().alias("year"))
    missing = [pl.lit(None, kind).alias(name) for name, kind in table.schema.items() if name not in rows.columns]
    return rows.with_columns(missing).select(list(table.schema))
