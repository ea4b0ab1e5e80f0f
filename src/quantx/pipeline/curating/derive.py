"""From replies to rows in the tables: the one path of the curator and of `quantx reprocess`.

What is derived depends on the replies, their order, and what the judge decides; on no clock and on nothing in the state.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from quantx.core.merge import Merge, merge
from quantx.core.prices import PRICES
from quantx.core.quality.row_policy import Judge
from quantx.core.tables import ACTIONS, ADJUSTMENT_PROOFS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, QUARANTINE, Table
from quantx.lake.protocol import CommitContext, CuratedTable
from quantx.lake.raw import parse_raw_path
from quantx.pipeline.curating.dividend_references import with_references
from quantx.pipeline.curating.normalize import Rows, normalize_round, table_of
from quantx.pipeline.curating.proof_findings import with_withdrawn
from quantx.pipeline.curating.quarantine_rows import rejected_replies
from quantx.pipeline.curating.stored_replies import Lost, ReadReply
from quantx.pipeline.runtime.platform import Platform
from quantx.state.series.port import SeriesFacts

# What replies become rows of; replaced rows are kept in the revisions of each.
BARS = (BARS_1D, BARS_1D_ADJUSTED, BARS_1M)
CURATED = (*BARS, ACTIONS, ADJUSTMENT_PROOFS)
_HOT_DAYS = 45
DERIVED = (*CURATED, *(table.revisions for table in CURATED), QUARANTINE)


@dataclass(frozen=True)
class Derived:
    """What became of some replies."""

    parts: Sequence[tuple[Sequence[ReadReply], Rows]]  # those of one source, dataset and timeframe together
    merged: dict[str, Merge]  # what has changed, by table
    rejected: pl.DataFrame  # QUARANTINE, also what was there already


def derive(
    platform: Platform, context: CommitContext, read: Sequence[ReadReply], lost: Sequence[Lost], judge: Judge
) -> Derived:
    """Commit to the platform's tables what replies say: at most one good reply of each series.

    A table that has the round already is left alone; what it got then is told as if it were now.
    """
    parts = _normalize(platform, read, judge)
    incoming = {
        table.name: [rows.tables[table.name] for _, rows in parts if table.name in rows.tables] for table in CURATED
    }
    incoming[ACTIONS.name] = with_references(platform, incoming[ACTIONS.name], incoming[BARS_1D.name])
    incoming[ADJUSTMENT_PROOFS.name] = with_withdrawn(platform, [rows.proved for _, rows in parts])
    merged = {table.name: _merge(platform, table, incoming[table.name]) for table in CURATED}
    for table in CURATED:
        if not any(part.height for part in incoming[table.name]):
            continue
        if _commit(platform, table, context, merged[table.name]) or table not in BARS:
            continue
        if platform.tables[table.name].committed_round() >= context.round_id:
            merged[table.name] = _first_try(platform, table, incoming[table.name], {item.raw for item in read})
    rejected = [QUARANTINE.empty(), *(rows.quarantine for _, rows in parts), _lost_replies(platform, lost, judge)]
    _quarantine(platform, context, pl.concat(rejected))
    return Derived(parts, merged, pl.concat(rejected))


def series_facts(items: Sequence[ReadReply], rows: Rows) -> list[SeriesFacts]:
    """Return what replies of one source, dataset and timeframe have proved."""
    asked = {item.symbol: item for item in items if item.symbol in rows.coverage}
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
        for symbol, item in asked.items()
    ]


def recent_bars(bars: pl.DataFrame) -> str:
    """Return the recent ones of daily bars as JSON."""
    recent = bars.filter(pl.col("date") > pl.col("date").max().over("source", "symbol") - timedelta(days=_HOT_DAYS))
    return recent.select("source", "symbol", "date", *PRICES, "volume", "currency", "known_from").write_json()


def _normalize(platform: Platform, read: Sequence[ReadReply], judge: Judge) -> list[tuple[list[ReadReply], Rows]]:
    """Turn replies into rows, those of one source, dataset and timeframe together."""
    alike: dict[tuple[str, str, str], list[ReadReply]] = defaultdict(list)
    for item in read:
        series = item.stored.series
        alike[series.source, series.dataset, series.timeframe].append(item)
    parts = []
    for (source, _, _), items in alike.items():
        parts.append((items, (platform.normalize or normalize_round)(source, items, platform.reader_of(source), judge)))
    return parts


def _commit(platform: Platform, table: Table, context: CommitContext, merged: Merge) -> bool:
    """Commit what a round changes in a table; False where there is nothing, or it was committed before.

    Replaced rows first: a crash after that repeats the round, and nothing that was believed is ever without a record.
    """
    platform.tables[table.revisions.name].commit(context, merged.superseded)
    return platform.tables[table.name].commit(context, merged.new, merged.changed)


def _lost_replies(platform: Platform, lost: Sequence[Lost], judge: Judge) -> pl.DataFrame:
    """Return the quarantine rows of replies that are not in the raw zone as they were stored."""
    told = [
        {
            "source": x.series.source,
            "dataset": table_of(x.series.dataset, x.series.timeframe, platform.reader_of(x.series.source)).name,
            "symbol": x.series.symbol,
            "rules": "raw_object_readable",
            "row": why,
            "raw": parse_raw_path(x.path)[2],
            "known_from": x.fetched_at,
        }
        for x, why in lost
    ]
    return rejected_replies(told, judge)


def _merge(platform: Platform, table: Table, parts: Sequence[pl.DataFrame]) -> Merge:
    """Compare what came with the current rows of its keys."""
    incoming = pl.concat([table.empty(), *parts], how="diagonal")
    if incoming.is_empty():
        return Merge(table.empty(), table.empty(), table.revisions.empty(), same=0)
    return merge(current_rows(platform.tables[table.name], incoming), incoming, table)


def _first_try(platform: Platform, table: Table, parts: Sequence[pl.DataFrame], raws: Iterable[str]) -> Merge:
    """Return what an interrupted try of a round has committed to a table; by now these rows look like known ones."""
    incoming, key = pl.concat([table.empty(), *parts], how="diagonal"), list(table.key)
    stored = current_rows(platform.tables[table.name], incoming).filter(pl.col("raw").is_in(list(raws)))
    came = stored.join(incoming, on=key, how="semi")
    replaced = current_rows(platform.tables[table.revisions.name], incoming).join(
        came, left_on=[*key, "known_to"], right_on=[*key, "known_from"], how="semi"
    )
    new, changed = (came.join(replaced, on=key, how=how) for how in ("anti", "semi"))
    return Merge(new, changed, replaced, same=incoming.height - came.height)


def current_rows(stored: CuratedTable, incoming: pl.DataFrame) -> pl.DataFrame:
    """Read the rows of a table that `incoming` may be about: each symbol between its first and its last day.

    Symbols of the same years (of minutes: months) are read together, so that one with old bars does not open the whole
    table.
    """
    schema = stored.table.schema
    day = "date" if "date" in schema else "ex_date"
    spans = incoming.group_by("symbol").agg(pl.col(day).min().alias("first"), pl.col(day).max().alias("last"))
    stretch = [
        pl.col(c).dt.year() * 100 + (pl.col(c).dt.month() if "month" in schema else 0) for c in ("first", "last")
    ]
    found = [pl.DataFrame(schema=dict(schema))]
    for (first, last), group in spans.group_by(stretch[0].alias("from"), stretch[1].alias("to")):
        wanted = pl.col("symbol").is_in(group["symbol"].to_list())
        wanted &= pl.col(day).is_between(group["first"].min(), group["last"].max())
        if "year" in schema:
            wanted &= pl.col("year").is_between(pl.lit(first // 100), pl.lit(last // 100))
        if "month" in schema:
            wanted &= pl.col("month").is_between(pl.lit(first), pl.lit(last))
        found.append(stored.read(wanted))
    return pl.concat(found)


def _quarantine(platform: Platform, context: CommitContext, rejected: pl.DataFrame) -> None:
    """Put rejected rows into quarantine, except those that a vendor repeats each day and that are there already.

    One that had passed since, under other rules, is rejected again.
    """
    if rejected.is_empty():
        return
    table, key = platform.tables[QUARANTINE.name], list(QUARANTINE.key)
    known = table.read(pl.col("symbol").is_in(rejected["symbol"].unique().to_list()))
    rejected = rejected.unique(key, keep="first", maintain_order=True)
    new = rejected.join(known, on=key, how="anti", nulls_equal=True)
    passed = known.filter(pl.col("passed").is_not_null())
    table.commit(context, new, rejected.join(passed, on=key, how="semi", nulls_equal=True))
