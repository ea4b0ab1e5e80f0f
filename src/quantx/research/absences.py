"""What a dataset lacks: members without bars, and securities whose bars end.

No vendor has all dead names. A study that silently leaves them out earns too much: the list is part of its result.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from quantx.research.labels import price_matrix


def absences(prices: pl.DataFrame, member: pl.DataFrame, table: pl.DataFrame, ended: list[int]) -> list[dict[str, Any]]:
    """Return a row per member with missing sessions or with an end, the ones with most missing sessions first.

    Each has symbol, member_sessions, without_bar (of these), first_bar, last_bar (ISO dates or None), ended, and
    carried: the labels in the table whose exit is at the last price before the end.
    """
    symbols = prices.columns[1:]
    known, of_universe = ~np.isnan(price_matrix(prices)), member.drop("date").to_numpy()
    days = prices["date"].to_list()
    ends = {
        symbol: days[bars[-1]] for column, symbol in enumerate(symbols) if (bars := known[:, column].nonzero()[0]).size
    }
    carried = _carried(table, {symbol: ends[symbol] for symbol in (symbols[column] for column in ended)})
    found = []
    for column, symbol in enumerate(symbols):
        bars, last = np.flatnonzero(known[:, column]), ends.get(symbol)
        missing = int((of_universe[:, column] & ~known[:, column]).sum())
        has_ended = column in ended
        if not missing and not has_ended:
            continue
        found.append(
            {
                "symbol": symbol,
                "member_sessions": int(of_universe[:, column].sum()),
                "without_bar": missing,
                "first_bar": None if last is None else str(days[bars[0]]),
                "last_bar": None if last is None else str(last),
                "ended": has_ended,
                "carried": carried.get(symbol, 0),
            }
        )
    return sorted(found, key=lambda each: (-each["without_bar"], each["symbol"]))


def _carried(table: pl.DataFrame, ends: Mapping[str, date]) -> dict[str, int]:
    """Return the number of labels by symbol that end after the last bar of the symbol."""
    last = pl.DataFrame({"symbol": list(ends), "__last": list(ends.values())}, {"symbol": pl.String, "__last": pl.Date})
    after = table.join(last, on="symbol").filter(pl.col("label").is_not_null(), pl.col("label_end") > pl.col("__last"))
    return dict(after.group_by("symbol").len().iter_rows())
