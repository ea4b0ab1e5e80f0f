"""The curator: landed payloads → rows → one commit per table → coverage, watermarks, hot bars.

One process at a time holds the role (an advisory lock that PostgreSQL frees when its holder dies). Work is done in
rounds: a round's payloads are fixed in PostgreSQL before it begins and its number is Delta's transaction version, so a
round that was interrupted is repeated with the same input, and a table that has it already is left alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta

import polars as pl
import structlog

from quantx.core.coverage import Coverage
from quantx.core.merge import Merge, merge
from quantx.core.model import Window
from quantx.core.prices import PRICES
from quantx.core.tables import ACTIONS, BARS_1D, QUARANTINE, Table
from quantx.errors import LakeError
from quantx.lake.raw import read_batch
from quantx.lake.table import CommitContext, LakeTable
from quantx.pipeline.normalized import Landed, Rows, normalize_round
from quantx.pipeline.platform import Platform, confirm_lake
from quantx.state.database import Row
from quantx.state.database import run as run_statement

log = structlog.get_logger()

_LOCK = 7_013_002  # advisory lock: the curator of the daily bars
_DATASET = "bars"
# Bounds a round's memory: 60 replies of 20 years (300,000 rows), or all of a daily update of 10,000 symbols. As much is
# worth a round while there is still something to fetch.
_ROUND_BYTES = 36_000_000
_MOST_FILES = 24  # per partition, before they are folded into one
_TAIL_SESSIONS = 10
_HOT_DAYS = 45


def curate_landed(platform: Platform, *, everything: bool, stopping: Callable[[], bool] = lambda: False) -> int:
    """Curate what has landed and return how many rows are new or changed.

    Does nothing where another process has the role, or where too little has landed and `everything` is false. Ends
    after the round in which `stopping` turns true.
    """
    waiting = platform.database.rows("curation.open_landings")[0]
    if waiting["landings"] == 0 or (waiting["bytes"] < _ROUND_BYTES and not everything):
        return 0
    rows = 0
    with platform.database.exclusive(_LOCK) as mine:
        if mine is None:
            return 0
        confirm_lake(platform.location, platform.database)
        while round_id := _next_round(platform):
            rows += _curate_round(platform, round_id)
            if stopping():
                break
            mine.confirm()
        if everything and not stopping():
            _fold(platform)
    return rows


def _next_round(platform: Platform) -> int | None:
    """Return the round that was interrupted, or a new one with the oldest landings; None where nothing is left."""
    unfinished = platform.database.rows("curation.unfinished_round", dataset=_DATASET)
    if unfinished:
        return int(unfinished[0]["id"])
    if platform.database.rows("curation.open_landings")[0]["landings"] == 0:
        return None
    above = max(table.committed_round() for table in platform.tables.values())
    with platform.database.transaction() as connection:
        round_id: int = run_statement(connection, "curation.start_round", {"dataset": _DATASET, "above": above})[0][
            "id"
        ]
        run_statement(
            connection, "curation.fill_round", {"round_id": round_id, "dataset": _DATASET, "bytes": _ROUND_BYTES}
        )
    return round_id


def _curate_round(platform: Platform, round_id: int) -> int:
    landings = platform.database.rows("curation.round_landings", round_id=round_id)
    by_source: dict[str, list[Landed]] = defaultdict(list)
    for item in _read(platform, landings):
        by_source[item.source].append(item)
    parts = [(s, normalize_round(s, items, platform.providers[s])) for s, items in by_source.items()]
    context = CommitContext(
        round_id, sorted({row["run_id"] for row in landings}), sorted({row["path"] for row in landings})
    )
    repeated = platform.tables[BARS_1D.name].committed_round() >= round_id
    bars = _merge(platform, BARS_1D, [rows.bars for _, rows in parts])
    actions = _merge(platform, ACTIONS, [rows.actions for _, rows in parts])
    # Replaced rows first: a crash after that repeats the round, and nothing that was believed is ever without a record.
    for table, merged in ((BARS_1D, bars), (ACTIONS, actions)):
        platform.tables[table.revisions.name].commit(context, merged.superseded)
        platform.tables[table.name].commit(context, merged.new, merged.changed)
    rejected = pl.concat([QUARANTINE.empty(), *(rows.quarantine for _, rows in parts)])
    platform.tables[QUARANTINE.name].commit(context, _not_yet_quarantined(platform, rejected))
    if repeated:
        bars = _first_try(platform, [rows.bars for _, rows in parts], {i.raw for s in by_source.values() for i in s})
    _finish(platform, round_id, by_source, dict(parts), bars, rejected)
    log.info(
        "round.curated",
        round=round_id,
        payloads=len(landings),
        new=bars.new.height,
        changed=bars.changed.height,
        same=bars.same,
        rejected=rejected.height,
    )
    return bars.new.height + bars.changed.height


def _read(platform: Platform, landings: Sequence[Row]) -> Iterable[Landed]:
    by_path: dict[str, list[Row]] = defaultdict(list)
    for row in landings:
        by_path[row["path"]].append(row)
    for path, rows in by_path.items():
        replies = read_batch(platform.location, path, [row["raw_row"] for row in rows])
        for row, reply in zip(rows, replies, strict=True):
            yield Landed(
                task_id=row["task_id"],
                run_id=row["run_id"],
                source=row["source"],
                symbol=row["symbol"],
                window=Window(row["window_start"], row["window_end"]),
                raw=path.rpartition("/")[2].removesuffix(".parquet"),
                payload=reply.payload,
                malformed=row["malformed"],
            )


def _merge(platform: Platform, table: Table, parts: Sequence[pl.DataFrame]) -> Merge:
    """Compare what came with the current rows of its keys."""
    incoming = pl.concat([table.empty(), *parts], how="diagonal")
    if incoming.is_empty():
        return merge(table.empty(), incoming, table)
    return merge(current_rows(platform.tables[table.name], incoming), incoming, table)


def _first_try(platform: Platform, parts: Sequence[pl.DataFrame], raws: Iterable[str]) -> Merge:
    """Return what an interrupted try of a round has committed to the bars; by now these rows look like known ones."""
    incoming, key = pl.concat(parts, how="diagonal"), list(BARS_1D.key)
    stored = current_rows(platform.tables[BARS_1D.name], incoming).filter(pl.col("raw").is_in(list(raws)))
    came = stored.join(incoming, on=key, how="semi")
    replaced = current_rows(platform.tables[BARS_1D.revisions.name], incoming).join(
        came, left_on=[*key, "known_to"], right_on=[*key, "known_from"], how="semi"
    )
    new, changed = (came.join(replaced, on=key, how=how) for how in ("anti", "semi"))
    return Merge(new, changed, replaced, same=incoming.height - came.height)


def current_rows(stored: LakeTable, incoming: pl.DataFrame) -> pl.DataFrame:
    """Read the rows of a table that `incoming` may be about: each symbol between its first and its last day.

    Symbols of the same years are read together, so that one with old bars does not open the whole table.
    """
    day = "date" if "date" in stored.table.schema else "ex_date"
    spans = incoming.group_by("symbol").agg(pl.col(day).min().alias("first"), pl.col(day).max().alias("last"))
    years = [pl.col("first").dt.year().alias("first_year"), pl.col("last").dt.year().alias("last_year")]
    found = [pl.DataFrame(schema=dict(stored.table.schema))]
    for (first_year, last_year), group in spans.group_by(years):
        wanted = pl.col("symbol").is_in(group["symbol"].to_list())
        wanted &= pl.col(day).is_between(group["first"].min(), group["last"].max())
        if "year" in stored.table.schema:
            wanted &= pl.col("year").is_between(pl.lit(first_year), pl.lit(last_year))
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


def _finish(
    platform: Platform,
    round_id: int,
    by_source: Mapping[str, Sequence[Landed]],
    parts: Mapping[str, Rows],
    bars: Merge,
    rejected: pl.DataFrame,
) -> None:
    """Record in one transaction what the round has done."""
    with platform.database.transaction() as connection:
        for source, items in by_source.items():
            rows = parts[source]
            _run_many(connection, "curation.finish_tasks", _task_results(source, items, rows, bars, rejected))
            _run_many(connection, "curation.cover_series", _series_facts(source, items, rows))
        fresh = _hot(pl.concat([bars.new, bars.changed]))
        if fresh.height:
            columns = ("source", "symbol", "date", *PRICES, "volume", "currency", "known_from")
            run_statement(connection, "curation.put_hot_bars", {"rows": fresh.select(columns).write_json()})
            trimmed = {"symbols": fresh["symbol"].unique().to_list(), "days": _HOT_DAYS}
            run_statement(connection, "curation.trim_hot_bars", trimmed)
        run_statement(connection, "curation.finish_round", {"round_id": round_id})


def _task_results(
    source: str, items: Sequence[Landed], rows: Rows, bars: Merge, rejected: pl.DataFrame
) -> dict[str, list[object]] | None:
    def count(frame: pl.DataFrame) -> dict[str, int]:
        counted = frame.filter(pl.col("source") == source).group_by("symbol").len()
        return dict(zip(counted["symbol"].to_list(), counted["len"].to_list(), strict=True))

    new, changed, bad, total = count(bars.new), count(bars.changed), count(rejected), count(rows.bars)
    good = [item for item in items if item.malformed is None]
    if not good:
        return None
    return {
        "ids": [i.task_id for i in good],
        "states": ["failed" if i.task_id in rows.malformed else "done" for i in good],
        "classes": ["MalformedPayload" if i.task_id in rows.malformed else None for i in good],
        "errors": [rows.malformed.get(i.task_id) for i in good],
        "new": [new.get(i.symbol, 0) for i in good],
        "changed": [changed.get(i.symbol, 0) for i in good],
        "same": [total.get(i.symbol, 0) - new.get(i.symbol, 0) - changed.get(i.symbol, 0) for i in good],
        "rejected": [bad.get(i.symbol, 0) for i in good],
    }


def _series_facts(source: str, items: Sequence[Landed], rows: Rows) -> dict[str, object] | None:
    asked = {item.symbol: item.payload.fetched_at for item in items if item.symbol in rows.coverage}
    if not asked:
        return None
    coverage: list[Coverage] = [rows.coverage[s] for s in asked]
    return {
        "source": source,
        "dataset": _DATASET,
        "timeframe": "1d",
        "symbols": list(asked),
        "covered": [_multirange([c.covered] if c.covered else []) for c in coverage],
        "nothing": [_multirange(c.nothing) for c in coverage],
        "firsts": [rows.sessions.get(s, (None, None))[0] for s in asked],
        "through": [c.asked_through for c in coverage],
        "lasts": [rows.sessions.get(s, (None, None))[1] for s in asked],
        "asked": list(asked.values()),
    }


def _run_many(connection: object, statement: str, values: Mapping[str, object] | None) -> None:
    if values is not None:
        run_statement(connection, statement, values)  # type: ignore[arg-type]


def _multirange(windows: Iterable[Window]) -> str:
    """Return the text of a datemultirange."""
    return "{" + ",".join(f"[{w.start},{w.end}]" for w in windows) + "}"


def _hot(rows: pl.DataFrame) -> pl.DataFrame:
    newest = pl.col("date").max().over("source", "symbol")
    return rows.filter(pl.col("date") > newest - timedelta(days=_HOT_DAYS))


def _fold(platform: Platform) -> None:
    """Keep the number of files small; where somebody else changes a table meanwhile, the next round does it."""
    for table in (BARS_1D, BARS_1D.revisions, ACTIONS, ACTIONS.revisions, QUARANTINE):
        try:
            folded = platform.tables[table.name].fold(
                CommitContext(0), _MOST_FILES, tail=_TAIL_SESSIONS if table is BARS_1D else 0
            )
        except LakeError as error:
            log.warning("table.not_folded", table=table.name, error=str(error))
            continue
        if folded:
            log.info("table.folded", table=table.name, partitions=folded)
