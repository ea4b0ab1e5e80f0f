"""Two vendors beside each other: what differs, why, and who is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.prices import adjust_bars
from quantx.core.quality.adjusted_vendors import in_traded_prices
from quantx.core.quality.vendor_causes import LACKS, VENDOR_RULES, add_causes
from quantx.core.quality.vendor_comparison import Comparison, compare
from quantx.core.quality.vendor_findings import vendor_findings
from quantx.core.quality.vendor_verdicts import (
    Witness,
    agreements_of,
    decide,
    one_per_bar,
    vendor_scores,
    verdicts_of,
    witness_of_returns,
)
from quantx.core.tables import ACTIONS, AGREEMENTS, VERDICTS

NYSE = calendar("XNYS")
DAYS = NYSE.sessions(date(2020, 1, 2), date(2023, 12, 29))[:1000]
NOW = datetime(2024, 1, 12, 23, tzinfo=UTC)
PRICES = ("open", "high", "low", "close")
Odd = list[tuple[date, str]]


def bars(days: Sequence[date] = DAYS, symbol: str = "AAA", currency: str = "USD") -> pl.DataFrame:
    """Bars of a security between 50 and 150, no two alike."""
    close = [100 + 50 * ((7 * i) % 101 - 50) / 50 for i in range(len(days))]
    return pl.DataFrame(
        {
            "symbol": symbol,
            "date": list(days),
            "open": [c * 0.99 for c in close],
            "high": [c * 1.02 for c in close],
            "low": [c * 0.98 for c in close],
            "close": close,
            "volume": [1_000_000 + 1000 * i for i in range(len(days))],
            "currency": currency,
        },
        schema_overrides={"date": pl.Date},
    )


def but(frame: pl.DataFrame, days: Sequence[date], **factors: float) -> pl.DataFrame:
    """The same bars with some columns multiplied on some days; `prices` stands for all four."""
    prices = factors.pop("prices", None)
    factors |= dict.fromkeys(PRICES, prices) if prices else {}
    here = pl.col("date").is_in(list(days))
    return frame.with_columns(
        pl.when(here).then(pl.col(c) * factor).otherwise(pl.col(c).cast(pl.Float64)).alias(c)
        for c, factor in factors.items()
    )


def found(a: pl.DataFrame, b: pl.DataFrame, market: str = "us", code: str = "XNYS") -> Odd:
    odd = add_causes(compare(a, b, market, calendar(code)).odd, calendar(code))
    return list(odd.select("date", "rule").iter_rows())


def judged(a: pl.DataFrame, b: pl.DataFrame, *witnesses: Witness) -> tuple[Comparison, pl.DataFrame]:
    compared = compare(a, b, "us", NYSE)
    return compared, decide(add_causes(compared.odd, NYSE), witnesses, "us")


def verdicts(a: pl.DataFrame, b: pl.DataFrame, *witnesses: Witness) -> list[tuple[date, str, str, str | None]]:
    rows = verdicts_of(judged(a, b, *witnesses)[1], "a", "b", NOW)
    assert dict(rows.schema) == dict(VERDICTS.schema)
    return sorted(rows.select("date", "source", "verdict", "decided_by").iter_rows())


def agreements(a: pl.DataFrame, b: pl.DataFrame, *witnesses: Witness) -> pl.DataFrame:
    rows = agreements_of(*judged(a, b, *witnesses), "a", "b", "us", NOW).sort("month")
    assert dict(rows.schema) == dict(AGREEMENTS.schema)
    return rows


# ----------------------------------------------------------------------------------------------------------- tolerances


def test_the_same_bars_agree_in_every_month() -> None:
    months = agreements(bars(), bars().sample(fraction=1, shuffle=True, seed=1))
    assert months["sessions"].sum() == months["agreed"].sum() == 1000
    assert set(months["verdict"]) == {"agree"}
    assert set(months["worst"]) == {0.0}
    assert months["decided_by"].null_count() == months.height


THREE = (DAYS[10], DAYS[500], DAYS[990])


def test_half_a_percent_on_three_of_a_thousand_days_is_exactly_these_days() -> None:
    assert found(bars(), but(bars(), THREE, close=1.005)) == [(day, "vendors_disagree") for day in THREE]
    months = agreements(bars(), but(bars(), THREE, close=1.005))
    assert months["agreed"].sum() == 997
    odd = months.filter(pl.col("verdict") != "agree")
    assert odd["month"].to_list() == [202001, 202112, 202312]
    assert set(odd["verdict"]) == {"both_doubtful"}
    assert odd["worst"].to_list() == pytest.approx([0.005] * 3)


@pytest.mark.parametrize("field", ["open", "high", "low", "close", "volume"])
@pytest.mark.parametrize("up", [True, False])
def test_each_field_has_its_tolerance(field: str, up: bool) -> None:
    limit = {"open": 0.01, "high": 0.003, "low": 0.003, "close": 0.001, "volume": 0.2}[field]
    for share, differs in ((0.9, False), (1.1, True)):
        factor = (1 + limit * share) if up else 1 / (1 + limit * share)
        rule = "vendors_disagree" if field == "close" else "vendors_differ"
        assert found(bars(), but(bars(), [DAYS[3]], **{field: factor})) == ([(DAYS[3], rule)] if differs else [])


@pytest.mark.parametrize(
    ("symbol", "market", "code", "price", "tick"),
    [
        ("AAA", "us", "XNYS", 3.0, 0.01),
        ("AAA", "us", "XNYS", 0.05, 0.0001),
        ("0700.HK", "hk", "XHKG", 9.0, 0.01),
        ("0700.HK", "hk", "XHKG", 15.0, 0.02),
        ("7203.T", "jp", "XTKS", 400.0, 0.1),
        ("ASML.AS", "eu", "XAMS", 1.5, 0.0001),
    ],
)
def test_a_tick_is_no_difference_and_forty_are(symbol: str, market: str, code: str, price: float, tick: float) -> None:
    day = calendar(code).sessions(date(2023, 1, 4), date(2023, 2, 1))[0]
    one = bars([day], symbol).with_columns(pl.lit(price).alias(c) for c in PRICES)
    for ticks in (1, 40):
        other = one.with_columns(pl.lit(price + ticks * tick).alias("close"))
        assert found(one, other, market, code) == ([] if ticks == 1 else [(day, "vendors_disagree")])


def test_a_few_shares_are_no_difference_and_no_volume_is_none() -> None:
    thin = bars(DAYS[:3]).with_columns(pl.Series("volume", [100.0, 0.0, None]))
    other = bars(DAYS[:3]).with_columns(pl.Series("volume", [180.0, 0.0, 5000.0]))
    assert found(thin, other) == []
    assert found(thin, other.with_columns(volume=pl.Series([180.0, 500.0, 5000.0]))) == [(DAYS[1], "vendors_differ")]


def test_pence_and_pounds_are_one_price_when_they_are_declared() -> None:
    days = calendar("XLON").sessions(date(2023, 1, 4), date(2023, 2, 1))
    pounds = bars(days, "VOD.L", "GBP")
    pence = but(bars(days, "VOD.L", "GBX"), days, prices=100)
    assert found(pounds, pence, "eu", "XLON") == []
    assert {rule for _, rule in found(pounds, bars(days, "VOD.L", "EUR"), "eu", "XLON")} == {"vendor_currency"}


# --------------------------------------------------------------------------------------------------------------- causes


@pytest.mark.parametrize(
    ("days", "factors", "rule"),
    [
        (DAYS[:400], {"prices": 100}, "vendor_hundredfold"),
        ([DAYS[400]], {"prices": 0.01}, "vendor_hundredfold"),
        (DAYS[:400], {"prices": 2, "volume": 0.5}, "vendor_split"),
        (DAYS[:400], {"prices": 1 / 7, "volume": 7}, "vendor_split"),
        (DAYS[:400], {"prices": 1.5}, "vendor_split"),
        (DAYS[:400], {"prices": 1.324}, "vendor_scale"),
        (DAYS[3:8], {"prices": 1.02}, "vendor_scale"),
        (DAYS[3:7], {"prices": 1.02}, "vendors_disagree"),
        (DAYS, {"volume": 0.01}, "vendor_lots"),
        (DAYS[:50], {"volume": 100}, "vendor_lots"),
        (DAYS[:4], {"volume": 100}, "vendors_differ"),
        (DAYS[:300], {"volume": 0.4}, "vendors_differ"),
    ],
    ids=lambda value: str(value) if not isinstance(value, (list, tuple)) else f"{len(value)} days",
)
def test_causes_are_told_apart(days: Sequence[date], factors: Mapping[str, float], rule: str) -> None:
    assert found(bars(), but(bars(), days, **factors)) == [(day, rule) for day in days]


def test_a_vendor_of_one_exchange_counts_another_volume_and_that_is_no_error() -> None:
    assert found(bars(), but(bars(), DAYS, volume=0.03)) == []
    assert found(bars(), but(but(bars(), DAYS, volume=0.03), THREE, close=1.005)) == [
        (d, "vendors_disagree") for d in THREE
    ]


def test_a_share_of_the_market_near_a_hundredth_is_not_lots() -> None:
    share = pl.Series([0.007 + 0.002 * (i * 5 % 7) for i in range(1000)])
    assert found(bars(), bars().with_columns(pl.col("volume") * share)) == []


@pytest.mark.parametrize("by", [1, -1])
def test_bars_of_the_session_beside_are_shifted(by: int) -> None:
    late = bars().with_columns(pl.col(*PRICES, "volume").shift(by)).drop_nulls()
    stretch = late.filter(pl.col("date").is_between(DAYS[100], DAYS[160]))
    mixed = pl.concat([bars().join(stretch, on="date", how="anti").cast(dict(stretch.schema)), stretch])
    assert {rule for _, rule in found(bars(), mixed)} == {"vendor_shifted"}
    assert {rule for _, rule in found(bars(), late)} == {"vendor_shifted"}


def test_stamps_of_the_evening_before_are_shifted_and_fall_on_sundays() -> None:
    early = bars().with_columns((pl.col("date") - pl.duration(days=1)).cast(pl.Date))
    rules = [rule for _, rule in found(bars(), early)]
    assert rules.count("vendor_shifted") > 600
    assert rules.count("session_of_calendar") > 150


def test_two_causes_of_one_symbol_are_told_apart() -> None:
    other = but(but(bars(), DAYS[:100], prices=2), DAYS[100:110], prices=100)
    assert [rule for _, rule in found(bars(), other)] == ["vendor_split"] * 100 + ["vendor_hundredfold"] * 10


# ---------------------------------------------------------------------------------------------------------------- holes


def test_a_session_that_one_lacks_and_one_trades_is_missing_there() -> None:
    holed = bars().filter(~pl.col("date").is_in(THREE))
    assert found(holed, bars()) == [(day, "vendor_lacks_sessions") for day in THREE]
    months = agreements(holed, bars())
    assert (months["sessions"].sum(), months["agreed"].sum(), months["lacking_a"].sum()) == (1000, 997, 3)
    odd = months.filter(pl.col("verdict") != "agree")
    assert set(odd["verdict"]) == {"a_wrong"}
    assert set(odd["decided_by"]) == {"calendar"}
    assert verdicts(holed, bars()) == []  # the bar of the other one is good


def test_who_begins_later_or_ends_earlier_lacks_nothing() -> None:
    assert found(bars()[100:900], bars()) == []
    assert found(bars(), bars()[100:900]) == []
    assert found(bars(), bars(symbol="BBB")) == []


def test_a_bar_without_trades_is_no_reason_to_have_one() -> None:
    holed, still = bars().filter(pl.col("date") != DAYS[5]), but(bars(), [DAYS[5]], volume=0)
    assert found(holed, still) == []


def test_a_bar_of_a_day_without_a_session_is_wrong() -> None:
    sunday, first = date(2020, 3, 15), bars(DAYS[:1])
    stray = pl.concat([bars(), first.with_columns(pl.lit(sunday).alias("date"))])
    assert verdicts(stray, bars()) == [(sunday, "a", "wrong", "calendar")]
    assert verdicts(stray, stray) == [(sunday, "a", "wrong", "calendar"), (sunday, "b", "wrong", "calendar")]
    assert agreements(stray, bars()).filter(month=202003)["verdict"].to_list() == ["a_wrong"]


def test_bars_from_before_the_calendar_begins_are_compared_all_the_same() -> None:
    old = [date(1962, 1, 2), date(1969, 12, 31), *DAYS[:3]]
    many = pl.concat([bars(old, symbol) for symbol in ("ZZZ", "AAA", "MMM")])
    other = many.with_columns(
        pl.when(pl.col("symbol") == "MMM", pl.col("date") == old[0])
        .then(pl.col("close") * 1.01)
        .otherwise("close")
        .alias("close")
    )
    odd = add_causes(compare(many, other.reverse(), "us", NYSE).odd, NYSE)
    assert odd.select("symbol", "date", "rule").rows() == [("MMM", old[0], "vendors_disagree")]
    assert (
        compare(many, other, "us", NYSE).months.sort("symbol", "month")["month"].to_list()
        == [196201, 196912, 202001] * 3
    )


def test_others_may_lack_it_too_and_then_nobody_decides() -> None:
    holed = bars().filter(~pl.col("date").is_in(THREE))
    also = Witness("c", holed.with_columns(pl.col("volume").cast(pl.Float64)))
    assert verdicts(holed, bars(), also) == [(day, "b", "doubtful", None) for day in THREE]
    assert verdicts(holed, bars(), Witness("c", bars())) == []
    assert (
        agreements(holed, bars(), Witness("c", bars())).filter(verdict="a_wrong")["decided_by"].to_list() == ["c"] * 3
    )


def test_a_vendor_of_another_time_says_nothing_about_a_hole() -> None:
    holed = bars().filter(pl.col("date") != DAYS[10])
    assert verdicts(holed, bars(), Witness("c", bars()[600:])) == []
    assert agreements(holed, bars(), Witness("c", bars()[600:]))["decided_by"].drop_nulls().to_list() == ["calendar"]


# --------------------------------------------------------------------------------------------------------------- judges


def test_without_a_third_vendor_both_are_doubtful() -> None:
    assert verdicts(bars(), but(bars(), THREE, close=1.005)) == [
        (day, source, "doubtful", None) for day in THREE for source in "ab"
    ]


@pytest.mark.parametrize("wrong", ["a", "b"])
def test_a_third_vendor_decides(wrong: str) -> None:
    pair = {"a": bars(), "b": bars()} | {wrong: but(bars(), THREE, close=1.005)}
    assert verdicts(pair["a"], pair["b"], Witness("c", bars())) == [(day, wrong, "wrong", "c") for day in THREE]
    odd = agreements(pair["a"], pair["b"], Witness("c", bars())).filter(pl.col("verdict") != "agree")
    assert set(odd["verdict"]) == {f"{wrong}_wrong"}


@pytest.mark.parametrize("said", [1.0025, 1.05, None])
def test_a_third_vendor_between_beyond_or_silent_decides_nothing(said: float | None) -> None:
    third = but(bars(), THREE, close=said) if said else bars().filter(~pl.col("date").is_in(THREE))
    assert {row[2] for row in verdicts(bars(), but(bars(), THREE, close=1.005), Witness("c", third))} == {"doubtful"}


def test_a_third_vendor_must_be_much_nearer_to_one_than_they_are_to_each_other() -> None:
    """All three within a tenth of a percent of the one between: that says nothing."""
    pair = bars(), but(bars(), THREE, close=1.0012)
    assert {row[2] for row in verdicts(*pair, Witness("c", but(bars(), THREE, close=1.0005)))} == {"doubtful"}
    assert {row[1:3] for row in verdicts(*pair, Witness("c", but(bars(), THREE, close=1.0003)))} == {("b", "wrong")}


def test_more_vendors_outvote_fewer() -> None:
    off = but(bars(), THREE, close=1.005)
    witnesses = [Witness("c", bars()), Witness("d", off), Witness("e", bars())]
    assert {row[1:] for row in verdicts(bars(), off, *witnesses)} == {("b", "wrong", "c,e")}
    assert {row[2] for row in verdicts(bars(), off, *witnesses[:2])} == {"doubtful"}


def test_a_vendor_that_is_right_in_one_field_and_wrong_in_another_is_not_right() -> None:
    a, b = but(bars(), THREE, high=1.05), but(bars(), THREE, close=1.005)
    assert {row[2] for row in verdicts(a, b, Witness("c", bars()))} == {"doubtful"}


def test_adjusted_prices_decide_through_returns() -> None:
    paid, split = DAYS[500], DAYS[700]
    events = pl.DataFrame(
        [
            ("c", "AAA", paid, "dividend", 3.0, bars()["close"][499], "USD", "raw", NOW),
            ("c", "AAA", split, "split", 2.0, None, "USD", "raw", NOW),
        ],
        schema=dict(ACTIONS.schema),
        orient="row",
    )
    before_split, before_paid = [d for d in DAYS if d < split], [d for d in DAYS if d < paid]
    adjusted = but(but(bars(), before_split, prices=0.5), before_paid, prices=1 - 3.0 / bars()["close"][499])
    adjusted = adjusted.with_columns(pl.col(*PRICES) * 0.37)  # a basis of its own
    days = (DAYS[499], paid, DAYS[699], split)
    for wrong in "ab":
        pair = {"a": bars(), "b": bars()} | {wrong: but(bars(), days, close=1.005)}
        odd = add_causes(compare(pair["a"], pair["b"], "us", NYSE).odd, NYSE)
        witness = witness_of_returns("c", adjusted, pair["a"], odd, events)
        assert verdicts(pair["a"], pair["b"], witness) == [(day, wrong, "wrong", "c") for day in days]


def test_adjusted_prices_tell_which_of_two_has_forgotten_a_split() -> None:
    forgotten = but(bars(), DAYS[:700], prices=0.5)
    odd = add_causes(compare(bars(), forgotten, "us", NYSE).odd, NYSE)
    witness = witness_of_returns("c", bars(), bars(), odd, ACTIONS.empty())
    rows = verdicts(bars(), forgotten, witness)
    assert {row[1:] for row in rows} == {("b", "wrong", "c")}
    assert len(rows) == 700


def test_one_row_per_bar_prefers_wrong() -> None:
    a, b, c = bars(), but(bars(), THREE, close=1.005), but(bars(), THREE[:1], close=0.99)
    rows = pl.concat(
        [
            verdicts_of(judged(a, b)[1], "a", "b", NOW),
            verdicts_of(judged(b, c, Witness("a", a))[1], "b", "c", NOW),
        ]
    )
    kept = one_per_bar(rows)
    assert kept.select(VERDICTS.key).is_duplicated().sum() == 0
    of_b = kept.filter(source="b").sort("date")
    assert of_b["verdict"].to_list() == ["doubtful", "wrong", "wrong"]


# --------------------------------------------------------------------------------------------------------------- scores


def test_scores_blame_who_was_wrong_and_share_what_nobody_could_decide() -> None:
    holed = bars().filter(~pl.col("date").is_in(THREE))
    scores = vendor_scores(agreements(holed, but(bars(), [DAYS[11]], close=1.005)))
    january = {row["source"]: row for row in scores.filter(month=202001).to_dicts()}
    sessions = january["a"]["compared"]
    assert sessions == 21
    assert (january["a"]["wrong"], january["b"]["wrong"]) == (1, 0)
    assert january["a"]["score"] == pytest.approx(1 - 1.5 / sessions)
    assert january["b"]["score"] == pytest.approx(1 - 0.5 / sessions)
    assert set(scores.filter(month=202002)["score"]) == {1.0}


def test_each_cause_becomes_a_finding_in_words() -> None:
    """A new cause needs words for people; sessions that are lacking are told from the months."""
    causes = [rule.id for rule in VENDOR_RULES if rule.id != LACKS]
    row = {"symbol": "AAA", "date": DAYS[0], "verdict": "wrong", "against": "b", "decided_by": "c", "field": "close"}
    rows = pl.DataFrame(
        [row | {"source": "a", "rule": rule, "value": 2.0, "other_value": 1.0, "known_from": NOW} for rule in causes],
        schema=dict(VERDICTS.schema),
    )
    told = {finding.rule: finding for finding in vendor_findings(rows, AGREEMENTS.empty())}
    assert set(told) == set(causes)
    assert told["vendor_split"].message == (
        "a and b are apart by the factor of a split on 2020-01-02: a is wrong according to c; source=best shows another"
        " vendor's bar"
    )
    assert told["vendor_split"].facts["factor"] == 2
    assert {told["vendors_disagree"].severity, told["vendors_differ"].severity} == {"warn", "info"}


def test_nothing_compared_is_no_error() -> None:
    nothing = bars().clear()
    for a, b in ((nothing, nothing), (bars(), nothing), (nothing, bars())):
        assert found(a, b) == []
        rows: Any = agreements(a, b, Witness("c", nothing))
        assert rows.is_empty()
        assert vendor_scores(rows).is_empty()


@pytest.mark.parametrize(("of_a", "of_b", "wrong"), [(True, False, "a"), (False, True, "b"), (True, True, None)])
def test_where_no_vendor_decides_the_bars_around_do_if_they_blame_one(
    of_a: bool, of_b: bool, wrong: str | None
) -> None:
    odd = add_causes(compare(but(bars(), DAYS[500:501], prices=0.1), bars(), "us", NYSE).odd, NYSE)
    blamed, nobody = odd.select("symbol", "date"), odd.select("symbol", "date").clear()
    rows = decide(odd, [], "us", (blamed if of_a else nobody, blamed if of_b else nobody))
    outcome = None if wrong is None else f"{wrong}_wrong"
    assert rows.select("outcome", "decided_by").rows() == [(outcome, "series" if wrong else None)]


def test_a_witness_is_heard_before_the_bars_around() -> None:
    a, b = but(bars(), DAYS[500:501], prices=0.1), bars()
    odd = add_causes(compare(a, b, "us", NYSE).odd, NYSE)
    blamed = odd.select("symbol", "date")
    rows = decide(odd, [Witness("c", a)], "us", (blamed, blamed.clear()))
    assert rows.select("outcome", "decided_by").rows() == [("b_wrong", "c")]


# ---------------------------------------------------------------------------------------------------- adjusted prices


def test_adjusted_prices_are_compared_in_traded_ones() -> None:
    """Whatever day the vendor adjusted to: only the day on which its close differs is found."""
    events = [("AAA", DAYS[700], "split", 4.0, None), ("AAA", DAYS[400], "dividend", 1.0, 80.0)]
    actions = pl.DataFrame(events, schema=["symbol", "ex_date", "kind", "value", "reference_close"], orient="row")
    traded = bars()
    adjusted = adjust_bars(traded, actions, "total").drop("adj_close")
    adjusted = but(adjusted, DAYS, prices=0.987)
    adjusted = but(adjusted, DAYS[100:101], close=1.01)
    shown = in_traded_prices(adjusted, traded, actions)
    assert shown.columns == ["symbol", "date", "open", "high", "low", "close", "volume", "currency"]
    same = shown.join(traded, on=["symbol", "date"], suffix="_traded").filter(pl.col("date") != DAYS[100])
    assert same.select(((pl.col("close") / pl.col("close_traded") - 1).abs()).max()).item() < 1e-9
    for prices, days in ((None, [DAYS[100]]), (0.02, [])):
        odd = compare(traded, shown, "us", NYSE, prices).odd
        assert odd["date"].to_list() == days
