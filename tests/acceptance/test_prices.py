"""What was traded is what is read: as traded, adjusted, again at no cost, and through other programs."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from deltalake import DeltaTable

pytestmark = pytest.mark.slow

PRICES = ("open", "high", "low", "close")
INVENTED = ["AAA", "BBB", "CCC", "DDD", "EEE", "BRK.B", "GGG", "HHH", "III", "JJJ", "KKK", "LLL"]
RECORDED = ["AAPL", "ABT", "AIG", "BAC", "C", "GE", "GGP", "HPQ", "MSFT", "NFLX", "NKE", "V"]
END = date(2016, 12, 30)


class Backfilled:
    """A dozen symbols over 2000–2016."""

    def __init__(self, vendor: Any, installation: Any, symbols: list[str], another: str, source: list[Any]) -> None:
        self.vendor, self.installation, self.symbols, self.another = vendor, installation, symbols, another
        self.rows = dict(zip(symbols, source, strict=True))
        self.command = ("backfill", "--start", "2000-01-01", "--end", "2016-12-31", "--symbols", ",".join(symbols))
        # One of the two in processes of its own, and with an embedded server: just as a user types it.
        self.run = installation.run if another == "ORCL" else installation.here
        self.first = self.run(*self.command)


@pytest.fixture(scope="module", params=["invented", "recorded"])
def backfilled(
    request: pytest.FixtureRequest,
    vendors: Callable[..., Any],
    installations: Callable[..., Any],
    traded: Callable[..., Any],
) -> Backfilled:
    folder: Path = request.getfixturevalue(f"{request.param}_files")
    symbols, another = (INVENTED, "NNN") if request.param == "invented" else (RECORDED, "ORCL")
    vendor = vendors(folder, process=request.param == "recorded")
    source = [[r for r in traded(folder, s) if date(2000, 1, 1) <= r.day <= END] for s in symbols]
    return Backfilled(vendor, installations(vendor.url, embedded=request.param == "recorded"), symbols, another, source)


def test_each_symbol_costs_one_request_and_all_succeed(backfilled: Backfilled) -> None:
    backfilled.first.ends_with(0)
    assert backfilled.vendor.stats()["by_symbol"] == {s.replace(".", "-"): 1 for s in backfilled.symbols}


def test_bars_are_the_files_as_traded(backfilled: Backfilled) -> None:
    bars = backfilled.installation.query(backfilled.symbols, "--adjust", "none")
    for symbol, rows in backfilled.rows.items():
        _equals(bars.filter(pl.col("symbol") == symbol), rows, {r.day: (1.0, 1.0) for r in rows})


def test_total_adjustment_is_yahoos_rule(backfilled: Backfilled, by_yahoos_rule: Callable[..., Any]) -> None:
    bars = backfilled.installation.query(backfilled.symbols, "--adjust", "total")
    for symbol, rows in backfilled.rows.items():
        _equals(bars.filter(pl.col("symbol") == symbol), rows, by_yahoos_rule(rows))


def test_adj_close_is_the_total_adjusted_close_whatever_is_shown(backfilled: Backfilled) -> None:
    asked, some = backfilled.installation.query, backfilled.symbols[:3]
    total = asked(some, "--adjust", "total")["close"].to_list()
    for how in ("none", "split"):
        assert asked(some, "--adjust", how)["adj_close"].to_list() == pytest.approx(total, rel=1e-12)


def test_impossible_rows_are_in_quarantine_with_the_rule(backfilled: Backfilled) -> None:
    impossible = {(s, r.day) for s, rows in backfilled.rows.items() for r in rows if not r.possible}
    rejected = backfilled.installation.table("quarantine")
    if impossible:
        assert set(rejected.select("symbol", "date").iter_rows()) == impossible
        assert rejected["rules"].str.len_chars().min() > 0
    else:
        assert rejected.is_empty()


def test_a_window_that_ends_before_a_later_split_is_as_traded(
    backfilled: Backfilled, installations: Callable[..., Any]
) -> None:
    small = installations(backfilled.vendor.url)
    window = ("--start", "2004-03-01", "--end", "2004-12-31")
    small.here("backfill", *window, "--symbols", ",".join(backfilled.symbols)).ends_with(0)
    bars = small.query(backfilled.symbols)
    for symbol, rows in backfilled.rows.items():
        inside = [r for r in rows if date(2004, 3, 1) <= r.day <= date(2004, 12, 31)]
        _equals(bars.filter(pl.col("symbol") == symbol), inside, {r.day: (1.0, 1.0) for r in inside})


def test_the_same_again_costs_nothing(backfilled: Backfilled) -> None:
    requests, versions = backfilled.vendor.requests(), backfilled.installation.versions()
    backfilled.run(*backfilled.command).ends_with(0)
    assert backfilled.vendor.requests() == requests
    assert backfilled.installation.versions() == versions


def test_one_symbol_more_costs_one_request(backfilled: Backfilled) -> None:
    requests = backfilled.vendor.requests()
    symbols = ",".join([*backfilled.symbols, backfilled.another])
    backfilled.installation.here(*backfilled.command[:-1], symbols).ends_with(0)
    assert backfilled.vendor.requests() == requests + 1
    assert not backfilled.installation.query([backfilled.another]).is_empty()


def test_other_programs_read_the_tables_by_their_path(backfilled: Backfilled) -> None:
    ours = backfilled.installation.query(backfilled.symbols).sort("symbol", "date")
    path = str(backfilled.installation.path("bars_1d"))
    wanted = pl.col("symbol").is_in(backfilled.symbols)
    by_polars = pl.scan_delta(path).filter(wanted).sort("symbol", "date").collect()
    assert by_polars["close"].to_list() == ours["close"].to_list()
    arrow = DeltaTable(path).to_pyarrow_table(columns=["symbol", "date", "close"])
    with duckdb.connect() as connection:
        connection.register("bars", arrow)
        by_duckdb = connection.sql("select symbol, date, close from bars order by symbol, date").pl().filter(wanted)
    assert by_duckdb["close"].to_list() == ours["close"].to_list()
    files = DeltaTable(path).file_uris()
    by_files = duckdb.sql(
        f"select symbol, count(*) as bars from read_parquet({files}, hive_partitioning=true) group by symbol"
    ).pl()
    counted = dict(by_files.iter_rows())
    assert {s: counted[s] for s in backfilled.symbols} == {
        s: sum(r.possible for r in rows) for s, rows in backfilled.rows.items()
    }


def _equals(bars: pl.DataFrame, rows: list[Any], factors: dict[date, tuple[float, float]]) -> None:
    rows = [r for r in rows if r.possible]
    assert bars["date"].to_list() == [r.day for r in rows]
    for row, bar in zip(rows, bars.iter_rows(named=True), strict=True):
        price, volume = factors[row.day]
        for name in PRICES:
            assert math.isclose(bar[name], getattr(row, name) * price, rel_tol=1e-6), (name, row, bar)
        expected = row.volume * volume
        assert abs(bar["volume"] - expected) <= max(1.0, 1e-6 * expected), (row, bar)
