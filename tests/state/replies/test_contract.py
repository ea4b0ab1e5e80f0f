"""The contract of the replies port."""

from __future__ import annotations

import json
from datetime import timedelta

from quantx.state.replies.port import Holding

from ..contract import ASKED, REPLY, WEEK, Kit, day, done, facts, series


class TestReplies:
    def test_replies_are_held_once_their_round_has_ended(self, kit: Kit) -> None:
        kit.landed("A", "B")
        assert kit.state.replies.holdings(None, None) == []
        round_id = kit.start()
        assert kit.state.replies.curated("yahoo", {"A", "B"}) == []
        kit.finish(round_id)
        assert kit.state.replies.holdings(None, None) == [Holding("yahoo", s, 1, REPLY) for s in ("A", "B")]
        assert kit.state.replies.holdings("yahoo", {"B"}) == [Holding("yahoo", "B", 1, REPLY)]
        assert kit.state.replies.holdings("stooq", None) == kit.state.replies.holdings(None, {"C"}) == []

    def test_replies_come_in_the_order_of_fetching(self, kit: Kit) -> None:
        for later in (2, 1, 3):
            task = kit.one(kit.task("A"))
            kit.land(task, path=f"raw/{later}.parquet", fetched_at=ASKED + timedelta(days=later), malformed="no JSON")
            kit.curate(done(task.id))
            kit.state.tasks.fail(task, "MalformedPayload", "no JSON", final=True, most=1, delay=0)
        first, *_ = found = kit.state.replies.curated("yahoo", {"A"})
        assert [landing.path for landing in found] == ["raw/1.parquet", "raw/2.parquet", "raw/3.parquet"]
        assert (first.series, first.window, first.size, first.rows) == (series("A"), WEEK, REPLY, 1)
        assert (first.malformed, first.fetched_at) == ("no JSON", ASKED + timedelta(days=1))
        assert kit.state.replies.curated("stooq", {"A"}) == []

    def test_objects_that_have_not_landed_are_told(self, kit: Kit) -> None:
        kit.land(kit.one(kit.task("A")), path="raw/1.parquet")
        assert kit.state.replies.unknown(["raw/1.parquet", "raw/2.parquet"]) == {"raw/2.parquet"}
        assert kit.state.replies.unknown([]) == set()

    def test_the_replies_of_a_raw_object_are_known_before_they_are_curated(self, kit: Kit) -> None:
        kit.land(kit.one(kit.task("A")), path="raw/1.parquet")
        (reply,) = kit.state.replies.of_object("raw/1.parquet")
        assert (reply.path, reply.series, reply.window) == ("raw/1.parquet", series("A"), WEEK)
        assert kit.state.replies.of_object("raw/2.parquet") == []

    def test_what_was_derived_anew_takes_the_place_of_what_was_known(self, kit: Kit) -> None:
        kit.cover((2, 5), first=2, last=5)
        anew = [facts((6, 8), nothing=[(8, 8)], last=8), facts((8, 9), last=9), facts((2, 3), symbol="MSFT", last=3)]
        sessions = {series(): (day(3), day(4)), series("MSFT"): (None, None)}
        kit.state.replies.restate("yahoo", anew, sessions, [], "[]")
        rows = {row["symbol"]: row for row in kit.state.series.manifest()}
        assert (rows["AAPL"]["first_session"], rows["AAPL"]["watermark"]) == (day(3), day(4))
        assert (rows["MSFT"]["first_session"], rows["MSFT"]["watermark"]) == (None, None)
        assert kit.uncovered(1, 12) == [(1, 1), (10, 12)]
        assert rows["AAPL"]["nothing"] == "{}"  # the later answer had a bar there

    def test_hot_bars_become_those_that_were_derived(self, kit: Kit) -> None:
        prices = dict.fromkeys(("open", "high", "low", "close"), 1.5)
        row = {"source": "yahoo", "date": "2024-01-02", **prices, "volume": 7, "currency": "USD"}
        known = {"known_from": (ASKED + timedelta(days=1)).isoformat()}
        rows = [row | known | {"symbol": "A"}, row | known | {"symbol": "B", "date": "2024-01-03"}]
        kit.state.rounds.finish(kit.start(), [], [], json.dumps(rows))
        earlier = row | {"symbol": "A", "close": 1.25, "known_from": ASKED.isoformat()}
        kit.state.replies.restate("yahoo", [], {}, ["A"], json.dumps([earlier]))
        assert sorted(kit.hot_closes()) == [1.25, 1.5]
        kit.state.replies.restate("yahoo", [], {}, ["A"], "[]")
        assert kit.hot_closes() == [1.5]

    def test_raw_objects_are_counted_by_vendor_and_dataset(self, kit: Kit) -> None:
        assert kit.state.replies.stored() == []
        kit.landed("A", "B")
        stored = kit.state.replies.stored()
        assert [(row["source"], row["dataset"]) for row in stored] == [("yahoo", "bars")]
        assert stored[0]["objects"] == len(kit.state.replies.objects())
        assert stored[0]["size"] == stored[0]["objects"] * REPLY
