"""The invented market: the same for everybody with the same seed, and honest about itself."""

from __future__ import annotations

import json
from datetime import date

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.symbols import parse_symbol, venue_of
from quantx.errors import ConfigError
from quantx.sandbox import Sandbox, load_market
from quantx.sandbox.synthetic import dirt, script
from quantx.sandbox.yahoo_wire import YahooWire

TODAY = date(2024, 12, 31)


def bars(market):
    return pl.concat(market.as_traded(s).with_columns(symbol=pl.lit(s)) for s in market.symbols)


def test_the_same_seed_gives_the_same_market(synthetic):
    again, other = load_market(None, seed=7, today=TODAY), load_market(None, seed=8, today=TODAY)
    assert bars(again).equals(bars(synthetic))
    assert script(again) == script(synthetic)
    assert not bars(other)["close"].equals(bars(synthetic)["close"])


def test_it_has_thirty_symbols_over_three_markets_and_ten_years(synthetic):
    assert len(synthetic.symbols) == 30
    assert [parse_symbol(s) for s in synthetic.symbols] == synthetic.symbols
    markets = [venue_of(s).market for s in synthetic.symbols]
    assert {m: markets.count(m) for m in set(markets)} == {"us": 20, "hk": 5, "jp": 5}
    first, last = (getattr(synthetic.as_traded("QXAJ")["date"], edge)() for edge in ("min", "max"))
    assert (first, last) == (date(2015, 1, 2), TODAY)


def test_it_ends_with_the_last_session_that_has_closed():
    saturday = load_market(None, today=date(2024, 12, 28))
    assert max(saturday.as_traded("QXAC")["date"]) == date(2024, 12, 27)


def test_every_reply_is_marked_as_synthetic(synthetic, ask):
    assert synthetic.kind == "synthetic"
    for symbol in synthetic.by_wire_symbol:
        if symbol == synthetic.renamed[0]:
            continue
        _, chart = ask(synthetic, "2024-12-31", symbol, range="max")
        meta = chart["result"][0]["meta"]
        assert meta["synthetic"] is True
        assert meta["longName"].startswith("Synthetic ")


def test_rows_that_are_not_listed_as_dirt_are_sound(synthetic):
    known = {(d.symbol, d.date) for d in dirt(synthetic)}
    frame = bars(synthetic).filter(
        ~pl.struct("symbol", "date").map_elements(lambda r: (r["symbol"], r["date"]) in known, pl.Boolean)
    )
    body = pl.concat_list("open", "close")
    sound = (
        (pl.col("low") > 0)
        & (pl.col("low") <= body.list.min())
        & (body.list.max() <= pl.col("high"))
        & (pl.col("volume") >= 0)
    )
    assert frame.filter(~sound | pl.col("close").is_null()).height == 0
    assert frame.select("symbol", "date").is_duplicated().sum() == 0
    for symbol, days in frame.group_by("symbol").agg("date").iter_rows():
        trading = calendar(venue_of(symbol).calendar)
        assert all(trading.is_session(day) for day in days)


def test_each_kind_of_dirt_is_where_it_is_said_to_be(synthetic):
    checks = {
        "null_row": lambda rows: rows["close"].is_null().all(),
        "saturday_row": lambda rows: rows["date"][0].weekday() == 5,
        "zero_price": lambda rows: (rows["open"] == 0).all(),
        "high_below_low": lambda rows: (rows["high"] < rows["low"]).all(),
        "duplicate_date": lambda rows: rows.height == 2 and rows["volume"].n_unique() == 2,
        "negative_volume": lambda rows: (rows["volume"] < 0).all(),
    }
    assert {d.kind for d in dirt(synthetic)} == set(checks)
    for spoiled in dirt(synthetic):
        rows = synthetic.as_traded(spoiled.symbol).filter(pl.col("date") == spoiled.date)
        assert rows.height, spoiled
        assert checks[spoiled.kind](rows), spoiled


def test_the_script_takes_the_last_three_sessions(synthetic, rows):
    story = script(synthetic)
    assert [story.before, story.split_session, story.correction_session, story.outage_session] == [
        date(2024, 12, 26),
        date(2024, 12, 27),
        date(2024, 12, 30),
        date(2024, 12, 31),
    ]
    traded = synthetic.as_traded(story.split_symbol).filter(pl.col("date") == story.before)["close"][0]
    unsplit = rows(synthetic, str(story.before), story.split_symbol)[story.before]["close"]
    split = rows(synthetic, str(story.split_session), story.split_symbol)[story.before]["close"]
    assert unsplit == pytest.approx(traded, rel=1e-7)
    assert split == pytest.approx(traded / 4, rel=1e-7)

    late = story.correction
    assert late.date < story.correction_session
    wrong = rows(synthetic, str(story.split_session), late.symbol)[late.date]
    right = rows(synthetic, str(story.correction_session), late.symbol)[late.date]
    assert wrong[late.field] == pytest.approx(late.wrong, rel=1e-7)
    assert right[late.field] == pytest.approx(late.right, rel=1e-7)
    assert wrong["low"] <= wrong["close"] <= wrong["high"]  # no rule can catch it, only the vendor
    assert abs(late.wrong / late.right - 1) > 1e-3


def test_a_revision_ends_a_wrong_value(synthetic):
    late = script(synthetic).correction
    sandbox = Sandbox(synthetic, now=late.date, revisions=[f"{late.symbol}:{late.date}:close:50.5"])
    reply = json.loads(YahooWire(sandbox.book, None).chart(late.symbol, {"range": "1d"}).body)
    assert reply["chart"]["result"][0]["indicators"]["quote"][0]["close"] == [50.5]


def test_nothing_else_happens_while_the_script_runs(synthetic):
    story = script(synthetic)
    events = [
        (symbol, kind)
        for symbol in synthetic.symbols
        for day, kind, *_ in synthetic.actions(symbol).iter_rows()
        if day > story.before
    ]
    assert events == [(story.split_symbol, "split")]
    assert all(d.date <= story.before for d in dirt(synthetic))


def test_a_rename_passes_the_past_on(synthetic, ask, rows):
    old, new, day = synthetic.renamed
    before = max(synthetic.as_traded(old)["date"])
    assert before < day
    assert ask(synthetic, str(before), new)[0] == 404
    assert max(rows(synthetic, str(before), old)) == before
    assert ask(synthetic, str(day), old)[0] == 404
    assert min(rows(synthetic, str(day), new)) == min(synthetic.as_traded(old)["date"])


def test_a_new_listing_is_unknown_before_it(synthetic, ask):
    first = min(synthetic.as_traded("QXAD")["date"])
    assert ask(synthetic, str(calendar("XNYS").back(first, 1)), "QXAD")[0] == 404
    assert ask(synthetic, str(first), "QXAD")[0] == 200


def test_only_the_synthetic_market_has_a_script(small):
    with pytest.raises(ConfigError, match="synthetic"):
        script(small)
    assert dirt(small) == ()
