"""What a query may use, and what it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

Parameters = Mapping[str, Any] | Sequence[Any]  # the values of $name, or those of ? in order


@dataclass(frozen=True)
class Limits:
    """What one query may use: seconds, and rows of its result; None: no limit of rows."""

    seconds: float = 60.0
    rows: int | None = 1_000_000


@dataclass(frozen=True)
class Result:
    """The rows of a query; `cut`: there are more, beyond the limit."""

    rows: pl.DataFrame
    cut: bool
