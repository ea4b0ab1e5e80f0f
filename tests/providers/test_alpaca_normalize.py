"""What Alpaca's pages mean: stamps, sessions, numbers, splits and dividends, and what is not guessed."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.model import Payload
from quantx.errors import MalformedPayload
from quantx.providers.alpaca import Alpaca, wire_symbol
from quantx.providers.alpaca_frames import UnreadAction
from quantx.providers.alpaca_pages import BarsPage, read_page

from ..market_data import either
from .alpaca_stub import StoppedClock, bar, days, page, payload, recorded

ALPACA = Alpaca(lambda: pytest.fail("normalize must not connect"), StoppedClock())


def bars_of(body: bytes, symbols: str = "AAPL") -> list[dict[str, Any]]:
    return ALPACA.normalize(payload(body, symbols)).bars.to_dicts()


# ---------------------------------------------------------------------------------------------------------------- bars


def test_a_recorded_page_is_read_to_the_cent(market_data: Path) -> None:
    name, symbol = either(("go_17_bars_META", "META"), ("bars_QZM_1", "QZM"))
    read = ALPACA.normalize(recorded(market_data, name, symbol))
    assert read.currency == "USD"
    prices = either((194.67, 202.03, 194.41, 196.64, 22211813.0), (189.42, 189.52, 189.26, 189.45, 251000.0))
    at = either(datetime(2022, 6, 8, 4, tzinfo=UTC), datetime(2022, 2, 1, 5, tzinfo=UTC))
    assert read.bars.row(0, named=True) == {
        "symbol": symbol,
        "time": at,
        "date": at.date(),
        **dict(zip(("open", "high", "low", "close", "volume"), prices, strict=True)),
        "vendor_adj_close": None,
    }
    assert read.bars["date"].to_list() == [at.date(), at.date() + timedelta(days=1)]


@pytest.mark.parametrize(
    ("stamp", "session"),
    [
        ("2024-01-02T05:00:00Z", date(2024, 1, 2)),  # a daily bar: midnight in New York, winter
        ("2024-07-02T04:00:00Z", date(2024, 7, 2)),  # summer
        ("2024-03-11T04:00:00Z", date(2024, 3, 11)),  # the Monday after the clocks went forward
        ("2024-11-04T05:00:00Z", date(2024, 11, 4)),  # and back
        ("2024-01-02T09:00:00Z", date(2024, 1, 2)),  # a minute at 04:00 in New York, the earliest
        ("2024-01-03T00:59:00Z", date(2024, 1, 2)),  # at 19:59, the latest
        ("2024-07-02T23:59:00Z", date(2024, 7, 2)),
    ],
)
def test_the_session_is_the_day_in_new_york(stamp: str, session: date) -> None:
    (row,) = bars_of(page({"AAPL": [bar(stamp)]}))
    assert row["time"] == datetime.fromisoformat(stamp)
    assert row["date"] == session


def test_rows_keep_the_order_of_the_page_and_nulls_stay_nulls() -> None:
    body = page({"B": [bar("2024-03-05T05:00:00Z", 2, v=None)], "A": [*reversed(days(2)), bar("2024-03-08T05:00:00Z")]})
    rows = bars_of(body, "A,B")
    assert [(row["symbol"], row["date"].day) for row in rows] == [("B", 5), ("A", 5), ("A", 4), ("A", 8)]
    assert rows[0]["volume"] is None


@pytest.mark.parametrize(
    "row",
    [
        bar("2024-03-05T05:00:00Z", c="100"),
        bar("2024-03-05T05:00:00Z", v=True),
        bar("2024-03-05T05:00:00Z", h=[1]),
        {k: v for k, v in bar("2024-03-05T05:00:00Z").items() if k != "o"},
        bar("2024-03-05"),
        bar("2024-03-05T05:00:00+00:00"),
        bar("yesterday"),
        bar(""),
        {**bar(""), "t": None},
        {**bar(""), "t": 1709614800},
        [],
        "row",
        None,
    ],
)
def test_a_row_that_is_no_bar_makes_the_page_malformed(row: Any) -> None:
    for rows in ([row], [*days(2), row], [row, *days(2)]):
        with pytest.raises(MalformedPayload):
            bars_of(page({"AAPL": rows}))


@pytest.mark.parametrize(
    "body",
    [
        b'{"bars":{"AAPL":{"t":"2021-11-20T00:59:00Z","o":1,"h":1,"l":1,"c":1,"v":7}},"next_page_token":null}',
        b'{"bars":[],"next_page_token":null}',
        b'{"bars":{},"next_page_token":5}',
        b'{"bars":{}}',
        b'{"trades":{},"next_page_token":null}',
        b'{"bars":{"AAPL":[{"t":"2024-03-05T05:00:00Z","o":NaN,"h":1,"l":1,"c":1,"v":7}]},"next_page_token":null}',
        b'{"bars":{"AAPL":[{"t":"2024-03-05T05:00:00Z","o":1,"h":1,"l":1,"c":1,"v":7}]},"currency":"JPY","next_page_token":null}',
        b'{"message":"forbidden."}',
    ],
)
def test_another_form_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedPayload):
        bars_of(body)


def test_latest_bars_of_the_recordings_are_no_pages(market_data: Path) -> None:
    for name in either(("go_00_bars_SPY", "go_24_bars_AAPL"), ("latest_bars_QZM", "latest_bars_QZN_in_pesos")):
        with pytest.raises(MalformedPayload):
            ALPACA.normalize(recorded(market_data, name, "SPY,AAPL,QZM,QZN"))


NUMBERS = st.none() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
MOMENTS = st.integers(0, 4_000_000_000).map(lambda t: datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
ROWS = st.lists(
    st.fixed_dictionaries(
        {"t": MOMENTS, **dict.fromkeys("ohlcv", NUMBERS)}, optional={"n": st.integers(0, 99), "x": st.just("y")}
    ),
    max_size=4,
)
PAGES = st.dictionaries(st.sampled_from(["A", "AAPL", "BRK.B", "Z"]), ROWS, max_size=4)


@given(PAGES, st.none() | st.text(max_size=8))
def test_the_fast_way_reads_what_the_slow_way_reads(bars: dict[str, Any], token: str | None) -> None:
    document = {"bars": bars, "next_page_token": token}
    fast = read_page(json.dumps(document, separators=(",", ":")).encode())
    slow = read_page(json.dumps(document, indent=1).encode())
    assert isinstance(fast, BarsPage)
    assert isinstance(slow, BarsPage)
    assert fast.rows.equals(slow.rows)
    assert (fast.counts, fast.currency, fast.token) == (slow.counts, slow.currency, slow.token)


@given(PAGES, st.integers(0), st.sampled_from(list(b'"{}[],:\\ ]0-.eA\n')))
def test_a_damaged_page_is_read_alike_or_refused_by_both_ways(bars: dict[str, Any], at: int, byte: int) -> None:
    body = bytearray(json.dumps({"bars": bars, "next_page_token": None}, separators=(",", ":")).encode())
    body[at % len(body)] = byte

    def outcome(raw: bytes) -> Any:
        try:
            found = read_page(raw)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, pl.exceptions.PolarsError):
            return "refused"
        return (found.counts, found.rows.to_dicts(), found.token) if isinstance(found, BarsPage) else found.lists

    assert outcome(bytes(body)) == outcome(b" " + bytes(body))  # a space before it is beyond the fast way


# ------------------------------------------------------------------------------------------------------------- actions


def actions(lists: dict[str, Any], symbols: str = "A,B,C") -> Payload:
    return payload(json.dumps({"corporate_actions": lists, "next_page_token": None}).encode(), symbols)


def split(symbol: str = "A", new: Any = 2, old: Any = 1, day: Any = "2024-03-05", **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "new_rate": new, "old_rate": old, "ex_date": day, "process_date": day, **more}


def dividend(symbol: str = "A", rate: Any = 0.25, day: Any = "2024-03-05", **more: Any) -> dict[str, Any]:
    return {"symbol": symbol, "rate": rate, "ex_date": day, "process_date": "2024-03-20", **more}


EVERY_KIND = either(("py_corporate_actions_00", "FCF,MNTS,SRE"), ("actions_of_every_kind", "QZPAY,QZREV,QZSPL"))


def test_recorded_actions_are_splits_both_ways_and_dividends(market_data: Path) -> None:
    paid, reverse, forward = EVERY_KIND[1].split(",")
    amount, to_one, of_one = either((0.125, 0.02, 2.0), (0.375, 0.025, 3.0))
    read = ALPACA.normalize(recorded(market_data, *EVERY_KIND))
    assert read.actions.rows() == [
        (paid, date(2023, 5, 4), "dividend", amount, None),  # not the 19th, when it was paid
        (reverse, date(2023, 8, 24), "split", to_one, None),
        (forward, date(2023, 8, 22), "split", of_one, None),
    ]
    assert read.bars.is_empty()


def test_what_is_no_split_and_no_cash_dividend_is_named_and_not_guessed(market_data: Path) -> None:
    reply = recorded(market_data, *EVERY_KIND)
    found = ALPACA.unread_actions(reply)
    assert {action.kind for action in found} == {
        "unit_splits",
        "stock_dividends",
        "spin_offs",
        "cash_mergers",
        "stock_mergers",
        "stock_and_cash_mergers",
        "redemptions",
        "name_changes",
        "worthless_removals",
        "rights_distributions",
    }
    paid_in_shares, parent, acquired = either(("MSBC", "JUPW", "LSI"), ("QZSTK", "QZSPN", "QZSML"))
    assert UnreadAction(paid_in_shares, "stock_dividends", date(2023, 5, 19)) in found
    assert UnreadAction(parent, "spin_offs", date(2023, 8, 15)) in found
    assert UnreadAction(acquired, "stock_mergers", date(2023, 7, 20)) in found
    assert ALPACA.unread_actions(payload(page({}))) == ()


def test_a_kind_that_is_new_is_left_out_too() -> None:
    reply = actions({"partial_calls": [{"symbol": "A", "process_date": "2024-03-05"}]})
    assert ALPACA.normalize(reply).actions.is_empty()
    assert ALPACA.unread_actions(reply) == (UnreadAction("A", "partial_calls", date(2024, 3, 5)),)


def test_two_dividends_of_one_day_stay_two_and_an_id_that_comes_twice_counts_once() -> None:
    twice = [dividend(rate=0.25, id="1"), dividend(rate=1.5, id="2", special=True), dividend(rate=0.25, id="1")]
    read = ALPACA.normalize(actions({"cash_dividends": twice, "forward_splits": [split(id="3"), split(id="3")]}))
    assert read.actions.rows() == [
        ("A", date(2024, 3, 5), "dividend", 0.25, None),
        ("A", date(2024, 3, 5), "dividend", 1.5, None),
        ("A", date(2024, 3, 5), "split", 2.0, None),
    ]


def test_what_changes_nothing_is_no_action() -> None:
    read = ALPACA.normalize(actions({"cash_dividends": [dividend(rate=0)], "forward_splits": [split(new=1)]}))
    assert read.actions.is_empty()


@pytest.mark.parametrize("lists", [{"forward_splits": 5}, {"cash_dividends": [dividend(symbol="ELSE")]}])
def test_another_form_or_symbol_is_malformed(lists: dict[str, Any]) -> None:
    with pytest.raises(MalformedPayload):
        ALPACA.normalize(actions(lists))


@pytest.mark.parametrize(
    ("event", "rules"),
    [
        (split(new=0), "split_ratio_possible"),
        (split(old=0), "split_ratio_possible"),
        (split(new="2"), "event_readable"),
        (split(old=None), "event_readable"),
        (split(day=None), "event_date_possible"),
        (split(day="soon"), "event_date_possible"),
        ({"symbol": "A"}, "event_readable,event_date_possible"),
        (dividend(rate=-1), "dividend_amount_possible"),
        (dividend(rate=False), "event_readable"),
        (dividend(rate="0.25"), "event_readable"),
        (dividend(day=20240305), "event_date_possible"),
        (dividend(day="0000-00-00"), "event_date_possible"),
    ],
    ids=str,
)
def test_a_senseless_event_costs_only_itself(event: dict[str, Any], rules: str) -> None:
    kind = "cash_dividends" if "rate" in event else "forward_splits"
    good = dividend(symbol="B") if kind == "cash_dividends" else split(symbol="B")
    read = ALPACA.normalize(actions({kind: [event, good]}))
    assert read.actions["symbol"].to_list() == ["B"]
    assert read.rejected.select("symbol", "rules", "place").rows() == [("A", rules, f"corporate_actions.{kind}[0]")]


def test_an_event_without_a_symbol_is_a_note_about_the_vendor() -> None:
    read = ALPACA.normalize(actions({"cash_dividends": [[], dividend()], "forward_splits": [split(symbol=None)]}))
    assert read.actions["kind"].to_list() == ["dividend"]
    assert [(note.rule, note.subject) for note in read.notes] == [("event_readable", "alpaca")] * 2
    alone = ALPACA.normalize(actions({"forward_splits": [split(symbol=None, old=0)]}, "A"))
    assert alone.rejected.select("symbol", "rules").rows() == [("A", "split_ratio_possible")]


def test_symbols_are_written_as_ours() -> None:
    assert [wire_symbol(s) for s in ("AAPL", "BRK.B", "BAC.PRL", "^VIX")] == ["AAPL", "BRK.B", "BAC.PRL", None]
