"""An invented market: daily files of 24 companies over three years, with splits, dividends and impossible days."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

from quantx.core.calendars import calendar

FIRST, LAST = date(2014, 1, 2), date(2016, 12, 30)
SYMBOLS = [f"FL{a}{b}" for a in "ABCD" for b in "ABCDEF"]
_HEADER = "Date,Open,High,Low,Close,Volume,ExDividend,SplitRatio,AdjOpen,AdjHigh,AdjLow,AdjClose,AdjVolume"
_SPLITS = {"FLAB": (date(2015, 3, 2), 2.0), "FLBC": (date(2016, 5, 2), 0.1), "FLCD": (date(2014, 9, 2), 7.0)}
_IMPOSSIBLE = {"FLAA": date(2014, 5, 6), "FLBB": date(2015, 8, 4), "FLDD": date(2016, 11, 8)}  # the high is the lowest


def write_market(folder: Path, symbols: list[str] | None = None) -> Path:
    """Write a file per symbol, as the sandbox reads them."""
    sessions = calendar("XNYS").sessions(FIRST, LAST)
    for seed, symbol in enumerate(symbols or SYMBOLS):
        chance, worth = random.Random(seed), 40.0 + 5 * seed
        split_on, ratio = _SPLITS.get(symbol, (None, 1.0))
        rows, shares = [_HEADER], 1.0
        for n, day in enumerate(sessions):
            shares *= ratio if day == split_on else 1.0
            worth *= 1 + chance.gauss(0.0003, 0.012)
            opened, close = worth * (1 + chance.gauss(0, 0.003)) / shares, worth / shares
            high, low = 1.004 * max(opened, close), 0.996 * min(opened, close)
            if day == _IMPOSSIBLE.get(symbol):
                high, low = low, high
            dividend = 0.2 / shares if n % 63 == 20 + seed else 0.0
            volume = float(chance.randrange(10_000, 9_000_000))
            prices = [round(x, 4) for x in (opened, high, low, close)]
            told = (*prices, volume, round(dividend, 4), ratio if day == split_on else 1.0, *prices, volume)
            rows.append(",".join([day.isoformat(), *map(repr, told)]))
        (folder / f"{symbol}.csv").write_text("\n".join(rows) + "\n")
    return folder
