"""Rules over whole sessions of minutes: recorded ones raise no false alarm, and what is done to them is found."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.calendars import calendar
from quantx.core.model import Window
from quantx.core.quality.minute_session_rules import SESSION_RULES, sessions_of
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.symbols import venue_of
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1M, TABLES
from quantx.lake.memory import MemoryTable
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.pipeline.curating.normalize_minutes import normalize_minutes
from quantx.pipeline.inspecting.inspection import inspect_symbols
from quantx.pipeline.inspecting.minute_sessions import RECENT, check_minutes
from quantx.pipeline.runtime.platform import Platform
from quantx.queues.memory import MemoryQueue
from quantx.settings import load_settings
from quantx.state.memory import MemoryState

from ...market_data import either
from ...recorded_minutes import AMT_MINUTES, SLV_MINUTES, alpha_vantage, facts_of, lean, vendor_frame

SPLIT = ("lean", "AAPL", date(2014, 6, 9), "split", 7.0, None, "USD", "01S", datetime(2014, 6, 9, tzinfo=UTC))
NO_EVENTS = ACTIONS.empty()
RULES = {rule.id: rule for rule in SESSION_RULES}
THAT_DAY = date(2019, 2, 13)
NOON = datetime(2019, 2, 13, 17, tzinfo=UTC)


@dataclass(frozen=True)
class Recorded:
    """Rows of the three tables."""

    minutes: pl.DataFrame
    daily: pl.DataFrame
    actions: pl.DataFrame

    def broken(self) -> dict[str, list[tuple[str, date]]]:
        """Return who breaks which rule when, but for thin shares."""
        sessions = sessions_of(self.minutes, self.daily, self.actions)
        found = {i: sessions.filter(r.broken).select("symbol", "date").rows() for i, r in RULES.items()}
        return {i: rows for i, rows in found.items() if rows and i != "minutes_complete"}

    def but(self, **parts: pl.DataFrame) -> Recorded:
        return Recorded(**{**vars(self), **parts})


def curated(source: str, symbol: str, bars: list[Any]) -> pl.DataFrame:
    return normalize_minutes(source, vendor_frame(symbol, bars), facts_of(symbol), RowPolicy()).bars


def daily_bars(source: str, symbol: str, rows: pl.DataFrame) -> pl.DataFrame:
    columns = {c: pl.lit(None, t).alias(c) for c, t in BARS_1D.schema.items()}
    columns |= {c: rows[c].cast(BARS_1D.schema[c]) for c in ("date", "open", "high", "low", "close", "volume")}
    columns |= {"source": pl.lit(source).alias("source"), "symbol": pl.lit(symbol).alias("symbol")}
    columns["year"] = rows["date"].dt.year().cast(pl.Int32).alias("year")
    return rows.select(*columns.values())


@pytest.fixture(scope="module")
def recorded(market_data: Path) -> Recorded:
    minutes, daily = [], []
    for path in sorted((market_data / "minute_us_lean").iterdir()):
        days = sorted(f"{f.name[:4]}-{f.name[4:6]}-{f.name[6:8]}" for f in path.glob("*_trade.zip"))
        minutes.append(curated("lean", path.name.upper(), lean(market_data, path.name, days)))
    folder = market_data / "minute_us_alphavantage_2019-02"
    for path in sorted(folder.glob("*_1min.csv.gz")):
        symbol = path.name.split("_")[0]
        minutes.append(curated("alphavantage", symbol, alpha_vantage(market_data, symbol)))
        text = gzip.decompress((folder / f"{symbol}_daily.csv.gz").read_bytes())
        rows = pl.read_csv(io.BytesIO(text), try_parse_dates=True).rename({"datetime": "date"})
        daily.append(daily_bars("alphavantage", symbol, rows.filter(pl.col("date") >= date(2019, 2, 1))))
    split = pl.DataFrame([SPLIT], schema=dict(ACTIONS.schema), orient="row")
    return Recorded(pl.concat(minutes), pl.concat(daily), split)


def test_recorded_sessions_raise_no_alarm(recorded: Recorded) -> None:
    assert recorded.broken() == {}


def test_recorded_sessions_have_the_minutes_that_the_manifest_names(recorded: Recorded) -> None:
    sessions = sessions_of(recorded.minutes, recorded.daily, recorded.actions)
    assert sessions.height == either(111, 56)

    def of(symbol: str, source: str = "alphavantage") -> list[tuple[int, ...]]:
        rows = sessions.filter(symbol=symbol, source=source)
        return rows.select("minutes", "expected", "minutes_off", "minutes_after").rows()

    assert [m for m, *_ in of("SLV")] == SLV_MINUTES
    assert [m for m, *_ in of("AMT")] == AMT_MINUTES
    assert of("GOOG", "lean") == [(390, 390, 0, 0), (210, 210, 180, 14), (382, 390, 0, 0)]
    assert [m for m, *_ in of("IBM", "lean")] == [389, 390, 390, 390, 390, 389]
    thin = set(sessions.filter(RULES["minutes_complete"].broken)["symbol"])
    assert {"SLV", "AMT", "IBM"} <= thin
    assert not {"JPM", "SPY", "BAC", "V"} & thin


def test_a_split_that_no_event_explains_is_a_jump(recorded: Recorded) -> None:
    assert recorded.but(actions=NO_EVENTS).broken() == {"opening_near_close_before": [("AAPL", date(2014, 6, 9))]}


def test_a_jump_that_the_day_confirms_is_only_good_to_know(recorded: Recorded) -> None:
    """Alpha Vantage's days of AAPL before are said to have closed at half."""
    half = pl.when(symbol="AAPL", date=date(2019, 2, 12)).then(pl.col("close") / 2).otherwise("close")
    at_half = recorded.daily.with_columns(close=half)
    broken = recorded.but(daily=at_half).broken()
    assert broken.pop("minutes_add_up_to_day") == [("AAPL", date(2019, 2, 12))]
    assert broken == {"opening_jump_confirmed": [("AAPL", THAT_DAY)]}


@pytest.mark.parametrize(("lacking", "found"), [(14, False), (15, True)])
def test_a_hole_in_a_dense_series_is_an_alarm(recorded: Recorded, lacking: int, found: bool) -> None:
    hole = pl.col("time").is_between(NOON, NOON + timedelta(minutes=lacking), closed="left")
    rest = recorded.minutes.filter(~(hole & pl.col("symbol").is_in(["AAPL", "SLV"])))
    broken = recorded.but(minutes=rest).broken()
    assert broken == ({"minutes_without_hole": [("AAPL", THAT_DAY)]} if found else {})


@pytest.mark.parametrize("end", ["beginning", "end"])
def test_a_session_that_begins_late_or_ends_early_has_a_hole(recorded: Recorded, end: str) -> None:
    opens, closes = calendar("XNYS").open_of(THAT_DAY), calendar("XNYS").close_of(THAT_DAY)
    away = (
        pl.col("time") < opens + timedelta(minutes=20)
        if end == "beginning"
        else pl.col("time") >= closes - timedelta(minutes=20)
    )
    rest = recorded.minutes.filter(~(away & (pl.col("symbol") == "JPM") & (pl.col("date") == THAT_DAY)))
    assert recorded.but(minutes=rest).broken()["minutes_without_hole"] == [("JPM", THAT_DAY)]


AFTERNOONS = [
    (1.0, 180, True),  # the session goes on
    (0.3, 180, True),
    (0.0, 180, True),  # bars that a vendor has filled in
    (0.05, 180, False),  # a fund on an index prints each minute after hours
    (0.05, 240, False),  # until 17:00
    (1.0, 60, False),
]


@pytest.mark.parametrize(("share", "minutes", "found"), AFTERNOONS)
def test_an_afternoon_on_a_half_day_is_an_alarm_unless_it_is_trading_after_hours(
    recorded: Recorded, share: float, minutes: int, found: bool
) -> None:
    """`share`: of the volume of the middle minute of the session, for so many minutes after the early close."""
    eve = date(2015, 12, 24)
    of_goog = (pl.col("symbol") == "GOOG") & (pl.col("date") == eve)
    session = recorded.minutes.filter(of_goog & pl.col("regular"))
    rest = recorded.minutes.filter(~(of_goog & ~pl.col("regular")))
    last = session.tail(1).with_columns(volume=pl.lit(session["volume"].median() * share).round().cast(pl.Int64))  # type: ignore[operator]
    stamps = pl.datetime_range(
        last["time"][0] + timedelta(minutes=1), last["time"][0] + timedelta(minutes=minutes), "1m", eager=True
    )
    after = last.select(pl.exclude("time", "regular")).join(stamps.alias("time").to_frame(), how="cross")
    after = after.with_columns(pl.col("time").dt.cast_time_unit("us"), regular=pl.lit(False))
    stretched = pl.concat([rest, after.select(recorded.minutes.columns)])
    expected = {"half_day_ends_early": [("GOOG", eve)]} if found else {}
    assert recorded.but(minutes=stretched).broken() == expected


def test_trading_after_hours_as_recorded_is_none_on_a_half_day(recorded: Recorded) -> None:
    """SPY of 2013-10-10 with the hours of the half day 2013-11-29: until 13:00, and then until 17:00."""
    closes, opens = calendar("XNYS").close_of(date(2013, 10, 10)), calendar("XNYS").open_of(date(2013, 10, 10))
    at = pl.col("time")
    whole = recorded.minutes.filter(symbol="SPY", date=date(2013, 10, 10))
    until_one = whole.filter(at.is_between(opens, opens + timedelta(minutes=210), closed="left"))
    after = whole.filter(at >= closes).with_columns(at - timedelta(minutes=180))
    eve = pl.concat([until_one, after]).with_columns(
        at + timedelta(days=50, hours=1), date=pl.lit(date(2013, 11, 29)), month=pl.lit(201311, BARS_1M.schema["month"])
    )
    (session,) = sessions_of(eve, recorded.daily.clear(), NO_EVENTS).to_dicts()
    assert (session["minutes"], session["expected"], session["minutes_off"]) == (210, 210, 180)
    assert session["minutes_after"] > 90
    assert Recorded(eve, recorded.daily.clear(), NO_EVENTS).broken() == {}


@pytest.mark.parametrize(
    ("field", "factor", "found"),
    [("high", 1.02, True), ("high", 1.005, False), ("close", 0.98, True), ("volume", 0.5, True), ("volume", 3, False)],
)
def test_minutes_that_do_not_make_the_day_are_an_alarm(
    recorded: Recorded, field: str, factor: float, found: bool
) -> None:
    """The day's bar has auctions that minutes lack: more volume is no contradiction, less is."""
    there = pl.when(symbol="MSFT", date=date(2019, 2, 15))
    kind = BARS_1D.schema[field]
    other = recorded.daily.with_columns(there.then(pl.col(field) * factor).otherwise(field).cast(kind).alias(field))
    expected = {"minutes_add_up_to_day": [("MSFT", date(2019, 2, 15))]} if found else {}
    assert recorded.but(daily=other).broken() == expected


HOURS = [
    ("AAPL", "2024-07-02", 390, 0),
    ("AAPL", "2024-07-03", 210, 180),
    ("0700.HK", "2024-02-08", 330, 0),
    ("0700.HK", "2024-02-09", 150, 240),
    ("7203.T", "2024-11-01", 300, 30),  # the half hour that came on 2024-11-05
    ("7203.T", "2024-11-20", 330, 0),
    ("ASML.AS", "2024-07-02", 510, 0),
]


@pytest.mark.parametrize(("symbol", "day", "expected", "off"), HOURS)
def test_a_session_has_the_minutes_of_its_exchange(symbol: str, day: str, expected: int, off: int) -> None:
    whole = minutes_of(symbol, date.fromisoformat(day))
    sessions = sessions_of(whole, BARS_1D.empty(), NO_EVENTS)
    assert sessions.select("minutes", "expected", "longest_gap", "minutes_off").rows() == [(expected, expected, 0, off)]


def minutes_of(symbol: str, day: date) -> pl.DataFrame:
    """Return a bar for each minute in which the exchange trades."""
    known = calendar(venue_of(symbol).calendar)
    at, end = known.open_of(day), known.close_of(day)
    bars = []
    while at < end:
        bars.append((at, 100.0, 101.0, 99.0, 100.0, 10.0))
        at += timedelta(minutes=1)
    return curated("tape", symbol, bars)  # without the lunch break


@dataclass
class SetClock:
    at: datetime

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def checked(recorded: Recorded) -> Callable[..., Platform]:
    def platform(**parts: pl.DataFrame) -> Platform:
        clock = SetClock(datetime(2019, 2, 16, 12, tzinfo=UTC))
        tables = {name: MemoryTable(table) for name, table in TABLES.items()}
        rows = recorded.but(**parts)
        tables["bars_1m"].commit(CommitContext(1), rows.minutes.select(list(BARS_1M.schema)))
        tables["bars_1d"].commit(CommitContext(1), rows.daily)
        return Platform(
            settings=load_settings(lake_url="memory://", universe_path="there-is-none.yaml"),
            clock=clock,
            location=open_location("memory://"),
            tables=tables,
            state=MemoryState(clock),
            queue=MemoryQueue(clock),
            providers={},
            quotas={},
        )

    return platform


def check(platform: Platform, symbols: Collection[str] | None = None, since: date | None = None) -> int:
    since = since or platform.clock.now().date() - RECENT
    return len(check_minutes(platform.tables, platform.state.findings, since, symbols).findings)


def open_findings(platform: Platform, severity: str | None = None) -> Iterator[tuple[str, str, date | None, str]]:
    for row in platform.state.findings.listed(1000, status="open"):
        if severity in (None, row["severity"]):
            yield row["rule"], row["subject"], row["first_day"], row["message"]


def test_thin_shares_are_one_finding_each_and_good_to_know(checked: Callable[..., Platform]) -> None:
    platform = checked()
    check(platform)
    assert list(open_findings(platform, "warn")) == []
    found = {subject: message for _, subject, _, message in open_findings(platform, "info")}
    assert (
        f"since 2019-02-09 alphavantage has {min(SLV_MINUTES)} to {max(SLV_MINUTES)} minutes of SLV in 5 sessions"
        in found["SLV"]
    )
    assert "JPM" not in found
    assert not {"IBM", "GOOG"} & set(found)  # of years before
    assert check(platform) == len(found)


def test_a_finding_is_settled_when_the_session_obeys(checked: Callable[..., Platform], recorded: Recorded) -> None:
    hole = pl.col("time").is_between(NOON, NOON + timedelta(minutes=30)) & (pl.col("symbol") == "AAPL")
    platform = checked(minutes=recorded.minutes.filter(~hole))
    check(platform)
    ((rule, subject, day, message),) = open_findings(platform, "warn")
    assert (rule, subject, day) == ("minutes_without_hole", "AAPL", THAT_DAY)
    assert "for 31 minutes in a row on 2019-02-13" in message
    assert "quantx backfill --timeframe 1m --again --symbols AAPL --source alphavantage --start 2019-02-13" in message
    platform.tables["bars_1m"].commit(CommitContext(2), recorded.minutes.filter(hole))
    check(platform, ["JPM"])
    assert len(list(open_findings(platform, "warn"))) == 1
    check(platform, ["AAPL"])
    assert list(open_findings(platform, "warn")) == []


def test_each_rule_says_in_a_finding_what_is_wrong(checked: Callable[..., Platform], recorded: Recorded) -> None:
    wrong = pl.when(symbol="AAPL", date=THAT_DAY).then(pl.col("close") * 2).otherwise("close")
    platform = checked(daily=recorded.daily.with_columns(close=wrong))
    check(platform, since=date(2013, 1, 1))
    found = {rule: message for rule, _, _, message in open_findings(platform)}
    assert set(found) >= {"opening_near_close_before", "opening_jump_confirmed", "minutes_add_up_to_day"}
    opened, closed = either(("92.69", "645.57"), ("59.34", "417.4"))
    assert (
        f"AAPL opens at {opened} on 2014-06-09, after a close of {closed} at lean" in found["opening_near_close_before"]
    )


def test_a_finding_about_an_afternoon_says_what_was_traded(
    checked: Callable[..., Platform], recorded: Recorded
) -> None:
    eve = recorded.minutes.filter(symbol="GOOG", date=date(2015, 12, 24))
    last = eve.filter("regular").tail(1).with_columns(volume=pl.lit(None, pl.Int64))
    later = [last.with_columns(pl.col("time") + timedelta(minutes=m), regular=pl.lit(False)) for m in range(1, 181)]
    platform = checked(minutes=pl.concat([eve.filter("regular"), *later]))
    check(platform, since=date(2015, 12, 1))
    (message,) = (m for rule, _, _, m in open_findings(platform) if rule == "half_day_ends_early")
    assert "lean has 180 minutes of GOOG after the early close of 2015-12-24, with 0 shares" in message
    assert f"{either('1,364', '6,885')} in the session" in message


def test_without_minutes_nothing_is_found(checked: Callable[..., Platform]) -> None:
    assert check(checked(), since=date(2030, 1, 1)) == 0


def shifted_by(minutes: list[Any], hours: int) -> list[Any]:
    return [(at + timedelta(hours=hours), *values) for at, *values in minutes]


def with_series(platform: Platform, symbol: str, bars: list[Any], round_id: int = 2) -> None:
    """Store a series as the curator does: its bars, and its rejected minutes."""
    read = normalize_minutes("tape", vendor_frame(symbol, bars), facts_of(symbol), RowPolicy())
    platform.tables["bars_1m"].commit(CommitContext(round_id), read.bars)
    platform.tables["quarantine"].commit(CommitContext(round_id), read.rejected)


def sessions_from(symbol: str, start: date, end: date, *, volume: float = 100.0) -> list[Any]:
    """Bars of each minute, with three times the volume in the first and the last half hour, and some after hours."""
    known, bars = calendar(venue_of(symbol).calendar), []
    for day in known.sessions(start, end):
        opens, closes = known.open_of(day), known.close_of(day)
        at = opens - timedelta(minutes=60 if symbol == "AAPL" else 0)
        while at < closes + timedelta(minutes=30):
            edge = min(abs(at - opens), abs(at - closes)) < timedelta(minutes=30)
            inside = opens <= at < closes
            if inside or symbol == "AAPL":
                bars.append((at, 50.0, 51.0, 49.0, 50.0, volume * (3 if edge else 1) if inside else volume / 20))
            at += timedelta(minutes=1)
    return bars


SHIFTS = [
    ("AAPL", "2024-01-08", "2024-01-26", 0, None),
    ("AAPL", "2024-01-08", "2024-01-26", 1, "an error of daylight saving time"),
    ("AAPL", "2024-01-08", "2024-01-26", -1, "an error of daylight saving time"),
    ("AAPL", "2024-01-08", "2024-01-26", 5, "UTC read as the exchange's time"),
    ("AAPL", "2024-01-08", "2024-01-26", -5, "the exchange's time read as UTC"),
    ("AAPL", "2024-07-08", "2024-07-26", 4, "UTC read as the exchange's time"),
    ("0700.HK", "2024-01-08", "2024-01-19", -8, "UTC read as the exchange's time"),
    ("0700.HK", "2024-01-08", "2024-01-19", 1, "an error of daylight saving time"),
    ("7203.T", "2024-01-09", "2024-01-19", -9, "UTC read as the exchange's time"),
    ("ASML.AS", "2024-07-08", "2024-07-19", 1, "an error of daylight saving time"),
]


@pytest.mark.parametrize(("symbol", "start", "end", "hours", "cause"), SHIFTS)
def test_a_series_that_is_hours_off_is_one_error_that_names_the_shift(
    checked: Callable[..., Platform], symbol: str, start: str, end: str, hours: int, cause: str | None
) -> None:
    platform = checked(minutes=BARS_1M.empty(), daily=BARS_1D.empty())
    first, last = date.fromisoformat(start), date.fromisoformat(end)
    with_series(platform, symbol, shifted_by(sessions_from(symbol, first, last), hours))
    check(platform, since=date(2024, 1, 1))
    found = list(open_findings(platform, "error"))
    if cause is None:
        assert found == []
        return
    ((rule, subject, day, message),) = found
    assert (rule, subject, day) == ("minutes_hours_off", symbol, None)
    counted = f"{abs(hours)} hour{'s' if abs(hours) > 1 else ''} {'late' if hours > 0 else 'early'}"
    assert f"tape's minutes of {symbol} are {counted} from {first} to {last}: {cause}" in message
    assert list(open_findings(platform, "warn")) == []  # the shift explains what else is wrong with these sessions


def test_daylight_saving_time_that_a_vendor_ignores_shifts_only_the_summer(checked: Callable[..., Platform]) -> None:
    platform = checked(minutes=BARS_1M.empty(), daily=BARS_1D.empty())
    winter = sessions_from("AAPL", date(2024, 2, 26), date(2024, 3, 8))
    summer = sessions_from("AAPL", date(2024, 3, 11), date(2024, 3, 22))
    with_series(platform, "AAPL", [*winter, *shifted_by(summer, 1)])
    check(platform, since=date(2024, 1, 1))
    ((rule, _, _, message),) = open_findings(platform, "error")
    assert rule == "minutes_hours_off"
    assert "1 hour late from 2024-03-11 to 2024-03-22: an error of daylight saving time" in message
    (finding,) = platform.state.findings.open(rule)
    assert (finding.facts["sessions"], finding.facts["checked"]) == (10, 20)


def test_a_shift_stays_one_finding_over_checks_of_parts_until_all_of_it_is_right(
    checked: Callable[..., Platform],
) -> None:
    platform = checked(minutes=BARS_1M.empty(), daily=BARS_1D.empty())
    bars = sessions_from("AAPL", date(2024, 1, 8), date(2024, 2, 2))
    with_series(platform, "AAPL", shifted_by(bars, 1))
    check_minutes(platform.tables, platform.state.findings, date(2024, 1, 8), until=date(2024, 1, 19))
    check(platform, since=date(2024, 1, 29))
    (finding,) = platform.state.findings.open("minutes_hours_off")
    assert (finding.facts["first"], finding.facts["last"]) == ("2024-01-08", "2024-02-02")
    table = platform.tables["bars_1m"]
    table.commit(CommitContext(3), BARS_1M.empty(), gone=table.read())
    with_series(platform, "AAPL", bars, 4)
    check(platform, since=date(2024, 1, 29))
    assert len(platform.state.findings.open("minutes_hours_off")) == 1  # the sessions before were not checked
    check(platform, since=date(2024, 1, 1))
    assert platform.state.findings.open("minutes_hours_off") == []


def test_a_session_of_few_minutes_is_found_in_a_backfill_by_the_sessions_around_it(
    checked: Callable[..., Platform],
) -> None:
    """Six of 390 minutes: of a dense series, of one with two thirds of its minutes, and of one that hardly trades."""
    platform = checked(minutes=BARS_1M.empty(), daily=BARS_1D.empty())
    bad = date(2023, 3, 15)
    bars = sessions_from("JPM", date(2023, 3, 1), date(2023, 3, 31))
    cut = [bar for at, bar in enumerate(bars) if bar[0].date() != bad or at % 65 == 0]
    with_series(platform, "JPM", cut)
    two_thirds = [bar for at, bar in enumerate(bars) if at % 3 and (bar[0].date() != bad or at % 65 == 1)]
    with_series(platform, "SLV", two_thirds, 3)
    with_series(
        platform, "AMT", [bar for at, bar in enumerate(bars) if at % (65 if bar[0].date() != bad else 350) == 0], 4
    )
    since, until = date(2023, 3, 15), date(2023, 3, 15)  # the only session that came
    check_minutes(platform.tables, platform.state.findings, since, until=until)
    found = [(rule, subject, day) for rule, subject, day, _ in open_findings(platform, "warn")]
    assert sorted(found) == [("minutes_fewer_than_usual", "SLV", bad), ("minutes_without_hole", "JPM", bad)]


def test_the_inspection_after_a_backfill_checks_the_sessions_that_came(checked: Callable[..., Platform]) -> None:
    platform = checked(minutes=BARS_1M.empty(), daily=BARS_1D.empty())
    bars = sessions_from("JPM", date(2015, 3, 2), date(2015, 3, 31))
    with_series(platform, "JPM", [bar for at, bar in enumerate(bars) if bar[0].date() != date(2015, 3, 9) or at < 6])
    with_series(platform, "JPM", [bar for bar in bars if bar[0].date() == date(2015, 3, 9)][:6], 3)
    assert inspect_symbols(platform, platform.tables, ["JPM"]) == []
    assert list(open_findings(platform, "warn")) == []
    came = {"JPM": Window(date(2015, 3, 2), date(2015, 3, 31))}
    assert inspect_symbols(platform, platform.tables, ["JPM"], minutes=came) == []
    ((rule, subject, day, _),) = open_findings(platform, "warn")
    assert (rule, subject, day) == ("minutes_without_hole", "JPM", date(2015, 3, 9))
