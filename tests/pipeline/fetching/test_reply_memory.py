"""The bytes of replies in memory are bounded: requests wait for room, and large objects are written in turn."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

from quantx.core.model import Payload, Window
from quantx.pipeline.fetching.reply_memory import ReplyMemory
from quantx.pipeline.planning.plan import plan_backfill
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.runtime.threads import Threads
from quantx.pipeline.wiring import worker_of
from quantx.providers.protocol import Page, Request

from ..conftest import Desk, Tape

SIZE = 20_000  # bytes of a reply
WEEK = Window(date(2024, 1, 2), date(2024, 1, 12))
SYMBOLS = tuple("ABCDEFGHIJKL")


class Stopped(Threads):
    """A runtime that is to stop."""

    stopping = True

    def wait(self, seconds: float) -> bool:
        return True


def reply(size: int = SIZE) -> Payload:
    now = datetime(2024, 1, 12, tzinfo=UTC)
    return Payload("A", "tape:A", 200, now, content_type="application/json", body=b" " * size)


def test_a_request_waits_until_a_reply_has_left_memory() -> None:
    memory, rooms = ReplyMemory(2 * SIZE, Threads()), []
    held = [reply(), reply()]
    for payload in held:
        memory.note("tape", payload)
    del payload

    def make_room() -> None:
        rooms.append(len(held))
        held.clear()

    with memory.request("tape", make_room) as has_room:
        assert has_room
    assert rooms == [2]


def test_a_request_counts_until_its_reply_has_come() -> None:
    memory, rooms = ReplyMemory(2 * SIZE, Stopped()), []
    memory.note("tape", reply())  # the size of this vendor's replies; it is gone at once
    with (
        memory.request("tape", lambda: rooms.append(1)) as first,
        memory.request("tape", lambda: rooms.append(2)) as second,
        memory.request("tape", lambda: rooms.append(3)) as third,
    ):
        assert (first, second, third) == (True, True, False)
    assert rooms == [3]
    with memory.request("tape", lambda: rooms.append(4)) as again:
        assert again


def test_a_reply_that_is_larger_than_the_bound_is_fetched_alone() -> None:
    memory = ReplyMemory(SIZE // 2, Stopped())
    memory.note("tape", reply())
    with memory.request("tape", list) as first, memory.request("tape", list) as second:
        assert (first, second) == (True, False)


def test_one_large_object_is_written_at_a_time() -> None:
    memory, order = ReplyMemory(SIZE, Threads()), []

    def write() -> None:
        with memory.writing(2_000_000):
            order.append("second")

    with memory.writing(2_000_000):
        other = threading.Thread(target=write)
        other.start()
        with memory.writing(10):  # a small one does not wait
            order.append("small")
        order.append("first")
    other.join()
    assert order == ["small", "first", "second"]


@dataclass
class Large(Tape):
    """A vendor of large replies that counts how many of them are in memory as each request starts."""

    alive: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    at_start: list[int] = field(default_factory=list)

    def fetch(self, request: Request) -> Iterator[Page]:
        with self.lock:
            self.at_start.append(self.alive)
            self.alive += 1
        for page in super().fetch(request):
            body = page.payload.body.ljust(SIZE)
            whole = replace(page, payload=replace(page.payload, body=body))
            weakref.finalize(whole.payload, self.drop)
            yield whole

    def drop(self) -> None:
        with self.lock:
            self.alive -= 1


def test_a_worker_holds_few_large_replies_whatever_its_number_of_requests(desk: Desk) -> None:
    vendor = Large(desk.clock)
    for symbol in SYMBOLS:
        vendor.trades(symbol, WEEK.start, WEEK.end)
    bounds = {"max_workers": 16, "held_bytes": 3 * SIZE, "batch_bytes": SIZE, "round_bytes": SIZE}
    platform = replace(
        desk.platform,
        providers={"tape": vendor},
        quotas={"tape": None},
        settings=desk.platform.settings.model_copy(update={**bounds, "sources": {"1d": {"us": ("tape",)}}}),
    )
    worker_of(platform).run(task_ids=plan_backfill(platform, Scope(SYMBOLS), WEEK).task_ids)
    first = vendor.at_start.index(max(vendor.at_start)) + 1  # requests before a reply's size was known
    assert first <= 8
    assert max(vendor.at_start[first:]) <= 2  # and the one that starts: three
    assert desk.rows()["symbol"].unique().sort().to_list() == list(SYMBOLS)
    assert vendor.alive == 0
