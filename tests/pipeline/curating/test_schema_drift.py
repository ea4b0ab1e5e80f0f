"""Schema drift becomes findings: with the first reply that shows it, resolved when newer replies do not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from quantx.core.model import Payload
from quantx.errors import MalformedPayload
from quantx.providers.drift import Shape

from ..conftest import Desk, reprocess

NEWER = Shape("bars", {"bars": "any", "actions": "any", "adjusted?": "any", "mood": "text"})


def drifts(desk: Desk) -> list[dict[str, Any]]:
    names = ("field_added", "field_missing", "field_retyped")
    rows = desk.sql("select * from findings where rule = any(%s) order by rule, subject", list(names))
    return [
        {k: row[k] for k in ("rule", "subject", "source", "dataset", "severity", "status", "facts")} for row in rows
    ]


def test_an_added_field_is_one_finding_with_the_first_reply(desk: Desk) -> None:
    desk.tape.extra = {"mood": "calm"}
    desk.work(desk.backfill("AAA"))
    (first,) = drifts(desk)
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work(desk.daily("AAA", "BBB"))
    (again,) = drifts(desk)
    assert (first["rule"], first["subject"], first["source"], first["dataset"]) == (
        "field_added",
        "mood",
        "tape",
        "bars",
    )
    assert (first["severity"], first["status"], again["status"]) == ("info", "open", "open")
    assert (first["facts"]["declared"], first["facts"]["sent"]) == ("", "text")
    assert first["facts"]["first"] == again["facts"]["first"]
    assert first["facts"]["first"]["raw"] == desk.rows().filter(symbol="AAA", date=date(2024, 1, 12))["raw"].item()
    assert first["facts"]["first"]["request"] == "tape:AAA"
    assert first["facts"]["first"]["series"] == ["tape", "bars", "1d", "AAA"]
    assert first["facts"]["first"]["fetched_at"] == "2024-01-12T23:00:00.000000+00:00"
    assert desk.rows().filter(symbol="AAA").height == 10  # the bars are curated


def test_it_is_resolved_when_the_replies_have_the_form_again(desk: Desk) -> None:
    desk.tape.extra = {"mood": "calm"}
    desk.work(desk.backfill("AAA"))
    desk.tape.extra = {}
    desk.work(desk.backfill("BBB"))
    assert drifts(desk)[0]["status"] == "open"  # nothing is known about AAA yet
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work(desk.daily("AAA"))
    assert drifts(desk)[0]["status"] == "resolved"
    desk.tape.extra = {"mood": "busy"}
    desk.clock.goes_to(date(2024, 1, 17))
    desk.work(desk.daily("AAA"))
    (now,) = drifts(desk)
    assert (now["status"], now["facts"]["first"]["fetched_at"][:10]) == ("open", "2024-01-17")


def test_an_acknowledged_finding_stays_acknowledged(desk: Desk) -> None:
    desk.tape.extra = {"mood": "calm"}
    desk.work(desk.backfill("AAA"))
    before = drifts(desk)
    desk.sql("update findings set status = 'acknowledged' where rule = 'field_added'")
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work(desk.daily("AAA"))
    (now,) = drifts(desk)
    assert (now["status"], now["facts"]["first"]) == ("acknowledged", before[0]["facts"]["first"])


def test_reprocessing_makes_the_same_findings_and_a_newer_shape_resolves_them(desk: Desk) -> None:
    desk.tape.extra = {"mood": "calm"}
    desk.work(desk.backfill("AAA", "BBB"))
    desk.clock.goes_to(date(2024, 1, 16))
    desk.work(desk.daily("AAA", "BBB"))
    before = drifts(desk)
    reprocess(desk.platform)
    assert drifts(desk) == before
    desk.sql("delete from findings")
    reprocess(desk.platform)
    assert drifts(desk) == before
    tape = replace(desk.tape, shape=NEWER)
    reprocess(replace(desk.platform, providers={"tape": tape}))
    assert [row["status"] for row in drifts(desk)] == ["resolved"]


@pytest.mark.parametrize(
    ("body", "rule", "declared", "sent"),
    [
        ({"bars": [["2024-01-02", "x", 1, 1, 1, 1]], "actions": [], "mood": 3}, "field_retyped", "text", "number"),
        ({"actions": [], "mood": "calm"}, "field_missing", "any", ""),
    ],
)
def test_a_malformed_reply_is_compared_too(
    desk: Desk, body: dict[str, Any], rule: str, declared: str, sent: str
) -> None:
    desk.tape.shape = NEWER

    def refuse() -> None:
        page = Payload(
            "AAA", "tape:AAA", 200, desk.clock.now(), content_type="application/json", body=json.dumps(body).encode()
        )
        raise MalformedPayload("it has another form", page)

    desk.tape.answers["AAA"] = [refuse, refuse]
    desk.work(desk.backfill("AAA"))
    (finding,) = drifts(desk)
    assert (finding["rule"], finding["severity"], finding["status"]) == (rule, "warn", "open")
    assert (finding["facts"]["declared"], finding["facts"]["sent"]) == (declared, sent)
    assert desk.task("AAA")["state"] == "failed"
