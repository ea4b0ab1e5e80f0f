"""Recorded bars of three vendors: Quandl WIKI as traded, Yahoo turned back to as traded, Stooq's adjusted prices."""

from __future__ import annotations

import io
import lzma
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.prices import PRICES, split_steps, with_factor
from quantx.core.quality.daily_rules import ROW_RULES
from quantx.core.quality.vendor_causes import add_causes
from quantx.core.quality.vendor_comparison import Comparison, compare
from quantx.core.quality.vendor_verdicts import agreements_of, decide, verdicts_of, witness_of_returns

from ...market_data import either

MISSING = either(
    {
        *((symbol, "2017-08-07") for symbol in ("AAPL", "ADBE", "AMZN", "INTC")),
        *(("ABT", "2017-11-06"), ("MA", "2018-02-14")),
        # Rows that contradict themselves were rejected: there Quandl has no bar that can be used.
        *(("ADBE", "2016-11-30"), ("AMZN", "2016-11-16"), ("AVGO", "2016-11-11"), ("CTSH", "2016-11-29")),
        *(("INTC", "2016-11-29"), ("INTC", "2016-11-30"), ("NFLX", "2016-11-17"), ("T", "2016-11-30")),
    },
    {("QZCC", "2017-08-07"), ("QZCC", "2016-11-30"), ("QZBB", "2016-11-16")},
)
SPUN_OFF = either(
    [
        ("DIS", "vendor_scale", 1.014, date(2007, 6, 12)),
        ("EBAY", "vendor_scale", 2.376, date(2015, 7, 17)),
        ("GE", "vendor_scale", 1.332, date(2018, 3, 27)),
        ("HPQ", "vendor_scale", 2.202, date(2015, 10, 30)),
        ("JPM", "vendor_scale", 0.983, date(2001, 10, 2)),
        ("PFE", "vendor_scale", 1.054, date(2018, 3, 27)),
        ("T", "vendor_scale", 1.324, date(2018, 3, 27)),
    ],
    [("QZDD", "vendor_scale", 1.667, date(2017, 6, 30))],
)
NOW = datetime(2024, 3, 9, tzinfo=UTC)
NYSE = calendar("XNYS")
# Splits after the last file of Quandl, and one that Quandl books as a dividend (Google's class C).
LATER: dict[str, dict[str, float]] = either(
    {
        "AAPL": {"2020-08-31": 4},
        "AMZN": {"2022-06-06": 20},
        "APH": {"2021-03-05": 2},
        "GE": {"2021-08-02": 1 / 8},
        "GOOGL": {"2014-04-03": 1.998, "2022-07-18": 20},
        "MNST": {"2023-03-28": 2},
    },
    {"QZAA": {"2018-04-30": 4}},
)
EVERY = date(2017, 11, 8)  # Quandl lacks it in every file


def _read(path: Path) -> pl.DataFrame:
    return pl.read_csv(io.BytesIO(lzma.decompress(path.read_bytes())), try_parse_dates=True, infer_schema_length=None)


def _bars(frame: pl.DataFrame, symbol: str) -> pl.DataFrame:
    return frame.select(
        pl.lit(symbol).alias("symbol"),
        pl.col("Date").alias("date"),
        *(pl.col(c.capitalize()).cast(pl.Float64).alias(c) for c in (*PRICES, "volume")),
        pl.lit("USD").alias("currency"),
    )


def _obeying(bars: pl.DataFrame) -> pl.DataFrame:
    """What the rules of single rows let through."""
    rules = [
        rule.broken for rule in ROW_RULES if rule.id not in ("session_of_calendar", "not_in_future", "pair_in_range")
    ]
    classed = bars.with_columns(asset_class=pl.lit("equity"))
    return classed.filter(~pl.any_horizontal(rules)).drop("asset_class")


@pytest.fixture(scope="module")
def vendors(market_data: Path) -> dict[str, pl.DataFrame]:
    """Bars by vendor, of the symbols that both Quandl and Yahoo have, and Quandl's events."""
    quandl, yahoo, events, stooq = [], [], [], []
    for path in sorted((market_data / "daily_us_unadjusted_with_events_quandl_wiki").glob("*.csv.xz")):
        symbol = path.name.removesuffix(".csv.xz")
        other = market_data / "daily_us_yahoo_csv" / "sp500" / path.name
        if not other.exists():
            continue
        told = _read(path).sort("Date")
        paid = pl.col("ExDividend") != 0
        split = told.filter(pl.col("SplitRatio") != 1).select(
            "Date", pl.col("SplitRatio").cast(pl.Float64).alias("value")
        )
        later = pl.DataFrame(
            {"Date": list(LATER.get(symbol, {})), "value": list(LATER.get(symbol, {}).values())},
            schema={"Date": pl.String, "value": pl.Float64},
        ).with_columns(pl.col("Date").str.to_date())
        of_yahoo = pl.concat([split, later]).select(
            pl.lit(symbol).alias("symbol"), pl.col("Date").alias("ex_date"), pl.lit("split").alias("kind"), "value"
        )
        adjusted = with_factor(_bars(_read(other).drop_nulls("Close"), symbol), split_steps(of_yahoo), "after")
        traded = adjusted.with_columns(pl.col(*PRICES) * pl.col("after"), pl.col("volume") / pl.col("after")).drop(
            "after"
        )
        quandl.append(_bars(told, symbol))
        yahoo.append(traded.filter(pl.col("date") <= told["Date"].max()))
        dividends = told.with_columns(pl.col("Close").shift().alias("reference_close")).filter(paid)
        events += [
            of_yahoo.filter(pl.col("ex_date") < date(2018, 1, 1)).with_columns(
                pl.lit(None, dtype=pl.Float64).alias("reference_close")
            ),
            dividends.select(
                pl.lit(symbol).alias("symbol"),
                pl.col("Date").alias("ex_date"),
                pl.lit("dividend").alias("kind"),
                pl.col("ExDividend").cast(pl.Float64).alias("value"),
                pl.col("reference_close").cast(pl.Float64),
            ),
        ]
        third = market_data / "daily_us_stooq_bulk_txt" / f"{symbol.lower()}.us.txt.xz"
        if third.exists():
            said = _read(third).rename(lambda name: name.strip("<>").capitalize()).rename({"Vol": "Volume"})
            said = said.with_columns(pl.col("Date").cast(pl.String).str.to_date("%Y%m%d"))
            stooq.append(_bars(said, symbol))
    return {
        "quandl": _obeying(pl.concat(quandl)),
        "yahoo": _obeying(pl.concat(yahoo)),
        "stooq": _obeying(pl.concat(stooq)),
        "events": pl.concat(events),
    }


@pytest.fixture(scope="module")
def compared(vendors: dict[str, pl.DataFrame]) -> Comparison:
    found = compare(vendors["quandl"], vendors["yahoo"], "us", NYSE)
    return Comparison(found.months, add_causes(found.odd, NYSE))


@pytest.fixture(scope="module")
def judged(compared: Comparison, vendors: dict[str, pl.DataFrame]) -> pl.DataFrame:
    stooq = witness_of_returns("stooq", vendors["stooq"], vendors["quandl"], compared.odd, vendors["events"])
    return decide(compared.odd, [stooq], "us")


def test_the_holes_are_those_that_the_files_are_known_for(compared: Comparison) -> None:
    holes = compared.odd.filter(rule="vendor_lacks_sessions")
    assert set(holes["lacks"]) == {"a"}  # Quandl
    every = holes.filter(pl.col("date") == EVERY)["symbol"]
    assert every.n_unique() == every.len() == either(33, 6)
    assert (
        set(holes.filter(pl.col("date") != EVERY).select("symbol", pl.col("date").cast(pl.String)).iter_rows())
        == MISSING
    )


def test_who_lacks_a_session_is_wrong_by_the_calendar_or_a_third_vendor(judged: pl.DataFrame) -> None:
    holes = judged.filter(rule="vendor_lacks_sessions")
    assert set(holes["outcome"]) == {"a_wrong"}
    assert set(holes["decided_by"]) == {"calendar", "stooq"}
    with_third, without = either(
        (("INTC", "2017-08-07"), ("MA", "2018-02-14")), (("QZCC", "2017-08-07"), ("QZBB", "2016-11-16"))
    )
    for (symbol, day), witness in ((with_third, "stooq"), (without, "calendar")):
        assert holes.filter(symbol=symbol, date=date.fromisoformat(day))["decided_by"].to_list() == [witness]


def test_spin_offs_that_one_books_as_cash_and_the_other_as_a_factor_are_one_cause_each(compared: Comparison) -> None:
    """DIS 2007 (ABC Radio), EBAY 2015 (PayPal), HPQ 2015 (HPE), and later ones; JPM 2001: one dividend differs."""
    causes = compared.odd.filter(
        pl.col("rule").is_in(["vendors_disagree", "vendors_differ", "vendor_lacks_sessions"]).not_()
    )
    ratio = (pl.col("close") / pl.col("close_b")).median().round(3)
    spans = causes.group_by("symbol", "rule").agg(ratio, pl.col("date").max().alias("to")).sort("symbol")
    assert list(spans.iter_rows()) == SPUN_OFF


def test_the_rest_agrees_but_for_a_few_hundred_days(compared: Comparison) -> None:
    assert compared.months["both"].sum() > either(92_000, 2_200)
    counts = dict(compared.odd["rule"].value_counts().iter_rows())
    assert counts["vendors_disagree"] < either(250, 2)  # closes
    assert counts["vendors_differ"] < either(950, 3)  # the first print, volumes


def test_returns_of_a_vendor_with_adjusted_prices_decide_single_days(judged: pl.DataFrame) -> None:
    symbol, day, theirs, right = either(("INTC", "2003-01-29", 16.03, 16.66), ("QZAA", "2017-02-02", 305.95, 294.18))
    days = judged.filter(rule="vendors_disagree", symbol=symbol, date=date.fromisoformat(day))
    assert days.select("close", "close_b", "outcome", "decided_by").rows() == [
        (theirs, pytest.approx(right), "a_wrong", "stooq")
    ]
    of_three = judged.filter(pl.col("decided_by") == "stooq", pl.col("rule") == "vendors_disagree")
    assert of_three.height >= either(55, 1)
    assert set(judged.filter(symbol=either("KO", "QZFF"))["decided_by"]) <= {
        None,
        "calendar",
    }  # Stooq has no file of it here


def test_months_and_verdicts_of_real_vendors_fit_the_tables(compared: Comparison, judged: pl.DataFrame) -> None:
    months = agreements_of(compared, judged, "quandl", "yahoo", "us", NOW)
    assert months.select("symbol", "month").is_duplicated().sum() == 0
    assert months["sessions"].sum() - months["agreed"].sum() == judged.height
    august = months.filter(symbol=either("ADBE", "QZCC"), month=201708).to_dicts()[0]
    assert (august["sessions"], august["agreed"], august["verdict"]) == (23, 22, "a_wrong")
    rows = verdicts_of(judged, "quandl", "yahoo", NOW)
    assert (
        rows.filter(verdict="wrong").height
        == judged.filter(pl.col("lacks").is_null(), pl.col("outcome").is_not_null()).height
    )
