"""Adjust many as-traded bars with splits and dividends, by the formulas of `core/prices.py`.

The steps of the factors are computed once for some actions, and then used for the bars of any query.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date

import polars as pl

_CASH_KINDS = ("dividend", "capital_gain")
_LONG = 64  # rows of a symbol, from which a search is faster than a join
_FACTORS = ("__split", "__dividend")
_NOWHERE = pl.Series([None], dtype=pl.Int64)
_STEPS = {"symbol": pl.String, "ex_date": pl.Date, "__split": pl.Float64, "__dividend": pl.Float64}


def adjustment_steps(actions: pl.DataFrame) -> pl.DataFrame:
    """Return, per symbol and ex-date (increasing), the factors of that ex-date and all later ones together.

    `__split` is the product of the split ratios (new shares per old one), `__dividend` that of 1 − D / close. A
    dividend without a close before it has no factor; so have those of a day that are not below that close together.
    """
    ratios: dict[tuple[str, date], float] = {}
    shares: dict[tuple[str, date], float] = {}
    columns = ("symbol", "ex_date", "kind", "value", "reference_close")
    for symbol, day, kind, value, close in actions.select(columns).iter_rows():
        if kind == "split":
            ratios[symbol, day] = ratios.get((symbol, day), 1.0) * value
        elif kind in _CASH_KINDS and close is not None and value < close:
            shares[symbol, day] = shares.get((symbol, day), 0.0) + value / close
    rows, last, split, dividend = [], "", 1.0, 1.0
    for symbol, day in sorted({*ratios, *shares}, reverse=True):
        if symbol != last:
            last, split, dividend = symbol, 1.0, 1.0
        share = shares.get((symbol, day), 0.0)
        split *= ratios.get((symbol, day), 1.0)
        dividend *= 1 - share if share < 1 else 1.0
        rows.append((symbol, day, split, dividend))
    return pl.DataFrame(rows[::-1], schema=_STEPS, orient="row")


def with_adjustments(bars: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """Add the factors `__split` and `__dividend` of all steps with an ex-date after each bar, else 1.0.

    Rows by symbol and date, as they are stored, are searched for the last bar before each ex-date; it gets the factor,
    and the bars before it take it from there. Other rows, and a few rows of many symbols, are joined.
    """
    if steps.is_empty():
        return bars.with_columns(pl.lit(1.0).alias(name) for name in _FACTORS)
    lengths = bars["symbol"].rle().struct.unnest()
    if bars.height >= _LONG * lengths.height and (runs := _runs(bars, lengths.iter_rows())) is not None:
        return bars.with_columns(_filled(bars.height, runs, steps))
    order = bars.select("symbol", "date").with_row_index("__order").sort("date")
    joined = order.join_asof(
        steps.sort("ex_date"),
        left_on="date",
        right_on="ex_date",
        by="symbol",
        strategy="forward",
        allow_exact_matches=False,
        check_sortedness=False,  # both sides are sorted above
    ).sort("__order")
    return bars.with_columns(joined[name].fill_null(1.0) for name in _FACTORS)


_Runs = Mapping[str, tuple[int, pl.Series]]  # by symbol: the number of its first row, and its dates


def _runs(bars: pl.DataFrame, lengths: Iterable[tuple[int, str]]) -> _Runs | None:
    """Return the rows of each symbol; None unless they follow one another by date."""
    runs: dict[str, tuple[int, pl.Series]] = {}
    start, dates = 0, bars.select("date")
    for length, symbol in lengths:
        own = dates.slice(start, length).to_series()
        if symbol in runs or not own.is_sorted():
            return None
        runs[symbol] = start, own
        start += length
    return runs


def _filled(height: int, runs: _Runs, steps: pl.DataFrame) -> list[pl.Series]:
    """Return for each row the factors of the first step after its date, else 1.0."""
    ends = [start + dates.len() - 1 for start, dates in runs.values()]
    places, parts = [], []
    for (symbol,), part in (
        steps.filter(pl.col("symbol").is_in(list(runs))).partition_by("symbol", as_dict=True).items()
    ):
        start, dates = runs[symbol]
        before = dates.search_sorted(part["ex_date"], side="left").cast(pl.Int64)  # rows before each ex-date
        places.append(before.zip_with(before > 0, _NOWHERE) + (start - 1))
        parts.append(part)
    places.append(pl.Series(ends, dtype=pl.Int64))
    parts.append(
        pl.DataFrame({"symbol": list(runs), "ex_date": None, "__split": 1.0, "__dividend": 1.0}, schema=_STEPS)
    )
    # Of several steps between two rows the first one counts: it has the factors of the others.
    found = pl.concat(parts).with_columns(pl.concat(places).alias("place")).drop_nulls("place")
    found = found.unique("place", keep="first", maintain_order=True)
    filled = [pl.repeat(None, height, dtype=pl.Float64, eager=True).scatter(found["place"], found[n]) for n in _FACTORS]
    return [series.fill_null(strategy="backward").alias(n) for series, n in zip(filled, _FACTORS, strict=True)]
