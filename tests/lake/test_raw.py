"""The raw zone: every reply comes back exactly as it was sent, or the damage is an error."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from quantx.core.model import Payload, Series, StoredReply, Window
from quantx.errors import DamagedObject, LakeError
from quantx.lake.raw import (
    SCHEMA,
    RawPage,
    list_raw,
    parse_raw_path,
    raw_path,
    read_footer,
    read_pages,
    write_batch,
)
from quantx.lake.store import LakeLocation, open_location

FETCHED = datetime(2024, 1, 8, 22, 0, 0, 123456, tzinfo=UTC)
PATH = raw_path("yahoo", "bars", "2024-01-08", "01HKZ")


def page(task_id: int = 1, **differences: Any) -> RawPage:
    facts: dict[str, Any] = {
        "symbol": "AAPL",
        "request": "https://query1.finance.yahoo.com/v8/finance/chart/AAPL?interval=1d",
        "status": 200,
        "fetched_at": FETCHED,
        "content_type": "application/json",
        "body": b'{"chart": {}}',
        "vendor_time": FETCHED - timedelta(seconds=1),
    }
    return RawPage(task_id, Payload(**(facts | differences)))


BATCH = [
    page(1),
    page(2, symbol="0700.HK", body=b""),
    page(3, body=b"\x00\xff\xfe\x80 not UTF-8", content_type=""),
    page(4, status=404, vendor_time=None, body="naïve \N{ROCKET}".encode()),
    page(5, body=b"x" * 1_000_000),
]


@pytest.fixture
def location() -> LakeLocation:
    return open_location("memory://")


def stored(batch: list[RawPage]) -> bytes:
    location = open_location("memory://")
    write_batch(location, PATH, batch)
    return location.get(PATH)


def test_the_path_says_source_dataset_and_day() -> None:
    assert PATH == "raw/source=yahoo/dataset=bars/ingest_date=2024-01-08/01HKZ.parquet"


def test_replies_come_back_as_they_were_in_their_order(location: LakeLocation) -> None:
    size = write_batch(location, PATH, BATCH)
    assert size == len(location.get(PATH))
    assert list(read_pages(location, PATH)) == BATCH


def test_some_rows_can_be_read_alone(location: LakeLocation) -> None:
    write_batch(location, PATH, BATCH)
    assert list(read_pages(location, PATH, [3, 0])) == [BATCH[3], BATCH[0]]
    assert list(read_pages(location, PATH, [])) == []


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_any_bytes_survive(bodies: list[bytes]) -> None:
    location = open_location("memory://")
    batch = [page(n, body=body) for n, body in enumerate(bodies)]
    write_batch(location, PATH, batch)
    assert [reply.payload.body for reply in read_pages(location, PATH)] == bodies


def test_the_same_batch_again_is_a_success_and_another_one_is_refused(location: LakeLocation) -> None:
    write_batch(location, PATH, BATCH)
    write_batch(location, PATH, BATCH)
    with pytest.raises(LakeError, match="exists with other bytes"):
        write_batch(location, PATH, BATCH[:1])
    assert list(read_pages(location, PATH)) == BATCH


def test_instants_come_back_aware_and_in_utc(location: LakeLocation) -> None:
    write_batch(location, PATH, [page()])
    (reply,) = read_pages(location, PATH)
    assert reply.payload.fetched_at == FETCHED
    assert reply.payload.fetched_at.tzinfo is UTC


def test_any_parquet_reader_can_open_it(location: LakeLocation) -> None:
    write_batch(location, PATH, BATCH)
    table = pq.read_table(io.BytesIO(location.get(PATH)))
    assert table.column("body").to_pylist() == [item.payload.body for item in BATCH]
    assert table.column("sha256").to_pylist() == [item.payload.sha256 for item in BATCH]


WHOLE = stored(BATCH)


@pytest.mark.parametrize("percent", range(0, 100, 10))
def test_a_half_written_object_is_an_error(location: LakeLocation, percent: int) -> None:
    location.put(PATH, WHOLE[: len(WHOLE) * percent // 100])
    with pytest.raises(LakeError, match="is damaged"):
        list(read_pages(location, PATH))


DAMAGED = {
    "one byte short": WHOLE[:-1],
    "wrong magic": b"ZIP1" + WHOLE[4:-4] + b"ZIP1",
    "a page of HTML": b"<html>503</html>" * 10,
    "all zero": bytes(len(WHOLE)),
    "another object behind it": WHOLE + b"garbage",
}


@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_object_is_an_error(location: LakeLocation, body: bytes) -> None:
    location.put(PATH, body)
    with pytest.raises(LakeError, match="is damaged"):
        list(read_pages(location, PATH))


SMALL = [page(1, body=b"first reply"), page(2, symbol="MSFT", body=b"second reply")]
SMALL_BYTES = stored(SMALL)


@settings(max_examples=300)
@given(st.integers(0, len(SMALL_BYTES) - 1), st.integers(1, 255))
@example(2407, 4)  # the number of rows
def test_a_flipped_byte_never_changes_a_reply(position: int, mask: int) -> None:
    body = bytearray(SMALL_BYTES)
    body[position] ^= mask
    location = open_location("memory://")
    location.put(PATH, bytes(body))
    try:
        read = [reply.payload.body for reply in read_pages(location, PATH)]
    except LakeError:
        return
    assert read == [item.payload.body for item in SMALL]


def changed(column: str, value: Any, kind: pa.DataType) -> bytes:
    table = pq.read_table(io.BytesIO(SMALL_BYTES))
    table = table.set_column(table.schema.get_field_index(column), column, pa.array([value, value], kind))
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def test_a_body_that_does_not_match_its_digest_is_an_error(location: LakeLocation) -> None:
    location.put(PATH, changed("body", b"another reply", pa.large_binary()))
    with pytest.raises(LakeError, match=r"row 0 of the raw object .* does not match its SHA-256"):
        list(read_pages(location, PATH))


def test_an_object_with_other_columns_is_an_error(location: LakeLocation) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"symbol": ["AAPL"]}), buffer)
    for body in (buffer.getvalue(), changed("status", "200", pa.string())):
        location.put(PATH, body)
        with pytest.raises(LakeError, match="has other columns"):
            list(read_pages(location, PATH))


def test_a_reply_that_the_object_does_not_have_is_an_error(location: LakeLocation) -> None:
    write_batch(location, PATH, BATCH)
    with pytest.raises(LakeError, match=r"it has 5 replies, not 6"):
        list(read_pages(location, PATH, [0, 5]))


def test_a_missing_object_is_an_error(location: LakeLocation) -> None:
    with pytest.raises(LakeError, match="cannot read"):
        list(read_pages(location, PATH))


def test_the_columns_are_those_of_the_documentation() -> None:
    assert SCHEMA.names == [
        "symbol", "request", "status", "fetched_at", "vendor_time", "sha256", "content_type", "body", "task_id"
    ]  # fmt: skip


# --------------------------------------------------------------------------------------------------- what it answers

WINDOW = Window(date(2024, 1, 2), date(2024, 1, 12))


def reply(task_id: int, timeframe: str, symbol: str, **place: Any) -> StoredReply:
    series = Series("yahoo", "bars", timeframe, symbol)
    return StoredReply(
        task_id=task_id, run_id="01RUN", series=series, window=WINDOW, path=PATH, fetched_at=FETCHED, **place
    )


REPLIES = [
    reply(1, "1d", "AAPL", row=0, rows=2, size=11),
    reply(2, "1m", "MSFT", row=1, size=12, malformed="no JSON"),
]
# As every program with footers has written it: other programs read what this one writes, and the other way round.
FOOTER = """[
    {"task_id": 1, "run_id": "01RUN", "timeframe": "1d", "symbol": "AAPL",
     "window": {"start": "2024-01-02", "end": "2024-01-12"}, "row": 0, "rows": 2,
     "fetched_at": "2024-01-08T22:00:00.123456+00:00", "size": 11, "malformed": null},
    {"task_id": 2, "run_id": "01RUN", "timeframe": "1m", "symbol": "MSFT",
     "window": {"start": "2024-01-02", "end": "2024-01-12"}, "row": 1, "rows": 1,
     "fetched_at": "2024-01-08T22:00:00.123456+00:00", "size": 12, "malformed": "no JSON"}
]"""


def test_an_object_lists_the_tasks_that_it_answers(location: LakeLocation) -> None:
    write_batch(location, PATH, SMALL, REPLIES)
    assert read_footer(location, PATH) == REPLIES
    assert list(read_pages(location, PATH)) == SMALL


def rewritten(metadata: dict[bytes, bytes] | None) -> bytes:
    table = pq.read_table(io.BytesIO(SMALL_BYTES)).replace_schema_metadata(metadata)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def test_a_footer_of_an_earlier_program_is_read(location: LakeLocation) -> None:
    digest = hashlib.sha256(FOOTER.encode()).hexdigest()
    body = rewritten({b"quantx.replies": FOOTER.encode(), b"quantx.replies.sha256": digest.encode()})
    location.put(PATH, body)
    assert read_footer(location, PATH) == REPLIES


def test_an_earlier_program_reads_the_footer_of_this_one(location: LakeLocation) -> None:
    """It refuses a reply with another field, and without one of its own."""
    write_batch(location, PATH, SMALL, REPLIES)
    written = pq.read_schema(io.BytesIO(location.get(PATH))).metadata[b"quantx.replies"]
    assert json.loads(written) == json.loads(FOOTER)


def test_an_object_without_a_footer_lists_no_replies(location: LakeLocation) -> None:
    location.put(PATH, rewritten(None))
    assert read_footer(location, PATH) is None
    assert list(read_pages(location, PATH)) == SMALL


LISTED = open_location("memory://")
write_batch(LISTED, PATH, SMALL, REPLIES)
LISTED_BYTES = LISTED.get(PATH)


@settings(max_examples=300)
@given(st.integers(0, len(LISTED_BYTES) - 1), st.integers(1, 255))
@example(LISTED_BYTES.rindex(b"2024-01-12") + 9, 1)
@example(LISTED_BYTES.rindex(b"quantx.replies.sha256"), 1)
@example(LISTED_BYTES.index(b"quantx.replies"), 1)
def test_a_flipped_byte_never_changes_what_it_answers(position: int, mask: int) -> None:
    body = bytearray(LISTED_BYTES)
    body[position] ^= mask
    location = open_location("memory://")
    location.put(PATH, bytes(body))
    try:
        replies = read_footer(location, PATH)
    except DamagedObject:
        return
    assert replies in (REPLIES, None)  # None: reprocessing leaves its symbols unchanged


def test_raw_objects_are_listed_by_source(location: LakeLocation) -> None:
    paths = [raw_path(source, "bars", "2024-01-12", name) for source in ("alpaca", "yahoo") for name in ("01A", "01B")]
    for path in reversed(paths):
        write_batch(location, path, SMALL)
    location.put("raw/source=yahoo/README.md", b"not ours")
    assert list_raw(location) == paths
    assert list_raw(location, "yahoo") == paths[2:]
    assert list_raw(location, "yah") == []
    assert parse_raw_path(paths[2]) == ("yahoo", "bars", "01A")
