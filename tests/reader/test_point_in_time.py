"""Two clocks against a replay, memberships by day, and windows as they looked on many days."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal, assert_series_equal

from quantx.core.calendars import calendar
from quantx.core.symbols import venue_of
from quantx.core.table import Table
from quantx.core.tables import ACTIONS, BARS_1D, SESSIONS, TABLES, UNIVERSE_MEMBERS
from quantx.errors import ConfigError, IncompleteData
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable, open_tables
from quantx.reader import Lake, open_lake

SETTLED = timedelta(minutes=30)
SYMBOLS = ("AAA", "BBB", "CCC", "7203.T", "0700.HK")
Known = dict[tuple[object, ...], float | None]
FIRST, LAST = date(2023, 11, 1), date(2024, 2, 29)
INGESTED = [datetime(2024, 1, 3, 3, tzinfo=UTC) + timedelta(days=5 * n, hours=7 * n) for n in range(12)]


@dataclass(frozen=True)
class Event:
    """A row that a vendor sent: its key and values, and when it was ingested."""

    key: tuple[object, ...]
    values: tuple[float | None, ...]
    known_from: datetime


@dataclass(frozen=True)
class History:
    """All that was ever ingested, and the lake that holds it."""

    lake: Lake
    bars: Sequence[Event]  # key: symbol, date
    actions: Sequence[Event]  # key: symbol, ex_date, kind

    def bars_known(self, as_of: datetime | None, public_by: datetime | None) -> Known:
        """Return the closes by symbol and date by going through all events."""
        known = _replayed(self.bars, as_of)
        return {key: values[0] for key, values in known.items() if public_by is None or _settled(*key) <= public_by}

    def actions_known(
        self, as_of: datetime | None, public_by: datetime | None
    ) -> dict[tuple[object, ...], float | None]:
        """Return the values by symbol, ex-date and kind by going through all events."""
        known = _replayed(self.actions, as_of)
        return {k: v[0] for k, v in known.items() if public_by is None or _opened(k[0], k[1]) <= public_by}


def _replayed(events: Sequence[Event], as_of: datetime | None) -> dict[tuple[object, ...], tuple[float | None, ...]]:
    known = {}
    for event in sorted(events, key=lambda e: e.known_from):
        if as_of is None or event.known_from <= as_of:
            known[event.key] = event.values
    return known


def _settled(symbol: object, day: object) -> datetime:
    return calendar(venue_of(str(symbol)).calendar).close_of(day) + SETTLED  # type: ignore[arg-type]


def _opened(symbol: object, day: object) -> datetime:
    return calendar(venue_of(str(symbol)).calendar).open_of(day)  # type: ignore[arg-type]


def _made_up() -> tuple[list[Event], list[Event]]:
    """Bars of four months, some corrected later, and a few splits and dividends, some late or withdrawn."""
    chance = random.Random(16)
    bars, actions = [], []
    for symbol in SYMBOLS:
        days = calendar(venue_of(symbol).calendar).sessions(FIRST, LAST)
        for day in days:
            if chance.random() < 0.03:
                continue
            at = chance.choice(INGESTED[:6])
            bars.append(Event((symbol, day), (round(chance.uniform(50, 150), 2),), at))
            while chance.random() < 0.2:
                at += timedelta(days=chance.uniform(0.1, 20))
                bars.append(Event((symbol, day), (round(chance.uniform(50, 150), 2),), at))
        for day in chance.sample(days[5:], 4):
            kind = chance.choice(["split", "dividend"])
            value = chance.choice([2.0, 3.0, 0.25, 1.5]) if kind == "split" else round(chance.uniform(0.1, 3), 2)
            reference = None if kind == "split" else 100.0
            at = chance.choice(INGESTED)
            actions.append(Event((symbol, day, kind), (value, reference), at))
            if chance.random() < 0.5:
                actions.append(Event((symbol, day, kind), (value * 2, reference), at + timedelta(days=9)))
    return bars, actions


def _stored(events: Sequence[Event]) -> Iterator[tuple[Event, datetime | None]]:
    """Yield each event with the time at which another replaced it; None: it is current."""
    by_key: dict[tuple[object, ...], list[Event]] = {}
    for event in sorted(events, key=lambda e: e.known_from):
        by_key.setdefault(event.key, []).append(event)
    for chain in by_key.values():
        yield from zip(chain, [*(e.known_from for e in chain[1:]), None], strict=True)


def _commit(folder: Path, table: Table, rows: Sequence[tuple[Mapping[str, object], datetime | None]]) -> None:
    tables = open_tables(open_location(str(folder)), TABLES)
    for name, chosen in (
        (table.name, [row for row, replaced in rows if replaced is None]),
        (table.revisions.name, [{**row, "known_to": replaced} for row, replaced in rows if replaced is not None]),
    ):
        schema = dict(TABLES[name].schema)
        tables[name].commit(CommitContext(1), pl.DataFrame(chosen, schema=schema).select(list(schema)))


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    folder = tmp_path_factory.mktemp("clocks")
    bars, actions = _made_up()
    common = {"source": "yahoo", "currency": "USD", "raw": "r"}
    bar_rows = []
    for event, replaced in _stored(bars):
        symbol, day = event.key
        row = {
            **common,
            "symbol": symbol,
            "date": day,
            "year": day.year,
            "volume": 1000,
            "known_from": event.known_from,
        }  # type: ignore[attr-defined]
        bar_rows.append((row | dict.fromkeys(("open", "high", "low", "close"), event.values[0]), replaced))
    _commit(folder, BARS_1D, bar_rows)
    action_rows = []
    for event, replaced in _stored(actions):
        symbol, day, kind = event.key
        value, reference = event.values
        row = {**common, "symbol": symbol, "ex_date": day, "kind": kind, "value": value, "reference_close": reference}
        action_rows.append(({**row, "known_from": event.known_from}, replaced))
    _commit(folder, ACTIONS, action_rows)
    return History(open_lake(folder), bars, actions)


def _moments(count: int) -> list[datetime]:
    chance = random.Random(61)
    begin = datetime(2023, 11, 20, tzinfo=UTC)
    return [begin + timedelta(minutes=chance.randrange(200 * 24 * 60)) for _ in range(count)]


@pytest.mark.parametrize("clocks", ["as_of", "public_by", "both"])
def test_bars_and_actions_on_random_days_equal_a_replay(history: History, clocks: str) -> None:
    for moment, other in zip(_moments(12), reversed(_moments(12)), strict=True):
        as_of = None if clocks == "public_by" else moment
        public_by = {"as_of": None, "public_by": moment, "both": other}[clocks]
        how = {"as_of": as_of, "public_by": public_by}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IncompleteData)
            bars = history.lake.bars(SYMBOLS, **how)
            actions = history.lake.actions(SYMBOLS, **how)
            scanned = history.lake.scan("bars_1d", **how).select("symbol", "date", "close").collect()
        expected = history.bars_known(as_of, public_by)
        assert {row[:2]: row[2] for row in bars.select("symbol", "date", "close").iter_rows()} == expected
        assert {row[:2]: row[2] for row in scanned.iter_rows()} == expected
        assert {row[:3]: row[3] for row in actions.select("symbol", "ex_date", "kind", "value").iter_rows()} == (
            history.actions_known(as_of, public_by)
        )


def test_adjusted_prices_on_random_days_equal_those_by_the_events_of_that_day(history: History) -> None:
    for moment in _moments(8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", IncompleteData)
            adjusted = history.lake.bars("BBB", as_of=INGESTED[8], public_by=moment, adjust="total")
        closes = history.bars_known(INGESTED[8], moment)
        events = _replayed(history.actions, INGESTED[8])
        for day, close in adjusted.select("date", "close").iter_rows():
            factor = 1.0
            for (symbol, ex_date, kind), (value, reference) in events.items():
                if symbol == "BBB" and ex_date > day and _opened(symbol, ex_date) <= moment:  # type: ignore[operator]
                    assert value is not None
                    factor *= 1 / value if kind == "split" else 1 - value / (reference or 1)
            assert close == pytest.approx((closes["BBB", day] or 0) * factor, rel=1e-12)


def test_a_bar_is_public_when_its_session_settles_and_an_action_at_the_open(history: History) -> None:
    day = next(key[1] for key in history.bars_known(None, None) if key[0] == "AAA" and key[1] > date(2024, 1, 10))  # type: ignore[operator]
    settled = _settled("AAA", day)
    before = history.lake.bars("AAA", start=date(2023, 12, 1), public_by=settled - timedelta(microseconds=1))
    assert before["date"].max() < day  # type: ignore[operator]
    assert history.lake.bars("AAA", public_by=settled)["date"].max() == day
    symbol, ex_date, _ = next(e.key for e in history.actions if e.key[0] == "7203.T")
    opened = _opened(symbol, ex_date)
    assert ex_date in history.lake.actions(str(symbol), public_by=opened)["ex_date"].to_list()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteData)
        earlier = history.lake.actions(str(symbol), public_by=opened - timedelta(microseconds=1))
    assert ex_date not in earlier["ex_date"].to_list()


def test_the_sessions_of_the_lake_stand_before_those_of_the_library(tmp_path: Path) -> None:
    """A reader without the calendars' library takes the closes that the pipeline published."""
    days = calendar("XNYS").sessions(date(2024, 1, 2), date(2024, 1, 5))
    rows = [
        ("yahoo", d.year, "AAA", d, 1.0, 1.0, 1.0, 1.0, 1, "USD", "r", datetime(2024, 2, 1, tzinfo=UTC)) for d in days
    ]
    location = open_location(str(tmp_path))
    LakeTable(location, BARS_1D).commit(CommitContext(1), pl.DataFrame(rows, schema=dict(BARS_1D.schema), orient="row"))
    odd = [("XNYS", d, datetime.combine(d, time(3), UTC), datetime.combine(d, time(4), UTC), INGESTED[0]) for d in days]
    LakeTable(location, SESSIONS).commit(
        CommitContext(1), pl.DataFrame(odd, schema=dict(SESSIONS.schema), orient="row")
    )
    assert open_lake(tmp_path).bars("AAA", public_by="2024-01-04T04:29")["date"].max() == date(2024, 1, 3)
    assert open_lake(tmp_path).bars("AAA", public_by="2024-01-04T04:30")["date"].max() == date(2024, 1, 4)


# ----------------------------------------------------------------------------------------------------------- membership

MEMBERS = [  # symbol, first and last day
    ("AAA", None, date(2023, 12, 15)),
    ("AAA", date(2024, 1, 16), None),
    ("BBB", date(2023, 12, 1), date(2024, 1, 31)),
    ("CCC", None, None),
]


@pytest.fixture(scope="module")
def members(history: History) -> Lake:
    """The lake with a universe: its list was changed at INGESTED[4], when BBB's leaving became known."""
    t, change = INGESTED[0], INGESTED[4]
    rows: list[tuple[Mapping[str, object], datetime | None]] = []
    for symbol, first, last in MEMBERS:
        row = {"universe": "u", "phase": "p", "symbol": symbol, "market": "us", "member_from": first, "member_to": last}
        if symbol == "BBB":
            rows.append(({**row, "member_to": None, "known_from": t}, change))
        rows.append(({**row, "known_from": change if symbol == "BBB" else t}, None))
    _commit(Path(history.lake.url.removeprefix("file://")), UNIVERSE_MEMBERS, rows)
    return history.lake


def was_member(symbol: str, day: date, intervals: Sequence[tuple[str, date | None, date | None]] = MEMBERS) -> bool:
    return any(s == symbol and (a or date.min) <= day <= (b or date.max) for s, a, b in intervals)


def test_membership_is_a_frame_of_intervals(members: Lake) -> None:
    columns = ["symbol", "member_from", "member_to"]
    assert members.membership("u", "2023-12-10", "2024-02-01").select(columns).rows() == MEMBERS
    assert members.membership("u", "2023-12-20", "2024-01-10")["symbol"].to_list() == ["BBB", "CCC"]
    known = members.membership("u", "2023-12-10", as_of=INGESTED[3])
    assert known.filter(pl.col("symbol") == "BBB")["member_to"].to_list() == [None]
    public = members.membership("u", "2023-12-10", public_by="2024-01-10")
    assert public.select(columns).rows() == [
        ("AAA", None, date(2023, 12, 15)),
        ("BBB", date(2023, 12, 1), None),
        ("CCC", None, None),
    ]
    assert members.universe("u", public_by="2024-01-10")["symbol"].to_list() == ["BBB", "CCC"]
    with pytest.warns(IncompleteData, match="known since 2024-01-03"):
        assert members.universe("u", as_of="2023-01-01").is_empty()
    with pytest.raises(ConfigError, match="lies after"):
        members.membership("u", "2024-01-01", "2023-01-01")


def test_membership_is_a_mask_of_sessions_by_members(members: Lake) -> None:
    mask = members.membership("u", "2023-12-05", "2024-02-15", mask=True)
    assert mask["date"].to_list() == list(calendar("XNYS").sessions(date(2023, 12, 5), date(2024, 2, 15)))
    assert mask.columns == ["date", "AAA", "BBB", "CCC"]
    for row in mask.iter_rows(named=True):
        assert [row[s] for s in ("AAA", "BBB", "CCC")] == [was_member(s, row["date"]) for s in ("AAA", "BBB", "CCC")]
    with pytest.raises(ConfigError, match="needs a start"):
        members.membership("u", mask=True)


def test_a_list_that_does_not_reach_back_is_a_warning(members: Lake) -> None:
    with pytest.warns(
        IncompleteData, match=r"begins on 2023-12-01: .* days from 2023-11-01 to then have survivorship bias"
    ):
        members.membership("u", "2023-11-01")
    with pytest.warns(IncompleteData, match="survivorship bias"):
        members.panel(universe="u", start="2023-11-01", members_only=True)


def test_a_panel_of_members_only_equals_the_panel_under_the_mask(members: Lake) -> None:
    window = {"start": "2023-12-05", "end": "2024-02-15"}
    whole = members.panel(universe="u", **window)
    only = members.panel(universe="u", members_only=True, **window)
    assert only.columns == whole.columns
    for row in only.join(whole, on="date", suffix=" of all").iter_rows(named=True):
        for symbol in ("AAA", "BBB", "CCC"):
            assert row[symbol] == (row[f"{symbol} of all"] if was_member(symbol, row["date"]) else None)
    with pytest.raises(ConfigError, match="members_only needs a universe"):
        members.panel(symbols="AAA", members_only=True)


def test_a_panel_has_a_base(members: Lake) -> None:
    based = members.panel(symbols=["AAA", "BBB"], adjust="total", base="2024-01-10")
    for symbol in ("AAA", "BBB"):
        one = members.bars(symbol, adjust="total", base="2024-01-10")
        assert based.select("date", symbol).drop_nulls().rows() == one.select("date", "close").rows()


# -------------------------------------------------------------------------------------------------------------- windows


@pytest.mark.parametrize("field", ["close", "high", "volume", "adj_close"])
@pytest.mark.parametrize("adjust", ["none", "split", "total"])
def test_windows_of_many_days_equal_a_loop_over_the_days(members: Lake, field: str, adjust: str) -> None:
    days = [date(2023, 12, 29), date(2024, 1, 31), date(2024, 2, 24), date(2024, 2, 29)]  # the 24th is a Saturday
    found = members.lookback(field, dates=days, sessions=15, symbols=SYMBOLS, adjust=adjust)  # type: ignore[arg-type]
    assert found.columns == ["seen_on", "date", *sorted(SYMBOLS)]
    loop = [
        members.panel(field, symbols=SYMBOLS, end=day, base=day, adjust=adjust)  # type: ignore[arg-type]
        .tail(15)
        .insert_column(0, pl.lit(day).alias("seen_on"))
        for day in days
    ]
    assert_frame_equal(found, pl.concat(loop), rel_tol=1e-12)


def test_windows_of_many_days_equal_a_loop_over_what_was_known_on_each(members: Lake) -> None:
    days = [date(2024, 1, 8), date(2024, 1, 31), date(2024, 2, 29)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteData)
        found = members.lookback(dates=days, sessions=15, symbols=SYMBOLS, as_of="each")
        loop = [
            members.panel(symbols=SYMBOLS, end=day, base=day, adjust="total", as_of=day)
            .tail(15)
            .insert_column(0, pl.lit(day).alias("seen_on"))
            for day in days
        ]
    assert_frame_equal(found, pl.concat(loop), rel_tol=1e-12)


def test_windows_of_a_universe_have_the_members_of_each_day(members: Lake) -> None:
    days = [date(2023, 12, 8), date(2024, 1, 5), date(2024, 2, 9)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IncompleteData)
        found = members.lookback(dates=days, sessions=4, universe="u", as_of=INGESTED[7])
        for day in days:
            expected = members.panel(
                symbols=["AAA", "BBB", "CCC"], end=day, base=day, adjust="total", as_of=INGESTED[7]
            )
            shown = found.filter(pl.col("seen_on") == day)
            for symbol in ("AAA", "BBB", "CCC"):
                values = (
                    expected.tail(4)[symbol] if was_member(symbol, day) else pl.Series(symbol, [None] * 4, pl.Float64)
                )
                assert_series_equal(shown[symbol], values)
    everything = members.lookback(dates=days, sessions=4, universe="u", members_only=False)
    assert everything["AAA"].null_count() <= 1


def test_a_window_before_the_first_bar_is_shorter(members: Lake) -> None:
    found = members.lookback(dates=["2023-11-02", "2023-12-01"], sessions=5, symbols=["AAA", "BBB"], adjust="none")
    assert found["seen_on"].value_counts(sort=True).rows() == [(date(2023, 12, 1), 5), (date(2023, 11, 2), 2)]
    for wrong in ({"dates": [], "sessions": 5}, {"dates": ["2024-01-02"], "sessions": 0}):
        with pytest.raises(ConfigError, match="at least one date, and sessions=1"):
            members.lookback(symbols="AAA", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="use open, high, low, close, volume, adj_close"):
        members.lookback("currency", dates=["2024-01-02"], sessions=5, symbols="AAA")
