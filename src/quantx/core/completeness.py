"""Completeness of daily bars: the expected sessions of each member of a universe, and those with a bar.

Months are numbers as in 202410. The days of a month are the bits of one number (bit 15: the 15th), so that bars of
several vendors, or of a security's old and new symbol, count once, and a month is compared in one operation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from quantx.core.asset_classes import contract_month, ends_from
from quantx.core.calendars import Calendar, CalendarOf, calendar
from quantx.core.model import SETTLED_AFTER
from quantx.core.open_markets import expected_days
from quantx.core.symbols import venue_of

_LISTED = {
    "universe": pl.String,
    "market": pl.String,
    "symbol": pl.String,
    "member_from": pl.Date,
    "member_to": pl.Date,
}
_CONTRACTS: Mapping[str, Any] = {
    "span": pl.UInt32,
    "died": pl.Date,
    "ends_from": pl.Date,
    "stored": pl.List(pl.String),
}
_ALL_DAYS = 2**32 - 1
_ALL_TIME = date(1970, 1, 1), date(2199, 12, 31)  # no calendar is older


@dataclass(frozen=True)
class Completeness:
    """Expected and present sessions; rows of one `span` belong together.

    `spans`: span, universe (null: the symbol is in none), market, symbol, calendar, member (still one), newest (the
    newest bar; null: there is none), first and last (the days between which sessions are expected; first is null
    where there is no bar at all), settled (the last settled session of the calendar).
    `months`: span, month, expected and present (sessions).
    """

    spans: pl.DataFrame
    months: pl.DataFrame

    def by_month(self) -> pl.DataFrame:
        """Return universe, market, month, expected, present and share (present of expected)."""
        named = self.months.join(self.spans.select("span", "universe", "market"), on="span")
        return _shares(named, ["universe", "market", "month"])

    def by_symbol(self) -> pl.DataFrame:
        """Return universe, market, symbol, expected, present, share, and the first and last month with a gap."""
        gaps = pl.col("month").filter(pl.col("present") < pl.col("expected"))
        named = self.months.join(self.spans.select("span", "universe", "market", "symbol"), on="span")
        whole = named.group_by("universe", "market", "symbol").agg(
            gaps.min().alias("lacks_from"), gaps.max().alias("lacks_to")
        )
        keys = ["universe", "market", "symbol"]
        return _shares(named, keys).join(whole, on=keys, nulls_equal=True, maintain_order="left")


def month_of(day: pl.Expr) -> pl.Expr:
    """Return the month of dates, as in 202410."""
    return (day.dt.year() * 100 + day.dt.month()).cast(pl.Int32)


def held_days(bars: pl.LazyFrame) -> pl.LazyFrame:
    """Return source, symbol, month, days (bits), first and last (dates), bars and the sum of their days since 1970.

    Of daily bars three columns are read. The sum is `ordinals`.
    """
    day = pl.col("date")
    days = pl.select(day=pl.date_range(*_ALL_TIME)).select(
        month_of(pl.col("day")).alias("month"), bit=_bit(pl.col("day"))
    )
    # Looked up by the number of days since 1970, which costs half of computing it for each of millions of rows.
    number = day.to_physical()
    looked_up = bars.filter(day.is_between(*_ALL_TIME)).with_columns(
        month=pl.lit(days["month"]).gather(number), bit=pl.lit(days["bit"]).gather(number)
    )
    return looked_up.group_by("source", "symbol", "month").agg(
        pl.col("bit").bitwise_or().alias("days"),
        day.min().alias("first"),
        day.max().alias("last"),
        pl.len().cast(pl.Int64).alias("bars"),
        number.cast(pl.Int64).sum().alias("ordinals"),
    )


def days_of(held: pl.DataFrame) -> pl.DataFrame:
    """Return symbol and date of each day of `held` (rows of `held_days`)."""
    start = pl.date(pl.col("month") // 100, pl.col("month") % 100, 1)
    each = held.select("symbol", "month", "days", start=start).with_columns(place=pl.int_ranges(0, 31)).explode("place")
    dated = each.with_columns(date=pl.col("start") + pl.duration(days="place"))
    of_month = month_of(pl.col("date")) == pl.col("month")  # not those that a short month does not have
    return dated.filter(of_month & ((pl.col("days") & _bit(pl.col("date"))) > 0)).select("symbol", "date")


def completeness(
    held: pl.DataFrame,
    members: pl.DataFrame,
    history: pl.DataFrame,
    now: datetime,
    calendars: CalendarOf = calendar,
) -> Completeness:
    """Compare the stored days (`held`, from `held_days`) with the sessions of the calendars.

    `members` are rows of universe_members, `history` those of symbol_history. The expected sessions of
    a member begin with its first bar or its joining, whichever is later, and end with the last settled session, its
    leaving or the security's end, whichever is earlier. Those of a symbol in no universe begin with its first bar.
    """
    listed = members.select(list(_LISTED)).with_row_index("span")
    lives = _lives(listed, history)
    stored = pl.concat([listed.select("span", "symbol"), lives.select("span", symbol="stored").explode("symbol")])
    alone = _alone(held, stored, listed.height)
    lives = _with_contracts(pl.concat([lives, _lives(alone, history)]), pl.concat([listed, alone]))
    stored = pl.concat([stored.unique(), alone.select("span", "symbol")])
    everything = pl.concat([listed, alone])
    opened = {venue_of(symbol).calendar for symbol in everything["symbol"].unique()}
    sessions = {code: calendars(code) for code in sorted(opened)}
    ends = {code: each.last_closed(now, SETTLED_AFTER) for code, each in sessions.items()}
    spans = _spans(everything, lives, stored, held, ends)
    return Completeness(spans, _months(spans, stored, held, _open_days(sessions.values())))


def without_bars(sessions: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `sessions` (symbol, date, …) without a bar of any vendor (`held`, from `held_days`)."""
    of_any = held.group_by("symbol", "month").agg(pl.col("days").bitwise_or())
    with_days = sessions.with_columns(month_of(pl.col("date")).alias("month")).join(
        of_any, on=["symbol", "month"], how="left", maintain_order="left"
    )
    has_bar = (pl.col("days").fill_null(0) & _bit(pl.col("date"))) > 0
    return with_days.filter(~has_bar).select(sessions.columns)


def _alone(held: pl.DataFrame, stored: pl.DataFrame, offset: int) -> pl.DataFrame:
    """Return the symbols with bars that are in no universe, as rows without a universe."""
    symbols = held.select("symbol").unique().join(stored, on="symbol", how="anti")["symbol"].sort()
    rows = [(None, venue_of(symbol).market, symbol, None, None) for symbol in symbols]
    return pl.DataFrame(rows, schema=_LISTED, orient="row").with_row_index("span", offset)


def _lives(listed: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """Return span, born, died (dates; null: not known) and stored (all its symbols) of securities with a history.

    Of several securities with the symbol during the membership, it is the last one.
    """
    begins, ends = pl.col("symbol_from").fill_null(date.min), pl.col("symbol_to").fill_null(date.max)
    of_instrument = history.group_by("instrument").agg(
        begins.min().alias("born"), ends.max().alias("died"), pl.col("symbol").unique().alias("stored")
    )
    within = (begins <= pl.col("member_to").fill_null(date.max)) & (ends >= pl.col("member_from").fill_null(date.min))
    securities = listed.join(history, on="symbol").filter(within).sort(begins)
    return (
        securities.unique("span", keep="last")
        .join(of_instrument, on="instrument")
        .select("span", "born", "died", "stored")
    )


def _with_contracts(lives: pl.DataFrame, listed: pl.DataFrame) -> pl.DataFrame:
    """Add the lives of futures' contracts: each ends with its month of delivery at the latest, if no history names it.

    `ends_from` is the day from which its last bar may be its end; null for other securities.
    """
    contracts = [
        (span, contract_month(symbol), ends_from(symbol), [symbol])
        for span, symbol in listed.select("span", "symbol").iter_rows()
        if contract_month(symbol) is not None
    ]
    found = pl.DataFrame(contracts, schema=_CONTRACTS, orient="row").join(lives, on="span", how="anti")
    return pl.concat([lives, found], how="diagonal")


def _spans(
    listed: pl.DataFrame,
    lives: pl.DataFrame,
    stored: pl.DataFrame,
    held: pl.DataFrame,
    ends: Mapping[str, date | None],
) -> pl.DataFrame:
    """Return the spans; `ends` are the last settled sessions by calendar."""
    codes = [(symbol, venue_of(symbol).calendar) for symbol in listed["symbol"].unique()]
    venues = pl.DataFrame(
        [(symbol, code, ends[code]) for symbol, code in codes],
        schema={"symbol": pl.String, "calendar": pl.String, "settled": pl.Date},
        orient="row",
    )
    bars = held.group_by("symbol").agg(pl.col("first").min().alias("oldest"), pl.col("last").max().alias("newest"))
    has_ended = pl.col("newest") >= pl.col("ends_from")
    newest = stored.join(bars, on="symbol").group_by("span").agg(pl.col("oldest").min(), pl.col("newest").max())
    return (
        listed.join(venues, on="symbol")
        .join(newest, on="span", how="left")
        .join(lives.drop("stored"), on="span", how="left")
        .select(
            "span",
            "universe",
            "market",
            "symbol",
            "calendar",
            (pl.col("member_to").is_null() | (pl.col("member_to") >= pl.col("settled"))).alias("member"),
            "newest",
            pl.when(pl.col("oldest").is_not_null())
            .then(pl.max_horizontal("oldest", "member_from", "born"))
            .alias("first"),
            pl.min_horizontal("settled", "member_to", "died", pl.when(has_ended).then("newest")).alias("last"),
            "settled",
        )
        .sort("span")
    )


def _months(spans: pl.DataFrame, stored: pl.DataFrame, held: pl.DataFrame, open_days: pl.DataFrame) -> pl.DataFrame:
    """Return span, month, expected and present."""
    first, last = pl.col("first"), pl.col("last")
    counted = pl.int_ranges(_month_number(first), _month_number(last) + 1)
    begins = pl.when(month_of(first) == pl.col("month")).then(2**32 - _bit(first)).otherwise(_ALL_DAYS)
    ends = pl.when(month_of(last) == pl.col("month")).then(2 * _bit(last) - 1).otherwise(_ALL_DAYS)
    expected = (
        spans.lazy()
        .filter(first <= last)
        .select("span", "calendar", "first", "last", counted.alias("number"))
        .explode("number")
        .with_columns((pl.col("number") // 12 * 100 + pl.col("number") % 12 + 1).cast(pl.Int32).alias("month"))
        .join(open_days.lazy(), on=["calendar", "month"])
        .select("span", "month", (pl.col("open") & begins.cast(pl.UInt64) & ends.cast(pl.UInt64)).alias("expected"))
    )
    present = stored.lazy().join(held.lazy(), on="symbol").group_by("span", "month").agg(pl.col("days").bitwise_or())
    count = (pl.col("expected") & pl.col("days").fill_null(0)).bitwise_count_ones()
    return (
        expected.join(present, on=["span", "month"], how="left")
        .select("span", "month", pl.col("expected").bitwise_count_ones(), count.alias("present"))
        .filter(pl.col("expected") > 0)
        .cast({"expected": pl.Int64, "present": pl.Int64})
        .collect()
    )


def _open_days(calendars: Iterable[Calendar]) -> pl.DataFrame:
    """Return calendar, month and open (the bits of the sessions on which a bar is expected)."""
    schema = {"calendar": pl.String, "date": pl.Date}
    days = [pl.DataFrame(schema=schema)]
    for each in calendars:
        expected = expected_days(each.code, each.days)
        days.append(pl.DataFrame({"calendar": each.code, "date": expected}, schema=schema))
    day = pl.col("date")
    return pl.concat(days).group_by("calendar", month_of(day).alias("month")).agg(_bit(day).bitwise_or().alias("open"))


def _bit(day: pl.Expr) -> pl.Expr:
    return pl.lit(2, dtype=pl.UInt64).pow(day.dt.day().cast(pl.UInt64))


def _month_number(day: pl.Expr) -> pl.Expr:
    """Return the months since the year 0: they have no gap at the year's end."""
    return day.dt.year().cast(pl.Int64) * 12 + day.dt.month() - 1


def _shares(months: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    summed = months.group_by(keys).agg(pl.col("expected", "present").sum())
    return summed.with_columns((pl.col("present") / pl.col("expected")).alias("share")).sort(keys, nulls_last=True)
