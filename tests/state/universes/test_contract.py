"""The contract of the universes port."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from quantx.core.model import RunKind
from quantx.state.runs.port import LastDaily
from quantx.state.values import NewRun, Universe

from ..contract import ASKED, Kit, day, facts


class TestUniverses:
    MEMBERS = (
        ("AAPL", "us", "Apple", None, None),
        ("GONE", "us", None, date(2000, 1, 1), date(2020, 1, 1)),
        ("0700.HK", "hk", None, date(2004, 1, 1), None),
    )

    def put(self, kit: Kit, name: str = "u", phase: str = "p", members: Sequence[Any] = MEMBERS) -> None:
        kit.state.universes.put(
            Universe(name, phase=phase, market="us", source_type="csv", refreshed_at=ASKED, members=members)
        )

    def test_the_current_members_are_found_by_universe_and_phase(self, kit: Kit) -> None:
        self.put(kit)
        self.put(kit, "v", "q", [("MSFT", "us", None, None, None), ("AAPL", "us", None, None, None)])
        symbols = kit.state.universes.symbols
        assert symbols("u", None) == ["0700.HK", "AAPL"]
        assert symbols(None, "q") == symbols("v", "q") == ["AAPL", "MSFT"]
        assert symbols(None, None) == ["0700.HK", "AAPL", "MSFT"]
        assert symbols("u", "q") == symbols("w", None) == []

    def test_a_new_list_takes_the_place_of_the_old_one(self, kit: Kit) -> None:
        self.put(kit)
        self.put(kit, members=[("MSFT", "us", None, None, None)])
        assert kit.state.universes.symbols("u", None) == ["MSFT"]
        self.put(kit, members=[])
        assert kit.state.universes.symbols("u", None) == []

    def test_who_is_not_enabled_counts_only_by_name(self, kit: Kit) -> None:
        self.put(kit)
        self.put(kit, "v", "q", [("MSFT", "us", None, None, None)])
        kit.state.universes.enable(["v", "unknown"])
        symbols = kit.state.universes.symbols
        assert symbols(None, None) == symbols(None, "q") == ["MSFT"]
        assert symbols(None, "p") == []
        assert symbols("u", None) == ["0700.HK", "AAPL"]
        kit.state.universes.enable(["u"])
        assert symbols(None, None) == ["0700.HK", "AAPL"]
        self.put(kit)  # a new list of an enabled one
        assert symbols(None, None, among=["u", "v"]) == ["0700.HK", "AAPL"]
        assert symbols(None, None, among=["v"]) == symbols(None, None, among=[]) == []
        assert symbols("u", None, among=["u"]) == ["0700.HK", "AAPL"]

    def test_who_has_left_counts_since_a_day(self, kit: Kit) -> None:
        self.put(kit)
        symbols = kit.state.universes.symbols
        assert symbols("u", None, since=date(2020, 1, 1)) == ["0700.HK", "AAPL", "GONE"]
        assert symbols("u", None, since=date(2020, 1, 2)) == ["0700.HK", "AAPL"]

    def test_universes_are_listed_by_phase(self, kit: Kit) -> None:
        self.put(kit, "b", "p2")
        self.put(kit, "c", "p1")
        self.put(kit, "a", "p1")
        listed = kit.state.universes.listed()
        assert [row["name"] for row in listed] == ["a", "c", "b"]
        assert listed[0] == {
            "name": "a",
            "phase": "p1",
            "market": "us",
            "source_type": "csv",
            "members": 2,
            "refreshed_at": ASKED,
        }

    def plan_about(self, kit: Kit, kind: RunKind = "daily", **request: object) -> datetime:
        """Plan a run in which nothing is missing, and return when."""
        kit.let_pass(60)
        new = NewRun(f"R{next(kit.runs)}", kind, "yahoo", request, skipped=2)
        kit.state.tasks.plan(new, [])
        found = kit.state.runs.find(new.id)
        assert found is not None
        created_at: datetime = found["created_at"]
        return created_at

    def test_the_last_daily_run_about_all_of_a_universe_is_known(self, kit: Kit) -> None:
        self.put(kit, "a", "p")
        self.put(kit, "b", "q")
        self.put(kit, "empty", "q", [])

        def planned() -> dict[str, datetime | None]:
            return {each.universe: each.planned_at for each in kit.state.runs.last_daily()}

        assert kit.state.runs.last_daily() == [LastDaily("a", "us", None), LastDaily("b", "us", None)]
        self.plan_about(kit, "backfill", universe="a")
        self.plan_about(kit, symbols=["AAPL"])
        assert planned() == {"a": None, "b": None}
        by_name = self.plan_about(kit, universe="a", lookback=5)
        assert planned() == {"a": by_name, "b": None}
        by_phase = self.plan_about(kit, phase="q")
        assert planned()["b"] == by_phase
        everything = self.plan_about(kit, lookback=5)
        assert planned() == {"a": everything, "b": everything}
        kit.state.universes.enable(["b"])  # nobody plans for the other one any more, and nobody misses it
        assert planned() == {"b": everything}

    def test_freshness_tells_how_far_the_members_are(self, kit: Kit) -> None:
        self.put(kit)
        kit.cover((2, 5), last=5)
        self.put(kit, "not_declared_any_more")
        kit.state.universes.enable(["u"])
        assert kit.state.universes.freshness() == [
            {
                "name": "u",
                "phase": "p",
                "market": "us",
                "members": 2,
                "with_data": 1,
                "oldest": day(5),
                "newest": day(5),
            }
        ]

    def test_a_member_is_as_fresh_as_the_newest_of_its_sources(self, kit: Kit) -> None:
        self.put(kit)
        kit.cover((2, 5), last=5)
        again = facts((2, 9), last=9)
        kit.curate(facts=[replace(again, series=replace(again.series, source="another"))])
        (row,) = kit.state.universes.freshness()
        assert (row["members"], row["with_data"], row["oldest"], row["newest"]) == (2, 1, day(9), day(9))
