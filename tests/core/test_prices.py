"""Prices as traded and adjusted: every formula against a naive loop, and against vendors' own numbers."""

from __future__ import annotations

import csv
import io
import lzma
import random
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.prices import (
    ADJUSTMENTS,
    PRICES,
    adjust_bars,
    dividend_steps,
    split_steps,
    to_as_traded,
    with_factor,
)

from ..market_data import either

FIRST = date(2020, 1, 6)
ACTION_SCHEMA = {
    "symbol": pl.String,
    "ex_date": pl.Date,
    "kind": pl.String,
    "value": pl.Float64,
    "reference_close": pl.Float64,
}


@dataclass(frozen=True)
class History:
    """What really happened to a security, as traded: closes by day, and actions by position of the ex-date."""

    closes: list[float]
    volumes: list[int]
    splits: dict[int, float]
    dividends: dict[int, float]

    def day(self, i: int) -> date:
        return FIRST + timedelta(i)

    def bars(self) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "symbol": "A",
                "date": [self.day(i) for i in range(len(self.closes))],
                "open": [c * 0.99 for c in self.closes],
                "high": [c * 1.02 for c in self.closes],
                "low": [c * 0.97 for c in self.closes],
                "close": self.closes,
                "volume": self.volumes,
            },
            schema_overrides={"volume": pl.Int64},
        )

    def actions(self) -> pl.DataFrame:
        split = [("A", self.day(i), "split", r, None) for i, r in self.splits.items()]
        paid = [("A", self.day(i), "dividend", d, self.closes[i - 1]) for i, d in self.dividends.items()]
        return pl.DataFrame([*split, *paid], schema=ACTION_SCHEMA, orient="row")

    def ratio_after(self, i: int) -> float:
        """How many of today's shares one share of day i has become."""
        product = 1.0
        for ex, ratio in self.splits.items():
            if ex > i:
                product *= ratio
        return product

    def paid_after(self, i: int) -> float:
        """Yahoo's rule, in as-traded prices: Π (1 − D / close before the ex-date) over later ex-dates."""
        product = 1.0
        for ex, amount in self.dividends.items():
            if ex > i and amount < self.closes[ex - 1]:
                product *= 1 - amount / self.closes[ex - 1]
        return product

    def vendor(self, start: int = 0, end: int | None = None) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What a vendor of split-adjusted prices says today about the days start…end: every later split is in it."""
        bars = self.bars().with_columns(pl.Series("__r", [self.ratio_after(i) for i in range(len(self.closes))]))
        bars = bars.with_columns(
            *(pl.col(c) / pl.col("__r") for c in PRICES), pl.col("volume").cast(pl.Float64) * pl.col("__r")
        )
        bars = bars.drop("__r", "symbol").slice(start, None if end is None else end - start)
        rows = [(self.day(i), "split", r) for i, r in self.splits.items() if i >= start]
        rows += [(self.day(i), "dividend", d / self.ratio_after(i)) for i, d in self.dividends.items() if i >= start]
        actions = pl.DataFrame(rows, schema={"ex_date": pl.Date, "kind": pl.String, "value": pl.Float64}, orient="row")
        series = pl.lit(0, dtype=pl.Int64).alias("series")
        return bars.with_columns(series), actions.with_columns(series)


@st.composite
def histories(draw: st.DrawFn) -> History:
    count = draw(st.integers(3, 25))
    price = st.floats(0.5, 5_000, allow_nan=False)
    days = st.integers(1, count - 1)
    return History(
        closes=draw(st.lists(price, min_size=count, max_size=count)),
        volumes=draw(st.lists(st.integers(0, 10**9), min_size=count, max_size=count)),
        splits=draw(
            st.dictionaries(days, st.sampled_from([2.0, 3.0, 1.5, 7.0, 20.0, 0.1, 0.25, 1.05, 1 / 3]), max_size=4)
        ),
        dividends=draw(st.dictionaries(days, st.floats(0.001, 8_000), max_size=6)),
    )


@given(histories(), st.data())
def test_as_traded_prices_come_back_from_any_window_also_one_that_ends_before_a_split(
    history: History, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(history.closes) - 1))
    end = data.draw(st.integers(start + 1, len(history.closes)))
    traded, _ = to_as_traded(*history.vendor(start, end))
    wanted = history.bars()[start:end]
    for column in PRICES:
        assert traded[column].to_list() == pytest.approx(wanted[column].to_list(), rel=1e-12)
    assert traded["volume"].to_list() == pytest.approx(wanted["volume"].to_list(), rel=1e-12)
    assert traded["date"].to_list() == wanted["date"].to_list()


@given(histories())
def test_dividends_come_back_as_paid_with_the_close_before_them(history: History) -> None:
    _, actions = to_as_traded(*history.vendor())
    paid = actions.filter(pl.col("kind") == "dividend").sort("ex_date")
    days = sorted(history.dividends)
    assert paid["value"].to_list() == pytest.approx([history.dividends[i] for i in days], rel=1e-12)
    # the close before the ex-date in the shares of the ex-date, so that a split on that day is in it
    expected = [history.closes[i - 1] / history.splits.get(i, 1.0) for i in days]
    assert paid["reference_close"].to_list() == pytest.approx(expected, rel=1e-12)
    ratios = actions.filter(pl.col("kind") == "split").sort("ex_date")
    assert ratios["value"].to_list() == [history.splits[i] for i in sorted(history.splits)]


@given(histories())
def test_splitting_what_was_made_as_traded_gives_the_vendors_prices_again(history: History) -> None:
    bars, vendor_actions = history.vendor()
    traded, actions = to_as_traded(bars, vendor_actions)
    again = adjust_bars(
        traded.with_columns(pl.lit("A").alias("symbol")), actions.with_columns(pl.lit("A").alias("symbol")), "split"
    )
    for column in PRICES:
        assert again[column].to_list() == pytest.approx(bars[column].to_list(), rel=1e-9)
    assert again["volume"].to_list() == pytest.approx(bars["volume"].to_list(), rel=1e-9, abs=0.5000001)


@given(histories())
def test_split_adjusted_prices_equal_a_naive_loop(history: History) -> None:
    adjusted = adjust_bars(history.bars(), history.actions(), "split")
    for i, row in enumerate(adjusted.iter_rows(named=True)):
        ratio = history.ratio_after(i)
        assert row["close"] == pytest.approx(history.closes[i] / ratio, rel=1e-9)
        assert row["high"] == pytest.approx(history.closes[i] * 1.02 / ratio, rel=1e-9)
        assert row["volume"] == pytest.approx(history.volumes[i] * ratio, abs=0.5000001, rel=1e-9)


@given(histories())
def test_total_adjusted_prices_follow_yahoos_rule(history: History) -> None:
    adjusted = adjust_bars(history.bars(), history.actions(), "total")
    for i, row in enumerate(adjusted.iter_rows(named=True)):
        total = history.paid_after(i) / history.ratio_after(i)
        assert row["close"] == pytest.approx(history.closes[i] * total, rel=1e-9)
        assert row["open"] == pytest.approx(history.closes[i] * 0.99 * total, rel=1e-9)
        assert row["adj_close"] == pytest.approx(row["close"], rel=1e-12)
        assert row["volume"] == pytest.approx(history.volumes[i] * history.ratio_after(i), abs=0.5000001, rel=1e-9)


@given(histories())
def test_the_adjusted_close_is_the_same_in_every_view(history: History) -> None:
    views = [adjust_bars(history.bars(), history.actions(), how)["adj_close"].to_list() for how in ADJUSTMENTS]
    assert views[0] == views[1] == views[2]


@given(histories())
def test_none_leaves_prices_and_volumes_as_traded(history: History) -> None:
    assert adjust_bars(history.bars(), history.actions(), "none").drop("adj_close").equals(history.bars())


@given(histories())
def test_traded_value_is_the_same_before_and_after_a_split_adjustment(history: History) -> None:
    adjusted = adjust_bars(history.bars(), history.actions(), "split")
    before = [c * v for c, v in zip(history.closes, history.volumes, strict=True)]
    # a volume is a whole number, so half a share may be lost
    for was, row in zip(before, adjusted.iter_rows(named=True), strict=True):
        assert row["close"] * row["volume"] == pytest.approx(was, rel=1e-9, abs=row["close"] * 0.5000001)


@given(histories(), st.randoms(use_true_random=False))
def test_rows_keep_their_order_and_actions_may_come_in_any(history: History, random: object) -> None:
    bars, actions = history.bars(), history.actions()
    order = list(range(bars.height))
    random.shuffle(order)  # type: ignore[attr-defined]
    mixed = adjust_bars(bars[order], actions[::-1], "total")
    straight = adjust_bars(bars, actions, "total")
    assert mixed["date"].to_list() == bars[order]["date"].to_list()
    assert mixed.sort("date")["close"].to_list() == pytest.approx(straight["close"].to_list(), rel=1e-12)


def one_dividend(value: float | None, reference: float | None) -> pl.DataFrame:
    return pl.DataFrame([("A", FIRST + timedelta(1), "dividend", value, reference)], schema=ACTION_SCHEMA, orient="row")


@pytest.mark.parametrize(
    ("value", "reference"),
    [(10.0, 10.0), (12.0, 10.0), (1.0, None), (1.0, 0.0)],
    ids=["equal to the close", "above the close", "no close before it", "a close of zero"],
)
def test_a_dividend_without_a_meaningful_factor_is_left_out(value: float, reference: float | None) -> None:
    bars = History([10.0, 9.0], [100, 100], {}, {}).bars()
    adjusted = adjust_bars(bars, one_dividend(value, reference), "total")
    assert adjusted["close"].to_list() == [10.0, 9.0]


def test_a_dividend_lowers_only_the_closes_before_its_ex_date() -> None:
    bars = History([10.0, 9.0, 9.5], [100, 100, 100], {}, {}).bars()
    adjusted = adjust_bars(bars, one_dividend(1.0, 10.0), "total")
    assert adjusted["close"].to_list() == pytest.approx([9.0, 9.0, 9.5])


def test_a_split_and_a_dividend_on_one_day_act_together() -> None:
    # 100 before; 2-for-1 with 1 per new share: the close before is 50 in new shares
    bars = History([100.0, 50.0], [10, 20], {}, {}).bars()
    actions = pl.DataFrame(
        [("A", FIRST + timedelta(1), "split", 2.0, None), ("A", FIRST + timedelta(1), "dividend", 1.0, 50.0)],
        schema=ACTION_SCHEMA,
        orient="row",
    )
    adjusted = adjust_bars(bars, actions, "total")
    assert adjusted["close"].to_list() == pytest.approx([100 / 2 * (1 - 1 / 50), 50.0])
    assert adjusted["volume"].to_list() == [20, 20]


def test_actions_of_one_symbol_do_not_touch_another() -> None:
    other = History([10.0, 9.0], [100, 100], {}, {}).bars().with_columns(pl.lit("B").alias("symbol"))
    adjusted = adjust_bars(other, one_dividend(1.0, 10.0), "total")
    assert adjusted["close"].to_list() == [10.0, 9.0]


def test_without_actions_every_view_is_the_traded_one() -> None:
    bars = History([10.0, 9.0], [100, 100], {}, {}).bars()
    empty = pl.DataFrame(schema=ACTION_SCHEMA)
    for how in ADJUSTMENTS:
        adjusted = adjust_bars(bars, empty, how)
        assert adjusted.drop("adj_close").equals(bars)
        assert adjusted["adj_close"].to_list() == [10.0, 9.0]


def test_two_payloads_are_turned_back_by_their_own_splits() -> None:
    one = History([100.0, 50.0], [10, 20], {1: 2.0}, {}).vendor()
    two = History([100.0, 101.0], [10, 20], {}, {}).vendor()
    bars = pl.concat([one[0], two[0].with_columns(pl.lit(1, dtype=pl.Int64).alias("series"))])
    traded, _ = to_as_traded(bars, one[1])
    assert traded["close"].to_list() == [100.0, 50.0, 100.0, 101.0]


def test_the_step_of_a_volume_is_how_many_traded_shares_one_unit_stands_for() -> None:
    # After a 1-for-10 reverse split the vendor counts in tens: its unit is 10 traded shares. A 2-for-1 split loses
    # nothing.
    reverse, _ = to_as_traded(*History([1.0, 10.0], [1234, 100], {1: 0.1}, {}).vendor())
    forward, _ = to_as_traded(*History([100.0, 50.0], [1234, 100], {1: 2.0}, {}).vendor())
    assert reverse["volume_step"].to_list() == pytest.approx([10.0, 1.0])
    assert forward["volume_step"].to_list() == [1.0, 1.0]


def test_a_null_bar_is_no_close_before_a_dividend() -> None:
    bars, actions = History([10.0, 99.0, 9.0], [1, 1, 1], {}, {2: 1.0}).vendor()
    hollow = bars.with_columns(
        pl.when(pl.col("date") == FIRST + timedelta(1)).then(None).otherwise(pl.col("close")).alias("close")
    )
    assert to_as_traded(hollow, actions)[1]["reference_close"].to_list() == [10.0]


def quandl(folder: Path) -> list[Path]:
    return sorted((folder / "daily_us_unadjusted_with_events_quandl_wiki").glob("*.csv.xz"))


def test_recorded_as_traded_prices_split_adjust_as_a_naive_loop_does(market_data: Path) -> None:
    files = quandl(market_data)
    assert len(files) == either(39, 6)
    frames, actions, naive_close, naive_volume = [], [], [], []
    for path in files:
        rows = list(csv.DictReader(io.StringIO(lzma.decompress(path.read_bytes()).decode())))[::-1]
        symbol = path.name.removesuffix(".csv.xz").replace("_", ".")
        days = [date.fromisoformat(r["Date"]) for r in rows]
        numbers = {c: [float(r[c.capitalize()]) for r in rows] for c in (*PRICES, "volume")}
        frames.append(pl.DataFrame({"symbol": symbol, "date": days, **numbers}))
        ratios = [float(r["SplitRatio"]) for r in rows]
        events = [(symbol, d, "split", r, None) for d, r in zip(days, ratios, strict=True) if r != 1]
        actions += events
        factor, closes, volumes = 1.0, [], []
        for close, volume, ratio in zip(
            reversed(numbers["close"]), reversed(numbers["volume"]), reversed(ratios), strict=True
        ):
            closes.append(close / factor)
            volumes.append(volume * factor)
            factor *= ratio
        naive_close += closes[::-1]
        naive_volume += volumes[::-1]
    adjusted = adjust_bars(pl.concat(frames), pl.DataFrame(actions, schema=ACTION_SCHEMA, orient="row"), "split")
    naive = pl.DataFrame({"close": naive_close, "volume": naive_volume})
    assert adjusted.height == either(170_984, 6 * 377 - 1) == naive.height
    assert ((adjusted["close"] - naive["close"]).abs() / naive["close"]).max() < 1e-12
    assert (adjusted["volume"] - naive["volume"]).abs().max() <= 0.5000001
    assert adjusted["symbol"].n_unique() == len(files)
    assert len(actions) >= either(41, 4)


def test_recorded_total_returns_agree_with_the_vendors_adjusted_close(market_data: Path) -> None:
    """Quandl's adjusted close follows another rule at splits with a dividend only; here it is the same number."""
    for name in either(("AAPL", "KO", "XOM"), ("QZAA", "QZCC")):
        path = market_data / "daily_us_unadjusted_with_events_quandl_wiki" / f"{name}.csv.xz"
        if not path.is_file():
            continue
        rows = list(csv.DictReader(io.StringIO(lzma.decompress(path.read_bytes()).decode())))[::-1]
        days = [date.fromisoformat(r["Date"]) for r in rows]
        numbers = {c: [float(r[c.capitalize()]) for r in rows] for c in (*PRICES, "volume")}
        events: list[tuple[str, date, str, float, float | None]] = []
        for i, r in enumerate(rows):
            ratio, paid = float(r["SplitRatio"]), float(r["ExDividend"])
            if ratio != 1:
                events.append((name, days[i], "split", ratio, None))
            if paid and i:
                events.append((name, days[i], "dividend", paid, numbers["close"][i - 1] / ratio))
        bars = pl.DataFrame({"symbol": name, "date": days, **numbers})
        adjusted = adjust_bars(bars, pl.DataFrame(events, schema=ACTION_SCHEMA, orient="row"), "total")
        theirs = pl.Series([float(r["AdjClose"]) for r in rows])
        assert ((adjusted["adj_close"] - theirs).abs() / theirs).max() < 0.005


@pytest.mark.parametrize("few", [0, 100, 10_000])
def test_factors_by_search_are_those_of_the_join(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search in lists, the search in rows by symbol and date, and the join, which takes rows in any order."""
    monkeypatch.setattr("quantx.core.adjustment._FEW", few)
    days = [FIRST + timedelta(days=number) for number in range(100)]
    for seed in range(30):
        chance = random.Random(seed)
        rows = [(s, d, chance.uniform(1, 9)) for s in "ABCD" if chance.random() < 0.9 for d in days]
        rows = [row for row in rows if chance.random() < 0.6]
        bars = pl.DataFrame(rows, schema=["symbol", "date", "close"], orient="row").cast(
            {"symbol": pl.String, "date": pl.Date, "close": pl.Float64}
        )
        bars = bars.with_columns(pl.lit(1000, pl.Int64).alias("volume"))
        events = [
            (
                symbol,
                chance.choice(days) + timedelta(days=chance.choice([0, 0, 110, -110])),
                chance.choice(["split", "dividend"]),
                chance.choice([2.0, 3.0, 0.5]),
                chance.choice([None, 10.0]),
            )
            for symbol in "ABCDZ"
            for _ in range(chance.randrange(20))
        ]
        actions = pl.DataFrame(events, schema=ACTION_SCHEMA, orient="row")
        searched = adjust_bars(bars, actions, "total").sort("symbol", "date")
        joined = with_factor(bars, split_steps(actions), "split")
        joined = with_factor(joined, dividend_steps(actions), "dividend")
        total = pl.col("dividend") / pl.col("split")
        joined = joined.select("symbol", "date", pl.col("close") * total)
        assert searched.select("symbol", "date", "close").equals(joined)
        shuffled = adjust_bars(bars.sample(fraction=1, shuffle=True, seed=seed), actions, "total")
        assert searched.equals(shuffled.sort("symbol", "date"))
