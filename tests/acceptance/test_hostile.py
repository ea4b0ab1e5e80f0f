"""Mistakes of users and networks: a clear message, the right exit code, and no loss."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WINDOW = ("--start", "2016-01-01", "--end", "2016-12-30")


@pytest.fixture(scope="module")
def vendor(vendors: Callable[..., Any], invented_files: Path) -> Any:
    return vendors(invented_files)


@pytest.fixture(scope="module")
def used(vendor: Any, installations: Callable[..., Any]) -> Any:
    """An installation that has data."""
    installation = installations(vendor.url, QUANTX_MAX_ATTEMPTS="2", QUANTX_LEASE_SECONDS="2")
    installation.here("backfill", *WINDOW, "--symbols", "AAA").ends_with(0)
    return installation


@pytest.fixture
def untouched(used: Any, vendor: Any) -> Any:
    """The installation. Afterwards its tables are unchanged, and the vendor has had no request."""
    versions, asked, bars = used.versions(), vendor.requests(), used.table("bars_1d")
    files = sorted(p for p in used.lake.parent.rglob("*") if "reports" not in p.parts)
    yield used
    assert used.versions() == versions
    assert vendor.requests() == asked
    assert used.table("bars_1d").equals(bars)
    assert sorted(p for p in used.lake.parent.rglob("*") if "reports" not in p.parts) == files


# One of each kind that needs care on the way through a command line; tests/core/test_symbols.py has them all.
HOSTILE = [
    "../../x",
    "%2e%2e/",
    "'; drop table tasks; --",
    "\u202eAAPL",
    "AA\0PL",
    "-AAPL",
    "AAPL\nMSFT",
    "",
    "*",
]


@pytest.mark.parametrize("symbol", HOSTILE, ids=lambda s: ascii(s)[:20])
@pytest.mark.parametrize("command", ["backfill", "update-daily", "query"])
def test_hostile_symbols_are_refused(command: str, symbol: str, untouched: Any) -> None:
    window = WINDOW if command == "backfill" else ()
    ran = untouched.here(command, *window, f"--symbols={symbol}").ends_with(2)
    assert "symbol" in ran.err
    assert ran.out == ""


def test_one_hostile_symbol_among_good_ones_stops_the_command_before_it_begins(untouched: Any) -> None:
    ran = untouched.here("backfill", *WINDOW, "--symbols", "BBB,../../x").ends_with(2)
    assert "'../../x' is not a symbol" in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("backfill", "--start", "2016-02-01", "--end", "2016-01-01", "--symbols", "AAA"), "is after"),
        (("backfill", "--start", "2016-02-30", "--symbols", "AAA"), "not a date"),
        (("backfill", "--start", "yesterday", "--symbols", "AAA"), "not a date"),
        (("backfill", *WINDOW), "nothing to fetch was given"),
        (("backfill", *WINDOW, "--universe", "nope"), "'nope'"),
        (("backfill", *WINDOW, "--phase", "phase_9"), "'phase_9'"),
        (("backfill", *WINDOW, "--symbols", "AAA", "--universe", "x"), "exclude each other"),
        (("backfill", *WINDOW, "--symbols", "AAA", "--source", "bloomberg"), "'bloomberg'"),
        (("backfill", *WINDOW, "--symbols", "AAA", "--timeframe", "1h"), "'1h'"),
        (("backfill", *WINDOW, "--symbols", "AAA", "--max-workers", "0"), "max-workers"),
        (("backfill", "--symbols", "AAA"), "--start"),
        (("update-daily", "--universe", "nope"), "'nope'"),
        (("update-daily", "--symbols", "AAA", "--lookback-days", "-1"), "lookback-days"),
        (("query", "--symbols", "AAA", "--start", "2016-02-01", "--end", "2016-01-01"), "lies after"),
        (("query", "--symbols", "AAA", "--adjust", "some"), "'some'"),
        (("query", "--symbols", "AAA", "--as-of", "lately"), "not a time"),
        (("query", "--symbols", "AAA", "--format", "xls"), "'xls'"),
        (("query", "--symbols", "AAA", "--format", "csv", "-o", "/no/such/folder/x.csv"), "/no/such/folder"),
        (("query", "--symbols", "AAA", "--format", "parquet", "-o", "/no/such/folder/x.parquet"), "/no/such/folder"),
        (("sandbox", "--data", "/no/such/folder"), "/no/such/folder"),
        (("sandbox", "--now", "soon"), "'soon'"),
        (("sandbox", "--fault", "rain=1"), "rain"),
        (("nonsense",), "nonsense"),
    ],
    ids=lambda v: " ".join(v)[:40] if isinstance(v, tuple) else None,
)
def test_wrong_use_is_refused_with_what_is_wrong(arguments: tuple[str, ...], said: str, untouched: Any) -> None:
    ran = untouched.here(*arguments).ends_with(2)
    assert said in " ".join(ran.err.replace("│", "").split())


def test_a_symbol_that_the_vendor_does_not_know_fails_alone(used: Any) -> None:
    ran = used.here("backfill", *WINDOW, "--symbols", "CCC,ZZZZ").ends_with(1)
    assert "ZZZZ: UnknownSymbol" in ran.err
    assert used.query(["CCC"]).height == used.query(["AAA"]).height


def test_an_unreachable_vendor_is_a_failure_that_passes(used: Any, vendor: Any, free_port: Callable[[], int]) -> None:
    used.vendor_url = f"http://127.0.0.1:{free_port()}"
    try:
        ran = used.here("backfill", *WINDOW, "--symbols", "AAA,DDD").ends_with(1)
    finally:
        used.vendor_url = vendor.url
    assert "DDD: TransientProviderError: Yahoo can't be reached" in ran.err
    assert "the lake knows no symbol DDD" in used.here("query", "--symbols", "DDD").ends_with(2).err
    used.here("backfill", *WINDOW, "--symbols", "AAA,DDD").ends_with(0)
    assert used.query(["DDD"]).height == used.query(["AAA"]).height


def test_a_lake_that_cannot_be_written(used: Any, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    for command in (("backfill", *WINDOW, "--symbols", "BBB"), ("status",), ("query", "--symbols", "AAA")):
        lake, used.lake = used.lake, blocked / "lake"
        try:
            ran = used.here(*command).ends_with(2)
        finally:
            used.lake = lake
        assert str(blocked) in ran.err.replace("\n", "")


def test_a_state_that_cannot_be_reached(used: Any, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    for state in (str(blocked / "state"), "mysql://nobody:secret@127.0.0.1/x"):
        good, used.state = used.state, state
        try:
            ran = used.here("status").ends_with(2)
        finally:
            used.state = good
        assert "secret" not in ran.err


def test_another_lake_with_this_state_is_refused(used: Any, tmp_path: Path) -> None:
    lake, used.lake = used.lake, tmp_path / "another"
    try:
        ran = used.here("backfill", *WINDOW, "--symbols", "AAA").ends_with(2)
    finally:
        used.lake = lake
    assert "there is no lake in" in ran.err


def test_a_port_in_use(used: Any, invented_files: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ran = used.here("sandbox", "--data", invented_files, "--port", port).ends_with(2)
    assert str(port) in ran.err
    assert "choose another port" in ran.err
