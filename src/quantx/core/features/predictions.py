"""The table of predictions that models of studies made."""

from __future__ import annotations

import polars as pl

from quantx.core.table import INSTANT, Table

PREDICTIONS = Table(
    "predictions",
    {
        "study": pl.String,
        "year": pl.Int32,
        "model": pl.String,
        "symbol": pl.String,
        "date": pl.Date,
        "prediction": pl.Float64,
        "public_at": INSTANT,
        "known_from": INSTANT,
    },
    partitions=("study", "year"),
    key=("study", "model", "symbol", "date"),
    sort=("symbol", "date", "model"),
    values=("prediction", "public_at"),
    relative_tolerance={"prediction": 1e-9},
    zone="features",
)
