"""Compute features of bars: kernels over each symbol's rows, forward-adjusted, in as-traded units."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from quantx.core.features.arrays import ArrayResults
from quantx.core.features.feature import BARS, Basis, Feature, Kernel, Output
from quantx.core.features.kernels import Talib, has_talib
from quantx.extras import extra

PRICES = ("open", "high", "low", "close", "vwap")
INDEX = ("symbol", "date", "time")  # of a row; daily bars have no time
BLOCK = "block"  # an optional column: TA-Lib's kernels run over whole blocks of symbols (see quantx.core.features.tail)
_FACTOR: dict[Basis, str | None] = {"traded": None, "split": "split_factor", "total": "total_factor"}
_PORTION = 40_000  # rows that are computed at once: memory of this size is used again, larger one is mapped anew


def compute(features: Sequence[Feature], bars: pl.DataFrame, *, wanted: str | None = None) -> pl.DataFrame:
    """Return symbol, date (minutes: and time) and a column per feature, a row per bar, in the order of the bars.

    `bars` has symbol, date, open, high, low, close and volume as traded (Float64), split_factor (S of the date) and
    total_factor (S / D: see quantx.core.features.feature), sorted by symbol and date; `vwap` is optional.
    Minutes also have time, and are sorted by symbol and time. Nulls, NaN and infinite numbers are no values. A kernel
    gets the rows where all its inputs have values, and the feature is null elsewhere; it is null in its warm-up and
    wherever it is no finite number. `wanted` names a column of `bars`: only the rows where it is true are returned.
    MissingExtra where a library of the kernels is not installed.
    """
    if bars.is_empty():
        return bars.select(*_index(bars), *(pl.lit(None, pl.Float64).alias(each.name) for each in features))
    with extra("local", "the computation of features"):
        return pl.concat([_of_rows(features, portion, wanted) for portion in _portions(bars)])


def _portions(bars: pl.DataFrame) -> Iterable[pl.DataFrame]:
    """Cut bars into portions of whole symbols."""
    start = 0
    for end in bars["symbol"].rle().struct.field("len").cum_sum():
        if end - start >= _PORTION or end == bars.height:
            yield bars.slice(start, end - start)
            start = end


def _of_rows(features: Sequence[Feature], bars: pl.DataFrame, wanted: str | None) -> pl.DataFrame:
    """Return the features of a portion of bars."""
    clean = bars.with_columns(_finite(pl.col(name)) for name in _present(bars, (*PRICES, "volume")))
    empty = {name for name in (*BARS, "vwap") if name not in clean.columns or clean[name].null_count()}
    columns: list[pl.Series] = []
    for basis, inputs, chosen in _passes(features, empty):
        columns += _pass(basis, inputs, chosen, clean, wanted).get_columns()
    return (
        _kept(bars, wanted)
        .select(_index(bars))
        .with_columns(columns)
        .select(*_index(bars), *(f.name for f in features))
    )


def _kept(bars: pl.DataFrame, wanted: str | None) -> pl.DataFrame:
    return bars if wanted is None else bars[bars[wanted].arg_true()]


def _index(bars: pl.DataFrame) -> list[str]:
    return [name for name in INDEX if name in bars.columns]


def _passes(features: Iterable[Feature], gappy: set[str]) -> list[tuple[Basis, tuple[str, ...], list[Feature]]]:
    """Group features by their basis and by those of their inputs that lack values in some rows."""
    passes: dict[tuple[Basis, tuple[str, ...]], list[Feature]] = defaultdict(list)
    for each in features:
        passes[each.basis, tuple(name for name in each.inputs if name in gappy)].append(each)
    return [(basis, lacking, chosen) for (basis, lacking), chosen in passes.items()]


def _pass(
    basis: Basis, lacking: tuple[str, ...], features: Sequence[Feature], bars: pl.DataFrame, wanted: str | None
) -> pl.DataFrame:
    """Return features of one basis, a row per wanted bar: computed over those where inputs in `lacking` have values."""
    if any(name not in bars.columns for name in lacking):
        height = _kept(bars, wanted).height
        return pl.DataFrame({each.name: pl.repeat(None, height, dtype=pl.Float64, eager=True) for each in features})
    if not lacking:
        return _traded(_adjusted(bars, basis), features, wanted)
    every = bars.with_row_index("row")
    rows = every.filter(pl.col(name).is_not_null() for name in lacking)
    placed = _traded(_adjusted(rows, basis), features, wanted).with_columns(_kept(rows, wanted)["row"])
    return _kept(every, wanted).select("row").join(placed, on="row", how="left", maintain_order="left").drop("row")


def _adjusted(bars: pl.DataFrame, basis: Basis) -> pl.DataFrame:
    """Return bars with prices and volumes adjusted forward."""
    factor = _FACTOR[basis]
    if factor is None:
        return bars
    return bars.with_columns(
        *(pl.col(name) * pl.col(factor) for name in _present(bars, PRICES)), pl.col("volume") / pl.col("split_factor")
    )


def _traded(bars: pl.DataFrame, features: Sequence[Feature], wanted: str | None) -> pl.DataFrame:
    """Run each kernel once over each symbol's rows; return the features of the wanted ones in as-traded units."""
    by = BLOCK if BLOCK in bars.columns and features[0].basis != "traded" else "symbol"
    results = ArrayResults(
        (f.kernel for f in features if isinstance(f.kernel, Talib) and has_talib()), bars, by, wanted
    )
    taken: dict[tuple[Kernel, Output | None], Feature] = {}
    for each in features:
        if each.kernel in results and not callable(each.output):
            taken.setdefault((each.kernel, each.output), each)
    direct, kept = {each.name for each in taken.values()}, _kept(bars, wanted)
    others = [each for each in features if each.name not in direct]
    kernels = dict.fromkeys(each.kernel for each in others if each.kernel not in results)
    found = _expressed(kept, others, results, _evaluated(bars, kernels, wanted)).get_columns() if others else []
    for each in taken.values():
        if isinstance(each.kernel, Talib) and not callable(each.output):
            divided = each.unit in ("price", "shares") and each.basis != "traded"
            divisor = kept.select(forward_factor(each)).to_series().to_numpy() if divided else None
            found.append(results.finite(each.name, each.kernel, each.output, divisor))
    return pl.DataFrame(found)


def _evaluated(bars: pl.DataFrame, kernels: Iterable[Kernel], wanted: str | None) -> dict[Kernel, pl.Series]:
    """Return the results of kernels that are expressions, over each symbol's rows, of the wanted ones."""
    named = {kernel: f"kernel {n}" for n, kernel in enumerate(kernels)}
    if not named:
        return {}
    groups = bars.lazy().group_by("symbol", maintain_order=True)
    values = ((kernel() if wanted is None else kernel().filter(wanted)).alias(name) for kernel, name in named.items())
    lists = groups.agg(values).select(named.values())
    some = lists.filter(pl.col("kernel 0").list.len() > 0)  # a symbol without wanted rows
    columns = some.explode(list(named.values())).collect()
    return {kernel: columns[name] for kernel, name in named.items()}


def _expressed(
    kept: pl.DataFrame, features: Sequence[Feature], results: ArrayResults, evaluated: Mapping[Kernel, pl.Series]
) -> pl.DataFrame:
    """Return features whose kernels or outputs are expressions, in as-traded units."""
    columns, made = list(evaluated.values()), {kernel: pl.col(each.name) for kernel, each in evaluated.items()}
    for kernel in dict.fromkeys(each.kernel for each in features):
        if isinstance(kernel, Talib) and kernel in results:
            copies, made[kernel] = results.columns(kernel)
            columns += copies
    values = kept.with_columns(columns).select(
        "split_factor", "total_factor", *(_output(each, made[each.kernel]).alias(each.name) for each in features)
    )
    return values.select(_as_traded(each).alias(each.name) for each in features)


def _output(feature: Feature, result: pl.Expr) -> pl.Expr:
    if feature.output is None:
        return result
    return result.struct.field(feature.output) if isinstance(feature.output, str) else feature.output(result)


def forward_factor(feature: Feature) -> pl.Expr:
    """Return by what a value in as-traded units is multiplied to be in the forward-adjusted units of its kernel."""
    factor = _FACTOR[feature.basis]
    if factor is None or feature.unit in ("ratio", "currency"):
        return pl.lit(1.0)
    return pl.col(factor) if feature.unit == "price" else 1 / pl.col("split_factor")


def _as_traded(feature: Feature) -> pl.Expr:
    """Return a value in the as-traded units of its session."""
    value = pl.col(feature.name)
    return _finite(value / forward_factor(feature) if feature.unit in ("price", "shares") else value)


def _finite(value: pl.Expr) -> pl.Expr:
    """Return a value, or null where it is NaN or infinite."""
    number = value.cast(pl.Float64)
    return pl.when(number.is_finite()).then(number)


def _present(bars: pl.DataFrame, names: Iterable[str]) -> list[str]:
    return [name for name in names if name in bars.columns]


def compute_rows(features: Sequence[Feature], rows: pl.DataFrame) -> pl.DataFrame:
    """Return symbol, date and a column per feature of kinds whose kernels take whole rows, in the order of the rows.

    `rows` have symbol, date and the features' inputs, as quantx.core.features.fundamental and .cross_section say: of
    one universe for a cross-section.
    """
    inputs = {name for each in features for name in each.inputs if name in rows.columns and rows[name].dtype.is_float()}
    clean = rows.with_columns(_finite(pl.col(name)).alias(name) for name in inputs)
    return clean.select(*_index(rows), *(_finite(each.kernel()).alias(each.name) for each in features))
