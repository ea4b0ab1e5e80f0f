"""Synthetic yields and exchange rates: smooth cycles with a little noise, the same on every machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from zlib import crc32

from quantx.core.rate_series import tenor_months

# The first and the last day of tenors and currencies that are not published on all days; None: still.
Life = tuple[date | None, date | None]
_ALWAYS: Life = (None, None)

TENORS: Mapping[str, Life] = {
    "1m": (date(2001, 7, 31), None),
    "1.5m": (date(2025, 2, 18), None),
    "2m": (date(2018, 10, 16), None),
    "3m": _ALWAYS,
    "4m": (date(2022, 10, 19), None),
    "6m": _ALWAYS,
    "1y": _ALWAYS,
    "2y": _ALWAYS,
    "3y": _ALWAYS,
    "5y": _ALWAYS,
    "7y": _ALWAYS,
    "10y": _ALWAYS,
    "20y": (date(1993, 10, 1), None),
    "30y": _ALWAYS,
}
NO_THIRTY_YEARS = (date(2002, 2, 19), date(2006, 2, 8))

# Units per euro around which a currency moves, and the decimals of the ECB.
CURRENCIES: Mapping[str, tuple[float, int, Life]] = {
    "USD": (1.12, 4, _ALWAYS),
    "JPY": (132.0, 2, _ALWAYS),
    "BGN": (1.9558, 4, (date(2000, 7, 19), date(2025, 12, 31))),
    "CZK": (26.4, 3, _ALWAYS),
    "DKK": (7.45, 4, _ALWAYS),
    "GBP": (0.84, 5, _ALWAYS),
    "HUF": (320.0, 2, _ALWAYS),
    "PLN": (4.3, 4, _ALWAYS),
    "RON": (4.6, 4, (date(2005, 7, 1), None)),
    "SEK": (10.1, 4, _ALWAYS),
    "CHF": (1.12, 4, _ALWAYS),
    "ISK": (138.0, 2, (date(2018, 2, 1), None)),
    "NOK": (9.9, 4, _ALWAYS),
    "HRK": (7.53, 4, (date(2000, 12, 1), date(2022, 12, 30))),
    "RUB": (62.0, 4, (date(2005, 4, 1), date(2022, 3, 1))),
    "TRY": (12.0, 4, (date(2005, 1, 3), None)),
    "AUD": (1.58, 4, _ALWAYS),
    "BRL": (4.2, 4, (date(2008, 1, 2), None)),
    "CAD": (1.47, 4, _ALWAYS),
    "CNY": (7.8, 4, (date(2005, 4, 1), None)),
    "HKD": (8.74, 4, _ALWAYS),
    "IDR": (15900.0, 2, (date(2005, 4, 1), None)),
    "ILS": (4.0, 4, (date(2011, 1, 3), None)),
    "INR": (82.0, 4, (date(2009, 1, 2), None)),
    "KRW": (1390.0, 2, _ALWAYS),
    "MXN": (21.0, 4, (date(2008, 1, 2), None)),
    "MYR": (4.8, 4, (date(2005, 4, 1), None)),
    "NZD": (1.71, 4, _ALWAYS),
    "PHP": (60.0, 3, (date(2005, 4, 1), None)),
    "SGD": (1.55, 4, _ALWAYS),
    "THB": (38.0, 3, (date(2005, 4, 1), None)),
    "ZAR": (17.0, 4, _ALWAYS),
}
_PEGGED = {"DKK", "BGN"}


def yield_of(tenor: str, day: date) -> float | None:
    """Return a yield in per cent with two decimals; None on days on which the tenor is not published."""
    if not _is_alive(TENORS[tenor], day) or (tenor == "30y" and NO_THIRTY_YEARS[0] <= day <= NO_THIRTY_YEARS[1]):
        return None
    years = tenor_months(tenor) / 12
    level = 3.2 + 2.3 * _wave(day, 9.1) + 0.35 * _wave(day, 0.9)
    slope = 1.1 + 1.0 * _wave(day, 6.3)
    curve = level + slope * (1 - math.exp(-years / 4)) + 0.06 * _noise(day, f"UST{tenor}")
    return round(max(0.0, curve), 2)


def exchange_rate_of(currency: str, day: date) -> float | None:
    """Return units per euro, with the ECB's decimals; None on days on which the currency is not published."""
    middle, decimals, life = CURRENCIES[currency]
    if not _is_alive(life, day):
        return None
    if currency in _PEGGED:
        return round(middle, decimals)
    phase = crc32(currency.encode()) % 1000 / 1000
    cycles = 0.13 * _wave(day, 11.0, phase) + 0.03 * _wave(day, 1.3, phase) + 0.002 * _noise(day, currency)
    return round(middle * math.exp(cycles), decimals)


def _is_alive(life: Life, day: date) -> bool:
    first, last = life
    return (first is None or day >= first) and (last is None or day <= last)


def _wave(day: date, years: float, phase: float = 0.0) -> float:
    return math.sin(2 * math.pi * (day.toordinal() / (365.25 * years) + phase))


def _noise(day: date, name: str) -> float:
    """Return a number between -1 and 1 that depends on the day and the name alone."""
    return crc32(f"{name}{day}".encode()) / 2**31 - 1
