"""The demonstration on the invented market, whose every wrong row is known: those are rejected, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.nulls import broken_promises

from quantx.cli import main
from quantx.core.tables import TABLES
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.reader.lake import Lake, open_lake
from quantx.sandbox import load_market
from quantx.sandbox.synthetic import SyntheticMarket, dirt

pytestmark = pytest.mark.slow

PRICES = ("open", "high", "low", "close")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    made = tmp_path_factory.mktemp("demonstration") / "demo"
    assert main(["demo", "--folder", str(made)]) == 0
    return made


@pytest.fixture(scope="module")
def market() -> SyntheticMarket:
    found = load_market(None)
    assert isinstance(found, SyntheticMarket)
    return found


@pytest.fixture
def lake(folder: Path) -> Lake:
    return open_lake(str(folder / "lake"))


def test_exactly_the_wrong_rows_are_rejected(folder: Path, market: SyntheticMarket) -> None:
    rejected = pl.read_delta(str(folder / "lake" / "quarantine")).select("symbol", "date").rows()
    assert sorted(rejected) == sorted((d.symbol, d.date) for d in dirt(market))


def test_every_other_row_is_curated_as_it_was_traded(lake: Lake, market: SyntheticMarket) -> None:
    wrong = {(d.symbol, d.date) for d in dirt(market) if d.kind != "duplicate_date"}
    for symbol, known in market.histories.items():
        if known.until is not None:  # the old name of a renamed symbol
            continue
        traded = market.as_traded(symbol).unique("date", keep="last", maintain_order=True)  # of two, the final one
        told = pl.col("date") <= market.sessions[-1]  # where the story ends; elsewhere a later session may have closed
        traded = traded.filter(told & ~pl.Series([(symbol, day) in wrong for day in traded["date"]]))
        bars = lake.bars(symbol)
        assert bars["date"].to_list() == traded["date"].to_list(), symbol
        for column in PRICES:
            assert ((bars[column] - traded[column]).abs() <= 1e-6 * traded[column]).all(), (symbol, column)
        assert (bars["volume"] - traded["volume"]).abs().max() <= 1


def test_columns_that_are_never_null_are_not(folder: Path) -> None:
    broken, filled = broken_promises(open_tables(open_location(str(folder / "lake"), create=False), TABLES))
    assert broken == []
    assert filled >= {"bars_1d", "bars_1d_revisions", "actions", "quarantine", "universe_members", "sessions"}


def test_the_story_leaves_one_revision_one_split_and_a_page(folder: Path, lake: Lake, market: SyntheticMarket) -> None:
    assert lake.revisions().select("symbol", "date").rows() == [("QXAC", market.sessions[-3])]
    splits = lake.actions("QXAA").filter(pl.col("kind") == "split")
    assert splits["ex_date"].to_list() == [market.sessions[-3]]
    page = (folder / "report.html").read_text("utf-8")
    assert page.count("<svg") == 3
    assert "future cut off: passed" in (folder / "study" / "report.html").read_text("utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "$" not in page


def test_a_second_demonstration_takes_only_a_folder_that_one_made(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("not a demonstration's")
    assert main(["demo", "--folder", str(tmp_path)]) == 2
    assert (tmp_path / "mine.txt").exists()
