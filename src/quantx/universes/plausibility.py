"""Is a list that was read well also believed? What speaks against it, compared with the last good one."""

from __future__ import annotations

import polars as pl

from quantx.universes.declared import UniverseSpec

_FEW = 2  # so many may come or go at once, however short the list is


def doubts(spec: UniverseSpec, before: pl.DataFrame, listed: pl.DataFrame) -> list[str]:
    """Return what is implausible about `listed`, given the intervals `before`; both have the columns of MEMBERS.

    A list of the user's own hand (`static`) may become anything within its declared size.
    """
    were, are = _current(before), _current(listed)
    found = []
    if len(are) < spec.at_least:
        found.append(f"{len(are):,} members, and there should be at least {spec.at_least:,}")
    if spec.at_most is not None and len(are) > spec.at_most:
        found.append(f"{len(are):,} members, and there should be at most {spec.at_most:,}")
    if spec.type == "static" or not were:
        return found
    left, joined = were - are, are - were
    if len(left) > _FEW and len(left) >= spec.most_left * len(were):
        found.append(f"{len(left):,} of {len(were):,} members left at once ({_some(left)})")
    if len(joined) > max(_FEW, spec.most_joined * len(were)):
        found.append(f"{len(joined):,} joined {len(were):,} members at once ({_some(joined)})")
    # Of a list with dates of its own, the past is as much worth as the present.
    past, still = (f.filter(pl.col("member_to").is_not_null()) for f in (before, listed))
    if still.height:
        lost = past.join(still, on="symbol", how="anti")
        if lost.height > _FEW and lost.height >= spec.most_left * past.height:
            found.append(f"{lost.height:,} of {past.height:,} past memberships are gone ({_some(set(lost['symbol']))})")
    return found


def _current(members: pl.DataFrame) -> set[str]:
    return set(members.filter(pl.col("member_to").is_null())["symbol"])


def _some(symbols: set[str]) -> str:
    shown = sorted(symbols)[:5]
    return ", ".join(shown) + (", …" if len(symbols) > len(shown) else "")
