"""What changed since a moment, against what `as_of` shows; and the records of rejected rows, findings, instruments."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from quantx.core.symbol_history import Naming, SymbolHistory, history_rows
from quantx.core.table import Table
from quantx.core.tables import (
    ACTIONS,
    DECISIONS,
    FINDINGS,
    INSTRUMENTS,
    QUARANTINE,
    SYMBOL_HISTORY,
    TABLES,
    UNIVERSE_MEMBERS,
)
from quantx.core.tombstones import Tombstone
from quantx.errors import ConfigError, NotInLake
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.lake.tombstones import write_tombstone
from quantx.reader import Lake, open_lake

T1, T2, T3 = (datetime(2024, 1, day, 22, tzinfo=UTC) for day in (10, 11, 12))
D2, D3 = date(2024, 1, 2), date(2024, 1, 3)


def rows_of(frame: pl.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    return frame.select(columns).rows()


def test_new_and_revised_rows(lake: Lake) -> None:
    changed = lake.changes(T1)
    shown = ("table", "change", "symbol", "source", "date", "kind", "changed_at", "fields", "before", "after")
    ohlc = ["open", "high", "low", "close"]
    assert rows_of(changed, *shown) == [
        ("actions", "new", "AAA", "yahoo", D2, "dividend", T2, None, None, 5.0),
        ("bars_1d", "revised", "AAA", "yahoo", D2, None, T2, ohlc, 98.0, 102.0),
        ("bars_1d", "new", "BBB", "yahoo", D2, None, T3, None, None, 10.0),
        ("bars_1d", "new", "BBB", "yahoo", D3, None, T3, None, None, 11.0),
    ]
    assert lake.changes(T3).is_empty()
    assert set(lake.changes("2023-01-01")["change"]) == {"new", "joined", "left"}  # all of it is new since then
    assert set(lake.changes(T2, "BBB", source="yahoo")["date"]) == {D2, D3}
    with pytest.raises(NotInLake, match="no daily bars of the source 'stooq'"):
        lake.changes(T1, source="stooq")
    with pytest.raises(ConfigError, match="is not a time"):
        lake.changes("yesterday")


def test_changes_are_the_difference_to_what_was_known_then(lake: Lake) -> None:
    key = ["source", "symbol", "date"]
    for since in (T1 - timedelta(days=1), T1, T2, T3):
        now, then = (lake.scan("bars_1d", as_of=moment).collect() for moment in (None, since))
        both = now.join(then, on=key, how="full", suffix="_then", coalesce=True)
        differ = both.filter(pl.col("close").ne_missing(pl.col("close_then")))
        found = lake.changes(since).filter(pl.col("table") == "bars_1d")
        assert rows_of(found.sort(key), *key, "before", "after") == rows_of(
            differ.sort(key), *key, "close_then", "close"
        )


def test_a_value_that_is_again_as_it_was_is_no_change(tmp_path: Path) -> None:
    tables = open_tables(open_location(str(tmp_path / "lake")), TABLES)
    action = {"source": "yahoo", "symbol": "AAA", "ex_date": D2, "kind": "split", "value": 2.0}
    was = [action | {"known_from": T1, "known_to": T2}, action | {"value": 3.0, "known_from": T2, "known_to": T3}]
    tables[ACTIONS.name].commit(
        CommitContext(), pl.DataFrame([action | {"known_from": T3}], schema=dict(ACTIONS.schema))
    )
    revisions = pl.DataFrame(was, schema=dict(ACTIONS.revisions.schema))
    tables[ACTIONS.revisions.name].commit(CommitContext(), revisions)
    lake = open_lake(tmp_path / "lake")
    assert rows_of(lake.changes(T1, table="actions"), "change") == []
    assert rows_of(lake.changes(T2, table="actions"), "change", "before", "after") == [("revised", 3.0, 2.0)]


@pytest.fixture
def records(tmp_path: Path) -> Lake:
    tables = open_tables(open_location(str(tmp_path / "lake")), TABLES)

    def put(table: Table, *rows: dict[str, object], revised: bool = False) -> None:
        target = table.revisions if revised else table
        frame = pl.DataFrame(rows, schema=dict(target.schema))
        tables[target.name].commit(CommitContext(), frame)

    action = {"source": "yahoo", "symbol": "AAA", "ex_date": D2, "kind": "split", "value": 2.0}
    put(ACTIONS, action | {"ex_date": D3, "known_from": T1})
    put(ACTIONS, action | {"known_from": T1, "known_to": T2}, revised=True)
    rejected = {"source": "yahoo", "dataset": "bars_1d", "symbol": "AAA", "rules": "one_unit", "policy": 4}
    put(
        QUARANTINE,
        rejected | {"date": D2, "row": "{1}", "known_from": T1},
        rejected | {"date": D3, "row": "{2}", "known_from": T2, "rules": "one_unit,open_in_range"},
        rejected | {"row": "no JSON", "rules": "payload_readable", "known_from": T2},
    )
    decided = {"source": "yahoo", "dataset": "bars_1d", "symbol": "AAA", "date": D2, "row": "{1}", "reason": "right"}
    put(DECISIONS, decided | {"rules": "one_unit", "decision": "accept", "by": "me", "known_from": T3})
    finding = {"rule": "unexplained_jump", "subject": "AAA", "first_day": D2, "status": "open", "first_seen": T1}
    put(FINDINGS, finding | {"severity": "warn", "known_from": T1}, finding | {"severity": "error", "first_day": D3})
    put(FINDINGS, finding | {"severity": "info", "subject": "BBB", "known_from": T1, "known_to": T2}, revised=True)
    history = SymbolHistory([Naming("us.FB", "FB", None, D2), Naming("us.FB", "META", D3, None)])
    tables["symbol_history"].commit(CommitContext(), history_rows(history, {}, T1))
    put(INSTRUMENTS, {"instrument": "us.FB", "market": "us", "status": "listed", "known_from": T1})
    return open_lake(tmp_path / "lake")


def test_a_withdrawn_action_is_a_change(records: Lake) -> None:
    changed = records.changes(T1, timeframe="1d")
    assert rows_of(changed, "change", "date", "kind", "changed_at", "before", "after") == [
        ("withdrawn", D2, "split", T2, 2.0, None)
    ]


def test_rejected_rows_with_their_states_then_and_now(records: Lake) -> None:
    assert rows_of(records.quarantine(), "date", "state", "by") == [
        (D3, "open", None),
        (None, "open", None),
        (D2, "accepted", "me"),
    ]
    assert rows_of(records.quarantine(as_of=T2), "date", "state") == [(D3, "open"), (None, "open"), (D2, "open")]
    assert records.quarantine(as_of=T1).height == records.quarantine("AAA", D2, D2).height == 1
    assert records.quarantine(rule="open_in_range")["date"].to_list() == [D3]
    assert records.quarantine(state="accepted")["date"].to_list() == [D2]
    assert records.quarantine(source="alpaca").is_empty()
    assert records.quarantine(public_by=datetime(2024, 1, 2, 23, tzinfo=UTC))["date"].to_list() == [None, D2]


def test_findings_the_worst_first_and_as_they_were(records: Lake) -> None:
    assert rows_of(records.findings(), "severity", "subject", "first_day") == [
        ("error", "AAA", D3),
        ("warn", "AAA", D2),
    ]
    assert rows_of(records.findings(as_of=T1), "severity", "subject") == [("warn", "AAA"), ("info", "BBB")]
    assert records.findings("BBB").is_empty()
    assert records.findings(rule="unexplained_jump", status="open").height == 2


def test_instruments_by_any_of_their_symbols(records: Lake) -> None:
    for symbols in (None, "FB", ["META"]):
        assert rows_of(records.instruments(symbols), "instrument", "symbol", "status") == [("us.FB", "META", "listed")]
    assert records.instruments("AAA").is_empty()
    assert records.instruments(as_of=T1 - timedelta(days=1)).is_empty()


def test_what_is_rejected_delisted_renamed_joined_or_deleted_since_a_moment(tmp_path: Path) -> None:
    location = open_location(str(tmp_path / "lake"))
    tables, at = open_tables(location, TABLES), [T1, T2]
    history = [
        SymbolHistory([Naming("us.FB", "FB", None, None)]),
        SymbolHistory([Naming("us.FB", "FB", None, D2), Naming("us.FB", "META", D3, None)]),
    ]
    names = [history_rows(each, {}, moment) for each, moment in zip(history, at, strict=True)]
    tables[SYMBOL_HISTORY.name].commit(CommitContext(), names[0])
    tables[SYMBOL_HISTORY.name].commit(CommitContext(), names[1].tail(1), names[1].head(1))
    member = {"universe": "u", "phase": "p", "symbol": "AAA", "market": "us", "member_from": D2, "known_from": T1}
    members = _rows(UNIVERSE_MEMBERS, [member, {**member, "symbol": "BBB"}])
    tables[UNIVERSE_MEMBERS.name].commit(CommitContext(), members)
    left = {**member, "member_to": D3, "known_from": T2}
    tables[UNIVERSE_MEMBERS.revisions.name].commit(
        CommitContext(), _rows(UNIVERSE_MEMBERS.revisions, [{**member, "known_to": T2}])
    )
    tables[UNIVERSE_MEMBERS.name].commit(CommitContext(), UNIVERSE_MEMBERS.empty(), _rows(UNIVERSE_MEMBERS, [left]))
    ended = {"instrument": "us.FB", "market": "us", "status": "delisted", "delisted_on": D3, "reason": "merged"}
    tables[INSTRUMENTS.name].commit(CommitContext(), _rows(INSTRUMENTS, [{**ended, "known_from": T3}]))
    bad = {"source": "yahoo", "dataset": "bars_1d", "symbol": "AAA", "date": D2, "rules": "low", "known_from": T3}
    tables[QUARANTINE.name].commit(CommitContext(), _rows(QUARANTINE, [bad]))
    stone = Tombstone(id="01M8PV3893SAC0TPQRPZEKWXNG", source="fmp", at=T3, by="eve", reason="ended")
    write_tombstone(location, stone)
    lake = open_lake(str(tmp_path / "lake"))

    shown = ("table", "change", "symbol", "date", "kind")
    assert rows_of(lake.changes(T1), *shown) == [
        ("symbol_history", "renamed", "META", D3, "FB to META"),
        ("universe_members", "left", "AAA", D3, "u"),
        ("instruments", "delisted", "META", D3, "merged"),
        ("quarantine", "rejected", "AAA", D2, "bars_1d: low"),
        ("tombstones", "deleted", "*", None, "everything"),
    ]
    assert lake.changes(T1, kind="rejected")["symbol"].to_list() == ["AAA"]
    assert set(lake.changes(T1, ["AAA"])["change"]) == {"left", "rejected"}
    joined = lake.changes(T1 - timedelta(days=1), kind=["joined"], table="universe_members")
    assert joined["symbol"].to_list() == ["AAA", "BBB"]
    assert lake.changes(run="01HMAXAM3000000000000000ZZ").is_empty()  # planned on 2024-01-17
    with pytest.raises(ConfigError, match="is not the id of a run"):
        lake.changes(run="today")
    with pytest.raises(ConfigError, match="must be one of new, revised"):
        lake.changes(T1, kind="lost")


def _rows(table: Table, rows: list[dict[str, object]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=dict(table.schema))
