"""What a dataset lacks: members without bars, and securities whose bars end.

No vendor has all dead names. A study that silently leaves them out earns too much: the list is part of its result.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from quantx.research.labels import price_matrix


def absences(prices: pl.DataFrame, member: pl.DataFrame, table: pl.DataFrame, ended: list[int]) -> list[dict[str, Any]]:
    """Return a row per member with missing sessions or with an end, the ones with most missing sessions first.

    Each has symbol, member_sessions, without_bar (of these), first_bar, last_bar (ISO dates or None), ended, and
    carried: the labels in the table whose exit is at the last price before the end.
    """
    known, of_universe = ~np.isnan(price_matrix(prices)), member.drop("date").to_numpy()
    days = prices["date"].to_list()
    found = []
    for column, symbol in enumerate(prices.columns[1:]):
        bars = np.flatnonzero(known[:, column])
        first, last = (days[bars[0]], days[bars[-1]]) if bars.size else (None, None)
        missing = int((of_universe[:, column] & ~known[:, column]).sum())
        has_ended = column in ended
        if not missing and not has_ended:
            continue
        own = table.filter((pl.col("symbol") == symbol) & pl.col("label").is_not_null())
        carried = own.filter(pl.col("label_end") > last).height if has_ended else 0
        found.append(
            {
                "symbol": symbol,
                "member_sessions": int(of_universe[:, column].sum()),
                "without_bar": missing,
                "first_bar": None if first is None else str(first),
                "last_bar": None if last is None else str(last),
                "ended": has_ended,
                "carried": carried,
            }
        )
    return sorted(found, key=lambda each: (-each["without_bar"], each["symbol"]))
