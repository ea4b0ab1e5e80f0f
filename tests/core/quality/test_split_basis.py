"""By which splits a reply's closes are divided: the evidence, one kind at a time."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, time

import pytest

from quantx.core.calendars import calendar
from quantx.core.quality.price_steps import BarClose
from quantx.core.quality.split_basis import ReplyView, ShareSplit, StoredClose, decide_basis

XNYS = calendar("XNYS")
DAYS = XNYS.sessions(date(2024, 1, 2), date(2024, 6, 28))
E = 30  # the session of the split
TRUE = {day: 100 + random.Random(7).gauss(0, 1) + n % 3 for n, day in enumerate(DAYS)}  # as if without a split


def view(
    ratio: float,
    *,
    divided: bool,
    last: int,
    listed: bool = True,
    stored: tuple[int, float] | None = None,
    first: int = 0,
) -> ReplyView:
    """Return a reply up to a session; `stored`: the session after which the rows were stored, and their factor."""
    bars = [
        BarClose(day, TRUE[day] if n < E and divided else TRUE[day] * ratio if n < E else TRUE[day], None)
        for n, day in enumerate(DAYS[first : last + 1], start=first)
    ]
    rows = {}
    if stored is not None:
        at = datetime.combine(DAYS[stored[0]], time(23), UTC)
        rows = {
            day: StoredClose(TRUE[day] * (ratio * stored[1] if n < E else 1.0), at, "RAW")
            for n, day in enumerate(DAYS[: min(stored[0], last) + 1])
        }
    return ReplyView(
        bars=bars,
        splits=[ShareSplit(DAYS[E], ratio)] if listed else [],
        settled=DAYS[last],
        today=DAYS[last],
        calendar=XNYS,
        stored=rows,
    )


@pytest.mark.parametrize("ratio", [10.0, 2.0, 1.5, 0.1, 0.02])
def test_the_own_steps_decide_a_fresh_history(ratio: float) -> None:
    good = decide_basis(view(ratio, divided=True, last=E + 2))
    assert (good.held, good.applied, good.actions) == (
        None,
        (ShareSplit(DAYS[E], ratio),),
        (ShareSplit(DAYS[E], ratio),),
    )
    assert decide_basis(view(ratio, divided=False, last=E + 2)).held == "undivided"


@pytest.mark.parametrize("ratio", [10.0, 1.5, 1.05, 1.01, 0.1])
def test_rows_that_were_stored_before_the_split_decide_alone(ratio: float) -> None:
    good = decide_basis(view(ratio, divided=True, last=E + 2, stored=(E - 2, 1.0)))
    assert (good.held, good.applied, good.corrected) == (None, (ShareSplit(DAYS[E], ratio),), ())
    assert decide_basis(view(ratio, divided=False, last=E + 2, stored=(E - 2, 1.0))).held == "undivided"


@pytest.mark.parametrize("ratio", [10.0, 1.5, 1.054, 0.1])
def test_divided_closes_without_a_listed_split_are_held_back(ratio: float) -> None:
    decision = decide_basis(view(ratio, divided=True, last=E + 2, listed=False, stored=(E - 1, 1.0)))
    assert decision.held == "unlisted"
    assert decision.about is not None
    assert decision.about.ratio == pytest.approx(ratio)


def test_a_split_within_the_noise_waits_for_its_age() -> None:
    assert decide_basis(view(1.01, divided=True, last=E + 2)).held == "undecided"
    assert decide_basis(view(1.01, divided=True, last=E + 80)).held is None


def test_stored_rows_that_were_late_are_corrected_by_a_reply_that_proves_itself() -> None:
    decision = decide_basis(view(10.0, divided=True, last=E + 4, stored=(E + 2, 0.1)))
    assert (decision.held, decision.corrected) == (None, (ShareSplit(DAYS[E], 10.0),))
    assert decision.wrong_raws == {"RAW"}


def test_a_single_corrected_bar_is_a_correction_and_no_split() -> None:
    reply = view(10.0, divided=False, last=E - 1, listed=False, stored=(E - 2, 1.0))
    bars = list(reply.bars)
    bars[20] = bars[20]._replace(close=bars[20].close * 1.03)
    decision = decide_basis(ReplyView(**{**vars(reply), "bars": bars}))
    assert decision.held is None


def test_a_new_split_of_years_ago_moves_no_stored_row() -> None:
    """A vendor that names a split only 90 days after it is doubtful: the stored rows stay."""
    decision = decide_basis(view(2.0, divided=True, last=E + 80, stored=(E + 75, 0.5)))
    assert decision.held == "undivided"
