"""Who is missing on an exchange's own list: suspected of being delisted, and no more than that.

One answer proves nothing: a list may be cut short, and a vendor may be down. Somebody looks at the finding and says so
(`quantx instruments delist`), or the symbol comes back and the finding is settled.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from quantx.core.model import Finding
from quantx.pipeline.planning.current_symbols import current_symbols
from quantx.pipeline.runtime.platform import Platform

SUSPECTED = "delisting_suspected"


def suspect_delistings(
    platform: Platform,
    universe: str,
    stored: pl.DataFrame,
    after: pl.DataFrame,
    previous: datetime | None,
    now: datetime,
) -> None:
    """Note who left the list at the refresh before this one, on an earlier day, and has not come back.

    `stored` are the rows of the universe before this refresh, `previous` is when the one before it was.
    """
    current = set(after.filter(pl.col("member_to").is_null())["symbol"])
    platform.state.findings.resolve(SUSPECTED, current, f"it is on the list {universe}")
    if previous is None or previous.date() >= now.date():
        return
    closed_then = pl.col("member_to").is_not_null() & (pl.col("known_from").dt.date() == previous.date())
    left = [row for row in stored.filter(closed_then).iter_rows(named=True) if row["symbol"] not in current]
    today = platform.clock.now().date()
    still = set(
        current_symbols(platform.state.instruments, [row["symbol"] for row in left], today)
    )  # nobody has said that it is delisted
    missing = [row for row in left if row["symbol"] in still]
    refusing = _refusing(platform, [row["symbol"] for row in missing])
    platform.state.findings.note(
        [
            Finding(
                SUSPECTED,
                "warn",
                row["symbol"],
                f"{row['symbol']} stood on the list {universe} until {row['member_to']} and is missing in two refreshes"
                + (f"; {', '.join(who)} does not give it any more" if (who := refusing.get(row["symbol"])) else "")
                + f"; if it is delisted, say so: quantx instruments delist {row['symbol']} --on {row['member_to']} --reason …",
                dataset="universe",
                facts={"universe": universe, "last_listed": row["member_to"], "refused_by": who or []},
            )
            for row in missing
        ]
    )


def _refusing(platform: Platform, symbols: Sequence[str]) -> dict[str, list[str]]:
    """Return which vendors have answered that they do not know or give a symbol."""
    found: dict[str, list[str]] = {}
    for source in platform.providers:
        for symbol, progress in platform.state.series.progress(source, "bars", "1d", symbols).items():
            if progress.refused:
                found.setdefault(symbol, []).append(source)
    return found
