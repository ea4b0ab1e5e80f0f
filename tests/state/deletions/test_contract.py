"""The contract of the deletions port."""

from __future__ import annotations

from datetime import UTC, datetime

from quantx.core.gap_schedule import Gap
from quantx.core.model import Finding
from quantx.core.tombstones import SymbolDays, Tombstone

from ..contract import Kit, day, done, series


def stone(*symbols: str, **facts: object) -> Tombstone:
    known = {"id": "T", "source": "yahoo", "at": datetime(2024, 2, 1, tzinfo=UTC), "by": "eve", "reason": "ended"}
    return Tombstone(symbols=tuple(map(SymbolDays, symbols)) or None, **{**known, **facts})  # type: ignore[arg-type]


class TestDeletions:
    def test_unfinished_tasks_are_stopped_for_good_and_count_as_retried(self, kit: Kit) -> None:
        held, free, other = (kit.one(kit.task(symbol)) for symbol in ("A", "A2", "B"))
        stopped = kit.state.deletions.stop_tasks(stone("A", "A2"))
        assert stopped.tasks == 2
        assert stopped.held_until is not None
        assert kit.state.tasks.extend([held, free, other], 60.0) == {other.id}
        assert kit.state.tasks.dead() == 0
        assert kit.state.tasks.count() == {"failed": 2, "leased": 1}
        assert kit.state.deletions.stop_tasks(stone("A", "A2")).tasks == 0

    def test_findings_gaps_and_coverage_go_and_others_stay(self, kit: Kit) -> None:
        for symbol in ("A", "B"):
            task = kit.one(kit.task(symbol))
            kit.land(task)
            kit.curate(done(task.id))
        kit.state.gaps.put([Gap(series("A"), day(3)), Gap(series("B"), day(3))])
        kit.state.findings.note(
            [
                Finding("jump", "warn", "A", "it jumps", source="yahoo"),
                Finding("disagree", "warn", "A", "yahoo has 12.5", source="alpaca"),
                Finding("disagree", "warn", "B", "yahoo has 13.5", source="alpaca"),
                Finding("jump", "warn", "A", "it jumps", source="alpaca"),
            ]
        )
        counted = kit.state.deletions.count(stone("A"))
        erased = kit.state.deletions.erase(stone("A"))
        assert erased == counted
        assert (erased["findings"], erased["gaps"]) == (2, 1)
        assert {row["subject"] for row in kit.state.findings.listed(None)} == {"A", "B"}
        assert [gap.series.symbol for gap in kit.state.gaps.known()] == ["B"]
        assert not any(kit.state.deletions.erase(stone("A")).values())

    def test_a_raw_object_is_replaced_with_the_replies_that_stay(self, kit: Kit) -> None:
        first, second = (kit.one(kit.task(symbol)) for symbol in ("A", "B"))
        kit.land(first, second)
        (path,) = kit.state.replies.objects()
        kit.state.deletions.replace_object(path, "raw/y.parquet", 7, [second.id])
        assert kit.state.replies.objects() == ["raw/y.parquet"]
        assert [reply.task_id for reply in kit.state.replies.of_object("raw/y.parquet")] == [second.id]
        kit.state.deletions.replace_object("raw/y.parquet", None, 0, [])
        assert kit.state.replies.objects() == []
