"""The series rules on series that are made for them: what is planted is found, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.calendars import calendar
from quantx.core.quality.market_moves import market_of, returns_of
from quantx.core.quality.series_rules import SERIES_RULES, bars_in_error, check_series

DAYS = calendar("XNYS").sessions(date(2020, 1, 2), date(2021, 6, 30))
NO_ACTIONS = pl.DataFrame(schema={"symbol": pl.String, "ex_date": pl.Date, "kind": pl.String, "value": pl.Float64})


def walk(symbol: str = "AAPL", seed: int = 1, volatility: float = 0.015) -> pl.DataFrame:
    """Return an ordinary series: closes move by some per cent, and bars trade around them."""
    chance = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(chance.normal(0, volatility, len(DAYS))))
    opens = np.concatenate([[100.0], close[:-1]]) * np.exp(chance.normal(0, volatility / 3, len(DAYS)))
    spread = np.exp(np.abs(chance.normal(0, volatility / 2, len(DAYS))))
    return pl.DataFrame(
        {
            "symbol": symbol,
            "date": DAYS,
            "open": opens,
            "high": np.maximum(opens, close) * spread,
            "low": np.minimum(opens, close) / spread,
            "close": close,
            "volume": np.round(1e6 * np.exp(chance.normal(0, 0.3, len(DAYS)))),
        }
    )


def scaled(bars: pl.DataFrame, where: pl.Expr, factor: float, volume: float | None = None) -> pl.DataFrame:
    prices = [pl.when(where).then(pl.col(c) * factor).otherwise(pl.col(c)) for c in ("open", "high", "low", "close")]
    traded = pl.col("volume") * (1 / factor if volume is None else volume)
    return bars.with_columns(*prices, volume=pl.when(where).then(traded).otherwise("volume"))


def put(bars: pl.DataFrame, row: int, **values: float) -> pl.DataFrame:
    at = pl.int_range(pl.len()) == row
    return bars.with_columns(pl.when(at).then(pl.lit(v)).otherwise(pl.col(c)).alias(c) for c, v in values.items())


def action(row: int, kind: str, value: float, symbol: str = "AAPL") -> pl.DataFrame:
    return pl.DataFrame([(symbol, DAYS[row], kind, value)], schema=NO_ACTIONS.schema, orient="row")


def told(found: pl.DataFrame) -> list[tuple[str, date, date, int]]:
    return [(r["rule"], r["first_day"], r["last_day"], r["rows"]) for r in found.iter_rows(named=True)]


ROW = pl.int_range(pl.len())


@pytest.mark.parametrize("seed", range(20))
def test_an_ordinary_series_breaks_no_rule(seed: int) -> None:
    assert told(check_series(walk(seed=seed), NO_ACTIONS)) == []


PLANTED: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], list[tuple[str, int, int, int]]]] = {
    "a tenth of the price for a session": (
        lambda bars: scaled(bars, ROW == 100, 0.1),
        [("bad_tick", 100, 100, 1)],
    ),
    "three times the price for four sessions": (
        lambda bars: scaled(bars, ROW.is_between(100, 103), 3.0),
        [("bad_tick", 100, 103, 4)],
    ),
    "a split 2:1 that nobody told": (lambda bars: scaled(bars, ROW >= 100, 1 / 2), [("forgotten_split", 100, 100, 1)]),
    "a split 20:1 that nobody told": (
        lambda bars: scaled(bars, ROW >= 100, 1 / 20),
        [("forgotten_split", 100, 100, 1)],
    ),
    "a reverse split 1:10 that nobody told": (
        lambda bars: scaled(bars, ROW >= 100, 10),
        [("forgotten_split", 100, 100, 1)],
    ),
    "pence, then pounds for thirty sessions": (
        lambda bars: scaled(bars, ROW.is_between(50, 79), 0.01, volume=1),
        [("unit_error", 50, 79, 30)],
    ),
    "a thousand times the price from one day on": (
        lambda bars: scaled(bars, ROW >= 300, 1000, volume=1),
        [("unit_error", 300, 376, 77)],
    ),
    "a reverse split 1:100 that nobody told": (
        lambda bars: scaled(bars, ROW >= 100, 100),
        [("forgotten_split", 100, 100, 1)],
    ),
    "a fall that is no fraction, on the usual turnover": (
        lambda bars: scaled(bars, ROW >= 100, 0.44),
        [("unexplained_jump", 100, 100, 1)],
    ),
    "no trade in twelve sessions": (
        lambda bars: bars.with_columns(
            *(
                pl.when(ROW.is_between(60, 71)).then(bars["close"][59]).otherwise(c).alias(c)
                for c in ("open", "high", "low", "close")
            ),
            volume=pl.when(ROW.is_between(60, 71)).then(0.0).otherwise("volume"),
        ),
        [("stale_run", 60, 71, 12)],
    ),
    "a session without volume": (
        lambda bars: put(bars, 80, volume=0.0),
        [("no_trade", 80, 80, 1), ("volume_missing", 80, 80, 1)],
    ),
    "a low of a cent": (lambda bars: put(bars, 80, low=0.01), [("price_spike", 80, 80, 1)]),
    "three sessions that are not there": (
        lambda bars: bars.filter(~ROW.is_between(30, 32)),
        [("missing_sessions", 30, 32, 3)],
    ),
    "a quarter less from a day on, on the usual volume": (
        lambda bars: scaled(bars, ROW >= 100, 0.75, volume=1),
        [("unexplained_jump", 100, 100, 1)],
    ),
    "a split 3:2 that nobody told": (lambda bars: scaled(bars, ROW >= 100, 2 / 3), [("forgotten_split", 100, 100, 1)]),
    "a split 4:3 that nobody told": (lambda bars: scaled(bars, ROW >= 100, 3 / 4), [("unexplained_jump", 100, 100, 1)]),
    "a split after a price of a thousand times the others": (
        lambda bars: scaled(scaled(bars, ROW >= 100, 1 / 2), ROW == 80, 1000),
        [("bad_tick", 80, 80, 1), ("forgotten_split", 100, 100, 1)],
    ),
    "a tenfold run of a third of the bars, in as many shares less": (
        lambda bars: scaled(bars, ROW.is_between(150, 269), 10),
        [("bad_tick", 150, 269, 120)],
    ),
    "thirty times the price on a busy day": (
        lambda bars: scaled(bars, ROW == 100, 30, volume=50),
        [("bad_tick", 100, 100, 1)],
    ),
    "a high of a third more, on a quiet day": (
        lambda bars: put(bars, 80, high=bars["close"][80] * 1.35),
        [("price_spike", 80, 80, 1)],
    ),
    "a hundredth of the volume from a day on": (
        lambda bars: bars.with_columns(volume=pl.col("volume") / pl.when(ROW >= 100).then(100).otherwise(1)),
        [("volume_level", 100, 100, 1)],
    ),
    "a thousand times the volume on a day": (
        lambda bars: put(bars, 100, volume=bars["volume"][100] * 1000),
        [("volume_level", 100, 100, 1)],
    ),
    "a week at a hundredth of the volume": (
        lambda bars: bars.with_columns(
            volume=pl.col("volume") / pl.when(ROW.is_between(100, 104)).then(100).otherwise(1)
        ),
        [("volume_level", 100, 100, 1)],
    ),
    "closes in place of all prices": (
        lambda bars: bars.with_columns(
            pl.when(ROW.is_between(100, 124)).then("close").otherwise(c).alias(c) for c in ("open", "high", "low")
        ),
        [("no_range", 100, 124, 25)],
    ),
    "prices and volume of a day for eleven more": (
        lambda bars: bars.with_columns(
            pl.when(ROW.is_between(61, 71)).then(bars[c][60]).otherwise(c).alias(c)
            for c in ("open", "high", "low", "close", "volume")
        ),
        [("stale_run", 61, 71, 11)],
    ),
    "another company after a year": (
        lambda bars: scaled(bars, ROW > 250, 7.7).filter(~ROW.is_between(40, 250)),
        [("missing_sessions", 40, 250, 211), ("symbol_reused", 251, 251, 1)],
    ),
}


@pytest.mark.parametrize(("plant", "expected"), PLANTED.values(), ids=PLANTED)
def test_what_is_planted_is_found(
    plant: Callable[[pl.DataFrame], pl.DataFrame], expected: list[tuple[str, int, int, int]]
) -> None:
    found = check_series(plant(walk()), NO_ACTIONS)
    assert told(found) == [(rule, DAYS[first], DAYS[last], rows) for rule, first, last, rows in expected]


def test_a_share_at_a_cent_that_trades_millions_is_not_stale() -> None:
    penny = walk().with_columns(pl.lit(0.01).alias(c) for c in ("open", "high", "low", "close"))
    assert told(check_series(penny, NO_ACTIONS)) == []
    assert told(check_series(penny.with_columns(high=pl.lit(0.02)), NO_ACTIONS)) == []


def test_news_of_a_quarter_is_no_finding() -> None:
    """It opens a quarter lower, on five times the usual number of shares and three times the range."""
    bars = scaled(walk(), ROW >= 100, 0.75, volume=1)
    close = bars["close"][100]
    news = put(bars, 100, open=close, high=close * 1.03, low=close / 1.03, volume=bars["volume"][100] * 5)
    assert told(check_series(news, NO_ACTIONS)) == []


def test_a_volume_in_new_shares_is_no_finding() -> None:
    """Of 250 symbols with a split of 50:1 each, as many factors do not add up to one that no number holds."""
    as_traded = scaled(walk(), ROW >= 100, 1 / 50)
    assert told(check_series(as_traded, action(100, "split", 50.0))) == []
    names = [f"S{n:03}" for n in range(250)]
    many = pl.concat([as_traded.with_columns(symbol=pl.lit(name)) for name in names])
    lots = pl.when((pl.col("symbol") == names[-1]) & (pl.col("date") >= DAYS[200])).then(100).otherwise(1)
    splits = pl.concat([action(100, "split", 50.0, name) for name in names])
    found = check_series(many.with_columns(volume=pl.col("volume") / lots), splits)
    assert found.select("symbol", "rule", "first_day").rows() == [(names[-1], "volume_level", DAYS[200])]


def test_a_print_at_a_far_quote_in_thin_trading_is_no_error() -> None:
    """One session in five trades, and one of them at two thirds of the price."""
    quiet = pl.when(ROW % 5 > 0).then(0.0).otherwise("volume")
    flat = [pl.col("close").gather(ROW // 5 * 5).alias(c) for c in ("open", "high", "low", "close")]
    thin = walk().with_columns(*flat, volume=quiet)
    print_ = scaled(thin, ROW == 200, 2 / 3, volume=1)
    assert bars_in_error(check_series(print_, NO_ACTIONS)).is_empty()
    assert not bars_in_error(check_series(scaled(thin, ROW == 200, 1 / 4, volume=1), NO_ACTIONS)).is_empty()


def test_a_series_that_follows_the_market_a_session_late_or_early_is_shifted() -> None:
    many = pl.concat([with_market(walk(f"S{n}", seed=n)) for n in range(12)])
    market = market_of(returns_of(many))
    own = many.filter(symbol="S3")
    assert told(check_series(own, NO_ACTIONS, market=market)) == []
    values = pl.col("open", "high", "low", "close", "volume")
    for by in (1, -1):
        moved = own.with_columns(values.shift(by)).drop_nulls()
        found = told(check_series(moved, NO_ACTIONS, market=market))
        assert {rule for rule, *_ in found} == {"series_shifted"}
        assert sum(rows for *_, rows in found) >= 250
        assert told(check_series(moved, NO_ACTIONS)) == []


def test_of_nine_symbols_there_is_no_market() -> None:
    assert market_of(returns_of(pl.concat([walk(f"S{n}", seed=n) for n in range(9)]))).is_empty()
    assert market_of(returns_of(pl.concat([walk(f"S{n}.XX", seed=n) for n in range(12)]))).is_empty()


def with_market(bars: pl.DataFrame) -> pl.DataFrame:
    """Let a series follow the moves of one market, which are those of `walk(seed=99)`."""
    market = walk(seed=99)["close"] / 100
    return bars.with_columns(pl.col(c) * market for c in ("open", "high", "low", "close"))


def test_a_crash_that_is_traded_is_information() -> None:
    """It opens at half, trades down to 35 and back to 45 of a hundred, on eight times the turnover."""
    bars = scaled(walk(), ROW >= 100, 0.45)
    before = bars["close"][99]
    bars = put(bars, 100, open=before * 0.5, high=before * 0.52, low=before * 0.35, volume=2e7)
    found = check_series(bars, NO_ACTIONS)
    assert [(rule, day) for rule, day, *_ in told(found)] == [("large_move", DAYS[100])]


def test_a_split_that_is_told_is_no_jump() -> None:
    as_traded = scaled(walk(), ROW >= 100, 1 / 4)
    assert told(check_series(as_traded, action(100, "split", 4.0))) == []
    assert told(check_series(walk(), action(100, "split", 4.0), adjusted=True)) == []


def test_a_split_that_the_prices_do_not_show_is_misapplied() -> None:
    """All bars before it are too small, by the ratio: the vendor has divided them twice."""
    found = check_series(walk(), action(100, "split", 4.0))
    assert told(found) == [("split_misapplied", DAYS[0], DAYS[99], 100)]


def test_a_large_dividend_explains_a_fall_and_a_wrong_one_makes_none() -> None:
    fallen = scaled(walk(), ROW >= 100, 0.4)
    paid = action(100, "dividend", walk()["close"][100] * 0.6)
    assert told(check_series(fallen, paid)) == []
    assert told(check_series(walk(), action(100, "dividend", 5000.0))) == []


def test_bars_that_were_rejected_are_not_missing() -> None:
    bars = walk()
    rejected = bars[30:33].select("symbol", "date")
    kept = bars.join(rejected, on=["symbol", "date"], how="anti")
    assert told(check_series(kept, NO_ACTIONS, rejected=rejected)) == []


def test_a_series_that_jumps_all_the_time_is_called_so_and_nothing_in_it_is_certain() -> None:
    bars = walk()
    for row in range(20, 320, 20):
        bars = scaled(bars, row == ROW, 0.2)
    found = check_series(bars, NO_ACTIONS)
    rules = found.group_by("rule").agg(pl.col("rows").sum()).sort("rule").rows()
    assert rules == [("erratic_series", 15), ("unexplained_jump", 30)]


def test_the_days_in_error_are_those_of_wrong_bars_alone() -> None:
    bars = scaled(scaled(walk(), ROW.is_between(100, 102), 0.1), ROW >= 200, 1 / 2)
    assert bars_in_error(check_series(bars, NO_ACTIONS)).rows() == [
        ("AAPL", day) for day in (DAYS[100] + timedelta(n) for n in range((DAYS[102] - DAYS[100]).days + 1))
    ]
    assert bars_in_error(check_series(walk(), NO_ACTIONS)).is_empty()


def test_symbols_do_not_leak_into_each_other() -> None:
    """The last close of one is no neighbour of the first of the next, and actions belong to their symbol."""
    cheap = scaled(walk("B", seed=2), ROW >= 0, 0.001, volume=1)
    three = pl.concat([walk("A"), cheap, walk("C", seed=3)])
    assert told(check_series(three, action(100, "dividend", 1.0, "B"))) == []
    planted = pl.concat([walk("A"), scaled(cheap, ROW == 100, 0.1), walk("C", seed=3)])
    found = check_series(planted.sample(fraction=1, shuffle=True, seed=1), NO_ACTIONS)
    assert found.select("rule", "symbol", "first_day").rows() == [("bad_tick", "B", DAYS[100])]


def test_a_change_of_the_unit_is_told_on_its_first_day() -> None:
    unit = pl.when(ROW < 200).then(pl.lit("GBX")).otherwise(pl.lit("GBP"))
    two = pl.concat([walk("A.L").with_columns(currency=unit), walk("B.L").with_columns(currency=pl.lit("EUR"))])
    found = check_series(two.filter(ROW % len(DAYS) > 0), NO_ACTIONS)
    changed = found.filter(pl.col("rule") == "currency_changes")
    assert changed.select("symbol", "first_day", "rows").rows() == [("A.L", DAYS[200], 1)]


def test_a_rule_of_some_markets_judges_their_symbols_alone() -> None:
    odd = pl.concat([put(walk(symbol), 50, open=1e3) for symbol in ("A.L", "AAPL", "KAP.IL")])
    found = check_series(odd, NO_ACTIONS).filter(pl.col("rule") == "open_of_auction")
    assert found["symbol"].to_list() == ["A.L", "KAP.IL"]  # of a market that is not ours all rules hold


def test_a_symbol_of_no_market_of_ours_has_no_calendar() -> None:
    assert told(check_series(walk("DEX.AX").filter(ROW % 2 == 0), NO_ACTIONS)) == []


def test_of_nothing_nothing_is_found() -> None:
    assert told(check_series(walk().clear(), NO_ACTIONS)) == []
    assert told(check_series(walk().head(1), NO_ACTIONS)) == []


@given(factor=st.floats(1e-4, 1e4), seed=st.integers(0, 50))
def test_the_currency_does_not_matter(factor: float, seed: int) -> None:
    bars = scaled(walk(seed=seed), ROW == 100, 0.1)
    assert told(check_series(scaled(bars, ROW >= 0, factor), NO_ACTIONS)) == told(check_series(bars, NO_ACTIONS))


@given(ratio=st.sampled_from([2, 3, 4, 5, 7, 8, 10, 15, 20, 50, 1 / 2, 1 / 5, 1 / 8, 1 / 20]), seed=st.integers(0, 200))
def test_each_split_that_nobody_told_is_found_and_each_that_is_told_is_not(ratio: float, seed: int) -> None:
    level = walk(seed=seed)["close"][149]
    calm = put(walk(seed=seed), 150, open=level, high=level * 1.01, low=level * 0.99, close=level, volume=1e6)
    bars = scaled(calm, ROW >= 150, 1 / ratio)
    assert [rule for rule, *_ in told(check_series(bars, NO_ACTIONS))] == ["forgotten_split"]
    assert told(check_series(bars, action(150, "split", ratio))) == []


def test_every_series_rule_is_declared_once_with_its_reason() -> None:
    ids = [rule.id for rule in SERIES_RULES]
    assert len(ids) == len(set(ids))
    for rule in SERIES_RULES:
        assert min(len(words.split()) for words in (rule.meaning, rule.why, rule.reference)) >= 4


@pytest.mark.parametrize("factor", [100, 0.01, 1000])
@pytest.mark.parametrize("sessions", [1, 2, 4, 5, 30])
@pytest.mark.parametrize("row", [10, 100, 300])
def test_a_stretch_in_another_unit_is_named_however_short(row: int, sessions: int, factor: float) -> None:
    bars = scaled(walk(), ROW.is_between(row, row + sessions - 1), factor, volume=1)
    assert told(check_series(bars, NO_ACTIONS)) == [("unit_error", DAYS[row], DAYS[row + sessions - 1], sessions)]


def test_a_few_bad_ticks_in_years_stay_errors_and_many_in_one_do_not() -> None:
    def ticks(*rows: int) -> pl.DataFrame:
        return scaled(walk(), ROW.is_in(rows), 0.1)

    few = check_series(ticks(20, 150, 300), NO_ACTIONS)
    assert [(rule, day) for rule, day, *_ in told(few)] == [("bad_tick", DAYS[n]) for n in (20, 150, 300)]
    many = check_series(ticks(20, 50, 80, 110, 140, 170), NO_ACTIONS)
    assert set(many["rule"]) == {"erratic_series", "unexplained_jump"}
