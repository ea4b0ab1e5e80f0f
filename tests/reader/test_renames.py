"""One security under several symbols, one symbol of several securities: what a reader gets is never a mixture."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import obstore
import polars as pl
import pytest

from quantx.core.symbol_history import Naming, SymbolHistory, history_rows
from quantx.core.tables import ACTIONS, BARS_1D, TABLES, UNIVERSE_MEMBERS
from quantx.errors import ConfigError, IncompleteData
from quantx.lake.protocol import CommitContext
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.table import open_tables
from quantx.reader import Lake

FACEBOOK, OLD_FB, OLD_META = "us.FB.20120518", "us.FB.19990929", "us.META.20210630"
HISTORY = (
    Naming(OLD_FB, "FB", date(1999, 9, 29), date(2003, 3, 28)),
    Naming(FACEBOOK, "FB", date(2012, 5, 18), date(2022, 6, 8)),
    Naming(FACEBOOK, "META", date(2022, 6, 9), None),
    Naming(OLD_META, "META", date(2021, 6, 30), date(2022, 1, 30)),
    Naming(OLD_META, "METV", date(2022, 1, 31), None),
    Naming("us.AAPL.19980102", "AAPL", None, None),
)
THEN, NOW = datetime(2021, 12, 31, 23, tzinfo=UTC), datetime(2026, 11, 27, 9, tzinfo=UTC)
# (stored under, day, close, known since). Facebook costs 100 and more, the others less.
BARS = [
    ("FB", "2001-03-01", 1.0, NOW),  # the old FB, from a vendor that keeps the dead
    ("FB", "2021-11-01", 300.0, THEN),
    ("FB", "2022-06-08", 310.0, NOW),
    ("META", "2021-11-01", 10.0, THEN),  # the fund of that name, asked for while it had it
    ("META", "2021-12-01", 330.0, NOW),  # Facebook's history, asked for as META
    ("META", "2022-06-08", 311.0, NOW),
    ("META", "2022-06-09", 320.0, NOW),
    ("METV", "2021-12-01", 12.0, NOW),
    ("METV", "2022-02-01", 13.0, NOW),
    ("AAPL", "2021-11-01", 150.0, NOW),
]


@pytest.fixture
def location(tmp_path: Path) -> LakeLocation:
    location = open_location(str(tmp_path / "lake"))
    rows = [("yahoo", int(d[:4]), s, date.fromisoformat(d), c, c, c, c, 1, "USD", "r", at) for s, d, c, at in BARS]
    tables = open_tables(location, TABLES)
    tables["bars_1d"].commit(CommitContext(1), pl.DataFrame(rows, schema=dict(BARS_1D.schema), orient="row"))
    actions = [
        ("yahoo", "FB", date(2021, 11, 15), "split", 2.0, None, "USD", "r", THEN),
        ("yahoo", "META", date(2021, 11, 15), "split", 2.0, None, "USD", "r", NOW),
        ("yahoo", "METV", date(2022, 1, 5), "dividend", 1.0, 12.0, "USD", "r", NOW),
    ]
    tables["actions"].commit(CommitContext(1), pl.DataFrame(actions, schema=dict(ACTIONS.schema), orient="row"))
    members = [
        ("u", "p", "FB", "us", None, None, date(2022, 6, 8), NOW),
        ("u", "p", "META", "us", None, date(2022, 6, 9), None, NOW),
        ("u", "p", "AAPL", "us", None, None, None, NOW),
    ]
    tables["universe_members"].commit(
        CommitContext(1), pl.DataFrame(members, schema=dict(UNIVERSE_MEMBERS.schema), orient="row")
    )
    return location


@pytest.fixture
def lake(location: LakeLocation) -> Lake:
    rows = history_rows(SymbolHistory(HISTORY), {}, NOW)
    open_tables(location, TABLES)["symbol_history"].commit(CommitContext(1), rows)
    return Lake(location)


@pytest.fixture
def closes(lake: Lake) -> Callable[..., list[tuple[str, float]]]:
    return lambda *args, **named: [(str(d), c) for d, c in lake.bars(*args, **named).select("date", "close").rows()]


WHOLE = [("2021-11-01", 300.0), ("2021-12-01", 330.0), ("2022-06-08", 310.0), ("2022-06-09", 320.0)]


def test_the_new_symbol_gives_the_whole_history(lake: Lake, closes: Callable[..., object]) -> None:
    assert closes("META", start="2015-01-01") == closes("META") == WHOLE
    assert set(lake.bars("META")["symbol"]) == {"META"}


def test_the_old_symbol_gives_the_same_under_its_name(lake: Lake, closes: Callable[..., object]) -> None:
    assert closes("FB", start="2015-01-01") == WHOLE
    assert set(lake.bars("FB", start="2015-01-01")["symbol"]) == {"FB"}


def test_rows_may_carry_the_symbol_of_their_day(lake: Lake) -> None:
    frame = lake.bars("META", symbols_as="of_day")
    assert dict(zip(frame["date"].cast(pl.String), frame["symbol"], strict=True)) == {
        "2021-11-01": "FB", "2021-12-01": "FB", "2022-06-08": "FB", "2022-06-09": "META"
    }  # fmt: skip
    with pytest.raises(ConfigError, match="symbols_as='new' must be asked or of_day"):
        lake.bars("META", symbols_as="new")  # type: ignore[arg-type]


def test_a_symbol_that_was_reused_gives_who_carried_it_on_the_days_asked(closes: Callable[..., object]) -> None:
    assert closes("META", "2021-07-01", "2021-12-31") == [("2021-11-01", 10.0), ("2021-12-01", 12.0)]
    assert closes("METV") == [("2021-11-01", 10.0), ("2021-12-01", 12.0), ("2022-02-01", 13.0)]
    assert closes("FB", "2000-01-01", "2002-12-31") == closes("FB", on="2001-01-02") == [("2001-03-01", 1.0)]
    assert closes("META", "2015-01-01", "2024-12-31", on="2024-12-31") == WHOLE
    assert closes(["META", "AAPL"], "2015-01-01", "2024-12-31", on={"META": "2021-07-01"}) == [
        ("2021-11-01", 150.0), ("2021-11-01", 10.0), ("2021-12-01", 12.0), ("2022-02-01", 13.0)
    ]  # fmt: skip


def test_several_in_one_time_are_refused_with_the_way_to_ask(lake: Lake) -> None:
    with pytest.raises(
        ConfigError, match=r"META was the symbol of several securities.*us\.META\.20210630.* on='2022-06-09'"
    ):
        lake.bars("META", "2015-01-01", "2024-12-31")
    with pytest.raises(ConfigError, match="FB was the symbol of several"):
        lake.actions("FB")


def test_prices_are_adjusted_with_the_actions_of_that_security_counted_once(lake: Lake) -> None:
    assert lake.actions("META").select("kind", "value").rows() == [("split", 2.0)]
    adjusted = lake.bars("META", adjust="split")
    assert adjusted["close"].to_list() == [150.0, 330.0, 310.0, 320.0]
    assert lake.actions("METV")["kind"].to_list() == ["dividend"]


def test_what_was_believed_on_a_past_day_is_told_apart_as_well(closes: Callable[..., object]) -> None:
    assert closes("FB", start="2015-01-01", as_of=THEN) == [("2021-11-01", 300.0)]
    assert closes("METV", as_of=THEN + timedelta(1)) == [("2021-11-01", 10.0)]


def test_a_panel_has_a_security_once(lake: Lake) -> None:
    panel = lake.panel(universe="u", start="2021-01-01", end="2024-12-31")
    assert panel.columns == ["date", "AAPL", "META"]
    assert panel["META"].to_list() == [300.0, 330.0, 310.0, 320.0]
    assert lake.panel(symbols=["FB"], start="2015-01-01")["FB"].to_list() == [300.0, 330.0, 310.0, 320.0]


def test_a_renamed_member_is_one_column_and_a_member_under_both_symbols(lake: Lake) -> None:
    window = {"start": "2021-01-01", "end": "2024-12-31"}
    whole = lake.panel(universe="u", **window)
    with pytest.warns(IncompleteData, match="begins on 2022-06-08"):  # the list has the two intervals alone
        only = lake.panel(universe="u", members_only=True, **window)
    assert only.equals(whole)
    with pytest.warns(IncompleteData, match="begins on 2022-06-08"):
        mask = lake.membership("u", "2022-06-07", "2022-06-10", mask=True)
    assert mask.columns == ["date", "AAPL", "META"]
    assert mask["META"].to_list() == [True] * 4
    with pytest.warns(IncompleteData):
        intervals = lake.membership("u", "2021-01-01")
    assert intervals["symbol"].to_list() == ["AAPL", "FB", "META"]


def test_the_history_of_symbols_can_be_read(lake: Lake) -> None:
    assert lake.symbol_history("FB").select("symbol", "symbol_from").rows() == [
        ("FB", date(1999, 9, 29)), ("FB", date(2012, 5, 18)), ("META", date(2022, 6, 9))
    ]  # fmt: skip
    assert lake.symbol_history().height == len(HISTORY)
    public = lake.symbol_history("FB", public_by="2021-01-01").select("symbol", "symbol_from", "symbol_to")
    assert public.rows() == [("FB", date(1999, 9, 29), date(2003, 3, 28)), ("FB", date(2012, 5, 18), None)]
    with pytest.raises(ConfigError, match="knows no symbol"):
        lake.symbol_history("ZZZ")


def test_without_a_history_every_row_is_read_as_it_is_stored(location: LakeLocation) -> None:
    lake = Lake(location)
    assert lake.bars("META")["close"].to_list() == [10.0, 330.0, 311.0, 320.0]
    assert lake.bars(["FB", "META"]).height == 7
    assert lake.symbol_history().is_empty()
    assert not [o["path"] for page in obstore.list(location.store, "curated/symbol_history") for o in page]


def test_a_history_that_contradicts_itself_is_said(location: LakeLocation) -> None:
    schema = TABLES["symbol_history"].schema
    rows = pl.DataFrame(
        [("a", "FB", None, None, None, NOW), ("b", "FB", None, None, None, NOW)], schema=dict(schema), orient="row"
    )
    open_tables(location, TABLES)["symbol_history"].commit(CommitContext(1), rows)
    with pytest.raises(ConfigError, match="one symbol for two securities at one time"):
        Lake(location).bars("FB")
