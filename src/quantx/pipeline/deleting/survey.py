"""What a deletion would remove, counted without changing anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from quantx.core.deleted_rows import touched_tables
from quantx.core.tombstones import Tombstone
from quantx.lake.protocol import Tables
from quantx.lake.snapshots import LakeSnapshot, snapshot_names
from quantx.lake.store import LakeLocation
from quantx.pipeline.deleting.delete import waiting_files
from quantx.pipeline.deleting.raw_objects import RawPlan, RawZone
from quantx.settings import Settings
from quantx.state.deletions.port import Deletions


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a deletion would remove."""

    source: str
    symbols: Sequence[str] | None  # stored ones; None: all
    tables: Mapping[str, int]  # rows by table
    raw_objects: int  # that are removed
    raw_bytes: int
    replies: int
    rewritten: int  # raw objects for which another one stands, with the other replies
    shared: Sequence[str]  # symbols whose replies go because they share a page: their rows stay
    state: Mapping[str, int]  # rows by table of the state
    snapshots: Sequence[str]
    retained_until: datetime | None = None  # when the last raw object can be removed
    retained: int = 0  # raw objects that can't be removed yet
    inbox: int = 0  # files that wait to be imported
    underivable: int = 0  # replies with days on both sides of --before: their later rows stay, without a reply

    def as_json(self) -> dict[str, Any]:
        """Return the survey for JSON."""
        return asdict(self)


def survey(
    stone: Tombstone,
    *,
    location: LakeLocation,
    tables: Tables,
    raw: RawZone,
    deletions: Deletions,
    settings: Settings,
    now: datetime,
) -> Survey:
    """Count what a tombstone would remove; change nothing."""
    plans = list(raw.plan(stone))
    created = location.objects(f"raw/source={stone.source}")
    ends = [
        made.modified + timedelta(days=settings.raw_retention_days)
        for plan in plans
        if (made := created.get(plan.path)) is not None and made.modified is not None
    ]
    retained = [end for end in ends if end > now]
    names = set(touched_tables(stone))
    return Survey(
        source=stone.source,
        symbols=None if stone.symbols is None else [_shown(span) for span in stone.spans()],
        tables=_rows(stone, tables),
        raw_objects=len(plans),
        raw_bytes=sum(plan.size for plan in plans),
        replies=sum(len(plan.deleted) for plan in plans),
        rewritten=sum(not plan.is_whole for plan in plans),
        shared=sorted({s for plan in plans for s in (*plan.others, *(reply.series.symbol for reply in plan.shared))}),
        state={name: rows for name, rows in deletions.count(stone).items() if rows},
        snapshots=[n for n in snapshot_names(location) if names & set(LakeSnapshot.read(location, n).tables)],
        retained_until=max(retained, default=None),
        retained=len(retained),
        inbox=len(waiting_files(location, stone)),
        underivable=sum(_across(stone, plan) for plan in plans),
    )


def _shown(span: Any) -> str:
    if span.whole:
        return str(span.symbol)
    return f"{span.symbol} ({span.first or 'the beginning'} to {span.last or 'now'})"


def _rows(stone: Tombstone, tables: Tables) -> dict[str, int]:
    counts = {}
    for name, where in touched_tables(stone).items():
        if name in tables and tables[name].version() is not None:
            found = tables[name].collect(tables[name].scan().filter(where).select(pl.len()))
            counts[name] = int(found.item())
    return {name: rows for name, rows in counts.items() if rows}


def _across(stone: Tombstone, plan: RawPlan) -> int:
    """Return the number of deleted replies that have later days, too."""
    return 0 if stone.before is None else sum(reply.window.end >= stone.before for reply in plan.deleted)
