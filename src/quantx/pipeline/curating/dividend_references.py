"""The close before each dividend, of vendors that deliver events apart from bars: it needs both replies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from quantx.core.prices import split_steps, with_factor
from quantx.core.tables import ACTIONS, BARS_1D
from quantx.lake.protocol import CuratedTable, Tables
from quantx.pipeline.curating.normalize import ReaderOf

_LONGEST_PAUSE = timedelta(days=10)  # it bridges suspensions of a week; an older close is no reference
_KEY = ["source", "symbol"]


def with_references(
    tables: Tables,
    reader_of: ReaderOf,
    actions: Sequence[pl.DataFrame],
    bars: Sequence[pl.DataFrame],
) -> list[pl.DataFrame]:
    """Return the incoming actions with `reference_close` where the close is there, and stored ones that now have it.

    The reference is the close of the session before the ex-date, in the shares of the ex-date. Each frame is of one
    source.
    """
    sources = sorted({frame["source"][0] for frame in (*actions, *bars) if frame.height})
    apart = [source for source in sources if "actions" in reader_of(source).capabilities.datasets]
    if not apart:
        return list(actions)
    came = pl.concat([ACTIONS.empty(), *actions])
    closes = [b.select(*_KEY, "date", "close") for b in bars if b.height and b["source"][0] in apart]
    traded = pl.concat([BARS_1D.empty().select(*_KEY, "date", "close"), *closes])
    concerned = pl.concat([came.select(_KEY), traded.select(_KEY)]).unique().filter(pl.col("source").is_in(apart))
    ours = pl.col("source").is_in(apart) & pl.col("symbol").is_in(concerned["symbol"].to_list())
    stored = tables[ACTIONS.name].read(ours)
    events = pl.concat([came, stored.join(came, on=list(ACTIONS.key), how="anti")])
    missing = (pl.col("kind") == "dividend") & pl.col("reference_close").is_null() & pl.col("source").is_in(apart)
    open_ = events.filter(missing)
    if open_.is_empty():
        return list(actions)
    stored_closes = _stored_closes(tables[BARS_1D.name], open_)
    filled = _filled(open_, events, pl.concat([traded, stored_closes]).unique([*_KEY, "date"], keep="first"))
    complete = filled.filter(
        pl.col("reference_close").is_not_null() | pl.col("raw").is_in(came["raw"].unique().to_list())
    )
    return [
        events.filter(~missing).join(came, on=list(ACTIONS.key), how="semi"),
        complete.select(list(ACTIONS.schema)),
    ]


def _stored_closes(bars: CuratedTable, dividends: pl.DataFrame) -> pl.DataFrame:
    days = pl.col("date").is_between(dividends["ex_date"].min() - _LONGEST_PAUSE, dividends["ex_date"].max())  # type: ignore[operator]
    where = pl.col("source").is_in(dividends["source"].unique().to_list()) & pl.col("symbol").is_in(
        dividends["symbol"].unique().to_list()
    )
    return bars.read(where & days).select(*_KEY, "date", "close")


def _filled(dividends: pl.DataFrame, events: pl.DataFrame, closes: pl.DataFrame) -> pl.DataFrame:
    """Return the dividends with their reference closes, in shares of the ex-date."""
    numbered = closes.with_columns(pl.concat_str(_KEY, separator=" ").alias("series"))
    steps = split_steps(events.with_columns(pl.concat_str(_KEY, separator=" ").alias("series")), key="series")
    numbered = with_factor(numbered, steps, "after", key="series").with_columns(
        (pl.col("close") / pl.col("after")).alias("__close")  # in the shares of today
    )
    joined = (
        with_factor(
            dividends.with_columns(pl.concat_str(_KEY, separator=" ").alias("series")),
            steps,
            "after",
            on="ex_date",
            key="series",
        )
        .sort("ex_date")
        .join_asof(
            numbered.select("series", "date", "__close").sort("date"),
            left_on="ex_date",
            right_on="date",
            by="series",
            strategy="backward",
            allow_exact_matches=False,
            tolerance=_LONGEST_PAUSE,
            check_sortedness=False,  # both sides were sorted just now
        )
    )
    return joined.with_columns((pl.col("__close") * pl.col("after")).alias("reference_close"))
