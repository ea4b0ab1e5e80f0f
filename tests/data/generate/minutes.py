"""Minutes: QuantConnect's zips of trades, and Alpha Vantage's CSV files with the days beside them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from .series import Bar, sessions, walk

_OPEN, _CLOSE, _FIRST, _LAST = 9 * 60 + 30, 16 * 60, 4 * 60, 20 * 60  # minutes of the day
Minute = tuple[int, Bar]


def _minutes(seed: str, day: date, at: Sequence[int], price: float, *, digits: int = 2) -> list[Minute]:
    """Return bars for the given minutes of the day; volume after hours is a few hundredths of the session's."""
    bars = walk(f"{seed} {day}", [day] * len(at), price, step=0.0008, digits=digits)
    return [
        (m, Bar(day, b.open, b.high, b.low, b.close, b.volume // (100 if _OPEN <= m < _CLOSE else 4000)))
        for m, b in zip(at, bars, strict=True)
    ]


def _some(seed: str, minutes: Sequence[int], count: int) -> list[int]:
    """Return `count` of the minutes, the first and the last among them."""
    inner = random.Random(seed).sample(minutes[1:-1], count - 2)
    return sorted([minutes[0], *inner, minutes[-1]])


# ---------------------------------------------------------------------------------------------------------------- LEAN


def _zip(minutes: Sequence[Minute]) -> bytes:
    """Return the rows of a file: milliseconds since midnight in New York, prices in ten-thousandths."""
    rows = []
    for minute, bar in minutes:
        prices = [round(price * 10_000) for price in (bar.open, bar.high, bar.low, bar.close)]
        rows.append(",".join(str(n) for n in (minute * 60_000, *prices, bar.volume)))
    return "".join(f"{row}\n" for row in rows).encode()


def _lean_days() -> dict[tuple[str, str], list[Minute]]:
    regular, half = list(range(_OPEN, _CLOSE)), list(range(_OPEN, 13 * 60))
    outside = [*range(_FIRST + 15, _OPEN), *range(_CLOSE, _LAST)]
    days: dict[tuple[str, str], list[Minute]] = {}

    def add(symbol: str, day: str, at: Sequence[int], price: float) -> float:
        days[symbol, day] = _minutes(symbol, date.fromisoformat(day), sorted(at), price)
        return days[symbol, day][-1][1].close

    price = 420.0
    for day, count in (("2014-06-05", 110), ("2014-06-06", 130)):
        price = add("aapl", day, [*regular, *_some(day, outside, count)], price)
    add("aapl", "2014-06-09", [*regular, *_some("2014-06-09", outside, 150)], price / 7)  # the split of 7:1

    price = add("goog", "2015-12-23", regular, 350.0)
    strays = [*_some("strays", list(range(13 * 60, 16 * 60)), 14), 16 * 60 + 11]
    price = add("goog", "2015-12-24", [*half, *strays], price)  # a half day
    add("goog", "2015-12-28", _some("goog", regular, 382), price)

    price = 120.0
    for n, count in zip((4, 7, 8, 9, 10, 11), (389, 390, 390, 390, 390, 389), strict=True):
        price = add("ibm", f"2013-10-{n:02d}", _some(f"ibm {n}", regular, count), price)

    price = 90.0
    for day in ("2013-10-09", "2013-10-10"):  # a fund on an index: it trades after hours, too
        after = range(_CLOSE, 19 * 60)
        price = add("spy", day, [*regular, *_some(f"spy {day}", after, 110)], price)
    price = 84.0
    for day in ("2008-03-07", "2008-03-10"):  # the clocks of New York change between them
        price = add("shy", day, _some(f"shy {day}", regular, 90), price)
    return days


def lean() -> dict[str, bytes]:
    """Return the content of the one member of each zip of `minute_us_lean`."""
    return {
        f"{symbol}/{day.replace('-', '')}_trade.zip": _zip(minutes) for (symbol, day), minutes in _lean_days().items()
    }


# ------------------------------------------------------------------------------------------------------- Alpha Vantage

_WEEK = sessions("2019-02-11", "2019-02-15")
_ALL = [390] * 5
_COUNTS = {
    "AAPL": (_ALL, 140.0),
    "AMT": ([360, 368, 350, 365, 362], 110.0),
    "JPM": (_ALL, 75.0),
    "MSFT": (_ALL, 65.0),
    "SLV": ([340, 331, 352, 366, 374], 9.0),
    "TZA": ([388, 389, 390, 390, 387], 7.0),
    "VIX": (_ALL, 12.0),  # an index: no volume
    "VOO": ([386, 389, 388, 390, 390], 150.0),
}
_HEAD = "datetime,open,high,low,close,volume"


def _row(stamp: object, bar: Bar) -> str:
    return f"{stamp},{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}"


def _lines(rows: Sequence[str]) -> bytes:
    """Return a file with the newest row first."""
    return "".join(f"{line}\n" for line in (_HEAD, *reversed(rows))).encode()


def _of_symbol(symbol: str, counts: Sequence[int], price: float) -> dict[str, bytes]:
    before = walk(f"{symbol} before", sessions("2018-12-03", "2019-02-08"), price)
    minutes, days, close = [], [_row(bar.day, bar) for bar in before], before[-1].close
    for day, count in zip(_WEEK, counts, strict=True):
        chosen = _some(f"{symbol} {day}", range(_OPEN, _CLOSE), count)
        bars = [bar for _, bar in _minutes(symbol, day, chosen, close)]
        if symbol == "VIX":
            bars = [Bar(day, b.open, b.high, b.low, b.close, 0) for b in bars]
        midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 -- the vendor's stamps have no zone
        ends = [midnight + timedelta(minutes=minute + 1) for minute in chosen]  # the vendor stamps a minute's end
        minutes += [_row(end, bar) for end, bar in zip(ends, bars, strict=True)]
        close = bars[-1].close
        high, low = max(b.high for b in bars), min(b.low for b in bars)
        auctions = sum(b.volume for b in bars) * 11 // 10  # a day's volume has the auctions, too
        days.append(_row(day, Bar(day, bars[0].open, high, low, close, auctions)))
    return {f"{symbol}_1min.csv.gz": _lines(minutes), f"{symbol}_daily.csv.gz": _lines(days)}


def alpha_vantage() -> dict[str, bytes]:
    """Return the files of `minute_us_alphavantage_2019-02`."""
    return {
        name: content
        for symbol, (counts, price) in _COUNTS.items()
        for name, content in _of_symbol(symbol, counts, price).items()
    }
