"""Reconciliation: what vendors say of one another becomes rows and findings, once, and goes when it does not hold."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any, ClassVar

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.model import Window
from quantx.core.preference import Order
from quantx.core.quality.policy import Policy
from quantx.core.quality.rule import Rule
from quantx.core.quality.vendor_verdicts import agreements_of
from quantx.core.tables import TABLES
from quantx.lake.protocol import CommitContext
from quantx.pipeline.inspecting.comparison import symbols_of
from quantx.pipeline.inspecting.reconcile import ReconcileSummary, compare_vendors, reconcile
from quantx.pipeline.planning.plan import plan_backfill
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.threads import Threads
from quantx.pipeline.wiring import worker_of
from quantx.providers.protocol import Capabilities
from quantx.settings import load_settings

from ..conftest import Desk, Tape, reprocess

QUARTER = Window(date(2023, 10, 2), date(2024, 1, 12))
DAYS = calendar("XNYS").sessions(QUARTER.start, QUARTER.end)
ODD = (DAYS[5], DAYS[30])


@dataclass
class Other(Tape):
    capabilities: ClassVar = Capabilities(
        source="other",
        timeframes=("1d",),
        markets=("us",),
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=False,
        quota="10/s",
    )


@dataclass
class Third(Tape):
    capabilities: ClassVar = Capabilities(
        source="third",
        timeframes=("1d",),
        markets=("us",),
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=False,
        quota="10/s",
    )


@dataclass
class Adjusted(Tape):
    capabilities: ClassVar = Capabilities(
        source="adjusted",
        timeframes=("1d",),
        markets=("us",),
        symbols_per_request=1,
        price_basis="fully_adjusted",
        needs_key=False,
        quota="1/s",
    )


class Market:
    """Several vendors of AAA and BBB, and moves that tests make."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        vendors = (Tape, Other, Third, Adjusted)
        self.vendors: dict[str, Tape] = {kind.capabilities.source: kind(desk.clock) for kind in vendors}
        self.platform: Platform = desk.with_(providers=self.vendors)
        for vendor in self.vendors.values():
            for symbol in ("AAA", "BBB"):
                vendor.trades(symbol, QUARTER.start, date(2024, 2, 29))

    def is_off(self, source: str, day: date, by: float = 0.996, symbol: str = "AAA") -> None:
        *rest, close, volume = self.vendors[source].shows[symbol][day]
        assert close is not None
        self.vendors[source].shows[symbol][day] = (*rest, close * by, volume)

    def fetch(self, *sources: str, symbols: tuple[str, ...] = ("AAA", "BBB"), window: Window = QUARTER) -> None:
        for source in sources:
            platform = replace(self.platform, runtime=Threads())
            plan = plan_backfill(platform, Scope(symbols), window, source=source, again=True)
            worker_of(platform).run(task_ids=plan.task_ids)

    def rows(self, table: str = "verdicts") -> pl.DataFrame:
        rows = self.desk.rows(table)
        return rows.sort(TABLES[table].key)

    def verdicts(self) -> list[tuple[Any, ...]]:
        return self.rows().select("symbol", "date", "source", "verdict", "decided_by").rows()

    def findings(self, status: str = "open") -> list[tuple[Any, ...]]:
        rows = self.platform.state.findings.listed(100, status=status)
        return sorted((r["rule"], r["subject"], r["source"], r["first_day"], r["last_day"]) for r in rows)


def order_of(platform: Platform) -> Order:
    return partial(platform.settings.sources_of, "1d")


def reconciled(
    platform: Platform, *, symbols: Collection[str] | None = None, since: date | None = None
) -> ReconcileSummary | None:
    order = order_of(platform)
    return reconcile(platform, platform.tables, order, symbols=symbols, since=since)


@pytest.fixture
def market(desk: Desk) -> Market:
    """The tape and another vendor, whose close of AAA is four thousandths off on two days."""
    made = Market(desk)
    for day in ODD:
        made.is_off("other", day)
    made.fetch("tape", "other")
    return made


def test_all_pairs_become_agreements_verdicts_and_one_finding(market: Market) -> None:
    done = reconciled(market.platform)
    assert done == ReconcileSummary(symbols=2, sessions=2 * len(DAYS), agreed=2 * len(DAYS) - 2, doubtful=4, findings=1)
    assert market.verdicts() == [("AAA", day, source, "doubtful", None) for day in ODD for source in ("other", "tape")]
    months = market.rows("agreements")
    assert months.select("symbol", "source_a", "source_b", "month", "market", "verdict").sort(
        "symbol", "month"
    ).rows() == [
        (symbol, "other", "tape", month, "us", "both_doubtful" if (symbol, month) in DOUBTFUL else "agree")
        for symbol in ("AAA", "BBB")
        for month in (202310, 202311, 202312, 202401)
    ]
    assert market.findings() == [("vendors_disagree", "AAA", "", *ODD)]


DOUBTFUL = {("AAA", 202310), ("AAA", 202311)}


def test_the_second_time_nothing_changes(market: Market) -> None:
    reconciled(market.platform)
    before = market.desk.versions()
    market.desk.clock.goes_to(date(2024, 1, 13))
    reconciled(market.platform)
    assert market.desk.versions() == before
    assert len(market.findings()) == 1


def test_a_third_vendor_decides_and_the_old_verdict_is_kept(market: Market) -> None:
    reconciled(market.platform)
    market.fetch("third")
    market.desk.clock.goes_to(date(2024, 1, 13))
    reconciled(market.platform)
    assert market.verdicts() == [("AAA", day, "other", "wrong", "third") for day in ODD]
    assert market.rows()["against"].to_list() == ["tape", "tape"]
    replaced = market.rows("verdicts_revisions")
    assert set(replaced.select("source", "verdict").rows()) == {("other", "doubtful"), ("tape", "doubtful")}
    assert set(replaced["known_to"].dt.date()) == {date(2024, 1, 13)}
    assert market.findings() == [("vendors_disagree", "AAA", "other", *ODD)]
    assert market.findings("resolved") == [("vendors_disagree", "AAA", "", *ODD)]


def test_adjusted_bars_are_a_witness_and_no_party(market: Market) -> None:
    for vendor in (market.vendors["adjusted"],):
        for symbol, bars in vendor.shows.items():
            vendor.shows[symbol] = {day: (*(p * 0.37 for p in prices), v) for day, (*prices, v) in bars.items()}  # type: ignore[operator]
    market.fetch("adjusted")
    reconciled(market.platform)
    assert market.verdicts() == [("AAA", day, "other", "wrong", "adjusted") for day in ODD]
    assert set(market.rows("agreements")["source_b"]) == {"tape"}


def test_what_a_vendor_corrects_goes_and_its_finding_is_resolved(market: Market) -> None:
    reconciled(market.platform)
    market.vendors["other"].trades("AAA", QUARTER.start, QUARTER.end)
    market.desk.clock.goes_to(date(2024, 1, 14))
    market.fetch("other")
    reconciled(market.platform)
    assert market.verdicts() == []
    assert market.rows("verdicts_revisions").height == 4
    assert set(market.rows("agreements")["verdict"]) == {"agree"}
    assert market.findings() == []


def test_an_acknowledged_finding_stays_so(market: Market) -> None:
    reconciled(market.platform)
    (row,) = market.platform.state.findings.listed(10)
    market.platform.state.findings.close(row["id"], "acknowledged", "me", "two prints of the auction")
    reconciled(market.platform)
    assert market.findings() == []
    assert len(market.findings("acknowledged")) == 1


def test_since_leaves_what_lies_before_as_it_is_and_finds_the_same(market: Market) -> None:
    reconciled(market.platform)
    whole = {name: market.rows(name) for name in ("verdicts", "agreements", "action_verdicts")}
    market.desk.clock.goes_to(date(2024, 1, 13))
    assert reconciled(market.platform, since=date(2023, 11, 20)) == ReconcileSummary(
        symbols=2,
        sessions=2 * sum(day >= date(2023, 11, 1) for day in DAYS),
        agreed=2 * sum(day >= date(2023, 11, 1) for day in DAYS) - 1,
        doubtful=2,
        findings=1,
    )
    for name, rows in whole.items():
        assert market.rows(name).equals(rows)
    assert market.findings() == [("vendors_disagree", "AAA", "", *ODD)]


def test_symbols_that_are_not_named_stay(market: Market) -> None:
    market.is_off("other", ODD[0], symbol="BBB")
    market.fetch("other")
    reconciled(market.platform)
    market.vendors["other"].trades("AAA", QUARTER.start, QUARTER.end)
    market.vendors["other"].trades("BBB", QUARTER.start, QUARTER.end)
    market.fetch("other")
    reconciled(market.platform, symbols=["AAA", "ZZZ"])
    assert {row[0] for row in market.verdicts()} == {"BBB"}
    assert market.findings() == [("vendors_disagree", "BBB", "", ODD[0], ODD[0])]


def test_a_session_that_one_lacks_is_its_finding_until_it_comes(market: Market) -> None:
    lost = market.vendors["third"].shows["BBB"].pop(DAYS[20])
    market.fetch("third")
    reconciled(market.platform)
    assert ("vendor_lacks_sessions", "BBB", "third", None, None) in market.findings()
    (row,) = market.platform.state.findings.listed(10, rule="vendor_lacks_sessions")
    assert "2023-10" in row["message"]
    assert row["facts"] == {"times": 1, "sessions": 1, "months": [202310], "against": ["other", "tape"]}
    assert not [verdict for verdict in market.verdicts() if verdict[0] == "BBB"]
    market.vendors["third"].shows["BBB"][DAYS[20]] = lost
    market.vendors["third"].shows["BBB"] = dict(sorted(market.vendors["third"].shows["BBB"].items()))
    market.fetch("third")
    reconciled(market.platform)
    assert [finding[0] for finding in market.findings()] == ["vendors_disagree"]


def test_with_one_vendor_no_bars_are_read(desk: Desk) -> None:
    market = Market(desk)
    market.fetch("tape")
    said = {name: market.platform.tables[name] for name in ("verdicts", "agreements", "action_verdicts")}
    assert reconciled(replace(market.platform, tables=said)) == ReconcileSummary()


def test_what_was_said_of_a_vendor_goes_with_its_bars(market: Market) -> None:
    reconciled(market.platform)
    nothing = Rule("nothing", "reject", "bars_1d", meaning="m", why="w", reference="r", broken=pl.col("close") > 0)
    reprocess(replace(market.platform, policy=Policy(9, (nothing,))), source="other")
    assert set(market.desk.rows()["source"]) == {"tape"}
    reconciled(market.platform, symbols=["AAA"])
    assert market.verdicts() == market.findings() == []
    assert set(market.rows("agreements")["symbol"]) == {"BBB"}
    reconciled(market.platform)
    assert market.rows("agreements").is_empty()


def test_where_another_process_is_at_it_nothing_is_done(market: Market) -> None:
    with market.platform.state.exclusive("reconciler") as mine:
        assert mine is not None
        assert reconciled(market.platform) is None
    assert market.verdicts() == []


def put(desk: Desk, table: str, rows: list[tuple[Any, ...]]) -> None:
    """Store rows as they are, without a vendor; the lake's last columns are filled in."""
    schema = dict(TABLES[table].schema)
    whole = [(*row, "raw", desk.clock.at) for row in rows]
    desk.platform.tables[table].commit(CommitContext(1), pl.DataFrame(whole, schema=schema, orient="row"))


def traded(source: str, day: date, close: float) -> tuple[Any, ...]:
    return (source, day.year, "AAA", day, close, close, close, close, 1_000_000, "USD")


def test_a_look_and_the_agreements_give_the_same_verdict(desk: Desk) -> None:
    """A bar of a Saturday is wrong by the calendar, and who is wrong on the other day is open."""
    days, saturday = DAYS[:9], date(2023, 10, 7)
    ours = [traded("a", day, 100.0) for day in (*days, saturday)]
    put(desk, "bars_1d", [*ours, *(traded("b", day, 101.0 if day == days[3] else 100.0) for day in days)])
    (pair,) = compare_vendors(desk.platform.tables, order_of(desk.platform), ["AAA"])
    months = agreements_of(pair.compared, pair.judged, "a", "b", "us", desk.clock.at)
    assert months.select("sessions", "agreed", "wrong_a", "verdict").rows() == [(9, 8, 1, "both_doubtful")]
    assert [row["verdict"] for row in symbols_of(pair, desk.clock.now())] == ["doubtful"]


def test_returns_are_read_with_the_events_of_the_first_declared_vendor_alone(desk: Desk) -> None:
    days, ex = DAYS[:9], DAYS[5]
    platform = replace(desk.platform, settings=load_settings(sources={"1d": {"us": ("b", "a")}}))
    closes = {day: 100.0 if day < ex else 95.0 for day in days}
    of_a = [traded("a", day, close) for day, close in closes.items()]
    of_b = [traded("b", day, close * (0.996 if day == ex else 1)) for day, close in closes.items()]
    put(desk, "bars_1d", of_a + of_b)
    put(desk, "bars_1d_adjusted", [traded("c", day, 95.0) for day in days])
    put(
        desk,
        "actions",
        [
            ("a", "AAA", ex, "dividend", 1.0, 100.0, "USD"),
            ("a", "AAA", ex, "split", 2.0, None, "USD"),
            ("b", "AAA", ex, "dividend", 5.0, 100.0, "USD"),
        ],
    )
    (pair,) = compare_vendors(platform.tables, order_of(platform), ["AAA"])
    assert pair.judged.select("date", "outcome", "decided_by").rows() == [(ex, "b_wrong", "c")]


def test_each_market_is_compared_by_its_own_calendar(desk: Desk) -> None:
    """2023-07-17 was a typhoon in Hong Kong, and a session elsewhere."""
    symbols, week = ("0700.HK", "ASML.AS", "VOD.L"), (date(2023, 7, 14), date(2023, 7, 17), date(2023, 7, 18))
    rows = [
        (source, 2023, symbol, day, 100.0, 101.0, 99.0, close, volume, currency, "raw", desk.clock.at)
        for symbol, currency in zip(symbols, ("HKD", "EUR", "GBX"), strict=True)
        for source, close, volume in (("a", 100.0, 1_000_000), ("b", 100.2, 1_000_000))
        for day in week
    ]
    desk.platform.tables["bars_1d"].commit(
        CommitContext(1), pl.DataFrame(rows, schema=dict(TABLES["bars_1d"].schema), orient="row")
    )
    found = {
        (symbol, day): (pair.market, rule)
        for pair in compare_vendors(desk.platform.tables, order_of(desk.platform), symbols)
        for symbol, day, rule in pair.judged.select("symbol", "date", "rule").iter_rows()
    }
    assert found == {
        ("0700.HK", week[0]): ("hk", "vendors_disagree"),
        ("0700.HK", week[1]): ("hk", "session_of_calendar"),
        ("0700.HK", week[2]): ("hk", "vendors_disagree"),
        **{(symbol, day): ("eu", "vendors_disagree") for symbol in ("ASML.AS", "VOD.L") for day in week},
    }
