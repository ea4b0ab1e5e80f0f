"""Check the plausibility of a new list, compared with the last good one."""

from __future__ import annotations

import polars as pl

from quantx.universes.declaration import UniverseSpec

_FEW = 2  # members that may join or leave at once, however short the list is


def check_plausibility(spec: UniverseSpec, before: pl.DataFrame, listed: pl.DataFrame) -> list[str]:
    """Return the implausible facts of `listed`, given the intervals `before`; both have the columns of MEMBERS.

    The user's own list (`static`) may change in any way within its declared size.
    """
    were, are = _current(before), _current(listed)
    problems = []
    if len(are) < spec.at_least:
        problems.append(f"{len(are):,} members, expected at least {spec.at_least:,}")
    if spec.at_most is not None and len(are) > spec.at_most:
        problems.append(f"{len(are):,} members, expected at most {spec.at_most:,}")
    if spec.type == "static" or not were:
        return problems
    left, joined = were - are, are - were
    if len(left) > _FEW and len(left) >= spec.most_left * len(were):
        problems.append(f"{len(left):,} of {len(were):,} members left at once ({_some(left)})")
    if len(joined) > max(_FEW, spec.most_joined * len(were)):
        problems.append(f"{len(joined):,} joined {len(were):,} members at once ({_some(joined)})")
    # A list with dates must also keep its past memberships.
    past, still = (f.filter(pl.col("member_to").is_not_null()) for f in (before, listed))
    if still.height:
        lost = past.join(still, on="symbol", how="anti")
        if lost.height > _FEW and lost.height >= spec.most_left * past.height:
            problems.append(
                f"{lost.height:,} of {past.height:,} past memberships are gone ({_some(set(lost['symbol']))})"
            )
    return problems


def _current(members: pl.DataFrame) -> set[str]:
    return set(members.filter(pl.col("member_to").is_null())["symbol"])


def _some(symbols: set[str]) -> str:
    shown = sorted(symbols)[:5]
    return ", ".join(shown) + (", …" if len(symbols) > len(shown) else "")
