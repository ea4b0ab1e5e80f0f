"""How a fact differs from the value that was filed before it for the same item and period.

The class of a fact depends on facts that were public by then only. A slip of scale (AAPL's 899,213,000 shares became
899,213 in one filing) is no value to compare with or to compute from: the next filing is compared with the one before.
"""

from __future__ import annotations

import polars as pl

from quantx.core.fundamentals.acceptance import public_or_filed_day
from quantx.core.fundamentals.rounding import agree_when_rounded
from quantx.core.fundamentals.scale_slips import power_of_ten, slips
from quantx.core.fundamentals.split_ratios import SPLIT_COLUMNS, restated_by_splits

PERIOD = ("symbol", "taxonomy", "tag", "unit", "start", "end")  # the identity of a fact, whatever filing reports it
SAME, ROUNDING, SPLIT, SIGN, GENUINE = "same", "rounding", "split", "sign", "genuine"
SCALE, RESCALED = "scale", "rescaled"
CLASSES = {
    SAME: "the value filed before",
    ROUNDING: "the values agree at the precision of the coarser one",
    SPLIT: "restated by the ratio of a split, which several facts of the filing share",
    SCALE: "a slip: the value filed before times 10ⁿ (n = ±3, ±6, ±9); concepts ignore it",
    RESCALED: "the value filed before was the slip, by the values of other periods or as an amendment corrects it",
    SIGN: "the value filed before with the other sign",
    GENUINE: "another value",
}
# Statements of a period. Another form (a proxy statement, dgunning/edgartools#796) never replaces their values.
PERIODIC_FORMS = ("10-K", "10-Q", "10-KT", "10-QT", "20-F", "40-F", "6-K")


def is_periodic() -> pl.Expr:
    """Return whether the form of a fact is a statement of a period, or an amendment of one; true where it has none."""
    return pl.col("form").str.strip_suffix("/A").is_in(PERIODIC_FORMS).fill_null(True)


def revision_classes(facts: pl.DataFrame) -> pl.Series:
    """Return the class of each fact's change against the one filed before it; null for the first report."""
    ordered = _ordered(facts)
    later = pl.col("group") == pl.col("group").shift()
    ordered = ordered.with_columns(pl.when(later).then(pl.col("value").shift()).alias("raw_before"))
    classed = ordered.select("nth", pl.when(pl.col("raw_before").is_not_null()).then(pl.lit(SAME)).alias("revision"))
    return classed.update(_of_changed(ordered), on="nth", how="left", include_nulls=True).sort("nth")["revision"]


def _ordered(facts: pl.DataFrame) -> pl.DataFrame:
    """Return the facts in the order of their identities and of time, with `nth` (their place) and `group`."""
    names = [c for c in PERIOD if facts.schema[c] == pl.String]
    numbers = [pl.col(c).cast(pl.Categorical).to_physical().alias(f"{c}_nth") for c in names]
    keys = [*(f"{c}_nth" for c in names), "start", "end"]
    ordered = (
        facts.select(*PERIOD, "value", public_or_filed_day(), "accession", "form", *numbers)
        .with_row_index("nth")
        .sort(*keys, "public_at", "accession", "nth")
    )
    other = pl.any_horizontal(pl.col(key).ne_missing(pl.col(key).shift()) for key in keys)
    amends = pl.col("form").str.ends_with("/A").fill_null(False)
    return ordered.with_columns(
        other.cum_sum().alias("group"), is_periodic().alias("periodic"), amends.alias("amends")
    ).drop("form")


def _ignored(ordered: pl.DataFrame) -> pl.Series:
    """Return `nth` of the facts of other forms that were filed after a periodic report with the item."""
    some = ordered.filter(~pl.col("periodic")).select(pl.col("group").unique())
    reported_before = pl.col("periodic").cast(pl.UInt8).cum_max().over("group").cast(pl.Boolean)
    theirs = ordered.join(some, on="group", how="semi", maintain_order="left")
    return theirs.filter(~pl.col("periodic") & reported_before)["nth"]


def _of_changed(ordered: pl.DataFrame) -> pl.DataFrame:
    """Return `nth` and `revision` of the facts of identities whose value changed, and of those with a slip."""
    changed = ordered.filter(pl.col("raw_before") != pl.col("value")).select(pl.col("group").unique())
    judged = slips(ordered.with_columns(pl.col("nth").is_in(_ignored(ordered).implode()).alias("ignored")), changed)
    # The value before is a slip where there is no other one.
    judged = judged.with_columns(pl.coalesce("before", "raw_before").alias("before"))
    splits = restated_by_splits(judged.filter(~pl.col("slip")).select(SPLIT_COLUMNS))
    old, new = pl.col("before"), pl.col("value")
    return judged.join(splits, on="nth", how="left").select(
        "nth",
        pl.when("slip")
        .then(pl.lit(SCALE))
        .when(old.is_null())
        .then(None)
        .when(old == new)
        .then(pl.lit(SAME))
        .when(power_of_ten(old, new).is_not_null())
        .then(pl.lit(RESCALED))
        .when("split")
        .then(pl.lit(SPLIT))
        .when(agree_when_rounded(-old, new) & (new != 0))
        .then(pl.lit(SIGN))
        .when(agree_when_rounded(old, new))
        .then(pl.lit(ROUNDING))
        .otherwise(pl.lit(GENUINE))
        .alias("revision"),
    )
