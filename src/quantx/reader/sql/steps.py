"""What adjusted views need beside the tables: the steps of the factors, and the bars of renamed securities.

Both are computed by the reader's own queries, so that SQL and `lake.bars` give the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import date

import polars as pl

from quantx.core.prices import dividend_steps, split_steps
from quantx.core.symbol_history import Naming, SymbolHistory
from quantx.core.table import INSTANT

_Schema = dict[str, pl.DataType | type[pl.DataType]]
STEP_SCHEMA: _Schema = {
    "symbol": pl.String,
    "year": pl.Int32,
    "first": pl.Date,
    "ex_date": pl.Date,
    "ratio": pl.Float64,
    "split": pl.Float64,
    "total": pl.Float64,
}
RENAMED_SCHEMA: _Schema = {
    "symbol": pl.String,
    "date": pl.Date,
    **dict.fromkeys(("open", "high", "low", "close"), pl.Float64),
    "volume": pl.Int64,
    "adj_close": pl.Float64,
    "source": pl.String,
    "known_from": INSTANT,
    "adjust": pl.String,  # split or total; null: the symbol's stored rows are in those of a security
}
_EARLIEST = 1900  # where a table has no years


def factor_steps(actions: pl.DataFrame, first_year: int | None) -> pl.DataFrame:
    """Return the factors of days before ex-dates: a row holds in `year` for days from `first` to before `ex_date`.

    `actions` are those of `Lake.actions`. A day without a row has the factors 1. `ratio` is the product of the split
    ratios, `split` and `total` are the factors of prices (see core/prices.py).
    """
    ratios, shares = split_steps(actions), dividend_steps(actions)
    days = pl.concat([ratios.select("symbol", "ex_date"), shares.select("symbol", "ex_date")]).unique()
    if days.is_empty():
        return pl.DataFrame(schema=STEP_SCHEMA)
    steps = days.sort("symbol", "ex_date")
    for name, factors in (("ratio", ratios), ("share", shares)):
        named = factors.rename({"factor": name})
        steps = steps.join(named, on=["symbol", "ex_date"], how="left", maintain_order="left")
        # The product over later ex-dates is also that of days between: it holds back to the ex-date before.
        steps = steps.with_columns(pl.col(name).backward_fill().over("symbol").fill_null(1.0))
    begins = pl.col("ex_date").shift(1).over("symbol").fill_null(date(first_year or _EARLIEST, 1, 1))
    last = pl.col("ex_date").dt.offset_by("-1d").dt.year()
    return (
        steps.with_columns(begins.alias("first"))
        .filter(pl.col("first") < pl.col("ex_date"))
        .with_columns(pl.int_ranges(pl.col("first").dt.year(), last + 1, dtype=pl.Int32).alias("year"))
        .explode("year")
        .with_columns((1 / pl.col("ratio")).alias("split"), (pl.col("share") / pl.col("ratio")).alias("total"))
        .select(list(STEP_SCHEMA))
        .cast(pl.Schema(STEP_SCHEMA))
    )


def renamed_symbols(history: SymbolHistory) -> set[str]:
    """Return the symbols whose rows are not simply those of one security: renamed, or reused by another."""
    return {
        each.symbol
        for each in history.namings
        if not len(history.symbols_of(each.instrument)) == len(history.namings_of(each.symbol)) == 1
    }


def renamed_bars(history: SymbolHistory, stored: Collection[str], bars: Callable[..., pl.DataFrame]) -> pl.DataFrame:
    """Return the adjusted bars of renamed securities under their last symbols, for each `adjust` (split, total).

    Also a row without a bar for each stored symbol of theirs. `bars` is `Lake.bars`.
    """
    symbols = renamed_symbols(history).intersection(stored)
    instruments = {each.instrument for symbol in symbols for each in history.namings_of(symbol)}
    last = [history.symbols_of(each)[-1] for each in sorted(instruments)]
    parts = [_cast(pl.DataFrame({"symbol": sorted(symbols)}, schema={"symbol": pl.String}))]
    parts += [
        _cast(bars(list(batch), on=batch, adjust=how).with_columns(pl.lit(how).alias("adjust")))
        for batch in _batches(last)
        for how in ("split", "total")
    ]
    return pl.concat(parts)


def _batches(namings: list[Naming]) -> list[dict[str, date | None]]:
    """Return the last symbols with a day of each security; two securities with one symbol are in two batches."""
    batches: list[dict[str, date | None]] = []
    for each in namings:
        free = next((batch for batch in batches if each.symbol not in batch), None)
        if free is None:
            batches.append(free := {})
        free[each.symbol] = each.last or date.max
    return batches


def _cast(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        pl.col(c).cast(kind) if c in rows.columns else pl.lit(None, kind).alias(c) for c, kind in RENAMED_SCHEMA.items()
    )
