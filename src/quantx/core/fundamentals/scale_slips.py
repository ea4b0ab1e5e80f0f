"""Values that are a power of a thousand too large or too small: which of two is the slip."""

from __future__ import annotations

import polars as pl

_EXACT = 2e-3  # the largest relative difference of two values at one scale: they may be rounded
_NEAR_DAYS = 800  # values of periods that end at most this far apart tell the level of an item
_SHORT_DAYS = 400
_ROUNDS = 5  # a slip is repeated by a few filings at most


def power_of_ten(old: pl.Expr, new: pl.Expr) -> pl.Expr:
    """Return n of the 10ⁿ (±3, ±6, ±9) by which a value was multiplied; null where it was not."""
    ratio = new / old
    power = ratio.log10().round()
    exact = (ratio / pl.lit(10.0).pow(power) - 1).abs() <= _EXACT
    return pl.when((ratio > 0) & exact & power.abs().is_in([3.0, 6.0, 9.0])).then(power.cast(pl.Int8))


def slips(facts: pl.DataFrame, changed: pl.DataFrame) -> pl.DataFrame:
    """Return the facts of `changed` and those of slips with `slip`, and with `before`: the last value that is none.

    Of two values a power of a thousand apart, the one nearer to the values of other periods that were public before is
    right. Without any it is the larger one of share counts (written in thousands by mistake), else the earlier one.
    Facts are in order of `group` and time; those with `ignored` are never compared with.
    """
    first = level_slips(facts).with_columns(pl.lit(True).alias("slip"))
    facts = facts.with_columns(pl.lit(False).alias("slip")).update(first, on="nth", how="left")
    groups = pl.concat([changed, facts.filter("slip").select("group")])
    judged = facts.join(groups, on="group", how="semi", maintain_order="left")
    apart = power_of_ten(pl.col("raw_before"), pl.col("value")).is_not_null()
    doubtful = judged.filter(apart | pl.col("slip")).select("group").unique()
    settled = _settled(judged.join(doubtful, on="group", how="semi", maintain_order="left"), facts)
    certain = judged.join(doubtful, on="group", how="anti", maintain_order="left")
    return pl.concat([_with_before(certain), settled], how="diagonal")


def _settled(judged: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Return the facts of identities with a slip, judged one after the other in the order of time."""
    item = ["symbol_nth", "taxonomy_nth", "tag_nth", "unit_nth"]
    pool = facts.join(judged.select(item).unique(), on=item, how="semi", maintain_order="left")
    judged = judged.with_columns(pl.lit(False).alias("seen"))
    while True:
        judged = _with_before(judged)
        apart = power_of_ten(pl.col("before"), pl.col("value")).is_not_null() | pl.col("again")
        doubtful = judged.filter(apart & ~pl.col("slip") & ~pl.col("seen"))
        if doubtful.is_empty():
            return judged.drop("seen")
        each = doubtful.unique("group", keep="first", maintain_order=True)
        wrong = pl.concat(
            [_wrong(each.filter(~pl.col("again")), pool.filter(~pl.col("slip") & ~pl.col("ignored"))),
             each.filter("again").select("nth")]
        ).with_columns(pl.lit(True).alias("slip"))  # fmt: skip
        seen = each.select("nth", pl.lit(True).alias("seen"))
        judged = judged.update(wrong, on="nth", how="left").update(seen, on="nth", how="left")
        pool = pool.update(wrong, on="nth", how="left")


def _with_before(facts: pl.DataFrame) -> pl.DataFrame:
    """Return facts with `before`, and `again`: the value of a slip, without a value that was none before."""
    valid = pl.when(~pl.col("slip") & ~pl.col("ignored")).then("value")
    facts = facts.with_columns(
        valid.forward_fill().shift().over("group").alias("before"),
        pl.when("slip").then("value").shift().over("group").alias("slipped"),
    )
    again = pl.col("before").is_null() & (pl.col("slipped") == pl.col("value"))
    return facts.with_columns(again.fill_null(False).alias("again"))


def _wrong(apart: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Return the rows whose value is the slip, not the one before it, by values of other periods."""
    item = ["symbol_nth", "taxonomy_nth", "tag_nth", "unit_nth"]
    others = apart.select("nth", *item, "group", "start", "end", "public_at").join(
        facts.select(*item, "group", "start", "end", "public_at", "value"), on=item, suffix="_other"
    )
    near = (pl.col("end") - pl.col("end_other")).dt.total_days().abs() <= _NEAR_DAYS
    alike = pl.col("start").is_null() == pl.col("start_other").is_null()
    earlier = pl.col("public_at_other") < pl.col("public_at")
    other = pl.col("group") != pl.col("group_other")
    others = others.filter(near & alike & earlier & other & (pl.col("value") != 0))
    level = others.group_by("nth").agg(pl.col("value").abs().log10().median().alias("level"))
    old, new = (pl.col(c).abs().log10() for c in ("before", "value"))
    unknown = pl.when(pl.col("unit") == "shares").then(new < old).otherwise(True)
    by_level = (new - pl.col("level")).abs() >= (old - pl.col("level")).abs()
    judged = apart.join(level, on="nth", how="left", maintain_order="left")
    return judged.filter(pl.coalesce(by_level, unknown)).select("nth")


def level_slips(facts: pl.DataFrame) -> pl.DataFrame:
    """Return `nth` of the first reports of share counts that are a thousandth or a millionth of the item's level.

    The level is the value of the last period that ended within 400 days before and was reported by then; other share
    counts of the same filing have it still. Items of other units have no such level.
    """
    item = ["symbol_nth", "taxonomy_nth", "tag_nth", "instant"]
    shares = facts.filter((pl.col("unit") == "shares") & (pl.col("value") > 0)).with_columns(
        pl.col("start").is_null().alias("instant")
    )
    firsts = shares.unique("group", keep="first", maintain_order=True)
    doubtful = firsts.filter(pl.col("value") * 500 < pl.col("value").max().over(item))
    beside = doubtful.select("nth", "symbol_nth", "accession").join(
        shares.select("symbol_nth", "accession", beside="value"), on=["symbol_nth", "accession"]
    )
    pairs = (
        doubtful.join(firsts.select(*item, "nth", "end", "public_at", "value"), on=item, suffix="_before")
        .filter((pl.col("end") - pl.col("end_before")).dt.total_days().is_between(1, _SHORT_DAYS))
        .filter(pl.col("public_at_before") <= pl.col("public_at"))
        .sort("nth", "end_before", "nth_before")
    )
    slip = firsts.clear().select("nth")
    for _ in range(_ROUNDS):
        level = pairs.join(slip, left_on="nth_before", right_on="nth", how="anti", maintain_order="left").unique(
            "nth", keep="last", maintain_order=True
        )
        times = (pl.col("value_before") / pl.col("value")).log10().round()
        near = (pl.col("value") * pl.lit(10.0).pow(times) / pl.col("value_before")).is_between(0.5, 2)
        low = level.filter(times.is_in([3.0, 6.0]) & near).join(beside, on="nth")
        still = low.filter((pl.col("beside") / pl.col("value_before")).is_between(1 / 3, 3)).select("nth").unique()
        if still.join(slip, on="nth", how="anti").is_empty():
            break
        slip = pl.concat([slip, still]).unique()
    return slip
