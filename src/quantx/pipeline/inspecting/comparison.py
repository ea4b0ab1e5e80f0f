"""Comparisons of vendors as rows for display: each symbol of a pair with its days, and the shares of agreement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

from quantx.core.quality.vendor_comparison import FIELDS, OTHER
from quantx.core.quality.vendor_verdicts import agreements_of, verdict_of_counts
from quantx.pipeline.inspecting.compare_actions import ActionPair
from quantx.pipeline.inspecting.reconcile import Pair

_FEW = 5  # days of a cause that are listed


def symbols_of(pair: Pair, now: datetime) -> list[dict[str, Any]]:
    """Return the compared sessions of each symbol, the share that agrees in each field, and the days that differ."""
    months = agreements_of(pair.compared, pair.judged, pair.a, pair.b, pair.market, now)
    odd = pair.judged.group_by("symbol").agg(
        pl.len().alias("odd"), *(pl.col(f"differs_{field}").fill_null(False).sum() for field in FIELDS)
    )
    both = pair.compared.months.group_by("symbol").agg(pl.col("both").sum())
    whole = months.group_by("symbol").agg(
        pl.col("sessions", "agreed", "wrong_a", "wrong_b", "lacking_a", "lacking_b").sum(), pl.col("worst").max()
    )
    rows = whole.join(odd, on="symbol", how="left").join(both, on="symbol", how="left").sort("symbol")
    verdicts = {"a_wrong": f"{pair.a} is wrong", "b_wrong": f"{pair.b} is wrong", "both_doubtful": "doubtful"}
    rows = rows.with_columns(
        *((1 - pl.col(f"differs_{f}").fill_null(0) / pl.col("both")).alias(f"differs_{f}") for f in FIELDS),
        pl.col("odd").fill_null(0),
    ).with_columns(verdict_of_counts().replace(verdicts).alias("verdict"))
    days = _days(pair)
    return [
        {
            "symbol": row["symbol"],
            "source_a": pair.a,
            "source_b": pair.b,
            "sessions": row["sessions"],
            "agreed": row["agreed"],
            **{field: row[f"differs_{field}"] for field in FIELDS},
            "worst": row["worst"],
            "lacking_a": row["lacking_a"],
            "lacking_b": row["lacking_b"],
            "verdict": row["verdict"],
            "days": days.get(row["symbol"], []),
        }
        for row in rows.iter_rows(named=True)
    ]


def _days(pair: Pair) -> dict[str, list[dict[str, Any]]]:
    differs = [pl.col(f"differs_{f}").fill_null(False) for f in FIELDS]
    field, value, other = (
        pl.coalesce([pl.when(d).then(w) for d, w in zip(differs, what, strict=True)])
        for what in ([pl.lit(f) for f in FIELDS], [pl.col(f) for f in FIELDS], [pl.col(f + OTHER) for f in FIELDS])
    )
    wrong = pl.when(pl.col("outcome") == "a_wrong").then(pl.lit(pair.a)).when(pl.col("outcome") == "b_wrong")
    shown = pair.judged.select(
        "symbol",
        "date",
        "rule",
        field.alias("field"),
        value.alias("value_a"),
        other.alias("value_b"),
        wrong.then(pl.lit(pair.b)).alias("wrong"),
        "decided_by",
    )
    return {
        str(name): part.drop("symbol").to_dicts() for (name,), part in shown.group_by("symbol", maintain_order=True)
    }


def events_of(pairs: Iterable[ActionPair]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the splits and dividends by symbol and both vendors.

    `events` is the number that both have, `event_differences` lists those in which they differ, with the vendor in
    error.
    """
    compared: dict[tuple[str, str, str], dict[str, Any]] = {}
    for pair in pairs:
        both = dict(pair.both.select("symbol", "events").iter_rows())
        odd = pair.judged.with_columns(
            pl.when(pl.col("outcome") == "a_wrong")
            .then(pl.lit(pair.a))
            .when(pl.col("outcome") == "b_wrong")
            .then(pl.lit(pair.b))
            .alias("wrong")
        ).select(
            *("symbol", "ex_date", "kind", "rule", pl.col("value").alias("value_a"), pl.col("value_b")),
            *("other_date", "wrong", "decided_by"),
        )
        listed = {str(name): part.drop("symbol").to_dicts() for (name,), part in odd.group_by("symbol")}
        for symbol in both.keys() | listed.keys():
            compared[symbol, pair.a, pair.b] = {
                "events": both.get(symbol, 0),
                "event_differences": listed.get(symbol, []),
            }
    return compared


def causes_of(days: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the days of a symbol that differ by cause and vendor in error: number, first and last, and the factor."""
    rows = pl.DataFrame(days, infer_schema_length=None)
    if rows.is_empty():
        return []
    ratio = pl.max_horizontal(pl.col("value_a") / pl.col("value_b"), pl.col("value_b") / pl.col("value_a"))
    causes = rows.group_by("rule", "field", "wrong", "decided_by").agg(
        pl.len().alias("days"),
        pl.col("date").min().alias("first"),
        pl.col("date").max().alias("last"),
        pl.when(pl.len() <= _FEW).then(pl.col("date").sort().cast(pl.String).str.join(", ")).alias("which"),
        ratio.median().alias("factor"),
    )
    return causes.sort("first", "rule", "field").to_dicts()


def matrix_of(agreements: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the compared symbols and sessions and the share that agrees, per market and pair of vendors."""
    counts = agreements.group_by("market", "source_a", "source_b").agg(
        pl.col("symbol").n_unique().alias("symbols"), pl.col("sessions", "agreed", "wrong_a", "wrong_b").sum()
    )
    share = pl.col("agreed") / pl.max_horizontal("sessions", pl.lit(1))
    return counts.with_columns(share.alias("agreement")).sort("market", "source_a", "source_b").to_dicts()


def squares_of(matrix: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return a row per vendor with its share of agreement with each other vendor, by market."""
    squares: dict[str, list[dict[str, Any]]] = {}
    for market in sorted({row["market"] for row in matrix}):
        shares = {(r["source_a"], r["source_b"]): r["agreement"] for r in matrix if r["market"] == market}
        names = sorted({name for pair in shares for name in pair})
        squares[market] = [{"source": a, **{b: shares.get((a, b), shares.get((b, a))) for b in names}} for a in names]
    return squares
