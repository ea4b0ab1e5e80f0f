"""Rows of instruments for what has no symbol history, and the class of rows that an earlier version wrote."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from quantx.core.tables import INSTRUMENTS, SYMBOL_HISTORY
from quantx.lake.protocol import CommitContext
from quantx.pipeline.inspecting.class_rows import record_classes

T = datetime(2026, 11, 2, 12, tzinfo=UTC)


def test_each_class_without_a_history_gets_a_row_once(desk: Any) -> None:
    desk.clock.at = T
    tables = desk.platform.tables
    record_classes(desk.platform, tables, ["AAPL", "BTC-USD", "CLZ26.NYM", "CLU26.NYM", "^TNX"])
    rows = desk.rows("instruments").sort("instrument")
    shown = ("instrument", "market", "asset_class", "status", "delisted_on")
    assert rows.select(shown).rows() == [
        ("crypto.BTC-USD", "crypto", "crypto", "listed", None),
        ("futures.CLU26.NYM", "futures", "future", "delisted", date(2026, 9, 30)),
        ("futures.CLZ26.NYM", "futures", "future", "listed", None),
        ("us.^TNX", "us", "rate", "listed", None),
    ]
    before = desk.versions()
    record_classes(desk.platform, tables, ["BTC-USD", "CLZ26.NYM"])
    assert desk.versions() == before
    desk.clock.at = datetime(2027, 1, 2, 12, tzinfo=UTC)  # the month of delivery is over
    record_classes(desk.platform, tables, ["CLZ26.NYM"])
    ended = desk.rows("instruments").filter(pl.col("instrument") == "futures.CLZ26.NYM")
    assert ended.select("status", "delisted_on").rows() == [("delisted", date(2026, 12, 31))]
    assert desk.rows("instruments_revisions").select("instrument", "status").rows() == [("futures.CLZ26.NYM", "listed")]


def test_rows_of_an_earlier_version_get_the_class_of_their_symbol_and_a_fund_stays_one(desk: Any) -> None:
    desk.clock.at = T
    earlier = {"market": "us", "status": "listed", "evidence": "a file", "known_from": datetime(2024, 1, 1, tzinfo=UTC)}
    rows = [
        {"instrument": "us.FB.20120518", **earlier},
        {"instrument": "us.AAPL", **earlier},
        {"instrument": "us.SPY", "asset_class": "fund", **earlier},
    ]
    frame = pl.DataFrame(rows, schema=dict(INSTRUMENTS.schema), orient="row")
    desk.platform.tables["instruments"].commit(CommitContext(1), frame)
    naming = [("us.FB.20120518", "META", date(2022, 6, 9), None, "a file", T)]
    history = pl.DataFrame(naming, schema=dict(SYMBOL_HISTORY.schema), orient="row")
    desk.platform.tables["symbol_history"].commit(CommitContext(1), history)
    record_classes(desk.platform, desk.platform.tables, [])
    assert dict(desk.rows("instruments").select("instrument", "asset_class").iter_rows()) == {
        "us.FB.20120518": "equity",
        "us.AAPL": "equity",
        "us.SPY": "fund",
    }
