"""Events that a vendor names twice: what the price shows once counts once, and what it does not show does not count."""

from __future__ import annotations

import random
from datetime import date

import pytest

from quantx.core.calendars import calendar
from quantx.core.quality.named_twice import AdjustedBar, CashEvent, CashView, count_cash, count_splits
from quantx.core.quality.price_steps import BarClose, displaced_step, step_odds
from quantx.core.quality.split_basis import ShareSplit

XNYS = calendar("XNYS")
DAYS = XNYS.sessions(date(2024, 1, 2), date(2024, 3, 28))
E = 30


def closes(falls: dict[int, float], seed: int = 1) -> list[BarClose]:
    """Return as-traded closes of a share of usual moves of 1 %, divided from these sessions on."""
    dice, price, bars = random.Random(seed), 100.0, []
    for place, day in enumerate(DAYS):
        price *= (1 + dice.gauss(0, 0.01)) / falls.get(place, 1.0)
        bars.append(BarClose(day, price, None))
    return bars


@pytest.mark.parametrize(
    ("listed", "falls", "dropped"),
    [
        ([(E, 2.0), (E, 2.0)], {E: 2.0}, [("repeated", E)]),  # two ids
        ([(E, 2.0), (E, 2.0)], {E: 4.0}, []),  # two splits indeed
        ([(E, 3.0), (E, 1.5)], {E: 3.0}, [("repeated", E)]),  # two ratios
        ([(E, 3.0), (E, 1.5)], {E: 4.5}, []),
        ([(E - 1, 2.0), (E, 2.0)], {E: 2.0}, [("repeated", E - 1)]),  # announced and executed
        ([(E, 2.0), (E + 1, 2.0)], {E: 2.0}, [("repeated", E + 1)]),
        ([(E, 0.1), (E + 2, 0.1)], {E: 0.1}, [("repeated", E + 2)]),
        ([(E, 2.0), (E + 4, 2.0)], {E: 2.0, E + 4: 2.0}, []),
        ([(E, 2.0), (E + 1, 2.0)], {}, [("not_shown", E), ("not_shown", E + 1)]),
        ([(E, 2.0)], {E: 2.0}, []),
    ],
)
def test_the_closes_decide_which_split_counts(
    listed: list[tuple[int, float]], falls: dict[int, float], dropped: list[tuple[str, int]]
) -> None:
    splits = [ShareSplit(DAYS[place], ratio) for place, ratio in listed]
    found = count_splits(splits, closes(falls), XNYS).doubts
    assert [(doubt.outcome, DAYS.index(doubt.day)) for doubt in found] == dropped


def test_without_closes_equal_splits_of_one_day_count_once_and_others_all() -> None:
    once = count_splits([ShareSplit(DAYS[E], 2.0)] * 2, [], XNYS).doubts
    assert [doubt.outcome for doubt in once] == ["repeated"]
    both = count_splits([ShareSplit(DAYS[E], 2.0), ShareSplit(DAYS[E], 3.0)], [], XNYS).doubts
    assert [doubt.outcome for doubt in both] == ["undecided"] * 2


def test_one_wrong_close_beside_the_day_does_not_decide() -> None:
    bars = closes({})
    bars[E] = bars[E]._replace(close=bars[E].close / 10)
    assert step_odds(bars, DAYS[E], 10.0, [DAYS[E]]).still == 0


def test_a_step_beside_the_day_of_a_split_is_found() -> None:
    """Recorded for 4063.T: the split of 2023-03-30, and closes that are divided from the 29th on only."""
    assert displaced_step(closes({E - 1: 5.0}), DAYS[E], 5.0, [DAYS[E]]) == DAYS[E - 1]
    assert displaced_step(closes({E: 5.0}), DAYS[E], 5.0, [DAYS[E]]) is None
    assert displaced_step(closes({}), DAYS[E], 5.0, [DAYS[E]]) is None


# --------------------------------------------------------------------------------------------------------------- cash


def paid(counted: dict[int, float], adjusts: bool = True) -> list[AdjustedBar]:
    """Return bars of 100 that fall by what is paid, with the vendor's adjusted closes."""
    bars, price = [], 100.0
    for place, day in enumerate(DAYS):
        price -= counted.get(place, 0.0)
        bars.append(AdjustedBar(day, price, None))
    if not adjusts:
        return bars
    factor, adjusted = 1.0, []
    for place in range(len(bars) - 1, -1, -1):
        adjusted.append(bars[place]._replace(adjusted=round(bars[place].close * factor, 6)))
        factor *= 1 - counted.get(place, 0.0) / bars[place - 1].close if place else 1.0
    return adjusted[::-1]


DIVIDEND, GAIN = "dividend", "capital_gain"


@pytest.mark.parametrize(
    ("listed", "counted", "doubts"),
    [
        ([(E, DIVIDEND, 0.5), (E, DIVIDEND, 0.5)], {E: 0.5}, [("repeated", E, 0.5)]),
        ([(E, DIVIDEND, 0.5), (E, DIVIDEND, 0.51)], {E: 0.51}, [("repeated", E, 0.5)]),
        ([(E, DIVIDEND, 0.5), (E, DIVIDEND, 2.0)], {E: 2.5}, []),  # a regular and a special one
        ([(E - 2, DIVIDEND, 0.5), (E, DIVIDEND, 0.5)], {E: 0.5}, [("repeated", E - 2, 0.5)]),
        ([(E - 5, DIVIDEND, 0.5), (E, DIVIDEND, 0.5)], {E - 5: 0.5, E: 0.5}, []),  # a fund that pays each week
        ([(E, DIVIDEND, 1.0), (E, GAIN, 5.0)], {E: 6.0}, []),
        ([(E, DIVIDEND, 6.0), (E, GAIN, 5.0)], {E: 6.0}, [("contained", E, 5.0)]),
        ([(E, DIVIDEND, 6.0), (E, GAIN, 5.0)], {E: 11.0}, []),
    ],
)
def test_the_adjusted_close_decides_which_cash_counts(
    listed: list[tuple[int, str, float]], counted: dict[int, float], doubts: list[tuple[str, int, float]]
) -> None:
    events = [CashEvent(DAYS[place], kind, amount) for place, kind, amount in listed]
    found = count_cash(CashView(events=events, bars=paid(counted))).doubts
    assert [(doubt.outcome, DAYS.index(doubt.day), doubt.value) for doubt in found] == doubts


@pytest.mark.parametrize(
    ("listed", "falls", "doubts"),
    [
        ([(E, 0.5), (E, 0.5)], {E: 0.5}, [("undecided", E, 0.5)] * 2),  # hidden by the moves of the market
        ([(E, 20.0), (E, 20.0)], {E: 20.0}, [("repeated", E, 20.0)]),
        ([(E, 20.0), (E, 20.0)], {E: 40.0}, [("undecided", E, 20.0)] * 2),
        ([(E - 1, 20.0), (E, 20.0)], {E: 20.0}, [("repeated", E - 1, 20.0)]),
        ([(E - 1, 20.0), (E, 20.0)], {E - 1: 20.0, E: 20.0}, []),
        ([(E - 5, 0.5), (E, 0.5)], {E - 5: 0.5, E: 0.5}, []),
    ],
)
def test_without_an_adjusted_close_only_a_clear_fall_of_the_price_decides(
    listed: list[tuple[int, float]], falls: dict[int, float], doubts: list[tuple[str, int, float]]
) -> None:
    dice = random.Random(3)
    bars = [bar._replace(close=bar.close * (1 + dice.gauss(0, 0.01))) for bar in paid(falls, adjusts=False)]
    events = [CashEvent(DAYS[place], DIVIDEND, amount) for place, amount in listed]
    found = count_cash(CashView(events=events, bars=bars)).doubts
    assert [(doubt.outcome, DAYS.index(doubt.day), doubt.value) for doubt in found] == doubts


def test_a_clear_fall_of_the_price_decides_against_an_adjusted_close_that_counts_a_gain_twice() -> None:
    """As at VWILX, where the adjusted close is computed from the dividend and the gain within it."""
    events = [CashEvent(DAYS[E], DIVIDEND, 8.0), CashEvent(DAYS[E], GAIN, 7.0)]
    dice = random.Random(2)
    bars, price = [], 100.0
    for place, day in enumerate(DAYS):
        price = (price - (8.0 if place == E else 0.0)) * (1 + dice.gauss(0, 0.004))
        bars.append(AdjustedBar(day, price, price * (1 - 15 / 100 if place < E else 1.0)))
    assert [doubt.outcome for doubt in count_cash(CashView(events=events, bars=bars)).doubts] == ["contained"]
