"""Values that are a power of a thousand too large or too small: which of two is the slip."""

from __future__ import annotations

import polars as pl

_EXACT = 2e-3  # the largest relative difference of two values at one scale: they may be rounded
_NEAR_DAYS = 800  # values of periods that end at most this far apart tell the level of an item
_SHORT_DAYS = 400
_LIKE = (1 / 3, 3)  # quotients of two share counts of one filer that may both be right
_LARGE = 1e6  # the least count that other counts of a filing are like by more than chance
_OF_THE_FILER = (
    "CommonStockSharesIssued",
    "CommonStockSharesOutstanding",
    "WeightedAverageNumberOfSharesOutstandingBasic",
    "WeightedAverageNumberOfDilutedSharesOutstanding",
)
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
    right, without any to those of the same filing, else the earlier one. An amendment corrects its filing: it is right
    unless two filings before tell another level. Of two share counts it is the larger one (the other is written in
    thousands by mistake), unless only the other one is like further share counts of the filing.
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
    shares = facts.filter(pl.col("unit") == "shares")
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
            [_wrong(each.filter(~pl.col("again")), pool.filter(~pl.col("slip") & ~pl.col("ignored")), shares),
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


def _wrong(apart: pl.DataFrame, facts: pl.DataFrame, shares: pl.DataFrame) -> pl.DataFrame:
    """Return the rows whose value is the slip, not the one before it, by values of other periods."""
    item = ["symbol_nth", "taxonomy_nth", "tag_nth", "unit_nth"]
    about = ("group", "start", "end", "public_at", "accession")
    others = apart.select("nth", *item, *about).join(facts.select(*item, *about, "value"), on=item, suffix="_other")
    near = (pl.col("end") - pl.col("end_other")).dt.total_days().abs() <= _NEAR_DAYS
    alike = pl.col("start").is_null() == pl.col("start_other").is_null()
    earlier = pl.col("public_at_other") < pl.col("public_at")
    other = pl.col("group") != pl.col("group_other")
    beside = pl.col("accession_other") == pl.col("accession")
    others = others.filter(near & alike & (earlier | beside) & other & (pl.col("value") != 0))
    size = pl.col("value").abs().log10()
    level = others.group_by("nth").agg(
        size.filter(earlier).median().alias("level"),
        size.filter(beside).median().alias("level_beside"),
        pl.col("accession_other").filter(earlier).n_unique().alias("filings"),
    )
    old, new = (pl.col(c).abs().log10() for c in ("before", "value"))
    known = pl.coalesce("level", "level_beside")
    by_level = ((new - known).abs() >= (old - known).abs()).fill_null(True)
    by_level = by_level & ~(pl.col("amends") & (pl.col("filings").fill_null(0) < 2))
    judged = apart.join(level, on="nth", how="left", maintain_order="left")
    judged = judged.join(_like_others(apart, shares), on="nth", how="left", maintain_order="left")
    smaller, alone = new < old, pl.col("old_like") != pl.col("new_like")
    of_shares = pl.when(alone).then("old_like").otherwise(smaller)
    return judged.filter(pl.when(pl.col("unit") == "shares").then(of_shares).otherwise(by_level)).select("nth")


def _like_others(apart: pl.DataFrame, shares: pl.DataFrame) -> pl.DataFrame:
    """Return whether the value before and the value of each row are like other share counts of its filing."""
    filing = ["symbol_nth", "accession"]
    beside = (
        apart.filter(pl.col("unit") == "shares")
        .select("nth", "group", *filing, "before", "value")
        .join(shares.select(*filing, "group", other="value"), on=filing, suffix="_other")
    )
    beside = beside.filter(pl.col("group") != pl.col("group_other"))
    like = [(pl.col("other") / pl.col(c)).is_between(*_LIKE).any() for c in ("before", "value")]
    found = beside.group_by("nth").agg(like[0].alias("old_like"), like[1].alias("new_like"))
    return (
        apart.select("nth")
        .join(found, on="nth", how="left")
        .with_columns(pl.col("old_like", "new_like").fill_null(False))
    )


def level_slips(facts: pl.DataFrame) -> pl.DataFrame:
    """Return `nth` of the first reports of share counts that are a power of a thousand off the level of the item.

    The level is the value of the last period that ended within 400 days before and was reported by then; other share
    counts of the same filing have it still. A larger value is the slip only if none of them is like it. Items of other
    units have no such level. The counts of the whole filer are also compared with the cover page of their filing.
    """
    item = ["symbol_nth", "taxonomy_nth", "tag_nth", "instant"]
    shares = facts.filter((pl.col("unit") == "shares") & (pl.col("value") > 0)).with_columns(
        pl.col("start").is_null().alias("instant")
    )
    firsts = shares.unique("group", keep="first", maintain_order=True)
    least, most = pl.col("value").min().over(item), pl.col("value").max().over(item)
    doubtful = firsts.filter((pl.col("value") * 500 < most) | (pl.col("value") > 500 * least))
    beside = (
        doubtful.select("nth", "symbol_nth", "accession")
        .join(
            shares.select("symbol_nth", "accession", "nth", beside="value"),
            on=["symbol_nth", "accession"],
            suffix="_other",
        )
        .filter(pl.col("nth") != pl.col("nth_other"))
    )
    pairs = (
        doubtful.join(firsts.select(*item, "nth", "end", "public_at", "value"), on=item, suffix="_before")
        .filter((pl.col("end") - pl.col("end_before")).dt.total_days().is_between(1, _SHORT_DAYS))
        .filter(pl.col("public_at_before") <= pl.col("public_at"))
        .sort("nth", "end_before", "nth_before")
    )
    slip = _thousands(firsts, shares)
    for _ in range(_ROUNDS):
        level = pairs.join(slip, left_on="nth_before", right_on="nth", how="anti", maintain_order="left").unique(
            "nth", keep="last", maintain_order=True
        )
        times = (pl.col("value_before") / pl.col("value")).log10().round()
        near = (pl.col("value") * pl.lit(10.0).pow(times) / pl.col("value_before")).is_between(0.5, 2)
        low = level.filter(times.abs().is_in([3.0, 6.0]) & near & (pl.col("value_before") >= _LARGE)).join(
            beside, on="nth"
        )
        of_level = (pl.col("beside") / pl.col("value_before")).is_between(*_LIKE)
        of_value = (pl.col("beside") / pl.col("value")).is_between(*_LIKE)
        judged = low.group_by("nth", "value", "value_before").agg(of_level.any(), of_value.any().alias("of_value"))
        smaller = pl.col("value") < pl.col("value_before")
        still = judged.filter(pl.col("beside") & (smaller | ~pl.col("of_value"))).select("nth")
        if still.join(slip, on="nth", how="anti").is_empty():
            break
        slip = pl.concat([slip, still]).unique()
    return slip


def _thousands(firsts: pl.DataFrame, shares: pl.DataFrame) -> pl.DataFrame:
    """Return `nth` of counts of the whole filer that are a thousandth or a millionth of that on the cover page."""
    cover = shares.filter(pl.col("tag") == "EntityCommonStockSharesOutstanding")
    cover = cover.group_by("symbol_nth", "accession").agg(pl.col("value").max().alias("cover"))
    counts = firsts.filter(pl.col("tag").is_in(_OF_THE_FILER)).join(cover, on=["symbol_nth", "accession"])
    times = (pl.col("cover") / pl.col("value")).log10().round()
    near = (pl.col("value") * pl.lit(10.0).pow(times) / pl.col("cover")).is_between(0.5, 2)
    return counts.filter(times.is_in([3.0, 6.0]) & near).select("nth")
