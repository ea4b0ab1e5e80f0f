"""The codec of messages: what is sent arrives, and poison is named."""

from __future__ import annotations

import base64
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.errors import QueueError
from quantx.queues.messages import TaskMessage, decode, encode

ROW: dict[str, Any] = {
    "task_id": 7,
    "run_id": "01HKZ",
    "source": "yahoo",
    "symbol": "BRK.B",
    "timeframe": "1d",
    "window_start": date(2024, 1, 2),
    "window_end": date(2024, 1, 5),
}
FIELDS: dict[str, Any] = json.loads(base64.b64decode(encode(ROW)))


def packed(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def test_a_message_is_read_as_it_was_written() -> None:
    assert decode(encode(ROW)) == TaskMessage(
        task_id=7,
        run_id="01HKZ",
        source="yahoo",
        symbol="BRK.B",
        timeframe="1d",
        start="2024-01-02",
        end="2024-01-05",
    )


def test_a_message_is_base64_of_versioned_json_as_azure_functions_expects() -> None:
    assert FIELDS == {
        "v": 1,
        "task_id": 7,
        "run_id": "01HKZ",
        "source": "yahoo",
        "symbol": "BRK.B",
        "timeframe": "1d",
        "start": "2024-01-02",
        "end": "2024-01-05",
    }


def test_columns_that_a_message_does_not_carry_are_left_out() -> None:
    assert encode(ROW | {"state": "pending", "attempts": 2}) == encode(ROW)


@given(st.integers(1, 2**63 - 1), st.text(), st.text(max_size=20), st.dates())
def test_every_message_is_read_as_it_was_written(task_id: int, run_id: str, symbol: str, day: date) -> None:
    row = ROW | {"task_id": task_id, "run_id": run_id, "symbol": symbol, "window_start": day, "window_end": day}
    body = encode(row)
    assert body.isascii()
    written = {"task_id": task_id, "run_id": run_id, "symbol": symbol, "start": str(day), "end": str(day)}
    assert decode(body) == TaskMessage(source="yahoo", timeframe="1d", **written)


POISON = {
    "nothing": "",
    "no base64": "{'task_id': 7}",
    "base64 with a line break": encode(ROW)[:20] + "\n" + encode(ROW)[20:],
    "half a message": encode(ROW)[: len(encode(ROW)) // 2],
    "letters beyond ASCII": "ü" * 8,
    "plain JSON": json.dumps(FIELDS),
    "no JSON": base64.b64encode(b"hello").decode(),
    "no text": base64.b64encode(b"\xff\xfe\x00").decode(),
    "a deep nest": base64.b64encode(b"[" * 50_000).decode(),
    "a number of 5000 digits": base64.b64encode(b"9" * 5_000).decode(),
    "null": packed(None),
    "a list": packed([FIELDS]),
    "a text": packed("task"),
    "no version": packed({k: v for k, v in FIELDS.items() if k != "v"}),
    "a later version": packed(FIELDS | {"v": 2}),
    "a version as text": packed(FIELDS | {"v": "1"}),
    "a version that is a truth": packed(FIELDS | {"v": True}),
    "a version as a fraction": packed(FIELDS | {"v": 1.0}),
    "an extra field": packed(FIELDS | {"priority": 9}),
    "a field too few": packed({k: v for k, v in FIELDS.items() if k != "symbol"}),
    "a name that is no name": packed(FIELDS | {"": 1}),
    "an id as text": packed(FIELDS | {"task_id": "7"}),
    "an id as a fraction": packed(FIELDS | {"task_id": 7.0}),
    "an id that is a truth": packed(FIELDS | {"task_id": True}),
    "an id of null": packed(FIELDS | {"task_id": None}),
    "an id that no database can hold": packed(FIELDS | {"task_id": 2**63}),
    "an id below one": packed(FIELDS | {"task_id": 0}),
    "a symbol of null": packed(FIELDS | {"symbol": None}),
    "a symbol that is a number": packed(FIELDS | {"symbol": 700}),
    "a window that is a list": packed(FIELDS | {"start": ["2024-01-02"]}),
    "a name that is half a character": packed(FIELDS | {"\ud800": 1}),
    "a name of 40 KB": packed(FIELDS | {"x" * 40_000: 1}),
    "one character more than Azure takes": "A" * 65_537,
    "a 10 MB symbol": packed(FIELDS | {"symbol": "A" * 10_000_000}),
    "a name of 10 MB": packed(FIELDS | {"x" * 10_000_000: 1}),
    "a 10 MB symbol where a number belongs": packed(FIELDS | {"task_id": "A" * 10_000_000}),
}


@pytest.mark.parametrize("body", POISON.values(), ids=POISON)
def test_poison_is_refused_with_a_reason(body: str) -> None:
    with pytest.raises(QueueError, match=r"^a message") as refusal:
        decode(body)
    assert len(str(refusal.value)) < 300  # a reason, not the poison again
    assert str(refusal.value).encode()  # and one that can be written down


@given(st.text())
def test_any_text_is_a_message_or_refused(body: str) -> None:
    with pytest.raises(QueueError):
        decode(body)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_a_message_or_refused(value: Any) -> None:
    with pytest.raises(QueueError):
        decode(packed(value))
