"""Adjustment proofs: the adjusted closes of each reply against its own splits and dividends. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from quantx.core.model import Finding
from quantx.core.quality.adjustments import ADJUSTED_CLOSE_POSITIVE, ADJUSTMENT_RULES, prove, unusable_adjusted
from quantx.core.quality.rule import FINDING_SEVERITY
from quantx.core.table import INSTANT
from quantx.core.tables import ADJUSTMENT_PROOFS, BARS_1D

_HUNDRED = 0.2  # a share of a dividend is about a hundredth or a hundredfold within this part of it

# The first and the last day over which replies prove the actions of a symbol.
SPANS: dict[str, pl.DataType | type[pl.DataType]] = {
    "source": pl.String,
    "symbol": pl.String,
    "first": pl.Date,
    "last": pl.Date,
    "raw": pl.String,
    "known_from": INSTANT,
}


@dataclass(frozen=True)
class ReplyProofs:
    """The proofs of replies: rows of ADJUSTMENT_PROOFS, the days that they cover, and findings beside the steps."""

    rows: pl.DataFrame
    spans: pl.DataFrame
    findings: Sequence[Finding] = ()

    @classmethod
    def nothing(cls) -> ReplyProofs:
        """Return the proofs of replies without adjusted closes: none."""
        return cls(ADJUSTMENT_PROOFS.empty(), pl.DataFrame(schema=SPANS))


def prove_replies(
    bars: pl.DataFrame, actions: pl.DataFrame, facts: pl.DataFrame, source: str, *, split_in_close: bool
) -> ReplyProofs:
    """Compare the steps of the vendor's adjusted closes with those of its actions, reply by reply.

    `bars` and `actions` are VENDOR_BARS and VENDOR_ACTIONS with the reply's number in `series`; `facts` has series,
    symbol, raw and known_from. A day with a dividend in another currency than the prices' can't be compared.
    """
    bars = bars.filter(pl.col("vendor_adj_close").is_not_null())
    if bars.is_empty():
        return ReplyProofs.nothing()
    foreign = pl.when(pl.col("paid_in").is_null()).then("kind").otherwise(pl.lit("foreign_dividend"))
    named = facts.select("series", "symbol", "raw", "known_from", source=pl.lit(source))
    proofs = prove(bars, actions.with_columns(foreign.alias("kind")), split_in_close=split_in_close)
    spans = bars.group_by("series").agg(pl.col("date").min().alias("first"), pl.col("date").max().alias("last"))
    unusable = unusable_adjusted(bars).join(named, on="series")
    return ReplyProofs(
        proofs.join(named, on="series", maintain_order="left").select(list(ADJUSTMENT_PROOFS.schema)),
        spans.join(named, on="series").select(list(SPANS)),
        [_not_positive(source, row) for row in unusable.iter_rows(named=True)],
    )


def disagreements(proofs: pl.DataFrame) -> list[Finding]:
    """Return a finding for each row of ADJUSTMENT_PROOFS that breaks a rule."""
    return [
        Finding(
            rule.id,
            FINDING_SEVERITY[rule.severity],
            row["symbol"],
            _message(row),
            source=row["source"],
            dataset=ADJUSTMENT_PROOFS.name,
            first_day=row["ex_date"],
            last_day=row["ex_date"],
            facts={name: row[name] for name in ("ours", "vendors", "verdict")},
        )
        for rule in ADJUSTMENT_RULES
        if rule is not ADJUSTED_CLOSE_POSITIVE
        for row in proofs.filter(rule.broken).iter_rows(named=True)
    ]


def _message(row: dict[str, Any]) -> str:
    """Return the fact, the likely cause and the next step."""
    paid, taken = 1 - row["ours"], 1 - row["vendors"]
    share = taken / paid if paid else math.inf
    wrong = f"it takes {share:.4g} of the dividend" if paid else "a dividend above the price, which ours leaves out"
    if any(abs(share * n - 1) < _HUNDRED for n in (100, 0.01)):
        wrong += ", as if pence were pounds"
    cause = {
        "missing_dividend": f"its actions miss a dividend of {taken:.2%} of the price",
        "missing_split": f"its actions miss a split of {1 / row['vendors']:.6g} for 1",
        "wrong_factor": wrong,
        "applied_twice": "an action is in it twice",
        "not_applied": "an action is not in it",
        "spin_off_as_cash": f"{paid:.0%} of the price is booked as cash, and the price fell with it",
        "unexplained": "no action makes such a step",
    }[row["verdict"]]
    if row["verdict"] == "spin_off_as_cash":
        return f"{cause}: probably shares of another company; leave it out of dividend yields"
    vendors, ours = _unequal(row["vendors"], row["ours"])
    return (
        f"{row['source']}'s adjusted close steps by {vendors} on {row['ex_date']}, and by its actions it should by"
        f" {ours}: {cause}; compare with another vendor before adjusted prices of earlier days are used"
    )


def _unequal(one: float, other: float) -> tuple[str, str]:
    """Return two numbers with six decimals, or with as many as show that they differ."""
    for places in range(6, 12):
        texts = f"{one:.{places}f}", f"{other:.{places}f}"
        if texts[0] != texts[1]:
            break
    return texts


def _not_positive(source: str, row: dict[str, Any]) -> Finding:
    return Finding(
        ADJUSTED_CLOSE_POSITIVE.id,
        FINDING_SEVERITY[ADJUSTED_CLOSE_POSITIVE.severity],
        row["symbol"],
        f"{source}'s adjusted close is not positive on {row['rows']:,} days from {row['first']} to {row['last']}: a"
        " dividend that is larger than the price, or in another unit; ours leaves such a dividend out",
        source=source,
        dataset=BARS_1D.name,
        first_day=row["first"],
        last_day=row["last"],
        facts={"rows": row["rows"]},
    )
