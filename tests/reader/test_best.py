"""`source="best"`: of each session the bar that other vendors do not contradict, with the events that fit it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from quantx.core.table import INSTANT
from quantx.core.tables import ACTIONS, BARS_1D, SYMBOL_HISTORY, TABLES, VERDICTS
from quantx.errors import ConfigError, IncompleteData
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.reader import Lake

T1, T2, T3 = (datetime(2024, 1, day, 22, tzinfo=UTC) for day in (10, 11, 12))
DAYS = [date(2024, 1, day) for day in (2, 3, 4, 5, 8)]
Verdict = tuple[str, date, str, str]  # symbol, date, source, verdict


class Shelf:
    """A lake that a test fills: alpha stands before beta, gamma is not declared."""

    def __init__(self, folder: Path) -> None:
        self._location = open_location(str(folder))
        self.tables = open_tables(self._location, TABLES)
        self._round = 0

    def put(self, table: str, rows: pl.DataFrame) -> None:
        self._round += 1
        self.tables[table].commit(CommitContext(self._round), rows)

    def bars(self, source: str, closes: Mapping[date, float], symbol: str = "AAA") -> None:
        rows = [
            (source, day.year, symbol, day, close, close * 1.01, close / 1.01, close, 1000, "USD", "raw", T1)
            for day, close in closes.items()
        ]
        self.put("bars_1d", pl.DataFrame(rows, schema=dict(BARS_1D.schema), orient="row"))

    def split(self, source: str, day: date, ratio: float) -> None:
        self._event((source, "AAA", day, "split", ratio, None, "USD", "raw", T1))

    def dividend(self, source: str, day: date, amount: float, before: float) -> None:
        self._event((source, "AAA", day, "dividend", amount, before, "USD", "raw", T1))

    def _event(self, row: tuple[object, ...]) -> None:
        self.put("actions", pl.DataFrame([row], schema=dict(ACTIONS.schema), orient="row"))

    def doubts(self, *verdicts: Verdict, rule: str = "vendors_disagree", at: datetime = T2) -> None:
        self.put("verdicts", _verdicts(verdicts, rule, at))

    def open(self) -> Lake:
        return Lake(self._location, lambda timeframe, market: ("alpha", "beta"))


def _verdicts(verdicts: tuple[Verdict, ...], rule: str, at: datetime) -> pl.DataFrame:
    rows = [(*key, verdict, rule, "x", None, "close", 1.0, 2.0, at) for *key, verdict in verdicts]
    return pl.DataFrame(rows, schema=dict(VERDICTS.schema), orient="row")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """Three vendors with five sessions: 10, 11, 12 … at alpha, and the same plus 0.1 and 0.2 at beta and gamma."""
    made = Shelf(tmp_path / "lake")
    for i, source in enumerate(("alpha", "beta", "gamma")):
        made.bars(source, {day: 10.0 + at + i / 10 for at, day in enumerate(DAYS)})
    return made


def sources(lake: Lake, **how: object) -> list[str]:
    return lake.bars("AAA", source="best", **how)["source"].to_list()  # type: ignore[arg-type]


def test_without_verdicts_it_is_the_declared_order(shelf: Shelf) -> None:
    lake = shelf.open()
    assert lake.bars("AAA", source="best").equals(lake.bars("AAA"))


@pytest.mark.parametrize("factor", [1e6, 30, 1 / 30])
def test_a_price_that_both_neighbours_contradict_is_never_shown(tmp_path: Path, factor: float) -> None:
    shelf = Shelf(tmp_path / "lake")
    for source, wrong in (("alpha", DAYS[2]), ("beta", DAYS[2]), ("gamma", DAYS[3])):
        shelf.bars(source, {day: 100.0 * (factor if day == wrong else 1) for day in DAYS})
    lake = shelf.open()
    assert sources(lake) == ["alpha", "alpha", "gamma", "alpha", "alpha"]
    assert sources(lake, start=DAYS[2], end=DAYS[2]) == ["gamma"]
    assert lake.bars("AAA", source="alpha")["close"][2] == 100 * factor


def test_a_reverse_split_is_no_contradiction(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "lake")
    shelf.bars("alpha", {day: 400.0 if day >= DAYS[2] else 10.0 for day in DAYS})
    assert shelf.open().bars("AAA", source="best")["close"].to_list() == [10.0, 10.0, 400.0, 400.0, 400.0]


def test_wrong_loses_to_doubtful_and_doubtful_to_undisputed(shelf: Shelf) -> None:
    shelf.doubts(
        ("AAA", DAYS[0], "alpha", "wrong"),
        ("AAA", DAYS[1], "alpha", "doubtful"),
        ("AAA", DAYS[1], "beta", "doubtful"),
        ("AAA", DAYS[2], "alpha", "wrong"),
        ("AAA", DAYS[2], "beta", "doubtful"),
        ("AAA", DAYS[2], "gamma", "wrong"),
        ("AAA", DAYS[3], "alpha", "doubtful"),
        ("AAA", DAYS[3], "beta", "doubtful"),
        ("AAA", DAYS[3], "gamma", "doubtful"),
        ("BBB", DAYS[4], "alpha", "wrong"),
    )
    lake = shelf.open()
    assert sources(lake) == ["beta", "gamma", "beta", "alpha", "alpha"]
    assert lake.bars("AAA", source="best")["close"].to_list() == [10.1, 11.2, 12.1, 13.0, 14.0]
    assert lake.bars("AAA")["source"].unique().to_list() == ["alpha"]
    assert sources(lake, start=DAYS[1], end=DAYS[2]) == ["gamma", "beta"]


def test_a_wrong_bar_is_better_than_none_and_says_whose_it_is(shelf: Shelf) -> None:
    shelf.bars("alpha", {DAYS[0]: 5.0}, "BBB")
    shelf.doubts(("BBB", DAYS[0], "alpha", "wrong"))
    assert shelf.open().bars("BBB", source="best").select("close", "source").rows() == [(5.0, "alpha")]


def test_as_of_goes_by_the_verdicts_of_then(shelf: Shelf) -> None:
    shelf.doubts(("AAA", DAYS[0], "alpha", "wrong"))
    shelf.put(
        "verdicts_revisions",
        _verdicts((("AAA", DAYS[1], "alpha", "wrong"),), "vendors_disagree", T2).with_columns(
            pl.lit(T3).cast(INSTANT).alias("known_to")
        ),
    )
    lake = shelf.open()
    assert sources(lake, as_of=T1) == ["alpha"] * 5
    assert sources(lake, as_of=T2) == ["beta", "beta", "alpha", "alpha", "alpha"]
    assert sources(lake, as_of=T3) == sources(lake) == ["beta", "alpha", "alpha", "alpha", "alpha"]


def test_the_form_is_that_of_bars(shelf: Shelf) -> None:
    shelf.doubts(("AAA", DAYS[0], "alpha", "wrong"))
    lake = shelf.open()
    assert lake.bars("AAA", source="best").schema == lake.bars("AAA").schema
    with pytest.warns(IncompleteData):
        assert lake.bars("AAA", start="2030-01-01", source="best").schema == lake.bars("AAA").schema
    assert lake.panel("close", symbols="AAA", source="best")["AAA"].to_list() == [10.1, 11.0, 12.0, 13.0, 14.0]
    with pytest.raises(ConfigError, match="1d"):
        lake.bars("AAA", source="best", timeframe="1m")


# --------------------------------------------------------------------------------------------------------------- events

SPLIT = DAYS[2]  # 2:1, between 100 and 50
TRUE = dict(zip(DAYS, (100.0, 101.0, 51.0, 52.0, 53.0), strict=True))
HALVED = dict(zip(DAYS, (50.0, 50.5, 51.0, 52.0, 53.0), strict=True))
ADJUSTED = [50.0, 50.5, 51.0, 52.0, 53.0]


@pytest.fixture
def empty(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "lake")


def best(shelf: Shelf) -> tuple[list[str], list[float]]:
    frame = shelf.open().bars("AAA", source="best", adjust="total")
    assert frame["close"].equals(frame["adj_close"])
    return frame["source"].to_list(), frame["close"].to_list()


def test_a_split_that_the_first_vendor_has_forgotten_comes_with_the_bars_of_the_other(empty: Shelf) -> None:
    empty.bars("alpha", HALVED)  # split-adjusted, and nobody told it that there was a split
    empty.bars("beta", TRUE)
    empty.split("beta", SPLIT, 2.0)
    empty.split("alpha", date(2010, 1, 4), 3.0)
    empty.doubts(("AAA", DAYS[0], "alpha", "wrong"), ("AAA", DAYS[1], "alpha", "wrong"), rule="vendor_split")
    assert best(empty) == (["beta", "beta", "alpha", "alpha", "alpha"], ADJUSTED)
    assert empty.open().actions("AAA", source="best").filter(ex_date=SPLIT)["source"].to_list() == ["beta"]


@pytest.mark.parametrize("beta_has_events", [True, False])
def test_a_split_that_never_was_goes_with_the_bars_of_who_made_it_up(empty: Shelf, beta_has_events: bool) -> None:
    flat = dict.fromkeys(DAYS, 50.0)
    empty.bars("alpha", {day: 100.0 if day < SPLIT else 50.0 for day in DAYS})
    empty.bars("beta", flat)
    empty.split("alpha", SPLIT, 2.0)
    if beta_has_events:
        empty.split("beta", date(2010, 1, 4), 3.0)
    empty.doubts(("AAA", DAYS[0], "alpha", "wrong"), ("AAA", DAYS[1], "alpha", "wrong"), rule="vendor_scale")
    assert best(empty) == (["beta", "beta", "alpha", "alpha", "alpha"], [50.0] * 5)


def test_dividends_of_who_made_up_a_split_still_count(empty: Shelf) -> None:
    """They are in the units of the close before them, whatever these are; and nobody else has any."""
    empty.bars("alpha", {day: 100.0 if day < SPLIT else 50.0 for day in DAYS})
    empty.bars("beta", dict.fromkeys(DAYS, 50.0))
    empty.split("alpha", SPLIT, 2.0)
    empty.dividend("alpha", DAYS[1], 1.0, 100.0)
    empty.doubts(("AAA", DAYS[0], "alpha", "wrong"), ("AAA", DAYS[1], "alpha", "wrong"), rule="vendor_split")
    assert best(empty)[1] == [49.5, 50.0, 50.0, 50.0, 50.0]


def test_one_bad_day_takes_no_event_from_the_first_vendor(empty: Shelf) -> None:
    """The other vendor dates the split a day later: taking its event, or none, would adjust twice or not at all."""
    empty.bars("alpha", TRUE | {SPLIT: 99.0, DAYS[1]: 9.0})
    empty.bars("beta", TRUE)
    empty.split("alpha", SPLIT, 2.0)
    empty.split("beta", DAYS[3], 2.0)
    empty.doubts(("AAA", DAYS[1], "alpha", "wrong"), ("AAA", SPLIT, "alpha", "wrong"))
    assert best(empty) == (["alpha", "beta", "beta", "alpha", "alpha"], ADJUSTED)


def test_a_split_that_the_first_vendor_dates_late_counts_once_on_the_day_of_the_other(empty: Shelf) -> None:
    empty.bars("alpha", TRUE | {SPLIT: 102.0, DAYS[3]: 104.0})
    empty.bars("beta", TRUE)
    empty.split("alpha", DAYS[4], 2.0)
    empty.split("beta", SPLIT, 2.0)
    empty.doubts(("AAA", SPLIT, "alpha", "wrong"), ("AAA", DAYS[3], "alpha", "wrong"), rule="vendor_split")
    assert best(empty) == (["alpha", "alpha", "beta", "beta", "alpha"], ADJUSTED)


def test_a_verdict_follows_a_security_through_its_rename(empty: Shelf) -> None:
    namings = [("us.FB", "FB", None, DAYS[2], "file", T1), ("us.FB", "META", DAYS[3], None, "file", T1)]
    empty.put("symbol_history", pl.DataFrame(namings, schema=dict(SYMBOL_HISTORY.schema), orient="row"))
    empty.bars("alpha", {DAYS[0]: 1.0}, "FB")
    empty.bars("beta", {DAYS[0]: 2.0}, "FB")
    empty.bars("alpha", {DAYS[4]: 3.0}, "META")
    empty.doubts(("FB", DAYS[0], "alpha", "wrong"))
    frame = empty.open().bars("META", source="best")
    assert frame.select("symbol", "close", "source").rows() == [("META", 2.0, "beta"), ("META", 3.0, "alpha")]
