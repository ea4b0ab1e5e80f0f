"""The contract of the audit port."""

from __future__ import annotations

from quantx.state.audit.port import AuditEntry

from ..contract import Kit


def entry(request_id: str, *, actor: str = "ops", action: str = "tasks.retry") -> AuditEntry:
    return AuditEntry(
        request_id=request_id,
        actor=actor,
        place="dashboard",
        action=action,
        subject="task 17",
        reason="the vendor is back",
        facts={"task": ["17"]},
    )


class TestAudit:
    def test_an_action_begins_once_and_its_first_outcome_stays(self, kit: Kit) -> None:
        audit = kit.state.audit
        assert audit.begin(entry("A"))
        assert not audit.begin(entry("A", actor="another"))
        begun = audit.find("A")
        assert begun is not None
        assert (begun["actor"], begun["outcome"], begun["message"], begun["ended_at"]) == ("ops", "begun", None, None)
        assert (begun["subject"], begun["reason"], begun["facts"]) == (
            "task 17",
            "the vendor is back",
            {"task": ["17"]},
        )
        audit.end("A", "done", "one task is planned again")
        audit.end("A", "failed", "a later one")
        ended = audit.find("A")
        assert ended is not None
        assert (ended["outcome"], ended["message"]) == ("done", "one task is planned again")
        assert ended["ended_at"] >= ended["begun_at"]
        assert audit.find("B") is None
        audit.end("B", "done", "never begun")
        assert len(audit.listed(10)) == 1

    def test_actions_are_listed_the_newest_first_by_action_actor_and_page(self, kit: Kit) -> None:
        audit = kit.state.audit
        for name, actor, action in (
            ("A", "ann", "tasks.retry"),
            ("B", "bob", "tasks.retry"),
            ("C", "ann", "findings.acknowledge"),
        ):
            audit.begin(entry(name, actor=actor, action=action))
        rows = audit.listed(10)
        assert [row["request_id"] for row in rows] == ["C", "B", "A"]
        assert [row["request_id"] for row in audit.listed(1, before=rows[0]["id"])] == ["B"]
        assert [row["request_id"] for row in audit.listed(10, actor="ann")] == ["C", "A"]
        assert [row["request_id"] for row in audit.listed(10, action="tasks.retry", actor="bob")] == ["B"]
