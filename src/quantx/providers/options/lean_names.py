"""The names of LEAN's option files: daily, hourly and minute files of one contract in a zip of their underlying.

aapl_quote_american_call_6650000_20140719.csv in aapl_2014_quote_american.zip (daily), and
20140606_aapl_minute_quote_american_call_6650000_20140719.csv in a zip per day (minute). Strikes are × 10,000.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

_NAME = re.compile(
    r"(?:(?P<day>\d{8})_)?(?P<symbol>[a-z0-9.]{1,10})_(?:(?P<resolution>minute|hour|daily)_)?"
    r"(?P<kind>quote|trade|openinterest)_(?P<style>american|european)_(?P<right>call|put)_(?P<strike>\d{1,12})_"
    r"(?P<expiration>\d{8})\.csv",
    re.IGNORECASE,
)
STRIKE_SCALE = 10_000


@dataclass(frozen=True)
class LeanName:
    """The parts of a member's name."""

    root: str
    kind: str  # quote, trade, openinterest
    minute: bool
    day: date | None  # of a minute file
    right: str
    strike: int  # × 10,000
    expiration: date


def is_lean_name(name: str) -> bool:
    """Return whether a member of a zip is named as LEAN names a contract's file."""
    return _NAME.fullmatch(name) is not None


def parse_lean_name(name: str) -> LeanName | None:
    """Return the parts of a name, None where it is another one, or its dates are none."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        day = None if found["day"] is None else _day(found["day"])
        expiration = _day(found["expiration"])
    except ValueError:
        return None
    return LeanName(
        root=found["symbol"].upper(),
        kind=found["kind"].lower(),
        minute=(found["resolution"] or "").lower() == "minute",
        day=day,
        right=found["right"][0].upper(),
        strike=int(found["strike"]),
        expiration=expiration,
    )


def _day(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
