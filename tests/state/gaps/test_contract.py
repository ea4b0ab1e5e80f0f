"""The contract of the gaps port."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from quantx.core.gap_schedule import Gap

from ..contract import WEEK, Kit, day, done, series


class TestGaps:
    def test_gaps_are_open_or_explained_until_they_are_filled(self, kit: Kit) -> None:
        gaps, monday = kit.state.gaps, datetime(2024, 2, 5, tzinfo=UTC)
        some = [Gap(series("B"), day(3), due_at=monday), Gap(series("A"), day(4)), Gap(series("A"), day(3), asked=2)]
        gaps.put([])
        gaps.put(some)
        assert gaps.known() == [some[2], some[1], some[0]]
        assert gaps.known(["B", "C"]) == some[:1]
        assert gaps.due(["yahoo"], monday) == ["B"]
        assert gaps.due(["yahoo"], monday - timedelta(seconds=1)) == gaps.due(["stooq"], monday) == []
        why = "yahoo has answered 5 times without the session"
        explained = replace(some[0], status="explained", explanation="vendor_has_nothing", reason=why, asked_at=monday)
        gaps.put([explained, replace(some[1], status="filled")])
        assert gaps.due(["yahoo"], monday) == []
        assert gaps.known() == [some[2], explained]
        rows = [tuple(row.values()) for row in gaps.count()]
        assert rows == [("yahoo", "bars", "1d", "A", 1, 0), ("yahoo", "bars", "1d", "B", 0, 1)]
        gaps.put([some[1]])  # it is missing again
        assert len(gaps.known()) == 3

    def test_what_was_asked_for_gaps_is_what_the_tasks_say(self, kit: Kit) -> None:
        ids = [kit.task(symbol, kind="heal") for symbol in ("A", "B", "C", "D")]
        answered, failed, _, landed = (kit.one(i) for i in ids)
        kit.plan("A", kind="daily")  # is not about a gap
        kit.land(answered, landed)
        kit.curate(done(answered.id))
        kit.fail(failed, final=True)
        requests = kit.state.gaps.requests(["A", "B", "C", "E"])
        assert [(a.series.symbol, a.state, a.error) for a in requests] == [
            ("A", "answered", None),
            ("B", "failed", "503"),
            ("C", "waiting", None),
        ]
        assert {a.window for a in requests} == {WEEK}
        assert all(a.at.tzinfo is not None for a in requests)
