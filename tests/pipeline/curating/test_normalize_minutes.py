"""From a vendor's minutes to rows: recorded files, every market's hours, and the laws of the normaliser."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.quality import POLICY_VERSION
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.tables import BARS_1M, DECISIONS, QUARANTINE
from quantx.pipeline.curating.normalize_minutes import MinuteRows, normalize_minutes

from ...recorded_minutes import AAPL_MINUTES, Bar, alpha_vantage, facts_of, lean, vendor_frame

MINUTE = timedelta(minutes=1)


def at(text: str, zone: str = "America/New_York") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def bar(moment: datetime, close: float | None = 100.0, volume: float | None = 10.0) -> Bar:
    return (moment, 100.0, 110.0, 90.0, close, volume)


def run(symbol: str, bars: list[Bar], **facts: Any) -> MinuteRows:
    return normalize_minutes("vendor", vendor_frame(symbol, bars), facts_of(symbol, **facts), RowPolicy())


def times(rows: MinuteRows) -> list[datetime]:
    return rows.bars["time"].to_list()


def rules(rows: MinuteRows) -> Counter[str]:
    return Counter(rows.rejected["rules"])


# ------------------------------------------------------------------------------------------------------- recorded files


@pytest.mark.parametrize(
    ("symbol", "days", "bars", "regular"),
    [
        ("AAPL", list(AAPL_MINUTES), list(AAPL_MINUTES.values()), [390, 390, 390]),
        ("GOOG", ["2015-12-23", "2015-12-24", "2015-12-28"], None, [390, 210, 382]),
        ("IBM", ["2013-10-04", "2013-10-07", "2013-10-11"], None, [389, 390, 389]),
    ],
)
def test_recorded_minutes_are_accepted_row_by_row(
    market_data: Path, symbol: str, days: list[str], bars: list[int] | None, regular: list[int]
) -> None:
    recorded = lean(market_data, symbol, days)
    rows = run(symbol, recorded)
    assert rows.rejected.is_empty()
    columns = ["time", "open", "high", "low", "close", "volume"]
    assert rows.bars.select(columns).rows() == [(*b[:5], round(b[5] or 0)) for b in recorded]
    by_day = rows.bars.group_by("date", maintain_order=True).agg(pl.len(), pl.col("regular").sum())
    assert [str(d) for d in by_day["date"]] == days
    assert by_day["regular"].to_list() == regular
    assert bars is None or by_day["len"].to_list() == bars
    assert rows.sessions == rows.answered == {symbol: (rows.bars["date"].min(), rows.bars["date"].max())}


def test_the_prints_after_a_half_day_are_kept_and_are_not_regular(market_data: Path) -> None:
    rows = run("GOOG", lean(market_data, "GOOG", ["2015-12-24"])).bars
    late = rows.filter(pl.col("time") >= at("2015-12-24T13:00"))
    assert late.height > 0
    assert late["time"].max() == at("2015-12-24T16:11")
    assert not late["regular"].any()
    assert rows.filter("regular")["time"].max() == at("2015-12-24T12:59")


@pytest.mark.parametrize("symbol", ["AAPL", "SLV", "AMT", "TZA", "JPM"])
def test_the_newest_first_is_as_good(market_data: Path, symbol: str) -> None:
    recorded = alpha_vantage(market_data, symbol)
    rows = run(symbol, recorded)
    assert rows.rejected.is_empty()
    assert rows.bars["regular"].all()
    assert rows.bars.select("time", "close").rows() == [(b[0], b[4]) for b in recorded]
    assert rows.sessions[symbol] == (date(2019, 2, 11), date(2019, 2, 15))


def test_stamps_of_the_minutes_end_would_show_as_minutes_after_the_close(market_data: Path) -> None:
    recorded = alpha_vantage(market_data, "AAPL")
    assert run("AAPL", recorded).bars["regular"].all()
    ends = run("AAPL", [(b[0] + MINUTE, *b[1:]) for b in recorded]).bars
    assert ends.filter(~pl.col("regular"))["date"].n_unique() == ends.filter(~pl.col("regular")).height == 5


# ------------------------------------------------------------------------------------------------------------ the hours


@pytest.mark.parametrize("day", ["2024-03-08", "2024-03-11", "2024-11-01", "2024-11-04"])
def test_hours_follow_the_clocks_of_new_york(day: str) -> None:
    inside = [bar(at(f"{day}T{t}")) for t in ("04:00", "09:29", "09:30", "15:59", "16:00", "19:59")]
    outside = [bar(at(f"{day}T{t}")) for t in ("03:59", "20:00", "23:59")]
    rows = run("AAPL", inside + outside)
    assert times(rows) == [b[0] for b in inside]
    assert rows.bars["regular"].to_list() == [False, False, True, True, False, False]
    assert rules(rows) == {"within_hours": 3}


@pytest.mark.parametrize(
    ("symbol", "zone", "day", "inside", "auction", "outside"),
    [
        (
            "0700.HK",
            "Asia/Hong_Kong",
            "2024-10-02",
            ["09:30", "11:59", "13:00", "15:59"],
            ["16:00", "16:09"],
            ["09:29", "12:00", "12:59", "16:15"],
        ),
        (
            "7203.T",
            "Asia/Tokyo",
            "2024-10-02",
            ["09:00", "11:29", "12:30", "14:59"],
            ["15:00"],
            ["08:59", "11:30", "12:29", "15:15"],
        ),
        ("7203.T", "Asia/Tokyo", "2024-11-06", ["15:00", "15:29"], ["15:30"], ["15:45"]),  # half an hour longer
        ("BP.L", "Europe/London", "2024-10-02", ["08:00", "16:29"], ["16:30", "16:35"], ["07:59", "16:45"]),
    ],
)
def test_elsewhere_nothing_trades_at_lunch_or_long_after_the_close(
    symbol: str, zone: str, day: str, inside: list[str], auction: list[str], outside: list[str]
) -> None:
    rows = run(symbol, [bar(at(f"{day}T{t}", zone)) for t in (*inside, *auction, *outside)])
    assert times(rows) == [at(f"{day}T{t}", zone) for t in (*inside, *auction)]
    assert rows.bars["regular"].to_list() == [True] * len(inside) + [False] * len(auction)
    assert rules(rows) == {"within_hours": len(outside)}


@pytest.mark.parametrize("day", ["2024-10-05", "2024-12-25"])  # a Saturday, and Christmas
def test_a_day_without_a_session_has_no_minutes(day: str) -> None:
    rows = run("AAPL", [bar(at(f"{day}T10:00"))])
    assert rows.bars.is_empty()
    assert rules(rows) == {"session_of_calendar": 1}
    assert rows.answered == {}


def test_a_wrong_session_date_is_outside_its_hours() -> None:
    frame = vendor_frame("AAPL", [bar(at("2024-10-02T10:00"))]).with_columns(pl.lit(date(2024, 10, 3)).alias("date"))
    rows = normalize_minutes("vendor", frame, facts_of("AAPL"), RowPolicy())
    assert rules(rows) == {"within_hours": 1}


# -------------------------------------------------------------------------------------------------------- what is final


def test_a_running_session_is_left_out() -> None:
    bars = [bar(at("2024-10-01T10:00")), bar(at("2024-10-02T10:00"))]
    for asked, kept in (("2024-10-02T16:29", 1), ("2024-10-02T16:30", 2)):
        rows = run("AAPL", bars, as_of=at(asked))
        assert (rows.bars.height, rows.rejected.height) == (kept, 0)


def test_late_minutes_are_kept_when_they_are_as_old_as_a_settled_close() -> None:
    bars = [bar(at(f"2024-10-02T{t}")) for t in ("15:59", "16:00", "17:29", "17:30", "17:59")]
    rows = run("AAPL", bars, as_of=at("2024-10-02T18:00"))
    assert times(rows) == [b[0] for b in bars[:3]]
    assert rows.rejected.is_empty()


def test_a_minute_of_the_future_is_rejected_unless_a_clock_can_explain_it() -> None:
    asked = at("2024-10-02T18:00")
    bars = [bar(at("2024-10-02T18:20")), bar(at("2024-10-02T19:00")), bar(at("2024-10-03T10:00"))]
    rows = run("AAPL", bars, as_of=asked)
    assert rows.bars.is_empty()
    assert rules(rows) == {"not_in_future": 2}
    assert rows.answered == {}


def test_what_was_not_asked_for_is_left_out() -> None:
    bars = [bar(at(f"2024-10-0{n}T10:00")) for n in (1, 2, 3)]
    rows = run("AAPL", bars, start="2024-10-02", end="2024-10-02")
    assert times(rows) == [bars[1][0]]
    assert rows.rejected.is_empty()


# ---------------------------------------------------------------------------------------------- broken and doubled rows


def test_a_broken_minute_is_quoted_in_quarantine() -> None:
    rows = run("AAPL", [bar(at("2024-10-02T10:00"), close=None), bar(at("2024-10-02T10:01"))], raw="01ABC")
    assert rows.bars.height == 1
    (rejected,) = rows.rejected.to_dicts()
    assert rejected == {
        "source": "vendor",
        "dataset": "bars_1m",
        "symbol": "AAPL",
        "date": date(2024, 10, 2),
        "rules": "prices_present",
        "row": '{"time":"2024-10-02T14:00:00+00:00","open":100.0,"high":110.0,"low":90.0,"close":null,"volume":10.0}',
        "payload_sha256": "5" * 64,
        "raw": "01ABC",
        "known_from": datetime(2026, 1, 5, 12, tzinfo=UTC),
        "policy": POLICY_VERSION,
        "sent": '{"open":100.0,"high":110.0,"low":90.0,"close":null,"volume":10.0,"currency":"USD"}',
        "passed": None,
    }
    assert dict(rows.rejected.schema) == dict(QUARANTINE.schema)


def test_an_accepted_minute_is_curated_and_stays_in_quarantine() -> None:
    bars: list[Bar] = [(at(f"2024-10-02T10:0{n}"), 100.0, 99.0, 90.0, 100.0, 10.0) for n in (0, 1)]
    rejected = run("AAPL", bars).rejected
    decision = {"decision": pl.lit("accept"), "reason": pl.lit("it is right"), "by": pl.lit("anna")}
    policy = RowPolicy(decisions=rejected[:1].with_columns(**decision).select(list(DECISIONS.schema)))
    rows = normalize_minutes("vendor", vendor_frame("AAPL", bars), facts_of("AAPL"), policy)
    assert rows.bars.select("time", "high").rows() == [(bars[0][0], 99.0)]
    assert rows.rejected.equals(rejected)
    assert rows.sessions == {"AAPL": (date(2024, 10, 2), date(2024, 10, 2))}


def test_a_row_that_says_that_nothing_traded_is_no_bar() -> None:
    hollow: list[Bar] = [(at(f"2024-10-02T10:0{n}"), None, None, None, None, v) for n, v in ((1, None), (2, 0.0))]
    rows = run("AAPL", [*hollow, (at("2024-10-02T10:03"), None, None, None, None, 5.0)])
    assert rules(rows) == {"prices_present": 1}


def test_a_stamp_with_seconds_is_rejected_and_does_not_hide_the_minute() -> None:
    moment = at("2024-10-02T10:00")
    rows = run("AAPL", [bar(moment), bar(moment + timedelta(seconds=20), close=105.0), bar(moment + MINUTE)])
    assert times(rows) == [moment, moment + MINUTE]
    assert rules(rows) == {"on_the_minute": 1}


def test_a_row_without_a_stamp_is_rejected() -> None:
    frame = vendor_frame("AAPL", [bar(at("2024-10-02T10:00"))])
    frame = pl.concat([frame, frame.with_columns(pl.lit(None, dtype=frame.schema["time"]).alias("time"))])
    rows = normalize_minutes("vendor", frame, facts_of("AAPL"), RowPolicy())
    assert rows.bars.height == 1
    assert rules(rows) == {"not_in_future,on_the_minute": 1}


def test_of_two_rows_for_a_minute_the_last_with_prices_is_kept() -> None:
    moment = at("2024-10-02T10:00")
    same = run("AAPL", [bar(moment), bar(moment), bar(moment + MINUTE)])
    assert (same.bars.height, same.rejected.height) == (2, 0)
    for second, kept, why in (
        (bar(moment, close=105.0), 105.0, "one_row_per_minute"),
        (bar(moment, close=None), 100.0, "prices_present,one_row_per_minute"),
    ):
        rows = run("AAPL", [bar(moment), bar(moment + MINUTE, close=95.0), second])
        assert rows.bars["close"].to_list()[-1 if kept == 105.0 else 0] == kept
        assert rows.bars.height == 2
        assert rules(rows) == {why: 1}


def test_two_replies_about_one_symbol_give_one_row_per_minute() -> None:
    moment = at("2024-10-02T10:00")
    bars = pl.concat(
        [
            vendor_frame("AAPL", [bar(moment), bar(moment + MINUTE)], series=0),
            vendor_frame("AAPL", [bar(moment + MINUTE), bar(moment + 2 * MINUTE)], series=1),
            vendor_frame("MSFT", [bar(moment)], series=2),
        ]
    )
    facts = pl.concat([facts_of(s, series=i, raw=f"01R{i}") for i, s in enumerate(("AAPL", "AAPL", "MSFT"))])
    rows = normalize_minutes("vendor", bars, facts, RowPolicy())
    assert rows.bars.select(BARS_1M.key).is_unique().all()
    assert rows.bars.select("symbol", "raw").rows() == [
        ("AAPL", "01R0"),
        ("AAPL", "01R1"),
        ("AAPL", "01R1"),
        ("MSFT", "01R2"),
    ]
    assert set(rows.sessions) == {"AAPL", "MSFT"}


def test_several_markets_in_one_batch_have_their_own_hours() -> None:
    bars = pl.concat(
        [
            vendor_frame("AAPL", [bar(at("2024-10-02T10:00"))], series=7),
            vendor_frame("0700.HK", [bar(at("2024-10-02T10:00", "Asia/Hong_Kong"))], series=3),
            vendor_frame("7203.T", [bar(at("2024-10-02T11:45", "Asia/Tokyo"))], series=5),
        ]
    )
    facts = pl.concat(
        [facts_of("0700.HK", series=3, currency="HKD"), facts_of("7203.T", series=5), facts_of("AAPL", series=7)]
    )
    rows = normalize_minutes("vendor", bars, facts, RowPolicy())
    assert rows.bars.select("symbol", "currency", "regular").rows() == [("AAPL", "USD", True), ("0700.HK", "HKD", True)]
    assert rows.rejected.select("symbol", "rules").rows() == [("7203.T", "within_hours")]


def test_nothing_gives_nothing_in_the_tables_form() -> None:
    rows = run("AAPL", [])
    assert dict(rows.bars.schema) == dict(BARS_1M.schema)
    assert dict(rows.rejected.schema) == dict(QUARANTINE.schema)
    assert (rows.bars.height, rows.rejected.height, rows.answered, rows.sessions) == (0, 0, {}, {})


def test_volumes_are_whole_shares_and_months_are_the_sessions() -> None:
    rows = run("AAPL", [bar(at("2024-10-31T19:59"), volume=10.4)])  # in UTC it is the next day, and the next month
    assert rows.bars.select("month", "date", "volume").rows() == [(202410, date(2024, 10, 31), 10)]


# ----------------------------------------------------------------------------------------------------------------- laws

MOMENTS = st.builds(
    lambda day, minute, seconds: at(f"2024-10-{day:02d}T00:00") + timedelta(minutes=minute, seconds=seconds),
    st.integers(1, 10),
    st.integers(0, 24 * 60 - 1),
    st.sampled_from([0, 0, 0, 0, 30]),
)
BARS = st.lists(
    st.builds(bar, MOMENTS, st.sampled_from([100.0, 95.0, 120.0, -1.0, None]), st.sampled_from([10.0, 0.0, None])),
    unique_by=lambda b: b[0],
    max_size=30,
)


@given(BARS, st.randoms(use_true_random=False))
def test_the_order_of_the_rows_does_not_matter(bars: list[Bar], random: Any) -> None:
    shuffled = random.sample(bars, len(bars))
    one, other = run("AAPL", bars), run("AAPL", shuffled)
    assert one.bars.sort("time").equals(other.bars.sort("time"))
    assert one.rejected.sort("row").equals(other.rejected.sort("row"))
    assert (one.answered, one.sessions) == (other.answered, other.sessions)


@given(BARS)
def test_every_row_is_accepted_rejected_or_left_out_for_a_reason(bars: list[Bar]) -> None:
    rows = run("AAPL", bars)
    hollow = sum(b[1] is None and b[4] is None and not b[5] for b in bars)
    assert rows.bars.height + rows.rejected.height == len(bars) - hollow
    assert rows.bars.select(BARS_1M.key).is_unique().all()


@given(BARS)
def test_accepted_rows_are_accepted_again_as_they_are(bars: list[Bar]) -> None:
    once = run("AAPL", bars).bars
    again = run(
        "AAPL",
        [(*r[:5], float(r[5])) for r in once.select("time", "open", "high", "low", "close", "volume").iter_rows()],
    )
    assert again.bars.equals(once)
    assert again.rejected.is_empty()


@given(BARS)
def test_the_same_rows_twice_are_the_rows_once(bars: list[Bar]) -> None:
    once, twice = run("AAPL", bars), run("AAPL", bars + bars)
    assert twice.bars.sort("time").equals(once.bars.sort("time"))
