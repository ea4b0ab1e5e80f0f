"""A chain equals a brute-force reading of the rows; moments, sources, corrections, roots and errors."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from quantx.errors import ConfigError, IncompleteData, NotInLake
from quantx.reader.options.moments import ChainMoment
from quantx.reader.options.session_quotes import COLUMNS, SessionQuotes

from ..option_lake import DAYS, EARLY, OptionLake


def brute_force(rows: list[dict[str, Any]], at: datetime, source: str, adjusted: bool) -> dict[str, dict[str, Any]]:
    """Return the last row of each contract on the day of `at`, by a reading of all rows."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["source"] != source or row["date"] != at.date() or row["time"] > at:
            continue
        if row["root"] == "SPX1" and not adjusted:
            continue
        if row["contract"] not in found or found[row["contract"]]["time"] < row["time"]:
            found[row["contract"]] = row
    return found


@pytest.mark.parametrize("seed", range(12))
def test_a_chain_is_that_of_a_brute_force_reading(options: OptionLake, seed: int) -> None:
    chance = random.Random(seed)
    day = chance.choice(DAYS)
    at = datetime(day.year, day.month, day.day, 13, 30, tzinfo=UTC) + timedelta(seconds=chance.randrange(60, 24_000))
    source, adjusted, as_of = chance.choice(["databento", "lean"]), chance.random() < 0.5, chance.random() < 0.5
    rows = options.rows
    if as_of:
        rows = [*(row for row in rows if row["known_from"] <= EARLY), *options.replaced]
    expected = brute_force(rows, at, source, adjusted)
    chain = options.lake.chain("SPX", at, source=source, adjusted=adjusted, as_of=EARLY if as_of else None)
    found = {row["contract"]: row for row in chain.iter_rows(named=True)}
    assert chain.height == len(expected)
    for name, row in expected.items():
        assert {key: found[name][key] for key in ("time", "bid", "ask", "ask_size", "source")} == {
            key: row[key] for key in ("time", "bid", "ask", "ask_size", "source")
        }
        assert found[name]["age"] == int((at - row["time"]).total_seconds())
    assert chain.equals(chain.sort("expiration", "root", "right", "strike"))


def test_rows_in_any_order_give_the_same_chain(options: OptionLake) -> None:
    rows = options.lake.scan("options_quotes_1m").collect().filter(pl.col("date") == DAYS[0]).select(COLUMNS)
    at = datetime(2025, 8, 6, 17, tzinfo=UTC)
    shuffled = SessionQuotes(rows.sample(fraction=1, shuffle=True, seed=1)).at(at)
    ordered = SessionQuotes(rows.sort("source", "contract", "time")).at(at)
    key = ["source", "contract"]
    assert shuffled.sort(key).equals(ordered.sort(key))
    assert SessionQuotes(rows.clear()).at(at).is_empty()


def test_a_time_without_a_zone_is_new_yorks(options: OptionLake) -> None:
    local = options.lake.chain("SPX", "2025-08-07T12:00")
    assert local.equals(options.lake.chain("SPX", "2025-08-07T16:00Z"))
    assert local.equals(options.lake.chain("spx", datetime(2025, 8, 7, 12)))  # noqa: DTZ001
    assert ChainMoment.parse("2025-08-07T23:30-04:00").session == date(2025, 8, 7)
    assert ChainMoment.parse("2025-01-06T15:30").instant == datetime(2025, 1, 6, 20, 30, tzinfo=UTC)


def test_a_date_is_the_end_of_its_session(options: OptionLake) -> None:
    assert options.lake.chain("SPX", "2025-08-07").equals(options.lake.chain("SPX", "2025-08-07T16:00"))


def test_roots_have_their_own_settlement(options: OptionLake) -> None:
    chain = options.lake.chain("SPX", "2025-08-07T16:00", adjusted=True)
    of_roots = {row[0]: row[1:] for row in chain.select("root", "settlement", "multiplier").unique().rows()}
    assert of_roots["SPX"] == ("AM", 100.0)
    assert of_roots["SPXW"] == ("PM", 100.0)
    assert of_roots["SPX1"][1] is None


def test_greeks_add_columns_and_reasons(options: OptionLake) -> None:
    chain = options.lake.chain("SPX", "2025-08-07T16:00", greeks=True)
    assert {"forward", "iv", "delta", "reason"}.issubset(chain.columns)
    assert chain.filter(pl.col("iv").is_null() == pl.col("reason").is_null()).is_empty()


def test_the_daily_table_gives_a_date_its_closing_quotes(options: OptionLake) -> None:
    chain = options.lake.chain("AAPL", "2014-06-09")
    assert chain.select("bid", "ask", "time", "age").row(0) == (
        5.0, 5.2, datetime(2014, 6, 9, 20, tzinfo=UTC), 0,
    )  # fmt: skip


def test_a_session_without_quotes_warns(options: OptionLake) -> None:
    with pytest.warns(IncompleteData, match="no option quotes of SPX"):
        assert options.lake.chain("SPX", "2025-08-05T12:00").is_empty()
    with pytest.warns(IncompleteData):
        assert options.lake.chain("SPX", "2025-08-07T12:00", as_of="2025-08-01").is_empty()


def test_errors_state_the_next_step(options: OptionLake) -> None:
    with pytest.raises(NotInLake, match="no options of SPQ"):
        options.lake.chain("SPQ", "2025-08-07T12:00")
    with pytest.raises(ConfigError, match="not a time"):
        options.lake.chain("SPX", "noon")
    with pytest.raises(ConfigError, match="no session"):
        options.lake.chain("SPX", "2025-08-09")


def test_series_of_a_contract_and_of_an_underlying(options: OptionLake) -> None:
    name = options.rows[0]["contract"]
    root, tail = name[:-15], name[-15:]
    rows = options.lake.option_quotes(f"{root:<6}{tail}", start=DAYS[1], source="lean")
    wanted = [r for r in options.rows if r["contract"] == name and r["source"] == "lean" and r["date"] == DAYS[1]]
    assert rows["time"].to_list() == [row["time"] for row in wanted]
    assert options.lake.option_quotes("SPX").height == len(options.rows)
    before = options.lake.option_quotes("SPX", as_of=EARLY)
    assert before.filter(pl.col("bid") == 99.0).height == len(options.replaced)
    assert options.lake.option_quotes("AAPL", timeframe="1d").height == 1


def test_expirations_and_open_interest(options: OptionLake) -> None:
    found = options.lake.expirations("SPX", on="2025-08-07")
    assert found.select("root", "settlement", "last_session", "expires").rows() == [
        ("SPX", "AM", date(2025, 8, 15), datetime(2025, 8, 15, 13, 30, tzinfo=UTC)),
        ("SPXW", "PM", date(2025, 8, 15), datetime(2025, 8, 15, 20, tzinfo=UTC)),
    ]
    assert options.lake.expirations("SPX", on="2025-08-16").is_empty()
    assert options.lake.open_interest("SPX")["date"].unique().to_list() == [DAYS[0]]
    with pytest.warns(IncompleteData):
        assert options.lake.open_interest("SPX", public_by="2025-08-06").is_empty()


def test_a_warm_chain_reads_no_file(options: OptionLake) -> None:
    lake = options.lake
    lake.chain("SPX", "2025-08-07T12:00")
    held = lake._held_sessions._held
    before = dict(held)
    lake.chain("SPX", "2025-08-07T15:59")
    assert dict(held) == before
