"""The universes and securities of a run: a daily update has those that are declared, enabled and trade; a backfill also
has the dead ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from quantx.core.model import Window
from quantx.core.symbol_history import Naming, SecurityHistory
from quantx.errors import ConfigError
from quantx.pipeline.planning.plan import plan_backfill, plan_daily
from quantx.pipeline.planning.scope import Scope, resolve_symbols
from quantx.pipeline.reference.instruments import ImportSummary, delist, import_history
from quantx.pipeline.reference.universes import refresh_universes
from quantx.pipeline.runtime.platform import Platform
from quantx.state.values import Universe

Declare = Callable[[str], Platform]


@pytest.fixture
def declare(desk: Any, tmp_path: Path) -> Declare:
    """Write the declaration and return a platform that uses it."""

    def write(universes: str) -> Platform:
        (tmp_path / "u.yaml").write_text(f"phases: {{p: {{{universes}}}}}")
        settings = desk.platform.settings.model_copy(update={"universe_path": tmp_path / "u.yaml"})
        return replace(desk.platform, settings=settings)

    return write


ONE = "one: {market: us, type: static, symbols: [AAA, BBB]}"
TWO = "two: {market: us, type: static, symbols: [CCC]}"


def refresh(platform: Platform) -> None:
    refresh_universes(platform, platform.tables, phase=None, name=None)


def import_into(desk: Any, history: Sequence[SecurityHistory]) -> ImportSummary:
    return import_history(desk.platform, desk.platform.tables, history)


def record_delisting(desk: Any, symbol: str, on: date, *, reason: str, by: str) -> str:
    return delist(desk.platform, desk.platform.tables, symbol, on, reason=reason, by=by)


def daily(platform: Platform, **scope: Any) -> set[str]:
    plan = plan_daily(platform, Scope(**scope), source="tape", lookback=5)
    return {row["symbol"] for row in platform.state.tasks.listed(None, None, 100) if row["id"] in plan.task_ids}


def resolved(platform: Platform, scope: Scope, **since: date) -> tuple[str, ...]:
    return resolve_symbols(platform, scope, **since)


def test_a_universe_that_is_deleted_leaves_daily_planning_at_once(declare: Declare) -> None:
    refresh(declare(f"{ONE}, {TWO}"))
    assert resolved(declare(f"{ONE}, {TWO}"), Scope()) == ("AAA", "BBB", "CCC")
    after = declare(ONE)
    assert resolved(after, Scope()) == resolved(after, Scope(phase="p")) == ("AAA", "BBB")
    assert resolved(after, Scope(universe="two")) == ("CCC",)  # named, it counts
    assert daily(after) == {"AAA", "BBB"}


def test_where_no_declaration_is_at_hand_the_last_refresh_decides(declare: Declare, tmp_path: Path) -> None:
    refresh(declare(f"{ONE}, {TWO}"))
    platform = declare(ONE)
    refresh_universes(platform, platform.tables, phase=None, name="one")
    (tmp_path / "u.yaml").unlink()
    assert resolved(platform, Scope()) == ("AAA", "BBB")


LIST = b"symbol,member_from,member_to\nAAA,,\nBBB,,2024-01-10\n"


def test_a_file_of_symbols_is_a_universe(desk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the lake, or on disk, which is preferred; as the setting `universe_path` it is what no scope means."""
    monkeypatch.chdir(tmp_path)
    desk.platform.location.put("meta/mine.csv", LIST)
    assert resolved(desk.platform, Scope(universe="meta/mine.csv")) == ("AAA",)
    assert resolved(desk.platform, Scope(universe="meta/mine.csv"), since=date(2024, 1, 10)) == ("AAA", "BBB")
    settings = desk.platform.settings.model_copy(update={"universe_path": Path("meta/mine.csv")})
    platform = replace(desk.platform, settings=settings)
    assert resolved(platform, Scope()) == ("AAA",)
    assert daily(platform) == {"AAA"}
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "mine.csv").write_text("CCC\nDDD\n")
    assert resolved(platform, Scope()) == ("CCC", "DDD")
    assert resolved(platform, Scope(universe="./meta/mine.csv")) == ("CCC", "DDD")
    with pytest.raises(ConfigError, match=r"no file \.\./mine\.csv, neither"):
        resolved(platform, Scope(universe="../mine.csv"))
    with pytest.raises(ConfigError, match=r"no file mine\.txt, neither here nor in the lake"):
        resolved(platform, Scope(universe="mine.txt"))
    (tmp_path / "old.csv").write_text("symbol,member_to\nAAA,2020-01-01\n")
    with pytest.raises(ConfigError, match=r"all symbols of old\.csv left the list before 2024"):
        resolved(platform, Scope(universe="old.csv"))


def test_a_universe_that_is_not_enabled_is_refreshed_and_planned_by_its_name_alone(declare: Declare) -> None:
    platform = declare(f"{ONE}, {TWO.replace('{', '{enabled: false, ')}")
    assert [r.universe for r in refresh_universes(platform, platform.tables, phase="p", name=None)] == ["one"]
    assert [r.universe for r in refresh_universes(platform, platform.tables, phase=None, name="two")] == ["two"]
    assert resolved(platform, Scope()) == ("AAA", "BBB")
    assert resolved(platform, Scope(universe="two")) == ("CCC",)
    platform = declare(TWO.replace("{", "{enabled: false, "))
    with pytest.raises(ConfigError, match="no universe of p is enabled; `--name` refreshes one of two"):
        refresh_universes(platform, platform.tables, phase="p", name=None)
    with pytest.raises(ConfigError, match="no enabled universe with members"):
        resolved(platform, Scope())


def test_symbols_that_an_earlier_version_stored_are_planned_in_their_canonical_form(declare: Declare) -> None:
    platform = declare(ONE)
    members = [(symbol, "hk", None, None, None) for symbol in ("00700.HK", "0700.HK", "00005.HK")]
    facts = {"phase": "p", "market": "hk", "source_type": "static", "refreshed_at": platform.clock.now()}
    platform.state.universes.put(Universe("one", members=members, **facts))
    assert sorted(resolved(platform, Scope(universe="one"))) == ["0005.HK", "0700.HK"]


def test_a_backfill_includes_symbols_that_left_the_universe_since(declare: Declare, desk: Any) -> None:
    refresh(declare(ONE))
    desk.clock.at = datetime(2024, 2, 1, 23, tzinfo=UTC)
    platform = declare("one: {market: us, type: static, symbols: [AAA]}")
    refresh_universes(platform, platform.tables, phase=None, name=None)
    assert daily(platform, universe="one") == {"AAA"}
    for start, expected in (("2024-01-02", ("AAA", "BBB")), ("2024-02-01", ("AAA",))):
        assert resolved(platform, Scope(universe="one"), since=date.fromisoformat(start)) == expected
    plan = plan_backfill(platform, Scope(universe="one"), Window(date(2024, 1, 2), date(2024, 1, 31)), source="tape")
    assert len(plan.task_ids) == 2


def test_a_delisted_security_leaves_daily_updates_and_stays_in_backfills(desk: Any) -> None:
    record_delisting(desk, "BBB", date(2024, 1, 8), reason="bought", by="me")
    assert daily(desk.platform, symbols=("AAA", "BBB")) == {"AAA"}
    assert len(desk.backfill("AAA", "BBB").task_ids) == 2


def test_a_renamed_security_is_fetched_by_its_new_symbol(desk: Any) -> None:
    history = SecurityHistory(
        (Naming("x", "OLD", None, date(2024, 1, 5)), Naming("x", "CCC", date(2024, 1, 6), None)), "us", "a file"
    )
    import_into(desk, [history])
    assert daily(desk.platform, symbols=("AAA", "OLD", "CCC")) == {"AAA", "CCC"}


def test_a_manual_override_outlives_a_file_without_it(desk: Any) -> None:
    history = SecurityHistory(
        (Naming("us.BBB.20000103", "BBB", date(2000, 1, 3), None),), "us", "a map file", name="Bee"
    )
    assert import_into(desk, [history]).new == 1
    assert record_delisting(desk, "BBB", date(2024, 1, 8), reason="bought", by="me") == "us.BBB.20000103"
    assert import_into(desk, [history]).new == 0
    (row,) = desk.rows("instruments").to_dicts()
    assert (row["status"], row["delisted_on"], row["reason"]) == ("delisted", date(2024, 1, 8), "bought")
    assert (row["evidence"], row["name"]) == ("the word of me", "Bee")
    assert desk.rows("symbol_history")["symbol_to"].to_list() == [date(2024, 1, 8)]
    assert [r["status"] for r in desk.rows("instruments_revisions").to_dicts()] == ["listed"]


def test_the_same_import_again_commits_nothing(desk: Any) -> None:
    history = [SecurityHistory((Naming("x", "AAA", None, None),), "us", "a file")]
    import_into(desk, history)
    before = desk.versions()
    import_into(desk, history)
    assert desk.versions() == before


def test_a_contradiction_is_refused_whole(desk: Any) -> None:
    import_into(desk, [SecurityHistory((Naming("x", "AAA", None, None),), "us", "a file")])
    before = desk.versions()
    wrong = [
        SecurityHistory((Naming("new", "ZZZ", None, None),), "us", "b"),
        SecurityHistory(
            (Naming("y", "AAA", date(2020, 1, 2), None), Naming("y", "ZZZ", date(2000, 1, 3), date(2020, 1, 1))),
            "us",
            "b",
        ),
    ]
    with pytest.raises(ConfigError):
        import_into(desk, wrong)
    with pytest.raises(ConfigError, match="the reason is empty"):
        record_delisting(desk, "AAA", date(2024, 1, 8), reason=" ", by="me")
    assert desk.versions() == before
