"""From replies to rows in the tables: the one path of the curator and of `quantx reprocess`.

The rows depend on the replies, their order and the row policy. They depend on no clock and on nothing in the state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

import polars as pl

from quantx.core.fact_datasets import DATASETS, tables_of_facts
from quantx.core.merge import Merge, merge
from quantx.core.prices import PRICES
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.table import Table
from quantx.core.tables import ACTIONS, ADJUSTMENT_PROOFS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, QUARANTINE
from quantx.lake.protocol import CommitContext, CuratedTable, Tables
from quantx.lake.raw import parse_raw_path
from quantx.pipeline.curating.adjustment_findings import with_withdrawn
from quantx.pipeline.curating.deleted_rows import rows_left
from quantx.pipeline.curating.dividend_references import with_references
from quantx.pipeline.curating.known_rows import RowsOfTables
from quantx.pipeline.curating.normalize import (
    Normalize,
    ReaderOf,
    Rows,
    normalize_frames,
    normalize_round,
    table_of,
)
from quantx.pipeline.curating.normalize_facts import normalize_facts
from quantx.pipeline.curating.quarantine_rows import rejected_replies
from quantx.pipeline.curating.read_ahead import Kind, by_kind
from quantx.pipeline.curating.reply_frames import ReplyFrames
from quantx.pipeline.curating.stored_replies import Lost, ReadReply
from quantx.state.series.port import SeriesFacts

# The tables of the rows; replaced rows are kept in the revisions of each.
BARS = (BARS_1D, BARS_1D_ADJUSTED, BARS_1M)
_HOT_DAYS = 45


def curated_tables() -> tuple[Table, ...]:
    """Return the tables whose rows are a function of the replies; declared datasets of facts have theirs."""
    return (*BARS, ACTIONS, ADJUSTMENT_PROOFS, *tables_of_facts())


def derived_tables() -> tuple[Table, ...]:
    """Return the curated tables, their revisions, and quarantine."""
    curated = curated_tables()
    return (*curated, *(table.revisions for table in curated), QUARANTINE)


@dataclass(frozen=True)
class Derived:
    """The rows of some replies."""

    parts: Sequence[tuple[Sequence[ReadReply], Rows]]  # by source, dataset and timeframe
    merged: dict[str, Merge]  # the changes, by table
    rejected: pl.DataFrame  # QUARANTINE, also rows that it had already


def derive(
    tables: Tables,
    read: Sequence[ReadReply],
    lost: Sequence[Lost],
    policy: RowPolicy,
    *,
    context: CommitContext,
    reader_of: ReaderOf,
    normalize: Normalize = normalize_round,
    frames: Mapping[Kind, ReplyFrames] = MappingProxyType({}),
) -> Derived:
    """Commit the rows of replies to the tables; return the rows. There is at most one good reply of each series.

    `frames` has those of the replies that are in frames already: `normalize` is for the others.

    A table that has the round already stays unchanged; the changes of that first commit are returned as those of now.
    """
    parts = _normalize(RowsOfTables(tables), by_kind(read), policy, reader_of, normalize, frames)
    parts = [(items, rows_left(policy.deleted, rows, items)) for items, rows in parts]
    curated = curated_tables()
    incoming = {
        table.name: [rows.tables[table.name] for _, rows in parts if table.name in rows.tables] for table in curated
    }
    touched = [table.name for table in curated if incoming[table.name] or table is ADJUSTMENT_PROOFS]
    versions = {name: tables[name].version() for name in touched}  # before their rows are read
    incoming[ACTIONS.name] = with_references(tables, reader_of, incoming[ACTIONS.name], incoming[BARS_1D.name])
    incoming[ADJUSTMENT_PROOFS.name] = with_withdrawn(
        tables[ADJUSTMENT_PROOFS.name], [rows.proofs for _, rows in parts]
    )
    merged = {table.name: _merge(tables, table, incoming[table.name]) for table in curated}
    for table in curated:
        if not any(part.height for part in incoming[table.name]):
            continue
        if _commit(tables, table, context, merged[table.name], versions[table.name]) or table not in BARS:
            continue
        if tables[table.name].committed_round(context.state_id) >= (context.round_id or 0):
            merged[table.name] = _first_try(tables, table, incoming[table.name], {item.raw for item in read})
    rejected = pl.concat(
        [QUARANTINE.empty(), *(rows.quarantine for _, rows in parts), _lost_replies(lost, policy, reader_of)]
    )
    _quarantine(tables[QUARANTINE.name], context, rejected)
    return Derived(parts, merged, rejected)


def series_facts(items: Sequence[ReadReply], rows: Rows) -> list[SeriesFacts]:
    """Return the coverage that replies of one source, dataset and timeframe prove, by series."""
    answered = {item.symbol: item for item in items if item.symbol in rows.coverage}
    return [
        SeriesFacts(
            item.stored.series,
            covered=rows.coverage[symbol].covered,
            nothing=rows.coverage[symbol].nothing,
            first_session=rows.sessions.get(symbol, (None, None))[0],
            watermark=rows.sessions.get(symbol, (None, None))[1],
            asked_through=rows.coverage[symbol].asked_through,
            asked_at=item.payload.fetched_at,
        )
        for symbol, item in answered.items()
    ]


def recent_bars(bars: pl.DataFrame) -> str:
    """Return the recent ones of daily bars as JSON."""
    if bars.is_empty():
        return "[]"
    recent = bars.filter(pl.col("date") > pl.col("date").max().over("source", "symbol") - timedelta(days=_HOT_DAYS))
    return recent.select("source", "symbol", "date", *PRICES, "volume", "currency", "known_from").write_json()


def current_rows(stored: CuratedTable, incoming: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a table that `incoming` may be about: each symbol between its first and its last day.

    Symbols of the same years (of minutes: months) are read together, so that one symbol with old bars does not open the
    whole table.
    """
    schema, day = stored.table.schema, stored.table.day
    if day is None:
        return stored.read(pl.col("symbol").is_in(incoming["symbol"].unique().to_list()))
    spans = incoming.group_by("symbol").agg(pl.col(day).min().alias("first"), pl.col(day).max().alias("last"))
    alike = defaultdict[tuple[int, int], list[tuple[str, date, date]]](list)
    for symbol, first, last in spans.iter_rows():
        alike[_part_of(first, schema), _part_of(last, schema)].append((symbol, first, last))
    rows = [stored.table.empty()]
    for (from_, to), group in alike.items():
        symbols, firsts, lasts = zip(*group, strict=True)
        where = pl.col("symbol").is_in(list(symbols)) & pl.col(day).is_between(min(firsts), max(lasts))
        for part in ("year", "month"):
            if part in schema:
                where &= pl.col(part).is_between(pl.lit(from_), pl.lit(to))
        rows.append(stored.read(where))
    return pl.concat(rows)


def _part_of(day: date, schema: Collection[str]) -> int:
    """Return the month of a day in a table by month (202412), else its year."""
    return day.year * 100 + day.month if "month" in schema else day.year


def _normalize(
    stored: RowsOfTables,
    replies: Mapping[Kind, Sequence[ReadReply]],
    policy: RowPolicy,
    reader_of: ReaderOf,
    normalize: Normalize,
    frames: Mapping[Kind, ReplyFrames],
) -> list[tuple[Sequence[ReadReply], Rows]]:
    """Return the replies with their rows, by source, dataset and timeframe; events after the bars, which prove them."""
    parts = list[tuple[Sequence[ReadReply], Rows]]()
    for kind, items in sorted(replies.items(), key=lambda each: each[0][1] == "actions"):
        source, dataset, _ = kind
        if kind in frames:
            series = items[0].stored.series
            rows = normalize_frames(source, series, frames[kind], reader_of(source), policy, stored)
        else:
            one_kind = normalize_facts if dataset in DATASETS else normalize
            rows = one_kind(source, items, reader_of(source), policy, stored)
        stored = stored.with_bars(rows.tables.get(BARS_1D.name))
        parts.append((items, rows))
    return parts


def _commit(tables: Tables, table: Table, context: CommitContext, merged: Merge, read_at: int | None) -> bool:
    """Commit the changes of a round to a table; False where there are none, or the table has the round already.

    Replaced rows first: a crash after that repeats the round, and every previous value has its record at all times.
    """
    if merged.superseded.height:
        _commit_replaced(tables[table.revisions.name], context, merged.superseded)
    return tables[table.name].commit(context, merged.new, merged.changed, read_at=read_at)


def _commit_replaced(revisions: CuratedTable, context: CommitContext, replaced: pl.DataFrame) -> None:
    """Commit replaced rows to the revisions of a table.

    A committer that lost its role between the two commits leaves a revision of a row that is still current: it gets
    the end that it really has.
    """
    key, version = list(revisions.table.key), revisions.version()
    known = pl.col("known_from").is_in(replaced["known_from"].unique().implode())
    stored = revisions.read(known & pl.col("symbol").is_in(replaced["symbol"].unique().implode()))
    ended = stored.filter(pl.col("known_to") > pl.col("known_from"))  # the others are traces of earlier rules
    again = replaced.join(ended, on=key, how="semi", nulls_equal=True)
    traces = stored.join(ended, on=stored.columns, how="anti", nulls_equal=True)
    traces = traces.join(again, on=key, how="semi", nulls_equal=True)
    new = replaced.join(again, on=key, how="anti", nulls_equal=True)
    revisions.commit(context, new, pl.concat([again, traces]), read_at=version)


def _lost_replies(lost: Sequence[Lost], policy: RowPolicy, reader_of: ReaderOf) -> pl.DataFrame:
    """Return the quarantine rows of replies whose pages are missing or damaged."""
    rows = [
        {
            "source": x.series.source,
            "dataset": table_of(x.series.dataset, x.series.timeframe, reader_of(x.series.source)).name,
            "symbol": x.series.symbol,
            "rules": "raw_object_readable",
            "row": reason,
            "raw": parse_raw_path(x.path)[2],
            "known_from": x.fetched_at,
        }
        for x, reason in lost
    ]
    return rejected_replies(rows, policy)


def _merge(tables: Tables, table: Table, parts: Sequence[pl.DataFrame]) -> Merge:
    """Compare incoming rows with the current rows of their keys."""
    parts = [part for part in parts if part.height]
    if not parts:
        return Merge(table.empty(), table.empty(), table.revisions.empty(), same=0)
    incoming = pl.concat([table.empty(), *parts], how="diagonal")
    return merge(current_rows(tables[table.name], incoming), incoming, table)


def _first_try(tables: Tables, table: Table, parts: Sequence[pl.DataFrame], raws: Iterable[str]) -> Merge:
    """Return the changes that an interrupted try of a round has committed to a table: now these rows are current."""
    incoming, key = pl.concat([table.empty(), *parts], how="diagonal"), list(table.key)
    stored = current_rows(tables[table.name], incoming).filter(pl.col("raw").is_in(list(raws)))
    came = stored.join(incoming, on=key, how="semi")
    replaced = current_rows(tables[table.revisions.name], incoming).join(
        came, left_on=[*key, "known_to"], right_on=[*key, "known_from"], how="semi"
    )
    new, changed = (came.join(replaced, on=key, how=how) for how in ("anti", "semi"))
    return Merge(new, changed, replaced, same=incoming.height - came.height)


def _quarantine(table: CuratedTable, context: CommitContext, rejected: pl.DataFrame) -> None:
    """Put rejected rows into quarantine, except those that are there already: a vendor repeats them each day.

    A row that has passed since, under other rules, is rejected again.
    """
    if rejected.is_empty():
        return
    key, version = list(QUARANTINE.key), table.version()
    stored = table.read(pl.col("symbol").is_in(rejected["symbol"].unique().to_list()))
    rejected = rejected.unique(key, keep="first", maintain_order=True)
    new = rejected.join(stored, on=key, how="anti", nulls_equal=True)
    passed = stored.filter(pl.col("passed").is_not_null())
    table.commit(context, new, rejected.join(passed, on=key, how="semi", nulls_equal=True), read_at=version)
