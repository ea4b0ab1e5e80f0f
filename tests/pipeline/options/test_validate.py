"""Stored options are compared with the calendar, the imported members and the digests of their files."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from quantx.core.option_tables import OPTIONS_QUOTES_1M
from quantx.core.tables import TABLES
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import open_tables
from quantx.pipeline.options.commit import commit_member
from quantx.pipeline.options.stage import stage_member
from quantx.pipeline.options.validate import ValidatedOptions, validate_options
from quantx.state.option_members.port import MemberRecord

from .members import Holder, at, batch, contracts, member

DAYS = [date(2025, 8, day) for day in (4, 5, 6, 7)]
LISTED = contracts(*(f"SPY250815C006{strike:02d}000" for strike in (10, 20, 30, 40)))


@pytest.fixture
def location(tmp_path: Path) -> LakeLocation:
    return open_location(str(tmp_path / "lake"))


def store(location: LakeLocation, tmp_path: Path, sessions: Mapping[date, int]) -> None:
    """Store some contracts of each session."""
    for number, (day, count) in enumerate(sessions.items()):
        rows = [{"of": of, "time": at(14, 0, day), "bid": 1.0, "ask": 1.1} for of in LISTED["contract"][:count]]
        staged = stage_member(
            member("quotes_1m", LISTED, batch("quotes_1m", rows, LISTED, day)),
            tmp_path,
            location=location,
            raw=f"01K2000000000000000000000{number}",
        )
        commit_member(location, staged, Holder(), tmp_path)


def validated(location: LakeLocation, *members: MemberRecord, **options: Any) -> ValidatedOptions:
    return validate_options(location, open_tables(location, TABLES), members, **options)


def test_a_session_without_rows_is_missing(location: LakeLocation, tmp_path: Path) -> None:
    store(location, tmp_path, {DAYS[0]: 4, DAYS[2]: 4, DAYS[3]: 4})
    (series,) = validated(location).series
    assert (series.sessions, series.missing, series.rows) == (3, [DAYS[1]], 12)


def test_a_session_that_lost_half_of_its_contracts_is_short(location: LakeLocation, tmp_path: Path) -> None:
    store(location, tmp_path, {DAYS[0]: 4, DAYS[1]: 1, DAYS[2]: 4})
    (series,) = validated(location).series
    assert (series.short, series.gaps, series.contracts_with_gaps) == ([DAYS[1]], 3, 3)


def test_rows_of_an_imported_member_that_are_not_there_are_named(location: LakeLocation, tmp_path: Path) -> None:
    store(location, tmp_path, {DAYS[0]: 3})
    found = validated(location, imported(rows=3), imported(rows=4))
    assert found.members == 2
    assert [(each["rows"], each["stored"]) for each in found.lacking] == [(4, 3)]


def test_a_damaged_file_is_named_unless_the_validation_is_quick(location: LakeLocation, tmp_path: Path) -> None:
    store(location, tmp_path, {DAYS[0]: 4})
    (path,) = (path for path in location.paths(OPTIONS_QUOTES_1M.path) if path.endswith(".parquet"))
    location.put(path, location.get(path)[:-1] + b"!")
    assert validated(location).damaged != []
    assert validated(location, hashes=False).is_whole


def imported(rows: int) -> MemberRecord:
    return MemberRecord(
        id=1,
        archive="spy.zip",
        stamp="",
        name="spy.dbn.zst",
        size=1,
        modified=None,
        condition=None,
        state="done",
        sha256=None,
        raw=None,
        started_at=None,
        attempts=1,
        error_class=None,
        last_error=None,
        source="databento",
        schema="cbbo-1m",
        kind="quotes_1m",
        first_day=DAYS[0],
        last_day=DAYS[0],
        rows=rows,
        rows_changed=0,
        rows_rejected=0,
    )
