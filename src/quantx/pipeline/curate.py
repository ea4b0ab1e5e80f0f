"""The curator: landed payloads → rows → one commit per table → coverage, watermarks, hot bars.

One process at a time holds the role (a lock that the state frees when its holder dies). Work is done in rounds: a
round's payloads are fixed in the state before it begins and its number is Delta's transaction version, so a
round that was interrupted is repeated with the same input, and a table that has it already is left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

import polars as pl
import structlog

from quantx.core.merge import Merge, merge
from quantx.core.model import Series
from quantx.core.prices import PRICES
from quantx.core.tables import ACTIONS, ADJUSTMENT_PROOFS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, QUARANTINE, Table
from quantx.errors import DamagedObject
from quantx.lake.protocol import CommitContext, CuratedTable
from quantx.lake.raw import read_batch
from quantx.pipeline.compaction import compact_minutes, fold_tables
from quantx.pipeline.normalized import Landed, Rows, table_of
from quantx.pipeline.planner import confirm_lake
from quantx.pipeline.platform import Platform
from quantx.pipeline.proofs import tell, with_withdrawn
from quantx.pipeline.references import with_references
from quantx.pipeline.settle import EVENTS_MISSING
from quantx.state.protocol import Landing, SeriesFacts, TaskResult
from quantx.tracing import shared_span

log = structlog.get_logger()

# What replies become rows of; replaced rows are kept in the revisions of each.
_BARS = (BARS_1D, BARS_1D_ADJUSTED, BARS_1M)
_CURATED = (*_BARS, ACTIONS, ADJUSTMENT_PROOFS)
# Both bound a round's memory: 30 replies of 20 years (150,000 rows), or 1,500 of a daily update.
_ROUND_BYTES = 18_000_000
_ROUND_REPLIES = 1500
_WORTH_BYTES = 6_000_000  # of replies are worth a round while there is still something to fetch
_HOT_DAYS = 45


def curate_landed(platform: Platform, *, everything: bool, stopping: Callable[[], bool] = lambda: False) -> int:
    """Curate what has landed and return how many rows are new or changed.

    Does nothing where another process has the role, or where too little has landed and `everything` is false. Ends
    after the round in which `stopping` turns true.
    """
    if stopping() or not _is_worth_it(platform, everything):
        return 0
    rows = 0
    with platform.state.exclusive("curator") as mine:
        if mine is None:
            return 0
        confirm_lake(platform.location, platform.state)
        above: int | None = None
        while _is_worth_it(platform, everything):
            above = _last_round(platform) if above is None else above
            round_id = _next_round(platform, above)
            if round_id is None:
                break
            landings = platform.state.rounds.landings(round_id)
            with shared_span("round", [landing.run_id for landing in landings], round=round_id, replies=len(landings)):
                rows += _curate_round(platform, round_id, landings)
            if stopping():
                break
            mine.confirm()
        if everything and not stopping():
            fold_tables(platform)
            compact_minutes(platform, stopping=stopping)
    return rows


def curate_left(platform: Platform) -> int:
    """Curate what has landed where no worker is left that would; return how many rows are new or changed."""
    counts = platform.state.tasks.count()
    if counts.get("leased", 0) or not counts.get("landed", 0):
        return 0
    return curate_landed(platform, everything=True)


def _is_worth_it(platform: Platform, everything: bool) -> bool:
    landings, size = platform.state.rounds.waiting()
    return landings > 0 and (everything or size >= _WORTH_BYTES)


def _last_round(platform: Platform) -> int:
    """Return the last round that one of the curator's tables has seen; a lake may be older than its state."""
    tables = (*_CURATED, *(table.revisions for table in _CURATED), QUARANTINE)
    return max(platform.tables[table.name].committed_round() for table in tables)


def _next_round(platform: Platform, above: int) -> int | None:
    """Return the round that was interrupted, or a new one with the oldest landings; None where nothing is left."""
    rounds = platform.state.rounds
    unfinished = rounds.unfinished()
    if unfinished is not None:
        return unfinished
    if rounds.waiting()[0] == 0:
        return None
    return rounds.start(above, _ROUND_BYTES, _ROUND_REPLIES)


def _curate_round(platform: Platform, round_id: int, landings: Sequence[Landing]) -> int:
    read, lost = _read(platform, landings)
    parts = _normalize(platform, read)
    context = CommitContext(
        round_id, sorted({landing.run_id for landing in landings}), sorted({landing.path for landing in landings})
    )
    incoming = {
        table.name: [rows.tables[table.name] for _, rows in parts if table.name in rows.tables] for table in _CURATED
    }
    incoming[ACTIONS.name] = with_references(platform, incoming[ACTIONS.name], incoming[BARS_1D.name])
    proved = [rows.proved for _, rows in parts]
    incoming[ADJUSTMENT_PROOFS.name] = with_withdrawn(platform, proved)
    merged = {table.name: _merge(platform, table, incoming[table.name]) for table in _CURATED}
    for table in _CURATED:
        if not any(part.height for part in incoming[table.name]):
            continue
        if _commit(platform, table, context, merged[table.name]) or table not in _BARS:
            continue
        if platform.tables[table.name].committed_round() >= round_id:
            merged[table.name] = _first_try(platform, table, incoming[table.name], {item.raw for item in read})
    rejected = pl.concat([QUARANTINE.empty(), *(rows.quarantine for _, rows in parts), _lost_replies(platform, lost)])
    platform.tables[QUARANTINE.name].commit(context, _not_yet_quarantined(platform, rejected))
    results = [r for items, rows in parts for r in _task_results(items, rows, merged[rows.table], rejected)]
    for landing, why in lost:
        if landing.malformed is None:
            again = landing.attempts + 1 < platform.settings.max_attempts
            results.append(TaskResult(landing.task_id, "pending" if again else "failed", "DamagedObject", why))
    facts = [f for items, rows in parts for f in _series_facts(items, rows)]
    platform.state.findings.note([finding for _, rows in parts for finding in rows.findings])
    tell(platform, proved)
    asked = [(item, rows) for items, rows in parts if rows.table == ACTIONS.name for item in items]
    if came := [item.symbol for item, rows in asked if item.symbol in rows.coverage]:
        platform.state.findings.resolve(EVENTS_MISSING, came, "the events have come")
    platform.state.rounds.finish(round_id, results, facts, _hot_bars(merged[BARS_1D.name]))
    bars = [merged[table.name] for table in _BARS]
    new, changed, same = (
        sum(m.new.height for m in bars),
        sum(m.changed.height for m in bars),
        sum(m.same for m in bars),
    )
    log.info(
        "round.curated",
        round=round_id,
        payloads=len(landings),
        new=new,
        changed=changed,
        same=same,
        rejected=rejected.height,
    )
    return new + changed


def _normalize(platform: Platform, read: Sequence[Landed]) -> list[tuple[list[Landed], Rows]]:
    """Turn replies into rows, those of one source, dataset and timeframe together."""
    alike: dict[tuple[str, str, str], list[Landed]] = defaultdict(list)
    for item in read:
        alike[item.source, item.dataset, item.timeframe].append(item)
    parts = []
    for (source, _, _), items in alike.items():
        parts.append((items, platform.normalize(source, items, platform.reader_of(source))))
    return parts


def _commit(platform: Platform, table: Table, context: CommitContext, merged: Merge) -> bool:
    """Commit what a round changes in a table; False where there is nothing, or it was committed before.

    Replaced rows first: a crash after that repeats the round, and nothing that was believed is ever without a record.
    """
    platform.tables[table.revisions.name].commit(context, merged.superseded)
    return platform.tables[table.name].commit(context, merged.new, merged.changed)


def _read(platform: Platform, landings: Sequence[Landing]) -> tuple[list[Landed], list[tuple[Landing, str]]]:
    """Return the replies of a round, and those whose raw object is missing or damaged with the reason."""
    by_path: dict[str, list[Landing]] = defaultdict(list)
    for landing in landings:
        by_path[landing.path].append(landing)
    read: list[Landed] = []
    lost: list[tuple[Landing, str]] = []
    for path, wanted in by_path.items():
        try:
            numbers = sorted({row for x in wanted for row in range(x.row, x.row + x.rows)})
            replies = dict(zip(numbers, read_batch(platform.location, path, numbers), strict=True))
        except DamagedObject as error:
            log.error("raw.damaged", path=path, error=str(error))
            lost += [(landing, str(error)) for landing in wanted]
            continue
        read += [
            Landed(
                task_id=landing.task_id,
                run_id=landing.run_id,
                source=landing.series.source,
                dataset=landing.series.dataset,
                timeframe=landing.series.timeframe,
                symbol=landing.series.symbol,
                window=landing.window,
                raw=_ulid(path),
                pages=tuple(replies[row].payload for row in range(landing.row, landing.row + landing.rows)),
                malformed=landing.malformed,
            )
            for landing in wanted
        ]
    return read, lost


def _lost_replies(platform: Platform, lost: Sequence[tuple[Landing, str]]) -> pl.DataFrame:
    """Return the quarantine rows of replies that are not in the raw zone as they were stored."""
    rows = [
        (
            x.series.source,
            table_of(x.series.dataset, x.series.timeframe, platform.reader_of(x.series.source)).name,
            x.series.symbol,
            None,
            "raw_object_readable",
            why,
            None,
            _ulid(x.path),
            x.fetched_at,
        )
        for x, why in lost
    ]
    return pl.DataFrame(rows, schema=dict(QUARANTINE.schema), orient="row")


def _ulid(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".parquet")


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


def _not_yet_quarantined(platform: Platform, rejected: pl.DataFrame) -> pl.DataFrame:
    """Leave out the rows that a vendor repeats each day and that are in quarantine already."""
    if rejected.is_empty():
        return rejected
    symbols = rejected["symbol"].unique().to_list()
    known = platform.tables[QUARANTINE.name].read(pl.col("symbol").is_in(symbols))
    return rejected.unique(QUARANTINE.key, keep="first", maintain_order=True).join(
        known, on=list(QUARANTINE.key), how="anti", nulls_equal=True
    )


def _task_results(items: Sequence[Landed], rows: Rows, merged: Merge, rejected: pl.DataFrame) -> list[TaskResult]:
    """Tell how each task ended; `merged` and `rejected` may hold rows of other vendors, too."""
    source = items[0].source

    def count(frame: pl.DataFrame) -> dict[str, int]:
        counted = frame.filter(pl.col("source") == source).group_by("symbol").len()
        return dict(zip(counted["symbol"].to_list(), counted["len"].to_list(), strict=True))

    new, changed, total = count(merged.new), count(merged.changed), count(rows.tables[rows.table])
    bad = count(rejected.filter(pl.col("dataset") == rows.table))
    results = []
    for item in items:
        if item.malformed is not None:  # evidence: its task goes on
            continue
        why, fresh, revised = rows.malformed.get(item.task_id), new.get(item.symbol, 0), changed.get(item.symbol, 0)
        results.append(
            TaskResult(
                item.task_id,
                "done" if why is None else "failed",
                None if why is None else "MalformedPayload",
                why,
                new=fresh,
                changed=revised,
                same=max(0, total.get(item.symbol, 0) - fresh - revised),  # an event of before may have got its close
                rejected=bad.get(item.symbol, 0),
            )
        )
    return results


def _series_facts(items: Sequence[Landed], rows: Rows) -> list[SeriesFacts]:
    asked = {item.symbol: item for item in items if item.symbol in rows.coverage}
    return [
        SeriesFacts(
            Series(item.source, item.dataset, item.timeframe, symbol),
            covered=rows.coverage[symbol].covered,
            nothing=rows.coverage[symbol].nothing,
            first_session=rows.sessions.get(symbol, (None, None))[0],
            watermark=rows.sessions.get(symbol, (None, None))[1],
            asked_through=rows.coverage[symbol].asked_through,
            asked_at=item.payload.fetched_at,
        )
        for symbol, item in asked.items()
    ]


def _hot_bars(bars: Merge) -> str:
    """Return the recent ones of the new and changed bars as JSON."""
    rows, newest = pl.concat([bars.new, bars.changed]), pl.col("date").max().over("source", "symbol")
    recent = rows.filter(pl.col("date") > newest - timedelta(days=_HOT_DAYS))
    return recent.select("source", "symbol", "date", *PRICES, "volume", "currency", "known_from").write_json()
