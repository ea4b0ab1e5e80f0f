"""The script of the demonstration: the sessions with a split, a correction and an outage."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from quantx.core.calendars import calendar
from quantx.core.symbols import venue_of
from quantx.errors import ConfigError
from quantx.sandbox import Market
from quantx.sandbox.synthetic import SyntheticMarket, script


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A value that the vendor serves wrong at first and corrects later, as traded."""

    symbol: str
    date: date
    field: str
    wrong: float
    right: float
    scripted: bool  # the synthetic market does it; otherwise the demonstration commands the sandbox


@dataclass(frozen=True, kw_only=True)
class Story:
    """Four moments of the vendor's clock and their events."""

    first: date  # start of the history
    before: date  # last session of the backfill
    split_session: date
    split_symbol: str | None  # None: the files hold no split
    correction_session: date
    revision: Revision
    outage_session: date


def story_of(market: Market) -> Story:
    """Return the story of a market; ConfigError for one that has no daily files."""
    if isinstance(market, SyntheticMarket):
        events = script(market)
        c = events.correction
        return Story(
            first=min(market.sessions),
            before=events.before,
            split_session=events.split_session,
            split_symbol=events.split_symbol,
            correction_session=events.correction_session,
            revision=Revision(symbol=c.symbol, date=c.date, field=c.field, wrong=c.wrong, right=c.right, scripted=True),
            outage_session=events.outage_session,
        )
    if not market.histories:
        raise ConfigError(
            "the demonstration needs daily files; recorded replies have no moving clock. Try `quantx sandbox --data`"
        )
    return _story_of_files(market)


def _story_of_files(market: Market) -> Story:
    """Choose the last split with two more sessions after it, and a value that is wrong for one session."""
    bars = {s: market.as_traded(s).drop_nulls() for s in market.histories}
    last = max(frame["date"].max() for frame in bars.values() if frame.height)  # type: ignore[type-var]
    first = min(frame["date"].min() for frame in bars.values() if frame.height)  # type: ignore[type-var]
    assert isinstance(first, date)
    assert isinstance(last, date)
    splits = [(s, x.date) for s, x in market.splits_between(first, last) if _sessions_after(s, x.date, last) >= 3]
    symbol, day = max(splits, key=lambda pair: pair[1]) if splits else (None, None)
    code = venue_of(symbol or next(iter(bars))).calendar
    sessions = calendar(code).sessions(first, last)
    if len(sessions) < 10:
        raise ConfigError("the demonstration needs files of at least ten sessions")
    at = sessions.index(day) if day is not None else len(sessions) - 3
    before, one, two, three = sessions[at - 1 : at + 3]
    return Story(
        first=first,
        before=before,
        split_session=one,
        split_symbol=symbol,
        correction_session=two,
        revision=_mistake(bars, symbol, one),
        outage_session=three,
    )


def _sessions_after(symbol: str, day: date, last: date) -> int:
    exchange = calendar(venue_of(symbol).calendar)
    return len(exchange.sessions(day, last)) if exchange.is_session(day) else 0


def _mistake(bars: dict[str, pl.DataFrame], other_than: str | None, day: date) -> Revision:
    """Choose a symbol's close on that day, and serve the middle of the day's range first."""
    for symbol, frame in bars.items():
        row = frame.filter(pl.col("date") == day)
        if symbol != other_than and row.height:
            low, high, right = row["low"][0], row["high"][0], row["close"][0]
            wrong = round((low + high) / 2, 2)
            if low <= wrong <= high and abs(wrong - right) > right * 1e-4:
                return Revision(symbol=symbol, date=day, field="close", wrong=wrong, right=right, scripted=False)
    raise ConfigError(f"no second symbol has a bar on {day}; the demonstration needs two")
