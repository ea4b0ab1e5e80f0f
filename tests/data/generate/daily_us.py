"""Daily files of the United States: the same invented shares in the forms of Quandl, Yahoo and Stooq, with defects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date

from .series import Bar, sessions, without_trades
from .shares import Share, invented

FIRST, LAST_OF_QUANDL, LAST = "2016-07-01", "2017-12-29", "2018-05-31"
_QUARTERS = ("2016-08-04", "2016-11-03", "2017-02-09", "2017-05-11", "2017-08-10", "2017-11-10")
_EVERYBODY_LACKS = date(2017, 11, 8)
_D = date.fromisoformat


def shares() -> dict[str, Share]:
    """Return the shares by symbol."""
    days = sessions(FIRST, LAST)
    paid = dict.fromkeys(_QUARTERS, 0.4)
    twice = {**paid, "2017-05-12": 0.4}
    made = (
        invented("QZAA", days, 600.0, splits={"2016-09-12": 2, "2017-03-06": 7, "2018-04-30": 4}, dividends=paid),
        invented("QZBB", days, 50.0, dividends=paid, moves={"2017-03-09": 0.45}),  # a real crash
        invented("QZCC", days, 60.0, splits={"2017-06-12": 4 / 3}, dividends=paid),
        invented("QZDD", days, 80.0, dividends=paid, moves={"2017-07-03": 0.6}),  # a spin-off of 40 %
        invented("QZEE", days, 8.0, splits={"2017-01-17": 0.05}),
        invented("QZFF", days, 40.0, dividends=twice),
    )
    return {share.symbol: share for share in made}


# ------------------------------------------------------------------------------------------------------- Quandl WIKI

_QUANDL_HEAD = "Date,Open,High,Low,Close,Volume,ExDividend,SplitRatio,AdjOpen,AdjHigh,AdjLow,AdjClose,AdjVolume"
_LACKS = {"QZCC": {_D("2017-08-07")}}
# Rows that contradict themselves: symbol, day → the field and its factor.
_WRONG = {("QZCC", _D("2016-11-30")): ("low", 1.02), ("QZBB", _D("2016-11-16")): ("high", 0.97)}
_WRONG_CLOSE = {("QZAA", _D("2017-02-02")): 1.04}
_NO_TRADE = {("QZEE", _D("2016-08-23")), ("QZEE", _D("2016-10-20"))}
# What Quandl's adjusted close does on a day, in place of the right step.
_STEPS = {"QZBB": {_D("2017-08-10"): 1.0}}
_TAKEN_BACK = {"QZFF": _D("2016-11-04")}  # the dividend of the day before


def _quandl_bars(share: Share) -> list[Bar]:
    bars = []
    for bar in share.bars:
        key = (share.symbol, bar.day)
        if bar.day > _D(LAST_OF_QUANDL) or bar.day == _EVERYBODY_LACKS or bar.day in _LACKS.get(share.symbol, ()):
            continue
        if key in _WRONG:
            name, factor = _WRONG[key]
            bar = replace(bar, **{name: round(getattr(bar, name) * factor, 2)})
        if key in _WRONG_CLOSE:
            close = round(bar.close * _WRONG_CLOSE[key], 2)
            bar = replace(bar, close=close, high=max(bar.high, close))
        bars.append(without_trades(bar, bar.close) if key in _NO_TRADE else bar)
    return bars


def _quandl(share: Share) -> bytes:
    """Return a file: newest first, as traded, with events; a spin-off stands as a dividend of its value."""
    bars = _quandl_bars(share)
    last = _D(LAST_OF_QUANDL)
    splits = {day: ratio for day, ratio in share.splits.items() if day <= last}
    dividends = dict(share.dividends)
    if share.symbol == "QZDD":
        closes = {bar.day: bar.close for bar in bars}
        dividends[_D("2017-07-03")] = round(closes[_D("2017-06-30")] - closes[_D("2017-07-03")], 2)
    rows, price_factor, share_factor = [], 1.0, 1.0
    for before, bar in reversed(list(zip([bars[0], *bars], bars, strict=False))):
        ratio, paid = splits.get(bar.day, 1.0), dividends.get(bar.day, 0.0)
        adjusted = [round(p * price_factor, 4) for p in (bar.open, bar.high, bar.low)]
        numbers = (*adjusted, bar.close * price_factor, bar.volume * share_factor)
        row = (bar.open, bar.high, bar.low, bar.close, float(bar.volume), paid, float(ratio), *numbers)
        rows.append(f"{bar.day}," + ",".join(str(value) for value in row))
        right = 1 / (ratio * (1 + paid / bar.close))
        if bar.day == _TAKEN_BACK.get(share.symbol):
            right = 1 + dividends[before.day] / before.close
        price_factor *= _STEPS.get(share.symbol, {}).get(bar.day, right)
        share_factor *= ratio
    return "".join(f"{line}\n" for line in (_QUANDL_HEAD, *rows)).encode()


def quandl() -> dict[str, bytes]:
    """Return the files of `daily_us_unadjusted_with_events_quandl_wiki`."""
    return {f"{symbol}.csv.xz": _quandl(share) for symbol, share in shares().items()}


# ------------------------------------------------------------------------------------------------------------- Yahoo

YAHOO_HEAD = "Date,Open,High,Low,Close,Adj Close,Volume"


def yahoo_rows(share: Share, divided: Mapping[date, float] | None = None) -> list[str]:
    """Return rows divided by splits, with an adjusted close; `divided` are further steps of the prices."""
    steps, rows = share.paid_steps(), []
    for bar in share.bars:
        ratio = share.split_after(bar.day) / share.factor(divided or {}, bar.day)
        prices = [price / ratio for price in (bar.open, bar.high, bar.low, bar.close)]
        adjusted = prices[-1] * share.factor(steps, bar.day)
        rows.append(f"{bar.day}," + ",".join(f"{p:.6f}" for p in (*prices, adjusted)) + f",{round(bar.volume * ratio)}")
    return rows


def yahoo_csv(rows: list[str]) -> bytes:
    """Return a file, oldest first."""
    return "".join(f"{line}\n" for line in (YAHOO_HEAD, *rows)).encode()


def yahoo() -> dict[str, bytes]:
    """Return the clean files of `daily_us_yahoo_csv/sp500`; the spin-off is a step of the prices there."""
    spun_off = {"QZDD": {_D("2017-07-03"): 0.6}}
    return {
        f"{symbol}.csv.xz": yahoo_csv(yahoo_rows(share, spun_off.get(symbol))) for symbol, share in shares().items()
    }


# ------------------------------------------------------------------------------------------------------------- Stooq


def stooq() -> dict[str, bytes]:
    """Return files of `daily_us_stooq_bulk_txt`: adjusted for all, CRLF, and volumes with fractions."""
    head = "<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>"
    files = {}
    for symbol in ("QZAA", "QZCC"):
        share = shares()[symbol]
        steps, rows = share.paid_steps(), []
        for bar in share.bars:
            ratio = share.split_after(bar.day)
            paid = share.factor(steps, bar.day)
            prices = ",".join(f"{p / ratio * paid:.6g}" for p in (bar.open, bar.high, bar.low, bar.close))
            volume = round(bar.volume * ratio / paid, 6)
            rows.append(f"{symbol}.US,D,{bar.day:%Y%m%d},000000,{prices},{volume},0")
        files[f"{symbol.lower()}.us.txt.xz"] = "".join(f"{line}\r\n" for line in (head, *rows)).encode()
    return files


def lean_factors() -> dict[str, bytes]:
    """Return QZAA's factors as QuantConnect's engine writes them: each holds up to its day, newest last."""
    share = shares()["QZAA"]
    bars = [bar for bar in share.bars if bar.day <= _D(LAST_OF_QUANDL)]
    rows, price, split = ["20501231,1,1,0"], 1.0, 1.0
    for before, bar in zip(bars[-2::-1], bars[:0:-1], strict=True):
        ratio, paid = share.splits.get(bar.day, 1.0), share.dividends.get(bar.day, 0.0)
        if ratio == 1 and not paid:
            continue
        close = _WRONG_CLOSE.get(("QZAA", before.day), 1.0) * before.close
        price, split = price * (1 - paid / (close / ratio)), split / ratio
        rows.append(f"{before.day:%Y%m%d},{price:.7f},{split:.9f},{before.close}")
    return {"qzaa.csv": "".join(f"{row}\n" for row in reversed(rows)).encode()}
