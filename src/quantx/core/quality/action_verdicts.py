"""Decide between two vendors whose splits or dividends differ: other vendors, adjusted closes, or the price decides.

The decisions give the rows of `action_verdicts`: the events of a vendor that are wrong, missing or doubtful.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from operator import add

import polars as pl

from quantx.core.quality.action_comparison import APART, EVENT, LACKS_EVENT, OTHER_DATE, same_value
from quantx.core.quality.vendor_comparison import OTHER
from quantx.core.table import INSTANT
from quantx.core.tables import ACTION_VERDICTS

# Values of `decided_by` that are not a vendor: the vendor's own adjusted closes, or the step of the price.
ADJUSTED, PRICE = "adjusted closes", "price"
# The price decides between two steps that are further apart than its own noise, for the one that is much nearer.
_NOISES, _NEARER = 6.0, 3.0
_QUIET = 0.005  # the least noise: a tick of a share that hardly moves is no evidence
_SIGMA = 1.4826  # standard deviations per median absolute deviation, of a normal distribution
_FEWEST = 20  # returns for a noise
_IMPOSSIBLE = 10.0  # the log step of a dividend that is not below the price

_value, _other, _is_split = pl.col("value"), pl.col("value" + OTHER), pl.col("kind") == "split"


@dataclass(frozen=True)
class EventWitness:
    """A third vendor: its events (of `comparable_events`), and the differing events that it could have sent."""

    name: str
    events: pl.DataFrame
    covered: pl.DataFrame  # symbol, ex_date, kind


def price_steps(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the step of the price at each bar: symbol, date, step, close_before, noise; the median of the vendors.

    `bars` are as traded, with source, symbol, date and close. `step` is log(close before / close); `noise` is the
    robust standard deviation of a symbol's steps, null for few.
    """
    rows = bars.filter(pl.col("close") > 0).sort("source", "symbol", "date")
    before = pl.col("close").shift().over("source", "symbol")
    rows = rows.with_columns(close_before=before, step=(before / pl.col("close")).log()).drop_nulls("step")
    steps = rows.group_by("symbol", "date").agg(pl.col("step", "close_before").median())
    spread = (pl.col("step") - pl.col("step").median()).abs().median() * _SIGMA
    noise = pl.when(pl.len() >= _FEWEST).then(pl.max_horizontal(spread, pl.lit(_QUIET)))
    return steps.with_columns(noise.over("symbol").alias("noise"))


def decide_events(
    odd: pl.DataFrame,
    witnesses: Sequence[EventWitness],
    contradicted: tuple[pl.DataFrame, pl.DataFrame],
    steps: tuple[pl.DataFrame, pl.DataFrame],
) -> pl.DataFrame:
    """Add `outcome` (a_wrong, b_wrong, or null without a decision) and `decided_by` to rows of `compare_actions`.

    First the majority of the other vendors decides, then adjusted closes: if those of exactly one of the two vendors
    contradict its own event (`contradicted` has these days of a and of b: symbol, ex_date). Last the price decides:
    `steps` are those that show splits, and those that show dividends (`price_steps`).
    """
    names = [witness.name for witness in witnesses]
    rows = reduce(_add_votes, witnesses, odd)
    for_a, for_b = (reduce(add, [pl.col(f"{n}:{s}").cast(pl.Int32) for n in names], pl.lit(0)) for s in "ab")
    rows = _with_contradictions(rows, contradicted)
    rows = pl.concat([_with_prices(rows.filter(_is_split), steps[0]), _with_prices(rows.filter(~_is_split), steps[1])])
    voted = pl.when(for_a > for_b).then(pl.lit("b")).when(for_b > for_a).then(pl.lit("a"))
    rows = rows.with_columns(voted.alias("__voted"))
    voters = [
        pl.when(pl.col(f"{n}:{right}") & (pl.col("__voted") == wrong)).then(pl.lit(n))
        for right, wrong in ("ab", "ba")
        for n in names
    ]
    by = pl.concat_str(voters, separator=",", ignore_nulls=True) if voters else pl.lit(None, pl.String)
    decided_by = (
        pl.when(pl.col("__voted").is_not_null())
        .then(by)
        .when(pl.col("__adjusted").is_not_null())
        .then(pl.lit(ADJUSTED))
        .when(pl.col("__price").is_not_null())
        .then(pl.lit(PRICE))
    )
    wrong = pl.coalesce("__voted", "__adjusted", "__price")
    return rows.select(*odd.columns, (wrong + "_wrong").alias("outcome"), decided_by.alias("decided_by")).sort(EVENT)


def _add_votes(odd: pl.DataFrame, witness: EventWitness) -> pl.DataFrame:
    """Add `<name>:a` and `<name>:b`: the witness has the event as the vendor has it, and not as the other has it."""
    events = witness.events.select(*EVENT, pl.col("value").alias("__here"))
    there = events.rename({"ex_date": "other_date", "__here": "__there"})
    covered = witness.covered.select(EVENT).unique().with_columns(pl.lit(True).alias("__covered"))
    rows = odd.join(events, on=EVENT, how="left").join(there, on=["symbol", "other_date", "kind"], how="left")
    rows = rows.join(covered, on=EVENT, how="left")
    near = odd.select(EVENT).join(events.rename({"ex_date": "__day"}), on=["symbol", "kind"])
    near = near.filter((pl.col("__day") - pl.col("ex_date")).abs() <= APART).select(EVENT).unique()
    rows = rows.join(near.with_columns(pl.lit(True).alias("__near")), on=EVENT, how="left")
    here, none = pl.col("__here"), pl.col("__covered").fill_null(False) & pl.col("__near").is_null()
    moved, there_too = pl.col("rule") == OTHER_DATE, pl.col("__there").is_not_null()
    as_a = same_value(here, _value).fill_null(False)
    as_b = pl.when(moved).then(there_too & here.is_null()).otherwise(same_value(here, _other).fill_null(False))
    for_a = pl.when(_value.is_null()).then(none).otherwise(as_a & ~(moved & there_too))
    for_b = pl.when(_other.is_null()).then(none).otherwise(as_b)
    votes = [(x & ~y).alias(f"{witness.name}:{s}") for x, y, s in ((for_a, for_b, "a"), (for_b, for_a, "b"))]
    return rows.with_columns(votes).drop("__here", "__there", "__covered", "__near")


def _with_contradictions(odd: pl.DataFrame, contradicted: tuple[pl.DataFrame, pl.DataFrame]) -> pl.DataFrame:
    """Add `__adjusted`: the only side whose adjusted closes contradict its own event."""
    for side, days in zip("ab", contradicted, strict=True):
        flags = days.select("symbol", "ex_date").unique().with_columns(pl.lit(True).alias(f"__{side}"))
        moved = flags.rename({"ex_date": "other_date", f"__{side}": f"__{side}_there"})
        odd = odd.join(flags, on=["symbol", "ex_date"], how="left")
        odd = odd.join(moved, on=["symbol", "other_date"], how="left")
    a, b = (pl.coalesce(f"__{side}", f"__{side}_there", pl.lit(False)) for side in "ab")
    alone = pl.when(a & ~b).then(pl.lit("a")).when(b & ~a).then(pl.lit("b"))
    return odd.with_columns(alone.alias("__adjusted")).drop("__a", "__b", "__a_there", "__b_there")


def _with_prices(odd: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """Add `__price`: the side whose event is not the step that the price shows."""
    here = steps.rename({"date": "ex_date"})
    there = steps.select("symbol", pl.col("date").alias("other_date"), pl.col("step").alias("__there"))
    rows = odd.join(here, on=["symbol", "ex_date"], how="left").join(there, on=["symbol", "other_date"], how="left")
    rows = rows.with_columns(_expected(_value).alias("__a"), _expected(_other).alias("__b"))
    step, at_other, a, b = pl.col("step"), pl.col("__there"), pl.col("__a"), pl.col("__b")
    moved = pl.col("rule") == OTHER_DATE
    apart = pl.when(moved).then(a).otherwise(a - b).abs()
    off_a = pl.when(moved).then(pl.max_horizontal((step - a).abs(), at_other.abs())).otherwise((step - a).abs())
    off_b = pl.when(moved).then(pl.max_horizontal((at_other - a).abs(), step.abs())).otherwise((step - b).abs())
    clear = apart > _NOISES * pl.col("noise")
    b_wrong, a_wrong = clear & (off_a * _NEARER <= off_b), clear & (off_b * _NEARER <= off_a)
    wrong = pl.when(b_wrong).then(pl.lit("b")).when(a_wrong).then(pl.lit("a"))
    return rows.with_columns(wrong.alias("__price")).drop("step", "close_before", "noise", "__there", "__a", "__b")


def _expected(value: pl.Expr) -> pl.Expr:
    """Return the log step of the price that an event makes; 0 without one."""
    share = value / pl.col("close_before")
    paid = pl.when(share < 1).then(-(1 - share).log()).when(share >= 1).then(_IMPOSSIBLE)
    return pl.when(value.is_null()).then(0.0).when(_is_split).then(value.log()).otherwise(paid)


def action_verdicts_of(judged: pl.DataFrame, a: str, b: str, now: datetime) -> pl.DataFrame:
    """Return the rows of `action_verdicts` of a pair: wrong or missing events, and undecided ones as doubtful.

    A missing event that another vendor has is a row of the vendor without it, once the event is proved; until then it
    is a doubtful row of the vendor that has it.
    """
    parts = []
    for side, name, against, own, beside in (("a", a, b, _value, _other), ("b", b, a, _other, _value)):
        wrong = pl.col("outcome") == f"{side}_wrong"
        mine = wrong.fill_null(False) | (pl.col("outcome").is_null() & own.is_not_null())
        moved = pl.col("rule") == OTHER_DATE
        mine_on = pl.when(moved & (side == "b")).then("other_date").otherwise("ex_date")
        other_on = pl.when(moved).then(pl.when(side == "a").then("other_date").otherwise("ex_date"))
        parts.append(
            judged.filter(mine).select(
                "symbol",
                mine_on.alias("ex_date"),
                "kind",
                pl.lit(name).alias("source"),
                pl.when(pl.col("outcome").is_null())
                .then(pl.lit("doubtful"))
                .otherwise(pl.lit("wrong"))
                .alias("verdict"),
                "rule",
                pl.lit(against).alias("against"),
                "decided_by",
                own.alias("value"),
                beside.alias("other_value"),
                other_on.alias("other_date"),
                pl.lit(now).cast(INSTANT).alias("known_from"),
            )
        )
    return pl.concat(parts).select(list(ACTION_VERDICTS.schema))


def one_per_event(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Keep one row per event of those of several pairs: `wrong` before `doubtful`, then by name."""
    placed = verdicts.sort("verdict", "against", descending=[True, False])
    return placed.unique(list(ACTION_VERDICTS.key), keep="first", maintain_order=True)


def lacking(judged: pl.DataFrame, side: str) -> pl.DataFrame:
    """Return the rows of events that this vendor ("a" or "b") does not have."""
    own = _value if side == "a" else _other
    return judged.filter(pl.col("rule") == LACKS_EVENT, own.is_null())
