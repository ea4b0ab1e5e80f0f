"""Turn an open member into rows of the tables: stage them without a role, and commit them under it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date
from functools import cache, partial
from pathlib import Path

import polars as pl

from quantx.core.quality.option_rules import OPTION_RULES
from quantx.core.tables import BARS_1D
from quantx.errors import Busy, MalformedPayload
from quantx.lake.protocol import Tables
from quantx.pipeline.options.commit import commit_member
from quantx.pipeline.options.importing import Arrival, Store
from quantx.pipeline.options.judge import PricesOf
from quantx.pipeline.options.stage import stage_member
from quantx.pipeline.options.staged import CommittedMember, StagedMember
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.roles import RoleHolder, committing, take_role
from quantx.providers.options.protocol import OptionMember
from quantx.state.findings.port import Findings
from quantx.state.option_members.port import MemberCounts

_DOUBTS = [rule.id for rule in OPTION_RULES if rule.severity != "reject"]
_CORRECTED = "a later version of the vendor's file does not have it"
_PAUSE = 0.2  # seconds between two tries to take the role
_LONGEST_WAIT = 900.0  # seconds: another process holds the role for one commit at a time


def store_of(platform: Platform) -> Store:
    """Return what stores members in the tables of a platform."""
    return partial(_store, platform, prices_of(platform.tables))


def _store(
    platform: Platform,
    prices: PricesOf,
    member: OptionMember,
    folder: Path,
    arrival: Arrival,
    confirm: Callable[[], None],
) -> MemberCounts:
    staged = stage_member(member, folder, location=platform.location, raw=arrival.raw, prices=prices)
    try:
        confirm()
    except MalformedPayload:
        platform.location.delete(staged.new_objects)
        raise
    committed = _committed(platform, staged, arrival, folder)
    _note(platform.state.findings, member, staged, arrival)
    return MemberCounts(staged.rows, committed.changed + committed.removed, staged.rows_rejected)


def _note(findings: Findings, member: OptionMember, staged: StagedMember, arrival: Arrival) -> None:
    """Note the findings of a member; those of its earlier version that a correction does not have are resolved."""
    if not arrival.corrects:
        findings.note(staged.findings)
        return
    days = dict.fromkeys(member.contracts["underlying"].unique(), (staged.first, staged.last))
    findings.restate(_DOUBTS, staged.source, staged.table.name, staged.findings, _CORRECTED, days=days)


def _committed(platform: Platform, staged: StagedMember, arrival: Arrival, folder: Path) -> CommittedMember:
    """Commit a member under the role of options; wait while another process holds it."""

    def commit(holder: RoleHolder | None) -> CommittedMember | None:
        if holder is None:
            return None
        return commit_member(platform.location, staged, holder, folder, corrects=arrival.corrects)

    end = platform.runtime.monotonic() + _LONGEST_WAIT
    while True:
        done = committing(lambda: take_role(platform.location, platform.tables, platform.state, "options"), commit)
        if done is not None:
            return done
        if platform.runtime.monotonic() > end:
            raise Busy("another process has been committing options for 15 minutes; run the same command again later")
        time.sleep(_PAUSE)  # also while the process is to stop: this member is finished


def prices_of(tables: Tables) -> PricesOf:
    """Return the lowest and the highest price of an underlying in a session, over all sources of its daily bars."""

    @cache
    def prices(underlying: str, day: date) -> tuple[float, float] | None:
        bars = tables[BARS_1D.name].read((pl.col("symbol") == underlying) & (pl.col("date") == day))
        low, high = bars["low"].min(), bars["high"].max()
        return (low, high) if isinstance(low, float) and isinstance(high, float) else None

    return prices
