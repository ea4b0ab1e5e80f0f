"""What happens when the world changes: a split, a correction, a second look."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

SYMBOLS = ["AAA", "BBB", "CCC"]
PRICES = ["open", "high", "low", "close", "volume"]


@pytest.fixture(scope="module")
def followed(vendors: Callable[..., Any], installations: Callable[..., Any], invented_files: Path) -> Any:
    """Three symbols of 2016, followed into 2017: CCC pays on 2017-02-01, BBB splits 2:1 on 2017-03-01."""
    vendor = vendors(invented_files)
    installation = installations(vendor.url)
    window = ("--start", "2016-01-01", "--end", "2016-12-31")
    installation.here("backfill", *window, "--symbols", ",".join(SYMBOLS)).ends_with(0)
    return vendor, installation


def _update(installation: Any) -> None:
    installation.here("update-daily", "--symbols", ",".join(SYMBOLS)).ends_with(0)


def test_a_split_adds_an_action_and_changes_no_history(
    followed: Any, traded: Callable[..., Any], invented_files: Path, by_yahoos_rule: Callable[..., Any]
) -> None:
    vendor, installation = followed
    before = installation.query(SYMBOLS)
    vendor.tell("now", now="2017-02-28")
    _update(installation)
    actions = installation.table("actions").height
    vendor.tell("now", now="2017-03-01")
    _update(installation)

    splits = installation.table("actions").filter(kind="split")
    assert splits.select("symbol", "ex_date", "value").rows() == [("BBB", date(2017, 3, 1), 2.0)]
    assert installation.table("actions").height == actions + 1
    assert installation.table("bars_1d_revisions").is_empty()
    after = installation.query(SYMBOLS, "--end", "2016-12-31")
    assert after.select(PRICES).equals(before.select(PRICES))

    rows = [r for r in traded(invented_files, "BBB") if r.day <= date(2017, 3, 1)]
    factors = by_yahoos_rule(rows)
    adjusted = installation.query(["BBB"], "--adjust", "total")
    expected = {r.day: r.close * factors[r.day][0] for r in rows}
    assert adjusted["close"].to_list() == pytest.approx([expected[d] for d in adjusted["date"]], rel=1e-6)
    assert adjusted["date"].max() == date(2017, 3, 1)


def test_a_correction_is_one_revision_and_the_old_value_stays_readable(followed: Any) -> None:
    vendor, installation = followed
    day, close = (installation.query(["AAA"]).tail(3).row(0, named=True)[name] for name in ("date", "close"))
    moment = datetime.now(UTC)
    time.sleep(0.01)
    vendor.tell("revise", symbol="AAA", date=str(day), field="close", value=round(close * 1.001, 4))
    vendor.tell("now", now="2017-03-02")
    _update(installation)

    revised = installation.table("bars_1d_revisions")
    assert revised.select("symbol", "date", "close").rows() == [("AAA", day, close)]
    now = installation.query(["AAA"], "--start", day, "--end", day)
    assert now["close"].item() == pytest.approx(close * 1.001, rel=1e-5)
    then = installation.query(["AAA"], "--start", day, "--end", day, "--as-of", moment.isoformat())
    assert then["close"].item() == close


def test_the_same_update_again_commits_nothing(followed: Any) -> None:
    _, installation = followed
    versions = installation.versions()
    _update(installation)
    assert installation.versions() == versions


def test_a_split_while_nobody_looked_is_the_same_as_one_seen_live(
    followed: Any, installations: Callable[..., Any]
) -> None:
    """A second installation that never saw the days before the split has the same history."""
    vendor, seen_live = followed
    late = installations(vendor.url)
    late.here("backfill", "--start", "2016-01-01", "--end", "2016-12-31", "--symbols", "BBB,CCC").ends_with(0)
    old = seen_live.query(["BBB", "CCC"], "--end", "2016-12-31")
    new = late.query(["BBB", "CCC"])
    assert new["date"].to_list() == old["date"].to_list()
    for column in PRICES:
        relative = (new[column] / old[column] - 1).abs().max()
        assert relative is not None
        assert relative < 1e-6 or column == "volume"
    assert (new["volume"] - old["volume"]).abs().max() in (0, 1)


def test_what_was_known_before_the_split_adjusts_without_it(followed: Any) -> None:
    """`as_of` holds for actions too: a backtest of the day before must not know the split."""
    _, installation = followed
    actions = installation.table("actions").filter(pl.col("kind") == "split")
    before = actions["known_from"].item().isoformat().replace("+00:00", "")
    moment = (datetime.fromisoformat(before) - (datetime.resolution)).replace(tzinfo=UTC).isoformat()
    then = installation.query(["BBB"], "--end", "2016-12-31", "--adjust", "split", "--as-of", moment)
    as_traded = installation.query(["BBB"], "--end", "2016-12-31")
    assert then.select(PRICES).equals(as_traded.select(PRICES))
