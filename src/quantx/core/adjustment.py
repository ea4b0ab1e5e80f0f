"""Adjust as-traded bars with splits and dividends, by the formulas of `core/prices.py`.

The steps of the factors are computed once for some actions, and then used for the bars of any query.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from itertools import pairwise

import polars as pl

_CASH_KINDS = ("dividend", "capital_gain")
_FEW = 20_000  # rows, up to which lists are faster than columns
_SHORT = 3  # rows of a symbol, up to which each is searched by itself
_FACTORS = ("__split", "__dividend")
_COLUMNS = {"symbol": pl.String, "ex_date": pl.Date, "__split": pl.Float64, "__dividend": pl.Float64}
_NOWHERE = pl.Series([None], dtype=pl.Int64)
_Steps = Mapping[str, tuple[list[date], list[float], list[float]]]  # by symbol: ex-dates, split and dividend factors


class AdjustmentSteps:
    """The factors of some actions: for each symbol and ex-date those of that ex-date and all later ones together.

    The split factor is the product of the split ratios (new shares per old one), the dividend factor that of
    1 − D / close. A dividend without a close before it has no factor; so have those of a day that are not below that
    close together.
    """

    def __init__(self, actions: pl.DataFrame) -> None:
        ratios: dict[tuple[str, date], float] = {}
        shares: dict[tuple[str, date], float] = {}
        columns = ("symbol", "ex_date", "kind", "value", "reference_close")
        for symbol, day, kind, value, close in actions.select(columns).iter_rows():
            if kind == "split":
                ratios[symbol, day] = ratios.get((symbol, day), 1.0) * value
            elif kind in _CASH_KINDS and close is not None and value < close:
                shares[symbol, day] = shares.get((symbol, day), 0.0) + value / close
        self._rows: list[tuple[str, date, float, float]] = []
        self._own: list[tuple[str, date, float, float]] = []  # of each ex-date alone
        last, split, dividend = "", 1.0, 1.0
        for symbol, day in sorted({*ratios, *shares}, reverse=True):
            if symbol != last:
                last, split, dividend = symbol, 1.0, 1.0
            share = shares.get((symbol, day), 0.0)
            ratio, kept = ratios.get((symbol, day), 1.0), 1 - share if share < 1 else 1.0
            split *= ratio
            dividend *= kept
            self._rows.append((symbol, day, split, dividend))
            self._own.append((symbol, day, ratio, kept))
        self._rows.reverse()
        self._own.reverse()

    def __bool__(self) -> bool:
        return bool(self._rows)

    @cached_property
    def by_symbol(self) -> _Steps:
        """Return the ex-dates of each symbol (increasing), and the two factors before each, and after the last."""
        found: dict[str, tuple[list[date], list[float], list[float]]] = {}
        for symbol, day, split, dividend in self._rows:
            days, splits, dividends = found.setdefault(symbol, ([], [], []))
            days.append(day)
            splits.append(split)
            dividends.append(dividend)
        for _, splits, dividends in found.values():
            splits.append(1.0)
            dividends.append(1.0)
        return found

    @cached_property
    def frame(self) -> pl.DataFrame:
        """Return the columns symbol, ex_date, __split and __dividend."""
        return pl.DataFrame(self._rows, schema=_COLUMNS, orient="row")

    @cached_property
    def forward(self) -> pl.DataFrame:
        """Return the columns of `frame` with the factors of each ex-date and all earlier ones together."""
        own = pl.DataFrame(self._own, schema=_COLUMNS, orient="row")
        return own.with_columns(pl.col(name).cum_prod().over("symbol") for name in _FACTORS)


def with_forward_adjustments(bars: pl.DataFrame, steps: AdjustmentSteps) -> pl.DataFrame:
    """Add the factors `__split` and `__dividend` of all steps with an ex-date up to each bar's, else 1.0.

    They are multiplied from the first step on: neither a later event nor the first bar changes a bit of them. `bars`
    are sorted by symbol and date.
    """
    if not steps:
        return bars.with_columns(pl.lit(1.0).alias(name) for name in _FACTORS)
    joined = bars.join_asof(
        steps.forward,
        left_on="date",
        right_on="ex_date",
        by="symbol",
        strategy="backward",
        check_sortedness=False,  # both are sorted within each symbol
    )
    return joined.drop("ex_date", strict=False).with_columns(pl.col(name).fill_null(1.0) for name in _FACTORS)


def with_adjustments(bars: pl.DataFrame, steps: AdjustmentSteps) -> pl.DataFrame:
    """Add the factors `__split` and `__dividend` of all steps with an ex-date after each bar, else 1.0."""
    if not steps:
        return bars.with_columns(pl.lit(1.0).alias(name) for name in _FACTORS)
    if bars.height <= _FEW:
        return bars.with_columns(_factors_of_few(bars, steps))
    runs = _runs(bars)
    return bars.with_columns(_joined(bars, steps.frame) if runs is None else _filled(bars.height, runs, steps.frame))


def _factors_of_few(bars: pl.DataFrame, steps: AdjustmentSteps) -> list[pl.Series]:
    """Return the factors of each row, by a search of the fewer in the more: ex-dates in dates, or dates in ex-dates."""
    dates, known = bars["date"], steps.by_symbol
    listed = dates.to_list()
    if bars.height <= _SHORT * bars["symbol"].n_unique():
        return _series(*_factors_of_rows(bars["symbol"].to_list(), listed, known))
    splits: list[float] = []
    dividends: list[float] = []
    for start, end, symbol in _lengths(bars):
        if symbol not in known:
            splits += [1.0] * (end - start)
            dividends += [1.0] * (end - start)
            continue
        days, of_splits, of_dividends = known[symbol]
        if len(days) < end - start and dates.slice(start, end - start).is_sorted():
            ends = [bisect_left(listed, day, start, end) for day in days]
            for place, (low, high) in enumerate(pairwise([start, *ends, end])):
                splits += [of_splits[place]] * (high - low)
                dividends += [of_dividends[place]] * (high - low)
        else:
            for at in range(start, end):
                place = bisect_right(days, listed[at])
                splits.append(of_splits[place])
                dividends.append(of_dividends[place])
    return _series(splits, dividends)


def _factors_of_rows(symbols: Sequence[str], dates: Sequence[date], known: _Steps) -> tuple[list[float], list[float]]:
    """Return the factors of each row by itself, which is faster for a few days of many symbols."""
    splits: list[float] = []
    dividends: list[float] = []
    for symbol, day in zip(symbols, dates, strict=True):
        found = known.get(symbol)
        if found is None:
            splits.append(1.0)
            dividends.append(1.0)
        else:
            days, of_splits, of_dividends = found
            place = bisect_right(days, day)
            splits.append(of_splits[place])
            dividends.append(of_dividends[place])
    return splits, dividends


def _series(splits: list[float], dividends: list[float]) -> list[pl.Series]:
    found = zip(_FACTORS, (splits, dividends), strict=True)
    return [pl.Series(name, values, dtype=pl.Float64) for name, values in found]


def _lengths(bars: pl.DataFrame) -> Iterator[tuple[int, int, str]]:
    """Yield the first row, the end and the symbol of each run of one symbol."""
    start = 0
    for length, symbol in bars["symbol"].rle().struct.unnest().iter_rows():
        yield start, start + length, symbol
        start += length


_Runs = Mapping[str, tuple[int, pl.Series]]  # by symbol: the number of its first row, and its dates


def _runs(bars: pl.DataFrame) -> _Runs | None:
    """Return the rows of each symbol; None unless they follow one another by date."""
    runs: dict[str, tuple[int, pl.Series]] = {}
    dates = bars.select("date")
    for start, end, symbol in _lengths(bars):
        own = dates.slice(start, end - start).to_series()
        if symbol in runs or not own.is_sorted():
            return None
        runs[symbol] = start, own
    return runs


def _joined(bars: pl.DataFrame, steps: pl.DataFrame) -> list[pl.Series]:
    """Return the factors of rows in any order."""
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
    return [joined[name].fill_null(1.0) for name in _FACTORS]


def _filled(height: int, runs: _Runs, steps: pl.DataFrame) -> list[pl.Series]:
    """Return the factors of rows by symbol and date.

    The last bar before each ex-date gets the factor of the step, and the bars before it take it from there. That needs
    a third of the time of a join.
    """
    places, parts = [], []
    wanted = steps.filter(pl.col("symbol").is_in(list(runs)))
    for (symbol,), part in wanted.partition_by("symbol", as_dict=True).items():
        start, dates = runs[symbol]
        before = dates.search_sorted(part["ex_date"], side="left").cast(pl.Int64)  # rows before each ex-date
        places.append(before.zip_with(before > 0, _NOWHERE) + (start - 1))
        parts.append(part)
    ends = {"symbol": list(runs), "ex_date": None, "__split": 1.0, "__dividend": 1.0}
    places.append(pl.Series([start + dates.len() - 1 for start, dates in runs.values()], dtype=pl.Int64))
    parts.append(pl.DataFrame(ends, schema=_COLUMNS))
    # Of several steps between two rows the first one counts: it has the factors of the others.
    found = pl.concat(parts).with_columns(pl.concat(places).alias("place")).drop_nulls("place")
    found = found.unique("place", keep="first", maintain_order=True)
    filled = [pl.repeat(None, height, dtype=pl.Float64, eager=True).scatter(found["place"], found[n]) for n in _FACTORS]
    return [series.fill_null(strategy="backward").alias(n) for series, n in zip(filled, _FACTORS, strict=True)]
