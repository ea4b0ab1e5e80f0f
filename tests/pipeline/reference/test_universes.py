"""Refreshing universes: the lake, the state and the CSV say the same, whatever the source did."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.pipeline.reference.universes import refresh_universes
from quantx.reader.lake import Lake

from ...lists import serving
from ...market_data import either


@pytest.fixture
def refresh(desk: Any, tmp_path: Path) -> Any:
    folder = tmp_path / "universes"
    folder.mkdir()

    def run(source: str, listing: str = "") -> list[str]:
        (folder / "u.yaml").write_text(f"phases: {{p: {{mine: {source}}}}}")
        (folder / "mine.csv").write_text(listing)
        settings = desk.platform.settings.model_copy(update={"universe_path": folder / "u.yaml"})
        refresh_universes(replace(desk.platform, settings=settings), desk.platform.tables, phase=None, name=None)
        rows = desk.sql("select symbol from universe_members where member_to is null order by symbol")
        csv = pl.read_csv(desk.platform.location.get("meta/universe_p.csv"))["symbol"].to_list()
        lake = Lake(desk.platform.location).universe("mine")["symbol"].to_list()
        assert lake == csv == [row["symbol"] for row in rows]
        return lake

    return run


STATIC = "{{market: us, type: static, symbols: [{}]}}"
DATED = "{market: us, type: csv, path: mine.csv, from_column: since, to_column: until}"


def test_who_joins_and_leaves_on_one_day_was_never_a_member(refresh: Any) -> None:
    assert refresh(STATIC.format("AAA, BBB")) == ["AAA", "BBB"]
    assert refresh(STATIC.format("AAA, BBB, CCC")) == ["AAA", "BBB", "CCC"]
    assert refresh(STATIC.format("AAA, BBB")) == ["AAA", "BBB"]


def test_who_leaves_was_a_member_until_the_day_before(refresh: Any, desk: Any) -> None:
    refresh(STATIC.format("AAA, BBB"))
    desk.clock.at = datetime(2024, 2, 1, 12, tzinfo=UTC)
    assert refresh(STATIC.format("AAA")) == ["AAA"]
    lake = Lake(desk.platform.location)
    assert lake.universe("mine", on="2024-01-31")["symbol"].to_list() == ["AAA", "BBB"]
    assert lake.universe("mine", on="2024-02-01")["symbol"].to_list() == ["AAA"]


def test_the_csv_of_a_phase_has_the_universes_that_are_declared(refresh: Any, desk: Any, tmp_path: Path) -> None:
    refresh(STATIC.format("AAA, BBB"))
    (tmp_path / "u.yaml").write_text(f"phases: {{p: {{other: {STATIC.format('CCC')}}}}}")
    settings = desk.platform.settings.model_copy(update={"universe_path": tmp_path / "u.yaml"})
    refresh_universes(replace(desk.platform, settings=settings), desk.platform.tables, phase="p", name=None)
    assert pl.read_csv(desk.platform.location.get("meta/universe_p.csv"))["symbol"].to_list() == ["CCC"]


def test_a_date_that_the_list_corrects_replaces_the_interval(refresh: Any, desk: Any) -> None:
    refresh(DATED, "symbol,since,until\nAAA,2020-01-02,\nBBB,2019-01-02,2021-06-30\n")
    assert refresh(DATED, "symbol,since,until\nAAA,2020-01-03,\nBBB,2019-01-02,\n") == ["AAA", "BBB"]
    members = Lake(desk.platform.location).universe("mine")
    assert members.select("symbol", "member_from").rows() == [("AAA", date(2020, 1, 3)), ("BBB", date(2019, 1, 2))]
    assert desk.rows("universe_members_revisions").select("symbol", "member_to").rows() == [
        ("AAA", None),
        ("BBB", date(2021, 6, 30)),
    ]


def test_the_same_list_again_commits_nothing(refresh: Any, desk: Any) -> None:
    refresh(STATIC.format("AAA, BBB"))
    before = desk.versions()
    refresh(STATIC.format("AAA, BBB"))
    assert desk.versions() == before


def test_the_sp500_of_a_past_day_is_read_from_the_lake(desk: Any, tmp_path: Path, market_data: Path) -> None:
    members = either(503, 39)
    page = gzip.decompress((market_data / "constituents" / "wikipedia_sp500_2026.html.gz").read_bytes())
    (tmp_path / "u.yaml").write_text(
        f"phases: {{p: {{us_sp500: {{market: us, type: wikipedia, at_least: {members - 8}}}}}}}"
    )
    with serving() as lists:
        lists.pages["/wiki/List_of_S%26P_500_companies"] = page
        changed = {"universe_path": tmp_path / "u.yaml", "universe_base_url": lists.url}
        platform = replace(desk.platform, settings=desk.platform.settings.model_copy(update=changed))
        (taken,) = refresh_universes(platform, platform.tables, phase=None, name=None)
        (again,) = refresh_universes(platform, platform.tables, phase=None, name=None)
        lists.pages["/wiki/List_of_S%26P_500_companies"] = page.replace(b"Date added", b"Date of entry")
        (refused,) = refresh_universes(platform, platform.tables, phase=None, name=None)
    assert (taken.decision, taken.members) == ("taken", members)
    assert (again.decision, again.joined, again.left, again.snapshot) == ("taken", 0, 0, taken.snapshot)
    assert (refused.decision, refused.members) == ("refused", members)
    lake = Lake(desk.platform.location)
    on_day = set(lake.universe("us_sp500", on=either("2012-06-29", "2016-06-30"))["symbol"])
    fewest, most = either((491, 504), (39, 40))
    assert fewest <= len(on_day) <= most
    left, not_yet = either(({"S", "SHLD"}, {"META", "TSLA"}), ({"QZLA", "QZLB"}, {"QZJA", "QZJB"}))
    assert {"BRK.B", *left} <= on_day
    assert not not_yet & on_day
    (told,) = desk.platform.state.findings.listed(5, rule="universe_contradictions")
    assert (told["severity"], len(told["facts"]["remarks"])) == ("info", either(15, 2))


def test_a_new_state_learns_the_intervals_from_the_lake(refresh: Any, desk: Any) -> None:
    refresh(STATIC.format("AAA"))
    desk.clock.at = datetime(2024, 2, 1, 12, tzinfo=UTC)
    refresh(STATIC.format("AAA, BBB"))
    desk.sql("delete from universe_members")
    desk.clock.at = datetime(2024, 3, 1, 12, tzinfo=UTC)
    refresh(STATIC.format("AAA, BBB"))
    assert Lake(desk.platform.location).universe("mine", on="2024-01-15")["symbol"].to_list() == ["AAA"]


def test_the_class_of_funds_is_recorded_and_stays(refresh: Any, desk: Any) -> None:
    refresh("{market: us, type: static, symbols: [SPY, QQQ], funds: true}")
    rows = desk.rows("instruments").sort("instrument")
    assert rows.select("instrument", "market", "asset_class", "status").rows() == [
        ("us.QQQ", "us", "fund", "listed"),
        ("us.SPY", "us", "fund", "listed"),
    ]
    before = desk.versions()
    refresh("{market: us, type: static, symbols: [SPY, QQQ], funds: true}")
    assert desk.versions() == before
    refresh("{market: us, type: static, symbols: [AAPL, SPY]}")
    assert desk.rows("instruments").height == 2
