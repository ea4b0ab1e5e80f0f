"""Records of poison: readable whatever was in the message, and never too large for Azure."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.queues.poison import read_record, record_of
from quantx.queues.protocol import Poisoned

AT = datetime(2024, 1, 8, 12, tzinfo=UTC)
LATER = datetime(2024, 1, 9, tzinfo=UTC)


def test_a_record_is_base64_of_versioned_json() -> None:
    fields = json.loads(base64.b64decode(record_of("bad", "no JSON", AT)))
    assert fields == {"v": 1, "reason": "no JSON", "at": "2024-01-08T12:00:00+00:00", "body": "bad"}


@given(st.text(), st.text(max_size=1000))
def test_a_record_is_read_as_it_was_written(body: str, reason: str) -> None:
    assert read_record(record_of(body, reason, AT), LATER) == Poisoned(body, reason, AT)


HUGE = {"letters": "x" * 65_536, "rockets": "\N{ROCKET}" * 16_384, "control characters": "\x00" * 65_536}


@pytest.mark.parametrize("body", HUGE.values(), ids=HUGE)
def test_a_huge_message_is_cut_with_a_note(body: str) -> None:
    record = record_of(body, body, AT)
    assert 50_000 < len(record) <= 65_536
    read = read_record(record, LATER)
    assert read.body.endswith(f"… (cut: {len(body)} characters in all)")
    assert len(read.body) > 1_000
    assert body.startswith(read.reason)


def packed(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


FOREIGN = ["", "no base64", packed({"v": 2}), packed([]), packed({"v": 1}), packed({"v": 1, "reason": "", "at": 7})]


@pytest.mark.parametrize("record", FOREIGN)
def test_a_record_of_another_program_is_shown_unchanged(record: str) -> None:
    assert read_record(record, LATER) == Poisoned(record, "another program put it here, without a reason", LATER)


def test_lone_surrogates_can_be_shown() -> None:
    record = packed({"v": 1, "reason": "no \ud800", "at": AT.isoformat(), "body": "\udfff"})
    assert read_record(record, LATER) == Poisoned("\\udfff", "no \\ud800", AT)
