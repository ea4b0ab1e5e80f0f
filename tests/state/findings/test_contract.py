"""The contract of the findings port."""

from __future__ import annotations

from datetime import date, timedelta

from quantx.core.model import Finding
from quantx.state.findings.port import OpenFinding

from ..contract import WEEK, Kit


class TestFindings:
    def test_a_finding_is_open_until_it_is_settled(self, kit: Kit) -> None:
        findings = kit.state.findings
        gap = Finding(
            "gap",
            "warn",
            "AAPL",
            "three sessions are missing",
            source="yahoo",
            dataset="bars",
            first_day=WEEK.start,
            last_day=WEEK.end,
        )
        late = Finding("late", "error", "us", "no run for 2024-01-05", facts={"deadline": "06:00"})
        assert findings.note([gap, late]) == 2
        assert findings.note([gap]) == 0  # seen again
        assert findings.count_open() == {"error": 1, "warn": 1}
        first, second = findings.listed(10)
        assert (first["rule"], first["facts"], first["first_day"]) == ("late", {"deadline": "06:00"}, None)
        assert (second["subject"], second["source"], second["last_day"]) == ("AAPL", "yahoo", WEEK.end)
        assert findings.close(second["id"], "acknowledged", "ops", "the exchange was closed")
        assert not findings.close(second["id"], "acknowledged", "ops", "again")
        assert not findings.close(10**9, "resolved", "ops", "there is none")
        assert findings.resolve("late", ["us", "hk"], "a run came") == 1
        assert findings.count_open() == {}
        findings.note([gap, late])
        assert {row["rule"]: row["status"] for row in findings.listed(10)} == {"gap": "acknowledged", "late": "open"}
        assert [row["reason"] for row in findings.listed(10, status="acknowledged")] == ["the exchange was closed"]
        assert findings.listed(10, rule="gap", subject="MSFT") == []

    def test_findings_are_found_by_id_counted_by_rule_and_shown_in_pages(self, kit: Kit) -> None:
        findings = kit.state.findings
        findings.note([Finding("gap", "warn", f"S{i}", "words", source="yahoo") for i in range(5)])
        findings.note([Finding("late", "error", "us", "words"), Finding("gap", "warn", "S0", "words", source="stooq")])
        counted = {(row["rule"], row["status"], row["severity"]): row["findings"] for row in findings.count()}
        assert counted == {("gap", "open", "warn"): 6, ("late", "open", "error"): 1}
        assert [row["findings"] for row in findings.count(subject="S0")] == [2]
        assert [row["findings"] for row in findings.count(subject="S0", source="stooq")] == [1]
        everything = findings.listed(None)
        assert findings.listed(3) + findings.listed(3, offset=3) + findings.listed(9, offset=6) == everything
        assert findings.find(everything[0]["id"]) == everything[0]
        assert findings.find(10**9) is None
        assert [row["rule"] for row in findings.listed(9, severity="error")] == ["late"]
        assert [row["subject"] for row in findings.listed(9, source="stooq")] == ["S0"]

    def test_open_findings_of_a_rule_are_all_returned_as_values(self, kit: Kit) -> None:
        findings = kit.state.findings
        many = [
            Finding("gap", "warn", f"S{i:03}", "words", source="yahoo", dataset="bars_1d", first_day=WEEK.start)
            for i in range(120)
        ]
        other = Finding(
            "gap",
            "error",
            "S000",
            "words",
            source="stooq",
            dataset="bars_1m",
            first_day=None,
            last_day=WEEK.end,
            facts={"times": 2, "days": ["x"]},
        )
        findings.note([*many, other, Finding("late", "warn", "S000", "words")])
        found = findings.open("gap")
        assert [f.key for f in found] == [f.key for f in (other, *many)]
        assert found[0] == OpenFinding(**vars(other), id=found[0].id)
        assert findings.open("gap", "stooq") == found[:1]
        assert findings.open("gap", None, "bars_1m") == findings.open("gap", "stooq", "bars_1m") == found[:1]
        assert findings.open("gap", "stooq", "bars_1d") == []
        assert findings.open("gap", subjects=["S000", "S119"]) == [found[0], found[1], found[120]]
        assert findings.open("gap", subjects=[]) == []
        assert findings.close(found[1].id, "acknowledged", "ops", "the exchange was closed")
        findings.resolve("gap", ["S001"], "it is there")
        assert [f.subject for f in findings.open("gap", "yahoo")] == [f.subject for f in many[2:]]
        assert len(findings.listed(None)) == 122
        assert len(findings.listed(3)) == 3

    def test_an_acknowledged_finding_that_happens_again_is_open_again_with_its_reason(self, kit: Kit) -> None:
        findings = kit.state.findings

        def seen(times: int, day: date) -> dict[str, object]:
            findings.note(
                [Finding("tick", "warn", "A", "words", first_day=WEEK.start, last_day=day, facts={"times": times})]
            )
            (row,) = findings.listed(9)
            return row

        findings.close(seen(2, WEEK.start)["id"], "acknowledged", "ops", "two known ones")  # type: ignore[arg-type]
        assert seen(2, WEEK.end)["status"] == "acknowledged"  # it lasts, and is no other one
        again = seen(3, WEEK.end)
        assert (again["status"], again["reason"], again["settled_by"]) == ("open", "two known ones", "ops")
        assert seen(3, WEEK.end)["status"] == "open"

    def test_what_rules_do_not_find_any_more_is_resolved(self, kit: Kit) -> None:
        findings = kit.state.findings

        def found(rule: str, subject: str, source: str = "yahoo", day: date = WEEK.start) -> Finding:
            return Finding(
                rule, "warn", subject, "words", source=source, dataset="bars_1d", first_day=day, last_day=day
            )

        def statuses() -> dict[tuple[str, str, str], str]:
            return {(r["rule"], r["subject"], r["source"]): r["status"] for r in findings.listed(99)}

        others = [
            found("spike", "A", "stooq"),
            found("gap", "A"),
            Finding("spike", "warn", "A", "words", source="yahoo", dataset="x"),
        ]
        findings.note(others)
        first = [found("spike", "A"), found("spike", "B"), found("stale", "B")]
        assert findings.restate(["spike", "stale"], "yahoo", "bars_1d", first, "gone") == (3, 0)
        assert findings.restate(["spike", "stale"], "yahoo", "bars_1d", first[:1], "gone", ["A"]) == (0, 0)
        assert findings.restate(["spike", "stale"], "yahoo", "bars_1d", first[:2], "gone") == (0, 1)
        assert statuses()["stale", "B", "yahoo"] == "resolved"
        moved = [found("spike", "A", day=WEEK.end)]
        assert findings.restate(["spike"], "yahoo", "bars_1d", moved, "gone", ["A"]) == (1, 1)
        assert findings.restate(["spike"], "yahoo", "bars_1d", [], "gone", ["A"]) == (0, 1)
        assert {key for key, status in statuses().items() if status == "open"} == {
            ("spike", "A", "stooq"),
            ("gap", "A", "yahoo"),
            ("spike", "A", "yahoo"),  # of another dataset
            ("spike", "B", "yahoo"),
        }
        assert findings.restate(["stale"], "yahoo", "bars_1d", first[2:], "gone") == (0, 0)
        assert statuses()["stale", "B", "yahoo"] == "open"  # it is back
        assert findings.restate(["spike"], None, None, [found("spike", "A", "stooq")], "gone", ["A"]) == (0, 1)
        assert statuses()["spike", "A", "stooq"] == "open"
        assert statuses()["spike", "B", "yahoo"] == "open"

    def test_what_lies_between_the_days_of_its_subject_is_resolved(self, kit: Kit) -> None:
        findings, before, after = kit.state.findings, WEEK.start - timedelta(days=1), WEEK.end + timedelta(days=1)

        def found(subject: str, first: date | None, last: date | None) -> Finding:
            return Finding(
                "spike", "warn", subject, "words", source="yahoo", dataset="bars_1d", first_day=first, last_day=last
            )

        inside = [found("A", WEEK.start, WEEK.end), found("A", WEEK.end, WEEK.end)]
        across = [found("A", before, WEEK.end), found("B", WEEK.start, after)]
        elsewhere = [found("A", None, None), found("C", WEEK.start, WEEK.end)]
        findings.note([*inside, *across, *elsewhere])
        days = {"A": (WEEK.start, WEEK.end), "B": (WEEK.start, WEEK.end)}
        assert findings.restate(["spike"], "yahoo", "bars_1d", [], "gone", days={}) == (0, 0)
        assert findings.restate(["spike"], "yahoo", "bars_1d", inside[:1], "gone", ["B"], days) == (0, 0)
        assert findings.restate(["spike"], "yahoo", "bars_1d", inside[:1], "gone", days=days) == (0, 1)
        open_ = {(r["subject"], r["first_day"], r["last_day"]) for r in findings.listed(99, status="open")}
        assert open_ == {(f.subject, f.first_day, f.last_day) for f in (inside[0], *across, *elsewhere)}

    def test_of_two_findings_with_one_key_at_once_the_last_stands(self, kit: Kit) -> None:
        two = [Finding("gap", "warn", "AAPL", words) for words in ("one", "two")]
        assert kit.state.findings.note(two) == 1
        assert [row["message"] for row in kit.state.findings.listed(10)] == ["two"]
