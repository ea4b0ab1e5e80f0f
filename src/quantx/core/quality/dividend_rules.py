"""Check dividends against the fall of the price on the ex-date, and against the security's other dividends.

The rules find vendor errors that the adjusted close repeats: an amount in pounds where prices are in pence and the
reverse (a hundredfold or a hundredth), one dividend booked on two days, and one that is larger than the price. Prices
are noisy. They decide only between an amount and its hundredth or hundredfold, never about a few per cent.
"""

from __future__ import annotations

import math

import polars as pl

from quantx.core.quality.rule import Rule

_HUNDRED = math.log(100)
_EXACT = 1e-5  # relative difference of two equal amounts: Yahoo's amounts have six decimals
_NOISES = 5.0  # standard deviations between the price and the price that the dividend implies
_FEWEST = 20  # returns for a standard deviation
MORE_BARS = 16  # times as many bars
_NEAR = 3.0  # days: a later price does not show the fall
# Hardly any company declares less than a tenth of the smallest coin and a thousandth of the price.
_COIN_SHARE, _TINY_SHARE = 0.1, 1e-3
_SUPPORT = 0.5  # of the prices for the hundredfold of such amounts: the log of the odds, 5 to 3
_COINS = {"GBX": 1.0, "ZAC": 1.0, "ILA": 1.0, "JPY": 1.0, "KRW": 1.0}
_COIN = 0.01
# A dividend booked twice has ex-dates within days; the amounts may differ by an exchange rate.
_DAYS_APART, _SAME_AMOUNT, _OFTEN = 7, 0.10, 14

_share, _fall = pl.col("value") / pl.col("reference_close"), pl.col("fall")
_off, _off_hundredth, _off_hundredfold = (
    (_fall + (1 - _share * times).log()).abs().fill_nan(math.inf) for times in (1.0, 0.01, 100.0)
)
_too_large = ((_off > _NOISES * pl.col("noise")) | pl.col("hundredth_is_paid")) & (_off_hundredth < _off / 2)
_too_small = (pl.col("hundredfold_is_paid") & (_off_hundredfold < _off)) | (
    pl.col("is_tiny") & (pl.col("support_of_hundredfold") > _SUPPORT)
)

DIVIDEND_RULES = (
    Rule(
        "dividend_below_price",
        "warn",
        "actions",
        meaning="a dividend is not below the close of the session before its ex-date",
        why="a company can't pay more than a share is worth: the amount or its unit is wrong; no factor is applied",
        reference="Yahoo REL.L 2022-04-28: 35.5 pence as 35.5 pounds, with a price of 24.15; VATE 2020-05-13",
        broken=(_share >= 1).fill_null(False),
    ),
    Rule(
        "dividend_in_unit_of_price",
        "warn",
        "actions",
        meaning="a dividend is in another unit than the prices: they show a hundredth or a hundredfold of it",
        why="pence taken for pounds give a yield of 0.02 % or 200 %, and make every earlier adjusted price wrong",
        reference="Yahoo KME.MI 2023-05-22: 0.217 of 0.975, and the price fell by 0.3 %; NVT.L 2023-07-20: 0.0002"
        " after 0.02",
        broken=((_share < 1) & (_too_large | _too_small)).fill_null(False),
    ),
    Rule(
        "dividend_paid_once",
        "info",  # prices do not show which of the two is real, or whether both are
        "actions",
        meaning="two dividends of about the same amount within a week, where dividends are paid less often",
        why="a dividend booked twice lowers every earlier adjusted price twice",
        reference="Yahoo TEP.PA 2023-04-20 and 04-21: 3.85 twice; KAP.IL 2022-07-12 and 07-13",
        broken=pl.col("is_repeated"),
    ),
)


def doubtful_dividends(bars: pl.DataFrame, actions: pl.DataFrame, key: str = "symbol") -> pl.DataFrame:
    """Return the dividends that break a rule: `key`, ex_date, rule, value, reference_close, fall.

    `bars` has `key`, date, close, volume as traded; `actions` has `key`, ex_date, kind, value (per share of the
    ex-date), reference_close (the close before, in the same shares) and currency. The caller passes only dividends in
    the currency of the prices. `fall` is the log of the fall of the price on the ex-date, null where the price is
    stale.
    """
    return broken_of(dividend_facts(bars, actions, key), key)


def broken_of(facts: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the dividends of `dividend_facts` that break a rule, as `doubtful_dividends` does."""
    broken = [facts.filter(rule.broken).with_columns(pl.lit(rule.id).alias("rule")) for rule in DIVIDEND_RULES]
    columns = (key, "ex_date", "rule", "value", "reference_close", "fall")
    return pl.concat(broken).select(columns).sort(key, "ex_date", "rule")


def decided_by_noise(facts: pl.DataFrame, key: str) -> pl.Series:
    """Return the keys of `dividend_facts` of which later bars may change a verdict: the noise of the returns decides.

    For all others later bars change none until there are `MORE_BARS` times as many: more returns never lower their sum
    of squares, so that the noise falls at most with the root of their number.
    """
    near = (_off > _NOISES * pl.col("noise") / math.sqrt(MORE_BARS)) & (_off_hundredth < _off / 2)
    few = pl.col("noise").is_null()  # returns, for now
    return facts.filter(few | near.fill_null(False) | pl.col("is_tiny"))[key].unique()


def dividend_facts(bars: pl.DataFrame, actions: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return the columns that the rules use, one row per dividend."""
    paid = actions.filter(pl.col("kind") == "dividend", pl.col("value") > 0).sort(key, "ex_date")
    bars = _with_closes_before(bars.join(paid.select(pl.col(key).unique()), on=key, how="semi"), key)
    facts = _with_falls(paid, bars, key).join(_noise(bars, actions, key), on=key, how="left", maintain_order="left")
    facts = _with_multiples(facts, key)
    days = (pl.col("ex_date") - pl.col("ex_date").shift(1).over(key)).dt.total_days()
    change = (pl.col("value") / pl.col("value").shift(1).over(key) - 1).abs()
    repeats = ((days <= _DAYS_APART) & (change <= _SAME_AMOUNT)).fill_null(False)
    # Some funds pay each week. For all others most intervals are longer, or there is only one.
    seldom = (days.quantile(0.75, "higher").over(key) > _OFTEN) | (pl.len().over(key) == 2)
    coin = pl.col("currency").replace_strict(_COINS, default=_COIN, return_dtype=pl.Float64)
    tiny = (pl.col("value") < coin * _COIN_SHARE) & (_share < _TINY_SHARE)
    # The log-likelihood ratio of the hundredfold against no dividend, for normal returns, over all tiny amounts.
    hundredfold = 100 * _share
    support = (hundredfold * (2 * _fall - hundredfold) / (2 * pl.col("noise") ** 2)).filter(tiny).sum().over(key)
    return facts.with_columns(
        tiny.fill_null(False).alias("is_tiny"),
        support.alias("support_of_hundredfold"),
        ((repeats | repeats.shift(-1, fill_value=False).over(key)) & seldom).fill_null(False).alias("is_repeated"),
    )


def _with_closes_before(bars: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return `key`, date, close, volume, sorted, and `before`: the close of the session before, null at the first."""
    bars = bars.filter(pl.col("close") > 0).select(key, "date", "close", "volume").sort(key, "date")
    return bars.with_columns(
        pl.when(pl.col(key) == pl.col(key).shift(1)).then(pl.col("close").shift(1)).alias("before")
    )


def _with_falls(paid: pl.DataFrame, bars: pl.DataFrame, key: str) -> pl.DataFrame:
    """Add `fall`: log(close before / close of the ex-date), where shares traded or the quote moved."""
    alive = (pl.col("volume") > 0) | (pl.col("close") != pl.col("before"))
    traded = bars.filter(alive).select(key, "date", "close")
    dated = paid.join_asof(  # both sides are sorted within each key
        traded, left_on="ex_date", right_on="date", by=key, strategy="forward", check_sortedness=False
    )
    soon = (pl.col("date") - pl.col("ex_date")).dt.total_days() <= _NEAR
    fall = pl.when(soon).then((pl.col("reference_close") / pl.col("close")).log())
    return dated.with_columns(fall.alias("fall")).drop("date", "close")


def _noise(bars: pl.DataFrame, actions: pl.DataFrame, key: str) -> pl.DataFrame:
    """Return per key the standard deviation of daily log returns on days without an action; null for few returns."""
    days = actions.select(key, date="ex_date")
    returns = bars.join(days, on=[key, "date"], how="anti").select(
        key, (pl.col("close") / pl.col("before")).log().alias("return")
    )
    noise = pl.when(pl.col("return").count() >= _FEWEST).then(pl.col("return").std())
    return returns.group_by(key).agg(noise.alias("noise"))


def _with_multiples(facts: pl.DataFrame, key: str) -> pl.DataFrame:
    """Add whether the hundredth or the hundredfold of an amount is exactly the amount of another dividend."""
    facts = facts.with_columns(pl.col("value").log().alias("size"))
    sizes = facts.select(key, pl.col("size").alias("other")).sort("other")
    for name, shift in (("hundredth_is_paid", -_HUNDRED), ("hundredfold_is_paid", _HUNDRED)):
        wanted = facts.select(key, "ex_date", (pl.col("size") + shift).alias("wanted")).sort("wanted")
        met = wanted.join_asof(
            sizes,
            left_on="wanted",
            right_on="other",
            by=key,
            strategy="nearest",
            tolerance=_EXACT,
            check_sortedness=False,
        )
        flags = met.select(key, "ex_date", pl.col("other").is_not_null().alias(name))
        facts = facts.join(flags, on=[key, "ex_date"], how="left", maintain_order="left")
    return facts.drop("size")
