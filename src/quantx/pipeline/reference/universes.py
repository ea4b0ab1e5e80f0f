"""Refreshing universes: members with intervals to the state and the lake, and one CSV per phase.

Every document is kept, and every decision about it. A list that can't be read or is not believed changes nothing: the
last good one stays, and a finding tells why until a good one comes or a person accepts it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal

import polars as pl
import structlog

from quantx.core.model import Finding
from quantx.core.symbol_history import history_of
from quantx.core.tables import SYMBOL_HISTORY, UNIVERSE_MEMBERS
from quantx.errors import ConfigError, RefusedList, StateError
from quantx.pipeline.curating.restate import restate
from quantx.pipeline.reference.delistings import suspect_delistings
from quantx.pipeline.reference.instruments import remember_namings
from quantx.pipeline.reference.snapshots import keep_decision, keep_document
from quantx.pipeline.runtime.platform import Platform
from quantx.state.values import Universe
from quantx.universes.declaration import UniverseSpec, read_declaration
from quantx.universes.plausibility import check_plausibility
from quantx.universes.protocol import MEMBERS, Document, LatestSymbol, MemberList
from quantx.universes.refresh import as_table, keep_missing_members, next_members
from quantx.universes.sources import SOURCES, parse_members, read_document
from quantx.universes.web import Web

log = structlog.get_logger()

REFUSED, CONTRADICTIONS = "universe_refused", "universe_contradictions"  # the rules of the findings
_SHOWN = 5

Decision = Literal["taken", "accepted", "refused"]  # accepted: on somebody's word


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did to one universe."""

    universe: str
    phase: str
    members: int  # now
    joined: int
    left: int
    decision: Decision
    why: str | None = None  # what speaks against the list
    snapshot: str | None = None  # where the document is kept; None where none could be read


def refresh_universes(
    platform: Platform, *, phase: str | None, name: str | None, accept: str | None = None
) -> list[Refreshed]:
    """Read the sources of a phase's universes (or of one, or of all) and record who is a member since when.

    A universe whose source is refused keeps its members, and the others go on. `accept` is a person's reason to take
    lists all the same that can be read and are not believed. Raises ConfigError where the declaration is wrong.
    """
    if accept is not None and not accept.strip():
        raise ConfigError("the reason to accept is empty; say why, for who reads it later")
    declared = read_declaration(platform.settings.universe_path)
    selected = declared.select(phase, name)
    with platform.state.exclusive("universes") as mine:
        if mine is None:
            raise StateError("another process is refreshing universes; try again when it has ended")
        enabled = declared.enabled()
        platform.state.universes.enable(enabled)
        remember_namings(platform)  # a new state learns here what the lake knows
        latest = history_of(platform.tables[SYMBOL_HISTORY.name].read()).latest_symbol
        source = _Reading(declared.path.parent, Web.of(platform.settings), latest)
        results = [_refresh(_Case(platform, p, spec, source, spec.name in enabled, accept)) for p, spec in selected]
        for each in {p for p, _ in selected}:
            _write_csv(platform, each)
    return results


@dataclass(frozen=True)
class _Reading:
    """Where documents come from, and what is known to read them."""

    folder: Path
    web: Web
    latest: LatestSymbol


@dataclass
class _Case:
    """One universe and its refresh, as far as it has come."""

    platform: Platform
    phase: str
    spec: UniverseSpec
    reading: _Reading
    enabled: bool
    accept: str | None
    document: Document | None = None
    snapshot: str | None = None
    listing: MemberList = field(default_factory=lambda: MemberList(()))

    def read(self) -> pl.DataFrame:
        """Return the members that the source gives, and keep its document; RefusedList where they can't be read."""
        self.document = read_document(self.spec, self.reading.folder, self.reading.web)
        suffix = SOURCES[self.spec.type].suffix
        self.snapshot = keep_document(self.platform.location, self.spec.name, self.document, suffix)
        listed, self.listing = parse_members(self.spec, self.document, self.reading.latest)
        return listed


def _refresh(case: _Case) -> Refreshed:
    stored = case.platform.tables[UNIVERSE_MEMBERS.name].read(pl.col("universe") == case.spec.name)
    before = stored.select(list(MEMBERS))
    now = case.platform.clock.now()
    try:
        listed = case.read()
    except RefusedList as error:
        return _refuse(case, before, [str(error)], now, "look at the source, or declare another one")
    against = check_plausibility(case.spec, before, listed)
    if against and case.accept is None:
        command = f"quantx refresh-universe --name {case.spec.name} --accept --reason …"
        return _refuse(case, before, against, now, f"look at the source, or take the list with {command}")
    if SOURCES[case.spec.type].history_from_changes:
        listed = keep_missing_members(before, listed, now.date())
    after = next_members(before, listed, now.date())
    previous = {row["name"]: row["refreshed_at"] for row in case.platform.state.universes.listed()}
    rows = as_table(after, case.spec.name, case.phase, now)
    restate(case.platform.tables, UNIVERSE_MEMBERS, stored, rows, now)
    _put(case, after, now)
    if SOURCES[case.spec.type].is_exchange:
        suspect_delistings(case.platform, case.spec.name, stored, after, previous.get(case.spec.name), now)
    _tell_contradictions(case)
    case.platform.state.findings.resolve(REFUSED, [case.spec.name], "a list was taken")
    return _conclude(case, before, after, "accepted" if against else "taken", against, now)


def _refuse(case: _Case, before: pl.DataFrame, why: Sequence[str], now: datetime, step: str) -> Refreshed:
    refreshed = _conclude(case, before, before, "refused", why, now)
    stays = f"the last good one of {refreshed.members:,} members stays" if before.height else "there is no other yet"
    message = f"the list of {case.spec.name} is refused, {stays}: {refreshed.why}; {step}"
    facts = {"snapshot": case.snapshot, "phase": case.phase, "why": list(why)}
    case.platform.state.findings.note(
        [Finding(REFUSED, "error", case.spec.name, message, dataset="universe", facts=facts)]
    )
    return refreshed


def _conclude(
    case: _Case, before: pl.DataFrame, after: pl.DataFrame, decision: Decision, why: Sequence[str], now: datetime
) -> Refreshed:
    """Keep the decision with its reasons, log it, and return it."""
    were, are = (set(f.filter(pl.col("member_to").is_null())["symbol"]) for f in (before, after))
    joined, left = sorted(are - were), sorted(were - are)
    document = case.document
    keep_decision(
        case.platform.location,
        case.spec.name,
        now,
        {
            "phase": case.phase,
            "source": case.spec.type,
            "origin": document.origin if document else None,
            "sha256": document.sha256 if document else None,
            "snapshot": case.snapshot,
            "decision": decision,
            "why": list(why),
            "reason": case.accept if decision == "accepted" else None,
            "members": sorted(are),
            "joined": joined,
            "left": left,
            "left_out": case.listing.left_out,
            "remarks": list(case.listing.remarks),
        },
    )
    said = "; ".join(why) or None
    log.info("universe.refreshed", universe=case.spec.name, decision=decision, members=len(are), why=said)
    return Refreshed(case.spec.name, case.phase, len(are), len(joined), len(left), decision, said, case.snapshot)


def _put(case: _Case, after: pl.DataFrame, now: datetime) -> None:
    members = list(after.select("symbol", "market", "name", "member_from", "member_to").iter_rows())
    spec = case.spec
    case.platform.state.universes.put(
        Universe(spec.name, case.phase, spec.market, spec.type, now, members, enabled=case.enabled)
    )


def _tell_contradictions(case: _Case) -> None:
    remarks, findings = case.listing.remarks, case.platform.state.findings
    if not remarks:
        findings.resolve(CONTRADICTIONS, [case.spec.name], "the list does not contradict itself any more")
        return
    shown = "; ".join(remarks[:_SHOWN])
    message = (
        f"{len(remarks)} statements in the list of {case.spec.name} do not fit together, and were passed over: {shown}"
    )
    facts = {"remarks": list(remarks)}
    findings.note([Finding(CONTRADICTIONS, "info", case.spec.name, message, dataset="universe", facts=facts)])


def _write_csv(platform: Platform, phase: str) -> None:
    """Write `meta/universe_<phase>.csv`: the current members, for people and for other programs."""
    table = platform.tables[UNIVERSE_MEMBERS.name]
    members = table.read((pl.col("phase") == phase) & pl.col("member_to").is_null())
    buffer = io.BytesIO()
    members.select("universe", "symbol", "market", "name", "member_from").sort("universe", "symbol").write_csv(buffer)
    platform.location.put(f"meta/universe_{phase}.csv", buffer.getvalue())
