"""Refreshing universes: members with intervals go to the state and the lake, and to one CSV per phase.

Every document is kept, with the decision about it. A list that cannot be read or fails the plausibility checks changes
nothing: the last good one stays, and a finding is open until a good list comes or a person accepts it.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

import polars as pl
import structlog

from quantx.core.model import Finding
from quantx.core.quality.operational_rules import UNIVERSE_CONTRADICTIONS, UNIVERSE_REFUSED
from quantx.core.symbol_history import history_of
from quantx.core.tables import SYMBOL_HISTORY, UNIVERSE_MEMBERS
from quantx.errors import ConfigError, RefusedList, StateError
from quantx.lake.protocol import Tables
from quantx.lake.store import LakeLocation
from quantx.pipeline.curating.restate import read_stored, restate
from quantx.pipeline.reference.delistings import note_suspected_delistings
from quantx.pipeline.reference.funds import record_funds
from quantx.pipeline.reference.instruments import copy_history_to_state
from quantx.pipeline.reference.snapshots import keep_decision, keep_document
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.runtime.roles import RoleHolder, committing, take_role
from quantx.state.values import Universe
from quantx.universes.declaration import UniverseSpec, read_declaration
from quantx.universes.plausibility import check_plausibility
from quantx.universes.protocol import MEMBERS, Document, LatestSymbol, MemberList
from quantx.universes.refresh import as_table, keep_missing_members, next_members
from quantx.universes.sources import SOURCES, parse_members, read_document
from quantx.universes.web import Web

log = structlog.get_logger()

_SHOWN = 5

Decision = Literal["taken", "accepted", "refused"]  # accepted: by manual override


@dataclass(frozen=True, kw_only=True)
class RefreshResult:
    """The result of a refresh for one universe."""

    universe: str
    phase: str
    members: int  # now
    joined: int
    left: int
    decision: Decision
    why: str | None = None  # the failed plausibility checks
    snapshot: str | None = None  # the path of the document; None if it could not be read


def refresh_universes(
    context: Context, tables: Tables, *, phase: str | None, name: str | None, accept: str | None = None
) -> list[RefreshResult]:
    """Read the sources of a phase's universes (or of one, or of all) and record the members with their intervals.

    A universe whose list is refused keeps its members, and the others go on. `accept` is the reason of a manual
    override for lists that fail the plausibility checks. Raises ConfigError if the declaration is wrong.
    """
    if accept is not None and not accept.strip():
        raise ConfigError("the reason to accept is empty; give the reason for the record")
    declared = read_declaration(context.settings.declaration_path)
    selected = declared.select(phase, name)
    funds = set[str]()

    def carry_out(holder: RoleHolder | None) -> list[RefreshResult]:
        if holder is None:
            raise StateError("another process is refreshing universes; try again when it has ended")
        enabled = declared.enabled()
        context.state.universes.enable(enabled)
        copy_history_to_state(tables, context.state.instruments)  # a new state has none yet
        latest = history_of(tables[SYMBOL_HISTORY.name].read()).latest_symbol
        reading = _Reading(declared.path.parent, Web.of(context.settings), latest)
        cases = [
            _Case(
                context=context,
                tables=tables,
                holder=holder,
                phase=each,
                spec=spec,
                reading=reading,
                enabled=spec.name in enabled,
                accept=accept,
            )
            for each, spec in selected
        ]
        results = [_refresh(case) for case in cases]
        for case, result in zip(cases, results, strict=True):
            funds.update(case.funds if result.decision != "refused" else ())
        for each in {p for p, _ in selected}:
            _write_csv(context.location, tables, each, [spec.name for spec in declared.phases[each]])
        return results

    results = committing(partial(take_role, context.location, tables, context.state, "universes"), carry_out)
    record_funds(context, tables, funds)
    return results


@dataclass(frozen=True)
class _Reading:
    """The sources of documents, and the symbol history that their readers need."""

    folder: Path
    web: Web
    latest: LatestSymbol


@dataclass(kw_only=True)
class _Case:
    """One universe and the progress of its refresh."""

    context: Context
    tables: Tables
    holder: RoleHolder
    phase: str
    spec: UniverseSpec
    reading: _Reading
    enabled: bool
    accept: str | None
    document: Document | None = None
    snapshot: str | None = None
    parsed: MemberList = field(default_factory=lambda: MemberList(()))

    @property
    def funds(self) -> frozenset[str]:
        """Return the funds in the document: those that it marks, or all members of a list of funds."""
        members = frozenset(symbol for symbol, *_ in self.parsed.members) if self.spec.funds else frozenset()
        return self.parsed.funds | members

    def read(self) -> pl.DataFrame:
        """Return the members in the source and keep its document; RefusedList if it cannot be read."""
        self.document = read_document(self.spec, self.reading.folder, self.reading.web)
        suffix = SOURCES[self.spec.type].suffix
        self.snapshot = keep_document(self.context.location, self.spec.name, self.document, suffix)
        listed, self.parsed = parse_members(self.spec, self.document, self.reading.latest)
        return listed


def _refresh(case: _Case) -> RefreshResult:
    stored = read_stored(case.tables[UNIVERSE_MEMBERS.name], pl.col("universe") == case.spec.name)
    before = stored.rows.select(list(MEMBERS))
    now = case.context.clock.now()
    try:
        listed = case.read()
    except RefusedList as error:
        return _refuse(case, before, [str(error)], now, "check the source, or declare another one")
    against = check_plausibility(case.spec, before, listed)
    if against and case.accept is None:
        command = f"quantx refresh-universe --name {case.spec.name} --accept --reason …"
        return _refuse(case, before, against, now, f"check the source, or accept the list with {command}")
    if SOURCES[case.spec.type].history_from_changes:
        listed = keep_missing_members(before, listed, now.date())
    after = next_members(before, listed, now.date())
    previous = {row["name"]: row["refreshed_at"] for row in case.context.state.universes.listed()}
    rows = as_table(after, case.spec.name, case.phase, now)
    restate(case.tables, UNIVERSE_MEMBERS, stored, rows, now, case.holder)
    _put(case, after, now)
    if SOURCES[case.spec.type].is_exchange:
        note_suspected_delistings(
            case.context.state,
            case.context.providers,
            universe=case.spec.name,
            stored=stored.rows,
            after=after,
            excluded=case.parsed.excluded,
            previous=previous.get(case.spec.name),
            now=now,
        )
    _note_contradictions(case)
    case.context.state.findings.resolve(UNIVERSE_REFUSED, [case.spec.name], "a list was accepted")
    return _conclude(case, before, after, "accepted" if against else "taken", against, now)


def _refuse(case: _Case, before: pl.DataFrame, why: Sequence[str], now: datetime, step: str) -> RefreshResult:
    refreshed = _conclude(case, before, before, "refused", why, now)
    stays = f"the last good one of {refreshed.members:,} members stays" if before.height else "no earlier list exists"
    message = f"the list of {case.spec.name} is refused, {stays}: {refreshed.why}; {step}"
    facts = {"snapshot": case.snapshot, "phase": case.phase, "why": list(why)}
    case.context.state.findings.note(
        [Finding(UNIVERSE_REFUSED, "error", case.spec.name, message, dataset="universe", facts=facts)]
    )
    return refreshed


def _conclude(
    case: _Case, before: pl.DataFrame, after: pl.DataFrame, decision: Decision, why: Sequence[str], now: datetime
) -> RefreshResult:
    """Store the decision with its reasons, log it, and return it."""
    were, are = (set(f.filter(pl.col("member_to").is_null())["symbol"]) for f in (before, after))
    joined, left = sorted(are - were), sorted(were - are)
    document = case.document
    keep_decision(
        case.context.location,
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
            "left_out": case.parsed.left_out,
            "remarks": list(case.parsed.remarks),
        },
    )
    doubts_text = "; ".join(why) or None
    log.info("universe.refreshed", universe=case.spec.name, decision=decision, members=len(are), why=doubts_text)
    return RefreshResult(
        universe=case.spec.name,
        phase=case.phase,
        members=len(are),
        joined=len(joined),
        left=len(left),
        decision=decision,
        why=doubts_text,
        snapshot=case.snapshot,
    )


def _put(case: _Case, after: pl.DataFrame, now: datetime) -> None:
    members = list(after.select("symbol", "market", "name", "member_from", "member_to").iter_rows())
    spec = case.spec
    case.context.state.universes.put(
        Universe(
            spec.name,
            phase=case.phase,
            market=spec.market,
            source_type=spec.type,
            refreshed_at=now,
            members=members,
            enabled=case.enabled,
        )
    )


def _note_contradictions(case: _Case) -> None:
    remarks, findings = case.parsed.remarks, case.context.state.findings
    if not remarks:
        findings.resolve(UNIVERSE_CONTRADICTIONS, [case.spec.name], "the list is consistent now")
        return
    more = [f"{len(remarks) - _SHOWN:,} more"] if len(remarks) > _SHOWN else []
    message = f"the list of {case.spec.name} contradicts itself: {'; '.join([*remarks[:_SHOWN], *more])}"
    facts = {"remarks": list(remarks)}
    findings.note([Finding(UNIVERSE_CONTRADICTIONS, "info", case.spec.name, message, dataset="universe", facts=facts)])


def _write_csv(location: LakeLocation, tables: Tables, phase: str, declared: Sequence[str]) -> None:
    """Write `meta/universe_<phase>.csv` with the current members of the declared universes."""
    current = pl.col("universe").is_in(declared) & (pl.col("phase") == phase) & pl.col("member_to").is_null()
    members = tables[UNIVERSE_MEMBERS.name].read(current)
    buffer = io.BytesIO()
    members.select("universe", "symbol", "market", "name", "member_from").sort("universe", "symbol").write_csv(buffer)
    location.put(f"meta/universe_{phase}.csv", buffer.getvalue())
