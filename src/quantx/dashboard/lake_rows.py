"""The rows of the lake that the pages read lazily."""

from __future__ import annotations

import polars as pl

from quantx.errors import LakeError


def collected(rows: pl.LazyFrame) -> pl.DataFrame:
    """Run a query on a scan of the lake; LakeError where a file is missing or damaged."""
    try:
        return rows.collect()
    except (pl.exceptions.PolarsError, OSError, pl.exceptions.PanicException) as error:
        raise LakeError("a file of a table is missing or damaged; `quantx verify` names it") from error
