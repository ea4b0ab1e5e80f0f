"""Daily files with the defects of vendors and of jobs: small caps, an append job, Hong Kong and Tokyo."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta

from .daily_us import YAHOO_HEAD, yahoo_csv
from .series import Bar, sessions, single, walk, without_trades

_D = date.fromisoformat


def _row(bar: Bar, adjusted: float | None = None) -> str:
    prices = (bar.open, bar.high, bar.low, bar.close, bar.close if adjusted is None else adjusted)
    return f"{bar.day}," + ",".join(f"{price:.6f}" for price in prices) + f",{bar.volume}"


# ----------------------------------------------------------------------------------------------------------- small caps


def small_caps() -> dict[str, bytes]:
    """Return the files of `daily_us_yahoo_csv/anomalous_small_caps`, one kind of defect each."""
    days = sessions("2016-01-04", "2016-12-30")
    empty = [f"{bar.day},,,,,," if 100 <= n < 120 else _row(bar) for n, bar in enumerate(walk("QZEM", days, 25.0))]

    stale, bars = [], walk("QZST", days, 4.0)
    for n, bar in enumerate(bars):
        stale.append(_row(without_trades(bar, bars[59].close) if 60 <= n < 140 else bar))
    zero = [_row(replace(bar, open=0.0) if n < 30 else bar) for n, bar in enumerate(walk("QZZO", days, 12.0))]
    outside = [
        _row(replace(bar, open=round(bar.high * 1.03, 2)) if 50 <= n < 57 else bar)
        for n, bar in enumerate(walk("QZOU", days, 18.0))
    ]
    # A dividend of 3 on a share of 2: the adjusted closes before it are below zero.
    negative = [_row(bar, bar.close * -0.5 if n < 90 else bar.close) for n, bar in enumerate(walk("QZNG", days, 2.0))]
    files = {"QZEM": empty, "QZST": stale, "QZZO": zero, "QZOU": outside, "QZNG": negative}
    return {f"{symbol}.csv.xz": yahoo_csv(rows) for symbol, rows in files.items()}


# ----------------------------------------------------------------------------------------------------- an append job

_REFUSED = json.dumps({"finance": {"error": {"code": "Unauthorized", "description": "Invalid cookie"}}}, indent=4)
_OUTAGE = "<!DOCTYPE html>\n<html><head><title>Yahoo</title></head>\n<body>Will be right back...</body>\n</html>"
_TWICE = 9  # each session so many comes twice: while it ran, and after it


def _appended(bars: list[Bar], divided_until: date | None = None, ratio: float = 1.0) -> list[str]:
    """Return the rows of a job that appends each day's reply; what it wrote before a split stays undivided."""
    rows = []
    for n, bar in enumerate(bars):
        shown = bar.times(ratio, 6) if divided_until and bar.day < divided_until else bar
        if n % _TWICE == 4:
            close = round(shown.close * 0.999, 6)
            rows.append(_row(replace(shown, close=close, low=min(shown.low, close), volume=bar.volume // 2)))
        rows.append(_row(shown))
    return rows


def append_job() -> dict[str, bytes]:
    """Return the files of `daily_us_yahoo_append_job_dirty`."""
    days = sessions("2022-01-03", "2022-12-30")
    null = ["2022-01-27,null,null,null,null,null,null"]
    split = _appended(walk("QZSP", days, 30.0), _D("2022-08-25"), 3.0)
    pages = _appended(walk("QZPG", days, 15.0))
    tick = walk("QZTK", days, 80.0)
    other = next(n for n, bar in enumerate(tick) if bar.day == _D("2022-07-18"))
    tick[other] = tick[other].times(0.11, 2)
    without_null = [[r for r in rows if not r.startswith("2022-01-27")] for rows in (split, pages, _appended(tick))]
    split, pages, ticks = ([*rows[:18], *null, *rows[18:]] for rows in without_null)
    head = [YAHOO_HEAD]
    files = {
        "QZSP": [_REFUSED] * 12 + split,  # it begins with refusals, and has no header
        "QZPG": [*head, *pages[:120], _OUTAGE, *pages[120:150], _REFUSED, *pages[150:]],
        "QZTK": [*head, *ticks],
    }
    texts = {symbol: "".join(f"{line}\n" for line in lines) for symbol, lines in files.items()}
    texts["QZ.B"] = "404 Not Found: No data found, symbol may be delisted"  # the whole file
    return {f"{symbol}.csv.xz": text.encode() for symbol, text in texts.items()}


# ------------------------------------------------------------------------------------------------ Hong Kong and Tokyo

_NAN = "{},,,,,"
_HALF_DAYS = ("2023-12-22", "2023-12-29")
_WITHOUT_ROWS = {_D("2023-09-01"), _D("2023-09-08"), _D("2023-10-16")}  # a typhoon, black rain, and a gap
_CODES = ("9701.HK", "9702.HK", "9703.HK", "9704.HK", "9705.HK")


def _hong_kong(code: str) -> bytes:
    """Return a file with three lines of headers; a session is missing in every file, and rows stand for closed days."""
    days = [day for day in sessions("2023-07-03", "2023-12-29", "XHKG") if day not in _WITHOUT_ROWS]
    bars = {bar.day: bar for bar in walk(code, days, 40.0)}
    before = bars[_D("2023-07-14")]
    bars[_D("2023-07-17")] = without_trades(replace(before, day=_D("2023-07-17")), before.close)  # a typhoon
    for day in map(_D, _HALF_DAYS):
        bars[day] = replace(bars[day], volume=0)
    if code == _CODES[0]:
        bar = bars[_D("2023-08-15")]
        bars[bar.day] = replace(bar, close=round(bar.high * 1.01, 2))
    if code == _CODES[1]:  # suspended
        for day in [day for day in days if _D("2023-09-04") <= day <= _D("2023-10-13")]:
            bars[day] = without_trades(bars[day], bars[_D("2023-08-31")].close)
    rows = []
    for day in sorted(bars):
        bar = bars[day]
        prices = ",".join(repr(single(p)) for p in (bar.close, bar.high, bar.low, bar.open))
        rows.append(f"{day},{prices},{bar.volume}")
        if day == _D("2023-08-11"):
            rows.append(_NAN.format(day + timedelta(days=1)))  # a Saturday
    head = ["Price,Close,High,Low,Open,Volume", "Ticker," + ",".join([code] * 5), "Date,,,,,"]
    return "".join(f"{line}\n" for line in (*head, *rows)).encode()


def hong_kong() -> dict[str, bytes]:
    """Return the files of `daily_hk_yfinance_download_csv`."""
    return {f"{code}.csv.xz": _hong_kong(code) for code in _CODES}


def tokyo() -> dict[str, bytes]:
    """Return the files of `daily_jp_yfinance`; five dates come twice, stamped at the opening and at the close."""
    rows = []
    for n, bar in enumerate(walk("970A.T", sessions("2025-01-06", "2025-05-26", "XTKS"), 1800.0, digits=1)):
        numbers = f"{bar.open},{bar.high},{bar.low},{bar.close},{bar.volume}"
        rows.append(f"{bar.day} 09:00:00+09:00,{numbers}")
        if 70 <= n < 75:
            running = replace(bar, close=bar.open, volume=bar.volume // 2)
            rows[-1] = f"{bar.day} 09:00:00+09:00,{bar.open},{bar.high},{bar.low},{running.close},{running.volume}"
            rows.append(f"{bar.day} 15:30:00+09:00,{numbers}")
    return {"970A.T_daily.csv.gz": "".join(f"{r}\n" for r in ("timestamp,open,high,low,close,volume", *rows)).encode()}
