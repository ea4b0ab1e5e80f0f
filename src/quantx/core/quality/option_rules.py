"""The rules of option quotes, trades, daily bars and open interest; a row that breaks one goes to quarantine.

`CONTRACT_RULES` use strike, expiration and right of a contract, and `date`, the session of its rows. The rules of the
rows use the value columns of their table, and:

- `in_session`: whether the row's time lies in the hours of its session (see `option_hours`);
- `lowest` and `highest`: the least price that an ask, and the greatest that a bid can have, by the underlying's prices
  of the session; null where the lake has no bar of it.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from quantx.core.quality.rule import Rule

MOST_YEARS = 12  # to an expiration; the longest listed options have less than six
_HIGHEST_STRIKE = 99_999.999  # eight digits of an OSI symbol, in thousandths
_SATURDAYS_END = date(2015, 2, 1)  # monthly options expired on a Saturday before (OCC, "Friday expiration")

_QUOTES, _DAILY_QUOTES, _TRADES, _BARS, _INTEREST = (
    f"options_{name}" for name in ("quotes_1m", "quotes_1d", "trades", "ohlcv_1d", "open_interest")
)
_ALL = ",".join((_QUOTES, _DAILY_QUOTES, _TRADES, _BARS, _INTEREST))
_SIDES = ("bid", "ask")
_DAY = ("open", "high", "low", "close")


def _below_zero(*columns: str) -> pl.Expr:
    return pl.any_horizontal((pl.col(c) < 0).fill_null(False) for c in columns)


def _not_a_number(*columns: str) -> pl.Expr:
    return pl.any_horizontal(~pl.col(c).is_finite().fill_null(True) for c in columns)


UNUSABLE_ROW = "option_row_usable"
REPEATED_ROW = "option_row_once"
HALF_CHAIN_MISSING = "option_chain_complete"

CONTRACT_RULES = (
    Rule(
        "option_strike_possible",
        "reject",
        _ALL,
        meaning="the strike of the contract is zero, negative, missing, or has more digits than a symbol can have",
        why="a price at a strike that no contract has belongs to another contract or to none",
        reference="OCC, Options Symbology Initiative: a strike has five digits and three decimals",
        broken=~pl.col("strike").is_between(0, _HIGHEST_STRIKE, closed="right").fill_null(False),
    ),
    Rule(
        "option_expiration_possible",
        "reject",
        _ALL,
        meaning="the contract has expired before the session, expires on a Sunday or (since February 2015) on a"
        f" Saturday, or more than {MOST_YEARS} years later",
        why="a contract that can't exist on the day is a symbol that was mapped to the wrong instrument",
        reference="a vendor's instrument ids live one day: 10,012 of 10,181 ids of SPY served several contracts in"
        " August 2023",
        broken=(pl.col("expiration") < pl.col("date"))
        | (pl.col("expiration") > pl.col("date").dt.offset_by(f"{MOST_YEARS}y"))
        | (pl.col("expiration").dt.weekday() == 7)
        | ((pl.col("expiration").dt.weekday() == 6) & (pl.col("expiration") >= _SATURDAYS_END)),
    ),
)

MEMBER_RULES = (
    Rule(
        UNUSABLE_ROW,
        "reject",
        _ALL,
        meaning="the archive maps the row's instrument to no contract, or to several, on its day, or the record"
        " contradicts itself or another one (its reason stands beside it)",
        why="a price without a contract can't be used, and a guess gives it to the wrong one",
        reference="the mappings in the header of each DBN file; open interest that exchanges report differently",
        broken=pl.lit(False),  # checked when the row is decoded
    ),
    Rule(
        REPEATED_ROW,
        "reject",
        _ALL,
        meaning="an earlier one of several different rows for the same contract and time (the last one is kept)",
        why="a minute that counts twice doubles what is summed, and two answers to one question can't both be right",
        reference="pages of an archive that overlap",
        broken=pl.lit(False),  # checked when the rows are sorted
    ),
    Rule(
        HALF_CHAIN_MISSING,
        "warn",
        _QUOTES,
        meaning="at a minute before the close fewer than half as many contracts of the underlying have a quote as at"
        " the usual (median) minute",
        why="a chain that lacks half of its strikes bends the smile, and nothing in it shows that they are missing",
        reference="an archive that was cut, or an outage of the vendor",
        broken=pl.col("contracts") * 2 < pl.col("usual"),
    ),
)

_IN_SESSION = (
    "the time is outside of the session: not from the opening to 15 minutes after the close of New York, or on a day"
    " without a session (roots of indices that trade around the clock: all of the session's UTC day)"
)
_HOURS_REFERENCE = "Cboe, hours of trading: options of funds close at 16:15; exchange_calendars for sessions"

QUOTE_RULES = (
    Rule(
        "option_quote_not_negative",
        "reject",
        _QUOTES,
        meaning="a price or a size is negative or not a number",
        why="no one pays to give an option away; such a value is a marker that was not understood",
        reference="undefined prices of DBN are the greatest integer; some vendors write -1",
        broken=_below_zero("bid", "ask", "last", "bid_size", "ask_size", "last_size")
        | _not_a_number("bid", "ask", "last"),
    ),
    Rule(
        "option_quote_not_crossed",
        "reject",
        _QUOTES,
        meaning="the bid is above the ask",
        why="the middle of a crossed quote is no price, and its implied volatility no volatility",
        reference="a consolidated quote in which one exchange is late",
        broken=((pl.col("bid") > pl.col("ask")) & pl.col("bid").is_finite()).fill_null(False),
    ),
    Rule(
        "option_quote_in_session",
        "reject",
        _QUOTES,
        meaning=f"a quote with a price: {_IN_SESSION}",
        why="nothing can be traded then; such quotes are left over, or stamps of another time zone",
        reference=_HOURS_REFERENCE,
        broken=~pl.col("in_session") & (pl.col("bid").is_not_null() | pl.col("ask").is_not_null()),
    ),
    Rule(
        "option_quote_within_bounds",
        "warn",
        _QUOTES,
        meaning="the ask is below the intrinsic value, or the bid above the greatest possible value (a call: the"
        " underlying; a put: the strike), at all of the underlying's prices of the session",
        why="a price without any volatility that explains it is wrong, or the contract is not what its symbol shows",
        reference="the bounds of an American option without arbitrage (Merton 1973); an adjusted deliverable",
        broken=((pl.col("ask") < pl.col("lowest")) | (pl.col("bid") > pl.col("highest"))).fill_null(False),
    ),
)

DAILY_QUOTE_RULES = (
    Rule(
        "option_day_quote_not_negative",
        "reject",
        _DAILY_QUOTES,
        meaning="a price or a size is negative or not a number",
        why="no one pays to give an option away; such a value is a marker that was not understood",
        reference="some vendors write -1 for no quote",
        broken=_below_zero(*(f"{s}_{p}" for s in _SIDES for p in _DAY), "bid_size", "ask_size")
        | _not_a_number(*(f"{s}_{p}" for s in _SIDES for p in _DAY)),
    ),
    Rule(
        "option_day_quote_in_order",
        "reject",
        _DAILY_QUOTES,
        meaning="a side's high is below its low, or its opening or closing quote is not between them",
        why="prices that contradict each other can't all be right",
        reference="the definition of high and low",
        broken=pl.any_horizontal(
            (
                (pl.col(f"{s}_high") < pl.max_horizontal(f"{s}_{p}" for p in _DAY))
                | (pl.col(f"{s}_low") > pl.min_horizontal(f"{s}_{p}" for p in _DAY))
            ).fill_null(False)
            for s in _SIDES
        ),
    ),
    Rule(
        "option_day_quote_not_crossed",
        "reject",
        _DAILY_QUOTES,
        meaning="the closing bid is above the closing ask",
        why="the middle of a crossed quote is no price, and its implied volatility no volatility",
        reference="sides that were recorded at different times",
        broken=(pl.col("bid_close") > pl.col("ask_close")).fill_null(False),
    ),
)

TRADE_RULES = (
    Rule(
        "option_trade_possible",
        "reject",
        _TRADES,
        meaning="the price or the size of a trade is missing, zero, negative or not a number",
        why="a trade is a price and a size; what lacks one is another kind of record",
        reference="cancelled trades; the least price of a trade on an exchange is 0.01",
        broken=~((pl.col("price") > 0) & pl.col("price").is_finite() & (pl.col("size") > 0)).fill_null(False),
    ),
    Rule(
        "option_trade_in_session",
        "reject",
        _TRADES,
        meaning=f"a trade: {_IN_SESSION}",
        why="no exchange was open; the stamp is of another time zone, or of a later report",
        reference=_HOURS_REFERENCE,
        broken=~pl.col("in_session"),
    ),
)

BAR_RULES = (
    Rule(
        "option_bar_possible",
        "reject",
        _BARS,
        meaning="a price is missing, zero, negative or not a number, the high below or the low above another price, or"
        " the volume not positive",
        why="a bar of trades has prices in order and a volume; what has not is no bar",
        reference="the definition of the bar",
        broken=~(
            pl.all_horizontal(pl.col(p).is_finite() & (pl.col(p) > 0) for p in _DAY)
            & (pl.col("high") >= pl.max_horizontal(_DAY))
            & (pl.col("low") <= pl.min_horizontal(_DAY))
            & (pl.col("volume") > 0)
        ).fill_null(False),
    ),
)

INTEREST_RULES = (
    Rule(
        "option_interest_possible",
        "reject",
        _INTEREST,
        meaning="the open interest is missing or negative",
        why="contracts are counted; less than none are a marker that was not understood",
        reference="undefined quantities of DBN: the greatest integer, of 32 bits in version 1 and of 64 in version 3",
        broken=~(pl.col("open_interest") >= 0).fill_null(False),
    ),
)

# The rules of the rows of each kind.
ROW_RULES_OF = {
    "quotes_1m": QUOTE_RULES,
    "quotes_1d": DAILY_QUOTE_RULES,
    "trades": TRADE_RULES,
    "ohlcv_1d": BAR_RULES,
    "open_interest": INTEREST_RULES,
    "contracts": (),
}
OPTION_RULES = (*MEMBER_RULES, *CONTRACT_RULES, *(rule for rules in ROW_RULES_OF.values() for rule in rules))
