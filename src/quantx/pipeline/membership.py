"""Refreshing universes: members with intervals to the state and the lake, and one CSV per phase."""

from __future__ import annotations

import io
from dataclasses import dataclass

import polars as pl
import structlog

from quantx.core.merge import merge
from quantx.core.tables import INSTANT, UNIVERSE_MEMBERS
from quantx.errors import StateError
from quantx.lake.protocol import CommitContext
from quantx.pipeline.platform import Platform
from quantx.state.protocol import Universe
from quantx.universes.declared import UniverseSpec, read_declared
from quantx.universes.protocol import MEMBERS
from quantx.universes.refresh import as_table, next_members
from quantx.universes.sources import read_members

log = structlog.get_logger()


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did to one universe."""

    universe: str
    phase: str
    members: int  # now
    joined: int
    left: int


def refresh_universes(platform: Platform, *, phase: str | None, name: str | None) -> list[Refreshed]:
    """Read the sources of a phase's universes (or of one, or of all) and record who is a member since when.

    Raises ConfigError where a source is wrong; the last good list then stays.
    """
    declared = read_declared(platform.settings.universe_path)
    selected = declared.select(phase, name)
    with platform.state.exclusive("universes") as mine:
        if mine is None:
            raise StateError("another process is refreshing universes; try again when it has ended")
        results = [_refresh(platform, p, spec, read_members(spec, declared.path.parent)) for p, spec in selected]
        for each in {p for p, _ in selected}:
            _write_csv(platform, each)
    return results


def _refresh(platform: Platform, phase: str, spec: UniverseSpec, listed: pl.DataFrame) -> Refreshed:
    now = platform.clock.now()
    table = platform.tables[UNIVERSE_MEMBERS.name]
    stored = table.read(pl.col("universe") == spec.name)
    before = stored.select(list(MEMBERS))
    after = next_members(before, listed, now.date())
    listed_now = as_table(after, spec.name, phase, now)
    merged = merge(stored, listed_now, UNIVERSE_MEMBERS)
    gone = stored.join(listed_now, on=list(UNIVERSE_MEMBERS.key), how="anti", nulls_equal=True)
    superseded = pl.concat([merged.superseded, gone.with_columns(pl.lit(now).cast(INSTANT).alias("known_to"))])
    # A refresh has no round of the curator: it is numbered after the table's last commit, so that a refresh which is
    # repeated after a crash between the two commits does not write the replaced rows again.
    context = CommitContext(table.committed_round() + 1)
    platform.tables[UNIVERSE_MEMBERS.revisions.name].commit(context, superseded)
    table.commit(context, merged.new, merged.changed, gone)
    current = after.filter(pl.col("member_to").is_null())
    columns = ("symbol", "market", "name", "member_from", "member_to")
    members = list(after.select(columns).iter_rows())
    platform.state.universes.put(Universe(spec.name, phase, spec.market, spec.type, now, members))
    were = set(before.filter(pl.col("member_to").is_null())["symbol"])
    are = set(current["symbol"])
    log.info("universe.refreshed", universe=spec.name, members=len(are), joined=len(are - were), left=len(were - are))
    return Refreshed(spec.name, phase, len(are), len(are - were), len(were - are))


def _write_csv(platform: Platform, phase: str) -> None:
    """Write `meta/universe_<phase>.csv`: the current members, for people and for other programs."""
    table = platform.tables[UNIVERSE_MEMBERS.name]
    members = table.read((pl.col("phase") == phase) & pl.col("member_to").is_null())
    buffer = io.BytesIO()
    members.select("universe", "symbol", "market", "name", "member_from").sort("universe", "symbol").write_csv(buffer)
    platform.location.put(f"meta/universe_{phase}.csv", buffer.getvalue())
