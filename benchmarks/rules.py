"""B6, the rules: all rules of daily bars over 2.5 million rows with planted faults, beside one read of the columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import apart, stretch
from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.prices import PRICES
from quantx.core.quality.daily_rules import check_daily_bars
from quantx.core.quality.series_rules import check_series

_TRIES = 3
_EACH = 20  # one symbol in this many has each of the planted faults
_NO_ACTIONS = pl.DataFrame(schema={"symbol": pl.String, "ex_date": pl.Date, "kind": pl.String, "value": pl.Float64})


def run(folder: Path, *, quick: bool) -> Outcome:
    """Apply the rules to rows and series; count the planted faults."""
    symbols = 80 if quick else 660
    results = apart("benchmarks.rules:judged", symbols=symbols)
    floor = apart("benchmarks.rules:looked_at", symbols=symbols)
    parts = ", ".join(f"{name} {median(results[name]):.2f}" for name in ("row_rules", "series_rules"))
    return Outcome(
        f"B6 all rules over {results['rows']:,} daily bars of {symbols} symbols",
        (
            Line(f"row and series rules, s, best of {_TRIES}", min(results["seconds"]), min(floor["seconds"]), "≤ 2"),
            Line(f"the same, median (s: {parts})", median(results["seconds"]), median(floor["seconds"]), "≤ 2"),
            Line("peak memory, MB", results["peak_mb"], floor["peak_mb"], "< 2,000", digits=0),
        ),
        {"rows": results["rows"], "rejected": results["rejected"], **results["findings"]},
    )


def market(symbols: int) -> pl.DataFrame:
    """Return 15 years of daily bars, in the order of symbol and date, with faults in every twentieth symbol."""
    days = calendar("XNYS").sessions(date(2010, 1, 4), date(2024, 12, 31))
    chance, shape = np.random.default_rng(6), (symbols, len(days))
    close = 100 * np.exp(np.cumsum(chance.normal(0, 0.015, shape), axis=1))
    opens = close * np.exp(chance.normal(0, 0.005, shape))
    bars = pl.DataFrame(
        {
            "symbol": np.repeat([f"S{i:04d}" for i in range(symbols)], len(days)),
            "date": pl.Series(list(days) * symbols, dtype=pl.Date),
            "open": opens.ravel(),
            "high": (np.maximum(opens, close) * 1.005).ravel(),
            "low": (np.minimum(opens, close) / 1.005).ravel(),
            "close": close.ravel(),
            "volume": np.round(1e6 * np.exp(chance.normal(0, 0.3, shape))).ravel(),
        }
    )
    number, day = pl.int_range(pl.len()) // len(days), pl.int_range(pl.len()) % len(days)
    faulty = number % _EACH == 0
    factor = (
        pl.when(faulty & (day == 500)).then(0.1)  # a bad tick
        .when(faulty & (day >= 1000)).then(0.25)  # a split without an event
        .otherwise(1.0)
    )  # fmt: skip
    return bars.with_columns(
        *(pl.col(c) * factor for c in PRICES),
        pl.col("volume") / factor,
        in_calendar=pl.lit(True),
        in_past=~(faulty & (day == 1500)),
        last_of_session=pl.lit(True),
        absurd=pl.lit(False),
    )


def judged(symbols: int) -> dict[str, Any]:
    """Apply all rules to the rows and to the series."""
    bars = market(symbols)
    times: Mapping[str, list[float]] = {"seconds": [], "row_rules": [], "series_rules": []}
    for _ in range(_TRIES):
        with stretch() as rows:
            checked = check_daily_bars(bars)
        with stretch() as series:
            results = check_series(checked.accepted, _NO_ACTIONS, rejected=checked.rejected)
        for name, took in (("row_rules", rows.seconds), ("series_rules", series.seconds)):
            times[name].append(took)
        times["seconds"].append(rows.seconds + series.seconds)
    by_rule = dict(Counter(results["rule"].to_list()))
    return {**times, "rows": bars.height, "rejected": checked.rejected.height, "findings": by_rule}


def looked_at(symbols: int) -> dict[str, Any]:
    """Measure the floor: compare each price and volume with the one before it."""
    bars, times = market(symbols), []
    for _ in range(_TRIES):
        with stretch() as measured:
            bars.select((pl.col(c) / pl.col(c).shift(1)).log().abs().max() for c in (*PRICES, "volume"))
        times.append(measured.seconds)
    return {"seconds": times}
