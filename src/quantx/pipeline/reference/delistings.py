"""Suspected delistings: symbols that are missing on an exchange's own list.

One refresh proves nothing: a list may be truncated, and a vendor may be down. A person checks the finding and records
the delisting (`quantx instruments delist`), or the symbol returns and the finding is resolved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.operational_rules import DELISTING_SUSPECTED
from quantx.pipeline.planning.current_symbols import current_symbols
from quantx.state.port import State
from quantx.state.series.port import SeriesBook


def note_suspected_delistings(
    state: State,
    sources: Iterable[str],
    *,
    universe: str,
    stored: pl.DataFrame,
    after: pl.DataFrame,
    excluded: frozenset[str],
    previous: datetime | None,
    now: datetime,
) -> None:
    """Note the symbols that left a universe at the previous refresh, on an earlier day, and have not returned.

    `stored` are the rows of the universe before this refresh, `after` its members now, `previous` is the time of the
    previous refresh. `excluded` are on the list, too, but can't be members, such as warrants. A finding names those of
    the vendors `sources` that refuse the symbol.
    """
    findings = state.findings
    current = set(after.filter(pl.col("member_to").is_null())["symbol"])
    findings.resolve(DELISTING_SUSPECTED, current, f"it is on the list {universe}")
    findings.resolve(DELISTING_SUSPECTED, excluded, f"it is on the list, but can't be a member of {universe}")
    if previous is None or previous.date() >= now.date():
        return
    closed_then = pl.col("member_to").is_not_null() & (pl.col("known_from").dt.date() == previous.date())
    left = [row for row in stored.filter(closed_then).iter_rows(named=True) if row["symbol"] not in current | excluded]
    not_delisted = set(current_symbols(state.instruments, [row["symbol"] for row in left], now.date()))
    missing = [row for row in left if row["symbol"] in not_delisted]
    refusing = _refusing(state.series, sources, [row["symbol"] for row in missing])
    findings.note(
        [_finding(universe, row["symbol"], str(row["member_to"]), refusing.get(row["symbol"], [])) for row in missing]
    )


def _finding(universe: str, symbol: str, last_listed: str, refused_by: Sequence[str]) -> Finding:
    refused = f"; {', '.join(refused_by)} refuses the symbol" if refused_by else ""
    return Finding(
        DELISTING_SUSPECTED,
        "warn",
        symbol,
        f"{symbol} was on the list {universe} until {last_listed} and is missing in two refreshes{refused}; if it is"
        f" delisted, record it: quantx instruments delist {symbol} --on {last_listed} --reason …",
        dataset="universe",
        facts={"universe": universe, "last_listed": last_listed, "refused_by": list(refused_by)},
    )


def _refusing(series: SeriesBook, sources: Iterable[str], symbols: Sequence[str]) -> dict[str, list[str]]:
    """Return the vendors that have refused each symbol."""
    refusing: dict[str, list[str]] = {}
    for source in sources:
        for symbol, progress in series.progress(source, "bars", "1d", symbols).items():
            if progress.refused:
                refusing.setdefault(symbol, []).append(source)
    return refusing
