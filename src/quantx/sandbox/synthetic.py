"""A small invented market for demonstrations: three exchanges, ten years, and the defects of real files.

It is a function of the seed and of its last session. All names begin with "Synthetic", and no symbol is or can be a
real one: American tickers begin with QX, Hong Kong has no codes from 99900 on, and Tokyo never uses the letter Q. The
series of other asset classes have their real symbols: see `synthetic_classes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial

import numpy as np

from quantx.core.calendars import calendar
from quantx.core.model import SETTLED_AFTER
from quantx.core.symbols import venue_of
from quantx.errors import ConfigError
from quantx.sandbox.columns import Floats
from quantx.sandbox.filers import Filers
from quantx.sandbox.hours import day_number
from quantx.sandbox.market import Correction, Dividend, Market, PriceHistory, Split, history
from quantx.sandbox.synthetic_classes import synthetic_series
from quantx.sandbox.synthetic_filings import synthetic_filers
from quantx.sandbox.synthetic_plan import COMPANIES, MISTAKES, RENAMED, SPOILED, SyntheticCompany

_YEARS = 10
_SPREAD = {"us": 40_000.0, "hk": 400_000.0, "jp": 150_000.0}  # a usual day's volume


@dataclass(frozen=True)
class Dirt:
    """A row with a defect of real vendors' files, which must never reach a user."""

    symbol: str
    date: date
    kind: str  # null_row, saturday_row, zero_price, high_below_low, duplicate_date or negative_volume


@dataclass(frozen=True, kw_only=True)
class Script:
    """The events of New York's last three sessions, for a demonstration."""

    before: date  # the session before the first event
    split_session: date
    split_symbol: str
    split: Split
    correction_session: date
    correction: Correction
    outage_session: date  # no event; the demonstration switches a fault on


@dataclass(frozen=True, eq=False)
class SyntheticMarket(Market):
    """An invented market with the list of its defects."""

    _: KW_ONLY
    seed: int = 7
    dirt: tuple[Dirt, ...] = ()
    corrections: tuple[Correction, ...] = ()
    renamed: tuple[str, str, date] = ("", "", date.min)  # old symbol, new symbol, first session of the new one
    sessions: tuple[date, ...] = ()  # New York's


def synthetic_market(seed: int, now: datetime) -> SyntheticMarket:
    """Return ten years of about thirty invented symbols up to the last session that has closed at `now`."""
    sessions = {code: _sessions(code, now) for code in ("XNYS", "XHKG", "XTKS")}
    histories = {}
    for number, company in enumerate(COMPANIES):
        days = sessions[venue_of(company.symbol).calendar]
        histories[company.symbol] = _invent(company, days, np.random.default_rng([seed, number]))
    corrections = []
    for symbol, back, name, visible in MISTAKES:
        past = histories[symbol]
        days = sessions[past.venue.calendar]
        correction = _mistake(past, days[-back], name, days[-visible])
        corrections.append(correction)
        histories[symbol] = replace(past, corrections=(*past.corrections, correction))
    dirt = []
    for symbol, back, kind in SPOILED:
        day = sessions[histories[symbol].venue.calendar][-back]
        histories[symbol], spoiled = _spoil(histories[symbol], day, kind)
        dirt.append(Dirt(symbol, spoiled, kind))
    old, new, back = RENAMED
    renamed = sessions["XNYS"][-back]
    histories[old], histories[new] = _rename(histories[new], old, renamed)
    return SyntheticMarket(
        "synthetic",
        histories,
        series=synthetic_series(seed, now),
        filers=Filers(partial(synthetic_filers, seed, histories, sessions["XNYS"][-1])),
        seed=seed,
        dirt=tuple(dirt),
        corrections=tuple(corrections),
        renamed=(old, new, renamed),
        sessions=sessions["XNYS"],
    )


def script(market: Market) -> Script:
    """Return the events of the last three sessions of New York; ConfigError for a market that is not synthetic."""
    if not isinstance(market, SyntheticMarket):
        raise ConfigError("only the synthetic market has a script; load the sandbox without a folder")
    before, first, second, third = market.sessions[-4:]
    [(symbol, split)] = market.splits_between(first, third)
    correction = next(c for c in market.corrections if c.visible_on == second)
    return Script(
        before=before,
        split_session=first,
        split_symbol=symbol,
        split=split,
        correction_session=second,
        correction=correction,
        outage_session=third,
    )


def dirt(market: Market) -> tuple[Dirt, ...]:
    """Return the rows that must be quarantined; none for a market that is not synthetic."""
    return market.dirt if isinstance(market, SyntheticMarket) else ()


def _sessions(code: str, now: datetime) -> tuple[date, ...]:
    trading = calendar(code)
    last = trading.last_closed(now, SETTLED_AFTER)  # what has just closed is not curated yet
    if last is None or last.year - _YEARS < trading.days[0].year:
        raise ConfigError(
            f"the synthetic market needs {_YEARS} years of sessions before {now.date()}; choose a later day"
        )
    return trading.sessions(last - timedelta(days=round(365.25 * _YEARS)), last)


def _invent(company: SyntheticCompany, sessions: Sequence[date], random: np.random.Generator) -> PriceHistory:
    """A random walk in the shares of the first session, then divided as the splits come."""
    days = sessions[-company.listed :] if company.listed else sessions
    days = days[: len(days) - company.delisted + 1] if company.delisted else days
    count, market = len(days), venue_of(company.symbol).market
    splits = tuple(Split(sessions[-back], new, old) for back, new, old in company.splits)
    shares = np.ones(count)
    for split in splits:
        shares[days.index(split.date) :] *= split.ratio
    moves = random.normal(0.0002, company.volatility, count)
    close = company.price * np.exp(np.cumsum(moves) - moves[0]) / shares
    # Each open lies a little off the close before it, in the shares of its own day.
    earlier = np.concatenate([[close[0]], close[:-1]]) * np.concatenate([[1.0], shares[:-1]]) / shares
    opened = earlier * np.exp(random.normal(0, company.volatility / 3, count))
    reach = np.abs(random.normal(0, company.volatility / 2, (2, count)))
    high = np.maximum(opened, close) * (1 + reach[0])
    low = np.minimum(opened, close) * (1 - np.minimum(reach[1], 0.5))
    volume = _SPREAD[market] * shares * random.lognormal(0, 0.4, count)
    columns = {
        name: _on_ticks(values, market)
        for name, values in (("open", opened), ("high", high), ("low", low), ("close", close))
    }
    columns["volume"] = np.floor(volume / 100) * 100
    return history(
        company.symbol,
        np.array([day_number(day) for day in days], dtype=np.int64),
        columns,
        name=f"Synthetic {company.name}",
        splits=splits,
        dividends=_dividends(company, days, columns["close"]),
        synthetic=True,
    )


def _dividends(company: SyntheticCompany, days: Sequence[date], close: Floats) -> tuple[Dividend, ...]:
    if not company.dividend:
        return ()
    places = 2 if venue_of(company.symbol).market != "jp" else 0
    # Quarters of 63 sessions; the last ex-date lies before the sessions of the script.
    rows = range(len(days) - 20 - len(company.name), 62, -63)
    paid = ((days[row], round(float(close[row - 1]) * company.dividend / 4, places)) for row in rows)
    return tuple(Dividend(day, amount) for day, amount in paid if amount > 0)


def _on_ticks(prices: Floats, market: str) -> Floats:
    """Return the prices rounded to the exchange's steps (shortened tables of HKEX and JPX), at least one step."""
    bounds, steps = {
        "us": ([0.0], [0.01]),
        "hk": ([0.0, 10.0, 20.0, 100.0, 200.0], [0.01, 0.02, 0.05, 0.1, 0.2]),
        "jp": ([0.0, 3_000.0, 5_000.0, 30_000.0], [1.0, 5.0, 10.0, 50.0]),
    }[market]
    step = np.array(steps)[np.searchsorted(bounds, prices, side="right") - 1]
    return np.asarray(np.round(np.maximum(np.round(prices / step), 1) * step, 2))


def _mistake(past: PriceHistory, day: date, name: str, visible_on: date) -> Correction:
    """Return a wrong value that no rule finds: a close within the day's range, a volume counted too early."""
    row = int(np.searchsorted(past.days, day_number(day)))
    right = float(past.columns[name][row])
    if name == "volume":
        wrong = float(np.floor(right * 0.6))
    else:
        wrong = max((float(past.columns[edge][row]) for edge in ("high", "low")), key=lambda price: abs(price - right))
    return Correction(symbol=past.symbol, date=day, field=name, wrong=wrong, right=right, visible_on=visible_on)


def _spoil(past: PriceHistory, day: date, kind: str) -> tuple[PriceHistory, date]:
    """Return the history with one row made wrong or added, and that row's date."""
    row = int(np.searchsorted(past.days, day_number(day)))
    columns = {name: column.copy() for name, column in past.columns.items()}
    if kind == "null_row":
        for column in columns.values():
            column[row] = np.nan
    elif kind == "zero_price":
        columns["open"][row] = 0.0
    elif kind == "high_below_low":
        columns["high"][row] = columns["low"][row] * 0.98
    elif kind == "negative_volume":
        columns["volume"][row] *= -1
    else:
        return _added(past, day, kind, row)
    return replace(past, columns=columns), day


def _added(past: PriceHistory, day: date, kind: str, row: int) -> tuple[PriceHistory, date]:
    """Return a history with a Saturday that repeats the day before, or with a day twice: first partial, then final."""
    columns = {name: np.insert(column, row, column[row]) for name, column in past.columns.items()}
    if kind == "duplicate_date":
        columns["close"][row] = columns["open"][row]
        columns["volume"][row] = np.floor(columns["volume"][row] * 0.4)
        days = np.insert(past.days, row, past.days[row])
    else:
        day += timedelta(days=(5 - day.weekday()) % 7)
        row = int(np.searchsorted(past.days, day_number(day)))
        columns = {name: np.insert(column, row, column[row - 1]) for name, column in past.columns.items()}
        days = np.insert(past.days, row, day_number(day))
    facts = {"name": past.name, "splits": past.splits, "dividends": past.dividends, "synthetic": True}
    return history(past.symbol, days, columns, corrections=past.corrections, **facts), day


def _rename(past: PriceHistory, old: str, day: date) -> tuple[PriceHistory, PriceHistory]:
    """Return the histories under the old and the new symbol; the new one brings the whole past with it, as at Yahoo."""
    kept = past.days < day_number(day)
    ended = history(
        old,
        past.days[kept],
        {name: column[kept] for name, column in past.columns.items()},
        name=f"{past.name} (formerly)",
        splits=tuple(split for split in past.splits if split.date < day),
        dividends=tuple(dividend for dividend in past.dividends if dividend.date < day),
        until=day,
        synthetic=True,
    )
    return ended, replace(past, since=day)
