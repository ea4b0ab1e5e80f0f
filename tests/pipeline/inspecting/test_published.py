"""What readers need without a database: the sessions of the exchanges, and the findings, as tables of the lake."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from quantx.core.model import Finding
from quantx.core.tables import FINDINGS, SESSIONS
from quantx.lake.epochs import newest_epoch
from quantx.pipeline.inspecting.published import publish_findings, publish_sessions


def test_sessions_of_the_exchanges_with_open_and_close(desk: Any) -> None:
    tables = desk.platform.tables
    publish_sessions(desk.platform, tables, ["AAA", "0700.HK"])
    rows = tables[SESSIONS.name].read()
    assert set(rows["calendar"]) == {"XNYS", "XHKG"}
    half_day = rows.filter(pl.col("calendar") == "XNYS", pl.col("date") == date(2023, 11, 24))
    assert half_day["open"].item() == datetime(2023, 11, 24, 14, 30, tzinfo=UTC)
    assert half_day["close"].item() == datetime(2023, 11, 24, 18, 0, tzinfo=UTC)
    version = tables[SESSIONS.name].version()
    publish_sessions(desk.platform, tables, ["BBB"])  # the other exchange stays, and nothing has changed
    assert tables[SESSIONS.name].version() == version
    assert newest_epoch(desk.platform.location, "publisher") == (1, True)  # the role is taken to change a table


def test_findings_are_published_until_they_are_resolved(desk: Any) -> None:
    tables, findings = desk.platform.tables, desk.platform.state.findings
    one = Finding(
        "gap", "warn", "AAA", "lacks a session", source="yahoo", dataset="bars_1d", first_day=date(2024, 2, 1)
    )
    findings.note([one, Finding("universe_refused", "error", "mine", "the list is refused", facts={"members": 3})])
    publish_findings(desk.platform, tables)
    rows = {row["rule"]: row for row in tables[FINDINGS.name].read().iter_rows(named=True)}
    assert (rows["gap"]["source"], rows["gap"]["status"], rows["gap"]["first_day"]) == ("yahoo", "open", one.first_day)
    assert (rows["universe_refused"]["source"], rows["universe_refused"]["facts"]) == (None, '{"members": 3}')

    version = tables[FINDINGS.name].version()
    findings.note([one])  # seen again
    publish_findings(desk.platform, tables)
    assert tables[FINDINGS.name].version() == version

    desk.clock.goes_to(desk.platform.clock.now() + timedelta(hours=1))
    listed = {row["rule"]: row["id"] for row in findings.listed(9)}
    findings.close(listed["universe_refused"], "acknowledged", "me", "the list is right")
    findings.resolve("gap", ["AAA"], "the session came")
    publish_findings(desk.platform, tables)
    left = tables[FINDINGS.name].read().row(0, named=True)
    assert (left["rule"], left["status"], left["by"], left["reason"]) == (
        "universe_refused",
        "acknowledged",
        "me",
        "the list is right",
    )
    gone = tables[FINDINGS.revisions.name].read().filter(pl.col("rule") == "gap").row(0, named=True)
    assert gone["known_from"] == rows["gap"]["known_from"] < gone["known_to"]
