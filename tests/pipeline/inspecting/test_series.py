"""The series rules over a real lake: findings that come, stay acknowledged, and go when the data is mended."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from quantx.core.calendars import calendar
from quantx.core.quality.policy import Policy
from quantx.core.quality.rule import Rule
from quantx.core.tables import BARS_1D
from quantx.lake.protocol import CommitContext
from quantx.pipeline.inspecting.heal import heal_gaps
from quantx.pipeline.inspecting.series import SeriesSummary, validate_series
from quantx.pipeline.runtime.platform import Platform

from ..conftest import Reads, reprocess

START, END = date(2024, 1, 2), date(2024, 3, 22)
DAY = date(2024, 2, 14)


def findings(desk: Any) -> dict[tuple[str, str, str], str]:
    rows = desk.platform.state.findings.listed(100)
    return {(row["rule"], row["subject"], str(row["first_day"])): row["status"] for row in rows}


def validate(platform: Platform, symbols: Collection[str] | None = None, *, source: str | None = None) -> SeriesSummary:
    return validate_series(platform.tables, platform.state.findings, symbols, source=source)


def filled(desk: Any) -> None:
    """Give AAA a bad tick, BBB a split that nobody told, and CCC nothing; their prices are quiet otherwise."""
    desk.clock.goes_to(END + timedelta(days=1))
    for symbol, shown in desk.tape.shows.items():
        for place, day in enumerate(sorted(shown)):
            *prices, volume = shown[DAY]
            desk.tape.shows[symbol][day] = (*(price * (1 + place % 5 / 1000) for price in prices), volume)
    desk.tape.shows["AAA"][DAY] = (11.4, 11.5, 11.3, 11.45, 10_000.0)
    for day, (*prices, volume) in desk.tape.shows["BBB"].items():
        if day >= DAY:
            desk.tape.shows["BBB"][day] = (*(price / 2 for price in prices), volume * 2)
    desk.work(desk.backfill("AAA", "BBB", "CCC", start=str(START), end=str(END)))


def test_what_the_series_show_becomes_findings_once(desk: Any) -> None:
    filled(desk)
    seen = validate(desk.platform)
    assert (seen.symbols, seen.new, seen.resolved) == (3, 2, 0)
    assert seen.bars == 3 * len(calendar("XNYS").sessions(START, END))
    found = {("bad_tick", "AAA", str(DAY)): "open", ("forgotten_split", "BBB", str(DAY)): "open"}
    assert findings(desk) == found
    again = validate(desk.platform)
    assert (again.new, again.resolved, findings(desk)) == (0, 0, found)


def test_a_finding_says_the_fact_and_the_next_step(desk: Any) -> None:
    filled(desk)
    validate(desk.platform)
    (row,) = desk.platform.state.findings.listed(10, rule="bad_tick")
    assert (row["severity"], row["source"], row["dataset"], row["last_day"]) == ("error", "tape", "bars_1d", DAY)
    assert ": 2024-02-14, × 0.0996 (1 session)" in row["message"]
    assert "quantx crossvalidate compare --symbols AAA" in row["message"]
    assert row["facts"]["stretches"][0][:3] == [str(DAY), str(DAY), 1]


def test_what_the_vendor_mends_is_resolved_and_what_a_person_has_settled_stays(desk: Any) -> None:
    filled(desk)
    validate(desk.platform)
    (split,) = desk.platform.state.findings.listed(10, rule="forgotten_split")
    assert desk.platform.state.findings.close(split["id"], "acknowledged", "ops", "it was a spin-off")
    desk.tape.trades("AAA", DAY, DAY)
    desk.clock.goes_to(END + timedelta(days=2))
    desk.work(desk.daily("AAA", lookback=40))
    desk.clock.goes_to(END + timedelta(days=3))
    desk.work(desk.daily("AAA", lookback=40))
    assert desk.rows().filter(symbol="AAA", date=DAY)["close"].to_list() == [114.5]
    seen = validate(desk.platform)
    assert (seen.new, seen.resolved) == (0, 1)
    assert findings(desk) == {
        ("bad_tick", "AAA", str(DAY)): "resolved",
        ("forgotten_split", "BBB", str(DAY)): "acknowledged",
    }


def test_only_what_is_asked_for_is_judged_and_resolved(desk: Any) -> None:
    filled(desk)
    assert validate(desk.platform, ["CCC"]).symbols == 1
    assert findings(desk) == {}
    validate(desk.platform)
    assert validate(desk.platform, ["CCC"]).resolved == 0
    assert validate(desk.platform, source="other").symbols == 0
    assert set(findings(desk).values()) == {"open"}


def test_of_a_few_symbols_the_lake_is_not_read_whole(desk: Any) -> None:
    filled(desk)
    reads = Reads(desk.platform.tables["bars_1d"])
    validate(desk.with_(tables={**desk.platform.tables, "bars_1d": reads}), ["CCC"], source="tape")
    names, *plans = reads.plans
    assert "close" not in names  # the symbols from which the market is taken; of three there is none
    assert plans
    assert all("CCC" in plan and "tape" in plan for plan in plans)


def test_what_was_found_in_bars_that_are_gone_is_resolved(desk: Any) -> None:
    filled(desk)
    validate(desk.platform)
    nothing = Rule("nothing", "reject", "bars_1d", meaning="m", why="w", reference="r", broken=pl.col("close") > 0)
    reprocess(desk.with_(policy=Policy(9, (nothing,))))
    assert desk.rows().is_empty()
    assert validate(desk.platform, ["CCC"]).resolved == 0
    assert validate(desk.platform, ["AAA"]).resolved == 1
    assert findings(desk)["bad_tick", "AAA", str(DAY)] == "resolved"
    assert validate(desk.platform, source="other").resolved == 0
    assert validate(desk.platform).resolved == 1
    assert set(findings(desk).values()) == {"resolved"}


def test_an_empty_lake_has_nothing_to_judge(desk: Any) -> None:
    seen = validate(desk.platform)
    assert (seen.bars, seen.symbols, seen.findings) == (0, 0, [])


def test_weekly_bars_are_one_finding_and_nothing_between_them_is_fetched(desk: Any) -> None:
    desk.clock.goes_to(date(2024, 4, 1))
    desk.tape.trades("AAA", date(2024, 1, 2), date(2024, 3, 28))
    desk.tape.shows["AAA"] = {day: bar for day, bar in desk.tape.shows["AAA"].items() if day.weekday() == 1}
    desk.work(desk.backfill("AAA", "BBB", start="2024-01-02", end="2024-03-28"))
    healed = heal_gaps(desk.platform, desk.platform.tables, ["AAA"])
    assert (healed.gaps, healed.tasks) == ((), ())
    checked = validate_series(desk.platform.tables, desk.platform.state.findings, ["AAA"])
    (found,) = [f for f in checked.findings if f.severity != "info"]
    assert (found.rule, found.severity, found.subject) == ("weekly_bars", "error", "AAA")
    assert (found.first_day, found.last_day) == (date(2024, 1, 2), date(2024, 3, 26))


def test_a_series_a_session_late_is_found_by_the_other_symbols_of_its_market(desk: Any) -> None:
    """Twelve shares follow one market; the bars of one are dated a session late. It is found if it is checked alone."""
    days = calendar("XNYS").sessions(date(2022, 1, 3), date(2022, 12, 30))
    chance = np.random.default_rng(3)
    moves = chance.normal(0, 0.01, len(days))
    parts = []
    for n in range(12):
        own = moves + chance.normal(0, 0.01, len(days))
        close = 100 * np.exp(np.cumsum(np.roll(own, 1) if n == 3 else own))
        prices = {"open": close, "high": close * 1.01, "low": close / 1.01, "close": close, "volume": 1_000_000}
        known = {"source": "tape", "year": 2022, "currency": "USD", "raw": "raw", "known_from": desk.clock.now()}
        parts.append(pl.DataFrame({"symbol": f"S{n:02}", "date": days, **prices, **known}))
    rows = pl.concat(parts).select(pl.col(c).cast(t) for c, t in BARS_1D.schema.items())
    desk.platform.tables["bars_1d"].commit(CommitContext(1), rows)
    validate(desk.platform, ["S03", "S04"])
    assert findings(desk) == {("series_shifted", "S03", "2022-01-05"): "open"}
    assert (validate(desk.platform).new, len(findings(desk))) == (0, 1)
