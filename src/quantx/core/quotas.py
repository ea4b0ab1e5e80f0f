"""Quotas as they are written in settings: 2/s, 200/min, 25/day."""

from __future__ import annotations

import re
from fractions import Fraction

from quantx.core.model import Quota

_QUOTA = re.compile(r"(\d+(?:\.\d+)?)/(s|min|day)")
_SECONDS = {"s": 1.0, "min": 60.0, "day": 86400.0}


def parse_quota(text: str) -> Quota | None:
    """Return the quota that `2/s`, `200/min` or `25/day` means, None for `unlimited`; ValueError for other texts."""
    if text == "unlimited":
        return None
    match = _QUOTA.fullmatch(text.replace(" ", ""))
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"{text!r} is no quota; write it as in 2/s, 200/min, 25/day or unlimited")
    rate = Fraction(match[1]).limit_denominator(1000)
    if rate == 0:
        raise ValueError(f"{text!r} is less than a request in 1000 {match[2]}")
    return Quota(rate.numerator, rate.denominator * _SECONDS[match[2]])
