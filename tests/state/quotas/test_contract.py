"""The contract of the quotas port."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from quantx.core.model import Quota

from ..contract import EVER, Kit, in_threads, seconds_to

LONG = Quota(4, 8000.0)  # a gap of 1000 seconds: far more than a test takes
BATCH = round(LONG.pause)


class TestQuotas:
    def test_requests_start_a_gap_apart_and_batches_a_pause_apart(self, kit: Kit) -> None:
        first = [(n * 1000, 1) for n in range(4)]
        assert kit.waits(LONG, 1, 1, 1, 1, 1, 1) == [*first, (BATCH, 1), (BATCH + 1000, 1)]

    def test_several_are_reserved_at_once_each_with_its_start(self, kit: Kit) -> None:
        slots = kit.reserve(LONG, 6)
        assert slots is not None
        assert [round(s) for s in seconds_to(slots)] == [0, 1000, 2000, 3000, BATCH, BATCH + 1000]

    def test_of_several_only_those_are_reserved_that_start_soon(self, kit: Kit) -> None:
        slots = kit.reserve(LONG, 6, longest_wait=2500)
        assert slots is not None
        assert [round(s) for s in seconds_to(slots)] == [0, 1000, 2000]
        assert kit.waits(LONG, 1) == [(3000, 1)]

    def test_each_source_has_its_own_quota(self, kit: Kit) -> None:
        found = [kit.waits(LONG, 1, source=source)[0][0] for source in ("yahoo", "alpaca", "yahoo")]
        assert found == [0, 0, 1000]

    def test_without_a_quota_everybody_starts_at_once(self, kit: Kit) -> None:
        assert kit.waits(None, 1, 100, 1) == [(0, 1), (0, 100), (0, 1)]

    def test_slots_that_nobody_took_are_not_saved_up(self, kit: Kit) -> None:
        kit.waits(LONG, 2)
        kit.let_pass(10 * BATCH)
        assert kit.waits(LONG, 4, 1) == [(0, 4), (BATCH, 1)]

    def test_who_comes_late_in_a_stretch_delays_nobody_in_the_next(self, kit: Kit) -> None:
        kit.waits(LONG, 1)
        kit.let_pass(5000)
        assert kit.waits(LONG, 3, 1) == [(0, 3), (BATCH - 5000, 1)]

    @pytest.mark.parametrize("quota", [Quota(3, 10.0), Quota(1, 5.0), Quota(7, 60.0)])
    def test_no_stretch_holds_more_than_the_quota(self, kit: Kit, quota: Quota) -> None:
        starts: list[float] = []
        now = 0.0
        for passes, count in zip(itertools.cycle([0.0, 0.7, 3.1, 11.0, 0.2]), [1, 4, 2, 9, 1, 3] * 10, strict=False):
            kit.let_pass(passes)
            now += passes
            slots = kit.reserve(quota, count)
            assert slots is not None
            starts += [now + seconds for seconds in seconds_to(slots)]
        starts.sort()
        # PostgreSQL's clock has gone on a little between the steps, so that a start is known to a second.
        for n, start in enumerate(starts):
            within = [s for s in starts[n:] if s < start + quota.seconds - 1.0]
            assert len(within) <= quota.count

    def test_no_slot_is_given_twice_however_many_ask(self, kit: Kit) -> None:
        given: list[int] = []
        quota = Quota(1000, 2_000_000.0)  # a gap of 1000 s

        def worker(count: int) -> Callable[[], None]:
            def reserve() -> None:
                for _ in range(10):
                    slots = kit.reserve(quota, count)
                    assert slots is not None
                    given.extend(round(seconds / quota.gap) for seconds in seconds_to(slots))

            return reserve

        in_threads([worker(1 + n % 3) for n in range(8)])
        assert sorted(given) == list(range(len(given)))

    def test_who_would_have_to_wait_too_long_takes_no_slot(self, kit: Kit) -> None:
        assert kit.waits(LONG, 1, 1, 1) == [(0, 1), (1000, 1), (2000, 1)]
        assert kit.reserve(LONG, longest_wait=2000) is None
        assert kit.reserve(LONG, longest_wait=2000) is None
        assert kit.waits(LONG, 1) == [(3000, 1)]

    def test_how_long_a_vendor_has_refused_counts_until_it_answers(self, kit: Kit) -> None:
        """Each closure may be short: a vendor that refuses again and again is as good as closed."""
        quotas = kit.state.quotas
        assert quotas.refused_for("yahoo") == 0
        quotas.close("yahoo", 1, "slow down")
        kit.let_pass(60)
        quotas.close("yahoo", 1, "slow down")
        kit.let_pass(60)
        quotas.refuse("yahoo", 1, 600, "slow down")
        assert 119 <= quotas.refused_for("yahoo") <= 125
        kit.let_pass(5)
        assert quotas.accept("yahoo")
        assert quotas.refused_for("yahoo") == 0
        quotas.close("yahoo", 1, "slow down")
        kit.let_pass(3600)
        quotas.close("yahoo", 1, "slow down")  # nobody has asked meanwhile
        assert quotas.refused_for("yahoo") <= 5

    def test_a_closed_vendor_is_asked_by_nobody_until_then(self, kit: Kit) -> None:
        kit.waits(LONG, 1)
        kit.state.quotas.close("yahoo", 50_000, "429")
        assert round(kit.state.quotas.closed_for("yahoo")) == 50_000
        assert kit.waits(LONG, 1, 1) == [(50_000, 1), (51_000, 1)]
        assert kit.waits(None, 1) == [(50_000, 1)]
        assert [(row["source"], row["reason"]) for row in kit.state.quotas.closed()] == [("yahoo", "429")]

    def test_when_a_request_may_start_is_told_without_taking_the_slot(self, kit: Kit) -> None:
        def opens_in(quota: Quota | None = LONG) -> int:
            return round(kit.state.quotas.opens_in("yahoo", quota), -2)

        assert (opens_in(), opens_in(None)) == (0, 0)
        kit.waits(LONG, 1)
        assert (opens_in(), opens_in()) == (1000, 1000)
        kit.waits(LONG, 3)
        assert (opens_in(), opens_in(None)) == (8000, 0)
        kit.state.quotas.close("yahoo", 50_000, "429")
        assert (opens_in(), opens_in(None)) == (50_000, 50_000)

    def test_a_closed_vendor_gives_no_slot_to_the_impatient(self, kit: Kit) -> None:
        kit.state.quotas.close("yahoo", 50_000, "429")
        assert kit.reserve(LONG, longest_wait=1000) is None
        assert kit.reserve(None, longest_wait=1000) is None
        assert kit.waits(LONG, 1) == [(50_000, 1)]

    def test_a_shorter_closure_does_not_end_a_longer_one(self, kit: Kit) -> None:
        kit.state.quotas.close("yahoo", 50_000, "blocked")
        kit.state.quotas.close("yahoo", 5000, "429")
        assert round(kit.state.quotas.closed_for("yahoo")) == 50_000
        assert [row["reason"] for row in kit.state.quotas.closed()] == ["blocked"]

    def test_a_closure_that_is_over_closes_nothing(self, kit: Kit) -> None:
        kit.state.quotas.close("yahoo", 60, "429")
        kit.let_pass(61)
        assert kit.waits(LONG, 1) == [(0, 1)]
        assert (kit.state.quotas.closed(), kit.state.quotas.closed_for("yahoo")) == ([], 0.0)

    def test_refusals_in_a_row_close_for_ever_longer_until_the_vendor_answers(self, kit: Kit) -> None:
        def refused() -> int:
            kit.state.quotas.refuse("yahoo", 1000.0, 5000.0, "429")
            return round(kit.state.quotas.closed_for("yahoo"), -2)

        assert refused() == 1000
        assert refused() == 1000  # this request was under way when the vendor was closed
        found = []
        for seconds in (1000, 2000, 4000, 5000):
            kit.let_pass(seconds + 1)
            found.append(refused())
        assert found == [2000, 4000, 5000, 5000]
        kit.state.quotas.accept("yahoo")  # this one was asked before the vendor was closed
        kit.let_pass(5001)
        assert refused() == 5000
        kit.let_pass(5001)
        kit.state.quotas.accept("yahoo")
        assert refused() == 1000

    def test_refusals_of_requests_that_were_under_way_together_are_one(self, kit: Kit) -> None:
        """The second comes after the first one's back-off has ended, but its request started before that."""
        quotas = kit.state.quotas
        assert quotas.refuse("yahoo", 1000.0, 5000.0, "429", age=50.0) == pytest.approx(1000.0, abs=1)
        kit.let_pass(1050)
        assert quotas.refuse("yahoo", 1000.0, 5000.0, "429", age=1060.0) is None
        assert quotas.closed_for("yahoo") == 0
        assert quotas.refuse("yahoo", 1000.0, 5000.0, "429", age=40.0) == pytest.approx(2000.0, abs=1)

    def test_a_refusal_does_not_shorten_a_closure(self, kit: Kit) -> None:
        kit.state.quotas.close("yahoo", 50_000, "blocked")
        kit.state.quotas.refuse("yahoo", 1.0, 600.0, "429")
        assert round(kit.state.quotas.closed_for("yahoo")) == 50_000
        assert [row["reason"] for row in kit.state.quotas.closed()] == ["blocked"]

    def test_nobody_has_closed_an_unknown_vendor(self, kit: Kit) -> None:
        assert kit.state.quotas.closed_for("yahoo") == 0.0
        assert kit.state.quotas.accept("yahoo")

    def test_whoever_knows_the_time_badly_gets_more_room(self, kit: Kit) -> None:
        slots = kit.state.quotas.reserve("yahoo", LONG, 4, EVER, doubt=500.0)
        assert slots is not None
        assert [round(s) for s in seconds_to(slots)] == [0, 1500, 3000, 4500]
        assert kit.waits(LONG, 1) == [(BATCH + 500, 1)]

    def test_the_used_part_of_a_quota_is_that_of_its_last_period(self, kit: Kit) -> None:
        quota = Quota(5, 60.0)
        assert kit.state.quotas.used("yahoo", quota) == 0
        kit.state.quotas.reserve("yahoo", quota, 2, EVER)
        assert (kit.state.quotas.used("yahoo", quota), kit.state.quotas.used("stooq", quota)) == (2, 0)
        kit.let_pass(120)
        assert kit.state.quotas.used("yahoo", quota) == 0
