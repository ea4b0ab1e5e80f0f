"""`quantx export`: the command around the reader's exports."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from .conftest import Ran

Quantx = Callable[..., Ran]


def test_an_export_reports_what_it_wrote_and_needs_no_database(quantx: Quantx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANTX_STATE_URL", "postgresql://nobody@127.0.0.1:1/none")
    # Of one year only: other tests fetch more into the same lake.
    export = ("export", "out", "--layout", "hive-ticker", "--symbols", "AAA,BRK.B", "--start", "2016-01-01")
    ran = quantx(*export)
    assert ran.code == 0
    assert ran.out == f"2 symbols in {Path.cwd()}/out: 2 files written, 0 unchanged, 0 removed\n"
    rows = duckdb.sql("select distinct Ticker from read_parquet('out/**/*.parquet', hive_partitioning=true) order by 1")
    assert rows.fetchall() == [("AAA",), ("BRK.B",)]
    ran = quantx(*export, "--json")
    assert {k: json.loads(ran.out)[k] for k in ("symbols", "written", "unchanged")} == {
        "symbols": 2,
        "written": 0,
        "unchanged": 2,
    }


def test_symbols_without_bars_are_named_with_code_1(quantx: Quantx) -> None:
    ran = quantx("export", "out", "--layout", "csv", "--symbols", "AAA,ZZZ")
    assert ran.code == 1
    assert ran.err == "no bars for ZZZ; `quantx show-manifest` lists the lake's series\n"
    ran = quantx("export", "empty", "--layout", "csv", "--start", "2030-01-01")
    assert (ran.code, ran.err) == (0, "the selection has no bars; `quantx show-manifest` lists the lake's series\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--layout", "hive"), "unknown layout 'hive'"),
        (("--layout", "csv", "--adjust", "all"), "--adjust 'all' must be one of none, split, total"),
        (("--layout", "csv", "--universe", "us", "--symbols", "AAA"), "exclude each other"),
        (("--layout", "csv", "--start", "soon"), "'soon' is not a date"),
    ],
    ids=str,
)
def test_wrong_options_are_named_with_code_2(options: tuple[str, ...], message: str, quantx: Quantx) -> None:
    ran = quantx("export", "out", *options)
    assert ran.code == 2
    assert message in ran.err
    assert not Path("out").exists()
