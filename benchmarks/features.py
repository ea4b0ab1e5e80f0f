"""Kernels of features: TA-Lib's indicators beside TA-Lib in a plain loop, and Alpha158 beside plain Polars."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import apart, stretch
from benchmarks.table import Line, Outcome
from quantx.core.calendars import calendar
from quantx.core.features.compute import compute
from quantx.core.features.feature import BARS, Feature
from quantx.core.features.kernels import Talib
from quantx.core.features.sets import SETS
from quantx.core.features.tail import carried_names, compute_tail, rows_before

_TRIES = 5
_KERNELS = 40  # of TA-Lib, each once
_TAIL = (5_000, 400)  # symbols, rows: what a daily update computes


def run(folder: Path, *, quick: bool) -> Outcome:
    """Compute each size in a process of its own, and its peer in another."""
    whole = {"symbols": 50 if quick else 500, "rows": 5_000}
    ours, loop = (apart(f"benchmarks.features:{name}", **whole) for name in ("indicators", "plain_loop"))
    short = {"symbols": _TAIL[0] // (10 if quick else 1), "rows": _TAIL[1]}
    tail, short_loop = apart("benchmarks.features:tail", **short), apart("benchmarks.features:plain_loop", **short)
    years = {"symbols": 50 if quick else 500, "rows": 1_260}
    alpha, plain = (apart(f"benchmarks.features:{name}", **years) for name in ("alpha158", "plain_alpha158"))
    rows = whole["symbols"] * whole["rows"]
    return Outcome(
        f"Features: {_KERNELS} indicators × {rows:,} rows; beside TA-Lib in a loop over symbols",
        (
            Line(f"{_KERNELS} indicators, times the loop", ours["seconds"] / loop["seconds"], aim="≤ 1.5"),
            Line("the same, CPU", ours["cpu"] / loop["cpu"], aim="≤ 1.5"),
            Line(f"{_KERNELS} indicators, s", ours["seconds"], loop["seconds"]),
            Line("CPU seconds", ours["cpu"], loop["cpu"]),
            Line("peak memory, MB", ours["peak_mb"], loop["peak_mb"], "≤ 1,500", digits=0),
            Line(
                f"last row of {tail['features']} features, {short['symbols']:,} symbols × {_TAIL[1]} rows, s;"
                f" beside {_KERNELS} indicators in a loop",
                tail["seconds"],
                short_loop["seconds"],
            ),
            Line("CPU seconds of it", tail["cpu"], short_loop["cpu"]),
            Line(
                f"Alpha158, {years['symbols']} symbols × 5 years, s; beside each feature alone in Polars",
                alpha["seconds"],
                plain["seconds"],
                "≤ 8",
            ),
            Line("peak memory of it, MB", alpha["peak_mb"], plain["peak_mb"], digits=0),
        ),
        {"rows": ours["rows"], "indicators": ours["features"], "tails": tail["rows"], "alpha": alpha["features"]},
    )


def bars_of(symbols: int, rows: int) -> pl.DataFrame:
    """Return daily bars of random walks, in the order of symbol and date; every symbol had dividends and a split."""
    days = list(calendar("XNYS").sessions(date(2004, 1, 2), date(2024, 12, 31)))[-rows:]
    chance, shape = np.random.default_rng(19), (symbols, rows)
    close = 100 * np.exp(np.cumsum(chance.normal(0, 0.015, shape), axis=1))
    opens = close * np.exp(chance.normal(0, 0.005, shape))
    quarter, split = np.arange(rows) // 63, np.where(np.arange(rows) >= rows // 2, 2.0, 1.0)
    return pl.DataFrame(
        {
            "symbol": np.repeat([f"S{n:04d}" for n in range(symbols)], rows),
            "date": pl.Series(days * symbols, dtype=pl.Date),
            "open": opens.ravel(),
            "high": (np.maximum(opens, close) * 1.005).ravel(),
            "low": (np.minimum(opens, close) / 1.005).ravel(),
            "close": close.ravel(),
            "volume": np.round(1e6 * np.exp(chance.normal(0, 0.3, shape))).ravel(),
            "split_factor": np.tile(split, symbols),
            "total_factor": np.tile(split / 0.995**quarter, symbols),
        }
    )


def chosen() -> list[Feature]:
    """Return a feature of each of the first kernels of TA-Lib, and all outputs of those with several."""
    features = [each for each in SETS["technical"].features if isinstance(each.kernel, Talib)]
    kernels = list(dict.fromkeys(each.kernel for each in features))[:_KERNELS]
    return [each for each in features if each.kernel in kernels and not callable(each.output)]


def indicators(symbols: int, rows: int) -> dict[str, Any]:
    """Compute the indicators by their declarations: forward-adjusted, stored as traded, nulls for no values."""
    return _best(lambda bars: compute(chosen(), bars), bars_of(symbols, rows))


def tail(symbols: int, rows: int) -> dict[str, Any]:
    """Compute the last row of the technical set for each symbol, as a daily update does."""
    features, bars = SETS["technical"].features, bars_of(symbols, rows + 1)
    last = bars.group_by("symbol", maintain_order=True).agg(pl.col("date").get(-2))
    stored = last.with_columns(pl.lit(1.0).alias(name) for name in carried_names(features))
    if rows_before(features) > rows:
        raise ValueError(f"the technical set needs {rows_before(features)} rows")
    return _best(lambda bars: compute_tail(features, bars, stored), bars)


def alpha158(symbols: int, rows: int) -> dict[str, Any]:
    """Compute Alpha158 by its declarations."""
    return _best(lambda bars: compute(SETS["alpha158"].features, bars), bars_of(symbols, rows))


def plain_alpha158(symbols: int, rows: int) -> dict[str, Any]:
    """Compute each feature of Alpha158 as an expression of its own over the symbols."""
    features = [each for each in SETS["alpha158"].features if "vwap" not in each.inputs]
    expressions = [_expression(each).over("symbol").alias(each.name) for each in features]
    return _best(lambda bars: bars.lazy().select("symbol", "date", *expressions).collect(), bars_of(symbols, rows))


def plain_loop(symbols: int, rows: int) -> dict[str, Any]:
    """Call TA-Lib for each symbol and each kernel, into new columns: as traded, and NaN where there is no value."""
    import talib

    kernels = dict.fromkeys(each.kernel for each in chosen() if isinstance(each.kernel, Talib))
    calls = [
        (getattr(talib, each.function.upper()), each.inputs, dict(each.parameters), len(each.outputs) or 1)
        for each in kernels
    ]

    def loop(bars: pl.DataFrame) -> pl.DataFrame:
        given = {name: bars[name].to_numpy() for name in BARS}
        columns = [np.empty(bars.height) for *_, count in calls for _ in range(count)]
        for start in range(0, symbols * rows, rows):
            at, place = slice(start, start + rows), 0
            for function, inputs, parameters, count in calls:
                result = function(*(given[name][at] for name in inputs), **parameters)
                for values in result if count > 1 else (result,):
                    columns[place][at] = values
                    place += 1
        return pl.DataFrame({f"column {n}": values for n, values in enumerate(columns)})

    return _best(loop, bars_of(symbols, rows))


def _expression(feature: Feature) -> pl.Expr:
    kernel = feature.kernel()
    return feature.output(kernel) if callable(feature.output) else kernel


def _best(work: Callable[[pl.DataFrame], pl.DataFrame], bars: pl.DataFrame) -> dict[str, Any]:
    """Return the median time and CPU time of some tries."""
    times: list[tuple[float, float]] = []
    for _ in range(_TRIES):
        result = pl.DataFrame()  # the try before lets go of its memory
        with stretch() as measured:
            result = work(bars)
        times.append((measured.seconds, measured.cpu))
    seconds, cpu = (median(each) for each in zip(*times, strict=True))
    return {"seconds": seconds, "cpu": cpu, "rows": result.height, "features": result.width - 2}
