"""The contract of the series port."""

from __future__ import annotations

from datetime import timedelta

from ..contract import ASKED, Kit, day, facts, series, window


class TestSeries:
    def test_a_new_series_is_uncovered_as_a_whole(self, kit: Kit) -> None:
        assert kit.uncovered(2, 12) == [(2, 12)]

    def test_what_was_answered_is_not_asked_again(self, kit: Kit) -> None:
        kit.cover((5, 8), first=5, last=8)
        assert kit.uncovered(2, 12) == [(2, 4), (9, 12)]
        assert kit.uncovered(5, 8) == []
        kit.cover((2, 4), first=2, last=4)
        assert kit.uncovered(2, 12) == [(9, 12)]

    def test_series_are_told_apart(self, kit: Kit) -> None:
        kit.cover((5, 8))
        asked = [(series(symbol), window(5, 9)) for symbol in ("AAPL", "MSFT")]
        assert dict(kit.state.series.uncovered(asked, ASKED, 0)) == {"AAPL": [window(9, 9)], "MSFT": [window(5, 9)]}

    def test_the_order_of_the_answers_does_not_matter(self, kit: Kit) -> None:
        kit.cover((9, 10), (2, 3), (5, 6), (3, 9))
        assert kit.uncovered(1, 12) == [(1, 1), (11, 12)]

    def test_what_the_vendor_was_late_with_is_left_alone_for_a_while(self, kit: Kit) -> None:
        kit.curate(facts=[facts((2, 5), last=5, through=8)])
        assert kit.uncovered(2, 8, now=ASKED + timedelta(minutes=59)) == []
        assert kit.uncovered(2, 8, now=ASKED + timedelta(minutes=61)) == [(6, 8)]
        assert kit.uncovered(2, 9, now=ASKED) == [(6, 9)]
        assert kit.uncovered(1, 5, now=ASKED) == [(1, 1)]

    def test_what_the_vendor_has_not_answered_at_all_is_left_alone_for_a_while(self, kit: Kit) -> None:
        kit.curate(facts=[facts(None, through=12)])
        assert kit.uncovered(8, 12, now=ASKED) == []
        assert kit.uncovered(2, 12, now=ASKED) == [(2, 12)]

    def test_a_watermark_never_goes_back_and_the_first_session_never_forward(self, kit: Kit) -> None:
        kit.cover((5, 10), first=5, last=10)
        kit.cover((2, 4), first=2, last=4)
        kit.cover((3, 3))
        row = kit.known()
        assert (row["first_session"], row["watermark"]) == (day(2), day(10))
        progress = kit.state.series.progress("yahoo", "bars", "1d", ["AAPL", "MSFT"])
        assert progress.keys() == {"AAPL"}
        found = progress["AAPL"]
        assert (found.watermark, found.asked_through, found.asked_at) == (day(10), day(10), ASKED)

    def test_where_the_vendor_has_nothing_is_remembered_until_it_has_something(self, kit: Kit) -> None:
        kit.cover((1, 10), nothing=[(1, 4)], first=5, last=10)
        assert kit.known()["nothing"] == "{[2024-01-01,2024-01-05)}"
        kit.cover((3, 4), first=3, last=4)
        assert kit.known()["nothing"] == "{[2024-01-01,2024-01-03)}"
        assert kit.known()["covered"] == "{[2024-01-01,2024-01-11)}"

    def test_an_answer_ends_a_row_of_failures(self, kit: Kit) -> None:
        kit.fail(kit.one(kit.task()), final=True)
        kit.cover((2, 5), last=5)
        row = kit.known()
        assert (row["failures"], row["last_error"]) == (0, None)
