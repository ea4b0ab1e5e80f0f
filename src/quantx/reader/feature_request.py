"""A request for features, and rows of several sets side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl

from quantx.reader.point_in_time import PointInTime
from quantx.reader.symbol_history import SymbolRequest
from quantx.reader.universes import Members

CLOCKS = ("public_at", "known_from")


@dataclass(frozen=True, kw_only=True)
class FeatureRequest:
    """Which rows of features a query shows."""

    requests: Sequence[SymbolRequest]
    first: date | None
    last: date | None
    moment: PointInTime
    members: Members | None  # only on the days of their membership
    universe: str | None
    stored: bool = True  # False: no stored row answers it


def joined(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Return the rows of several sets side by side; a row is public, and known, with the last of its values."""
    rows = parts[0]
    for part in parts[1:]:
        both = rows.join(part, on=["symbol", "date"], how="full", coalesce=True, suffix="__other")
        rows = both.with_columns(pl.max_horizontal(c, f"{c}__other").alias(c) for c in CLOCKS)
        rows = rows.drop(f"{c}__other" for c in CLOCKS)
    return rows.sort("symbol", "date")
