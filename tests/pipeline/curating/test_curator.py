"""Work → curate: one commit per table, whatever interrupts a round; and what is final, late, corrected or missing."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

from quantx.core.model import Window
from quantx.core.tables import TABLES
from quantx.errors import ConfigError, LakeError, TransientProviderError
from quantx.lake.store import open_location
from quantx.pipeline.curating.derive import current_rows
from quantx.pipeline.reporting.manifest import manifest_of
from quantx.pipeline.reporting.status import status_of
from quantx.pipeline.runtime.platform import open_platform
from quantx.pipeline.runtime.roles import tables_of
from quantx.pipeline.wiring import curator_of, worker_of

from ..conftest import Dies, DyingTable

D09, D10, D11, D12, D16 = (date(2024, 1, day) for day in (9, 10, 11, 12, 16))


class DyingRounds:
    """Rounds at whose end the process dies before it is recorded."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def finish(self, *arguments: Any) -> None:
        raise Dies


def _two_rounds_of_changes(desk: Any) -> None:
    """A history that is curated; then a correction, a dividend that is corrected, a split, a row that is impossible.

    The vendor's adjusted closes lack the dividend first, and have it then.
    """
    desk.tape.pays["AAA"] = [(D10, "dividend", 1.0, None)]
    desk.tape.adjusts["AAA"] = closes = {day: bar[3] for day, bar in desk.tape.shows["AAA"].items()}
    desk.work(desk.backfill("AAA", "BBB"))
    desk.clock.goes_to(D16)
    desk.tape.shows["AAA"][D11] = (50.0, 51.0, 49.0, 50.5, 2000.0)
    desk.tape.shows["BBB"][D12] = (5.0, 1.0, 9.0, 5.0, 1.0)
    desk.tape.pays["AAA"] = [(D10, "dividend", 1.25, None), (D16, "split", 2.0, None)]
    before = closes[D09]
    closes[D11] = 50.5
    for day, close in closes.items():
        closes[day] = close * (0.5 if day < D16 else 1.0) * (1 - 1.25 / before if day < D10 else 1.0)


def _contents(desk: Any) -> dict[str, list[Any]]:
    """Everything but the ids of raw objects."""
    return {name: desk.rows(name).drop("raw", strict=False).sort(pl.all()).rows() for name in TABLES} | {
        "series": [
            (s["symbol"], s["covered"], s["nothing"], s["watermark"], s["first_session"])
            for s in desk.sql(
                "select *, covered::text as covered, nothing::text as nothing from series order by symbol"
            )
        ],
        "hot": [
            (h["symbol"], h["date"], h["close"], h["known_from"])
            for h in desk.sql("select * from hot_bars order by symbol, date")
        ],
        "tasks": [(t["symbol"], t["state"]) for t in desk.sql("select * from tasks order by id")],
        "findings": [
            (f["rule"], f["subject"], f["first_day"], f["status"]) for f in desk.sql("select * from findings")
        ],
    }


@pytest.fixture(scope="module")
def undisturbed(open_desk: Any, new_database: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    with new_database() as database:
        return _undisturbed(open_desk(database, tmp_path_factory.mktemp("undisturbed")))


def _undisturbed(desk: Any) -> dict[str, list[Any]]:
    _two_rounds_of_changes(desk)
    desk.work(desk.daily("AAA", "BBB"))
    contents = _contents(desk)
    assert len(contents["bars_1d_revisions"]) == 1
    assert len(contents["actions_revisions"]) == 1
    assert len(contents["quarantine"]) == 1
    assert len(contents["actions"]) == 2
    assert [(row[2], row[5]) for row in contents["adjustment_proofs"]] == [(D10, "agree"), (D16, "agree")]
    assert [row[5] for row in contents["adjustment_proofs_revisions"]] == ["not_applied"]
    assert contents["findings"] == [("adjustment_agrees", "AAA", D10, "resolved")]
    return contents


STEPS = [
    (name, after)
    for name in (
        *("bars_1d_revisions", "bars_1d", "actions_revisions", "actions"),
        *("adjustment_proofs_revisions", "adjustment_proofs", "quarantine"),
    )
    for after in (False, True)
]


@pytest.mark.parametrize(("table", "after"), STEPS, ids=[f"{'after' if a else 'before'} {t}" for t, a in STEPS])
def test_a_round_interrupted_at_a_commit_is_repeated_to_the_same_tables(
    table: str, after: bool, undisturbed: dict[str, list[Any]], desk: Any
) -> None:
    _two_rounds_of_changes(desk)
    tables = {**desk.platform.tables, table: DyingTable(desk.platform.tables[table], after=after)}
    plan = desk.daily("AAA", "BBB")
    with pytest.raises(Dies):
        desk.work(plan, desk.with_(tables=tables))
    desk.work(plan)
    assert _contents(desk) == undisturbed


def test_a_round_interrupted_before_the_state_is_written(undisturbed: dict[str, list[Any]], desk: Any) -> None:
    _two_rounds_of_changes(desk)
    plan = desk.daily("AAA", "BBB")
    with pytest.raises(Dies):
        desk.work(plan, desk.with_state(rounds=DyingRounds(desk.platform.state.rounds)))
    versions = desk.versions()
    assert desk.rows("quarantine").height == 1
    desk.work(plan)
    assert _contents(desk) == undisturbed
    own = tables_of("curator", desk.platform.tables)  # sealed once, as the role of the dead one has not ended
    assert desk.versions() == {n: v if v is None or n not in own else v + 1 for n, v in versions.items()}
    assert desk.sql(
        "select sum(rows_new)::int as n, sum(rows_changed)::int as c from tasks where run_id = %s", plan.run_id
    ) == [{"n": 2, "c": 1}]


def test_each_table_gets_one_commit_per_round(desk: Any) -> None:
    desk.work(desk.backfill("AAA", "BBB", "CCC"))
    assert desk.versions()["bars_1d"] == 1  # 0 creates it
    desk.clock.goes_to(D16)
    desk.work(desk.daily("AAA", "BBB", "CCC"))
    assert desk.versions()["bars_1d"] == 2


@pytest.mark.parametrize(
    ("replies", "size", "left", "begins"),
    [
        (223, 6_000_000, 10_000, True),  # a third of a round
        (500, 500_000, 10_000, True),
        (222, 5_999_999, 223, False),
        (222, 5_999_999, 222, True),  # no more is to be fetched than waits
        (40, 999_999, 1, False),  # too little for a commit of its own
        (0, 0, 0, False),
    ],
)
def test_a_round_begins_beside_the_fetching_where_it_is_worth_a_commit(
    replies: int, size: int, left: int, begins: bool, desk: Any
) -> None:
    class Waiting:
        def waiting(self) -> tuple[int, int]:
            return replies, size

    taken = []

    def role() -> Any:
        taken.append(True)
        return contextlib.nullcontext()  # another process has it

    curator = replace(
        curator_of(desk.platform),
        rounds=cast(Any, Waiting()),
        role=role,
        few_left=lambda most: left <= most,
        round_bytes=18_000_000,
        round_replies=1500,
    )
    curator.curate(everything=False)
    assert bool(taken) is begins


def test_one_process_at_a_time_has_the_role(desk: Any) -> None:
    holds, free = threading.Event(), threading.Event()

    def curator() -> None:
        with desk.platform.state.exclusive("curator") as mine:
            assert mine
            holds.set()
            free.wait(10)

    thread = threading.Thread(target=curator)
    thread.start()
    assert holds.wait(10)
    plan = desk.backfill("AAA")
    waiting = threading.Thread(target=lambda: desk.work(plan))
    waiting.start()
    for _ in range(100):
        if desk.task("AAA")["state"] == "landed":
            break
        time.sleep(0.05)
    time.sleep(0.5)
    assert curator_of(desk.platform).curate(everything=True) == 0
    assert desk.task("AAA")["state"] == "landed"
    free.set()
    waiting.join(30)
    assert desk.task("AAA")["state"] == "done"


def test_two_curators_at_once_make_the_same_tables(desk: Any) -> None:
    for symbol in ("AAA", "BBB", "CCC", "DDD"):
        desk.backfill(symbol)
    threads = [threading.Thread(target=desk.work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert desk.rows().group_by("symbol").len()["len"].to_list() == [9, 9, 9, 9]
    assert not desk.rows().select("symbol", "date").is_duplicated().any()


# ---------------------------------------------------------------------------------------------- what is final, and when


def test_a_running_session_is_held_back_until_it_has_settled(desk: Any) -> None:
    desk.work(desk.backfill("AAA", end="2024-01-11"))
    desk.clock.at = datetime(2024, 1, 12, 21, 15, tzinfo=UTC)  # a quarter of an hour after the close
    desk.work(desk.backfill("AAA", start="2024-01-02", end="2024-01-12"))
    assert desk.daily("AAA").task_ids == ()
    assert desk.rows()["date"].max() == D11
    desk.clock.at = datetime(2024, 1, 12, 21, 31, tzinfo=UTC)
    desk.work(desk.daily("AAA"))
    assert desk.rows()["date"].max() == D12
    assert desk.rows("quarantine").is_empty()
    assert desk.rows("bars_1d_revisions").is_empty()


def test_a_bar_of_a_running_session_in_the_reply_is_neither_stored_nor_rejected(desk: Any) -> None:
    """The plan was made after the close by our clock; the reply's time is earlier."""
    plan = desk.backfill("AAA")
    desk.clock.at = datetime(2024, 1, 12, 20, 0, tzinfo=UTC)
    desk.work(plan)
    assert desk.rows()["date"].max() == D11
    assert desk.rows("quarantine").is_empty()
    assert desk.series("AAA")["covered"] == "{[2024-01-02,2024-01-12)}"
    desk.clock.goes_to(D12)
    desk.work(desk.backfill("AAA"))
    assert desk.rows()["date"].max() == D12


def test_late_rows_are_asked_again_and_old_gaps_are_not(desk: Any) -> None:
    """The vendor's last two sessions are null rows at first."""
    full = dict(desk.tape.shows["AAA"])
    for day in (D11, D12):
        desk.tape.shows["AAA"][day] = (None,) * 5
    desk.work(desk.backfill("AAA"))
    assert desk.rows()["date"].max() == D10
    assert desk.series("AAA")["watermark"] == D10
    desk.clock.at += timedelta(hours=2)
    again = desk.backfill("AAA")
    assert len(again.task_ids) == 1
    desk.tape.shows["AAA"] = full
    desk.work(again)
    assert desk.tape.asked[-1][1].start == D11
    assert desk.rows()["date"].max() == D12
    assert desk.backfill("AAA").task_ids == ()


def test_a_late_vendor_is_left_alone_for_an_hour_but_not_about_older_history(desk: Any) -> None:
    for day in (D11, D12):
        desk.tape.shows["AAA"][day] = (None,) * 5
    desk.work(desk.backfill("AAA", start="2024-01-08"))
    desk.clock.at += timedelta(minutes=50)
    assert desk.backfill("AAA", start="2024-01-08").task_ids == ()
    desk.work(desk.backfill("AAA"))
    assert desk.tape.asked[-1] == ("AAA", Window(date(2024, 1, 2), date(2024, 1, 5)))
    desk.clock.at += timedelta(minutes=70)
    assert len(desk.backfill("AAA").task_ids) == 1


def test_what_the_vendor_does_not_have_is_remembered(desk: Any) -> None:
    desk.tape.shows["NEW"] = {D11: (1.0, 1.0, 1.0, 1.0, 1.0), D12: (1.0, 1.0, 1.0, 1.0, 1.0)}
    desk.tape.shows["OLD"] = {date(2023, 6, 1): (1.0, 1.0, 1.0, 1.0, 1.0)}
    desk.work(desk.backfill("NEW", "OLD", start="2023-01-03", end="2023-12-29"))
    assert desk.series("NEW")["nothing"] == "{[2023-01-03,2023-12-30)}"
    assert desk.series("OLD")["nothing"] == "{[2023-01-03,2023-06-01),[2023-06-02,2023-12-30)}"
    assert desk.backfill("NEW", "OLD", start="2023-01-03", end="2023-12-29").skipped == 2
    assert len(desk.tape.asked) == 2


def test_the_watermark_never_goes_back(desk: Any) -> None:
    desk.work(desk.backfill("AAA"))
    desk.work(desk.backfill("AAA", start="2023-12-01", end="2023-12-29"))
    assert desk.series("AAA")["watermark"] == D12


def test_a_daily_run_and_a_backfill_of_the_same_symbol_unite(desk: Any) -> None:
    desk.backfill("AAA")
    desk.daily("AAA")
    desk.work()
    assert len(desk.tape.asked) == 2
    assert desk.rows()["date"].to_list() == sorted(d for d in desk.tape.shows["AAA"] if d <= D12)
    assert desk.rows("bars_1d_revisions").is_empty()


def test_a_vendor_that_drops_rows_loses_none_of_ours(desk: Any) -> None:
    desk.work(desk.backfill("AAA"))
    desk.tape.shows["AAA"] = {D16: (1.0, 1.0, 1.0, 1.0, 1.0)}
    desk.clock.goes_to(D16)
    desk.work(desk.daily("AAA"))
    assert desk.rows().height == 10


def test_a_correction_is_a_revision_with_both_times(desk: Any) -> None:
    desk.work(desk.backfill("AAA"))
    first, old = desk.clock.at, desk.rows().filter(date=D11)["close"].item()
    desk.tape.shows["AAA"][D11] = (50.0, 51.0, 49.0, 50.5, 2000.0)
    desk.clock.goes_to(D16)
    desk.work(desk.daily("AAA"))
    revised = desk.rows("bars_1d_revisions")
    assert revised.select("date", "close", "known_from", "known_to").rows() == [(D11, old, first, desk.clock.at)]
    assert desk.rows().filter(date=D11).select("close", "known_from").rows() == [(50.5, desk.clock.at)]
    assert desk.task("AAA")["rows_changed"] == 1


def test_float_noise_is_no_revision(desk: Any) -> None:
    desk.work(desk.backfill("AAA"))
    for day, bar in desk.tape.shows["AAA"].items():
        desk.tape.shows["AAA"][day] = tuple(v * (1 + 1e-7) if v else v for v in bar)
    desk.clock.goes_to(D16)
    desk.work(desk.daily("AAA"))
    assert desk.rows("bars_1d_revisions").is_empty()
    assert desk.task("AAA")["rows_same"] == 5


def test_as_traded_prices_and_dividends_stay_as_they_came(desk: Any) -> None:
    """Two dividends of a day add up; their reference is the close before, in the shares of the ex-date."""
    desk.tape.pays["AAA"] = [
        (D10, "dividend", 1.0, None),
        (D10, "dividend", 0.5, None),
        (D11, "split", 2.0, None),
        (D11, "dividend", 0.25, None),
        (D12, "dividend", 9.0, "EUR"),
    ]
    desk.work(desk.backfill("AAA"))
    before = {d: bar[3] for d, bar in desk.tape.shows["AAA"].items()}
    assert desk.rows("actions").select("ex_date", "kind", "value", "reference_close", "currency").rows() == [
        (D10, "dividend", 1.5, before[date(2024, 1, 9)], "USD"),
        (D11, "dividend", 0.25, before[D10] / 2, "USD"),
        (D11, "split", 2.0, None, "USD"),
        (D12, "foreign_dividend", 9.0, None, "EUR"),
    ]
    assert dict(desk.rows().select("date", "close").iter_rows()) == {d: c for d, c in before.items() if d <= D12}


def test_rejected_rows_are_explained_once(desk: Any) -> None:
    bad = {
        date(2024, 1, 3): ((1.0, 0.5, 0.4, 1.0, 1.0), "high_is_highest,open_in_range"),
        date(2024, 1, 4): ((-1.0, 1.0, -2.0, 1.0, 1.0), "prices_positive"),
        date(2024, 1, 5): ((1.0, 1.0, 1.0, 1.0, -5.0), "volume_valid"),
        date(2024, 1, 6): ((1.0, 1.0, 1.0, 1.0, 1.0), "session_of_calendar"),  # a Saturday
        date(2024, 1, 8): ((None, 1.0, 1.0, 1.0, 1.0), "prices_present"),
        date(2024, 1, 9): ((1.0, 1.0, 1.0, 1.0, 1e20), "volume_valid"),
    }
    desk.tape.shows["AAA"].update({day: row for day, (row, _) in bad.items()})
    desk.work(desk.backfill("AAA"))
    rejected = desk.rows("quarantine")
    assert dict(rejected.select("date", "rules").iter_rows()) == {day: rule for day, (_, rule) in bad.items()}
    assert rejected["payload_sha256"].n_unique() == 1
    assert not set(desk.rows()["date"]) & set(bad)
    assert desk.task("AAA")["rows_rejected"] == len(bad)
    desk.clock.goes_to(D16)
    desk.work(desk.daily("AAA", lookback=20))
    assert desk.rows("quarantine").height == len(bad)


def test_hot_bars_are_the_recent_sessions(desk: Any) -> None:
    desk.clock.goes_to(date(2024, 3, 28))
    desk.work(desk.backfill("AAA", end="2024-03-28"))
    hot = desk.sql("select date, close from hot_bars where symbol = 'AAA' order by date")
    assert hot[-1]["date"] == date(2024, 3, 28)
    assert 28 <= len(hot) <= 33
    ours = dict(desk.rows().select("date", "close").iter_rows())
    assert all(ours[row["date"]] == row["close"] for row in hot)


@pytest.mark.parametrize("left", [*range(0, 100, 10), None])
def test_a_damaged_or_missing_raw_object_is_quarantined_and_asked_for_again(left: int | None, desk: Any) -> None:
    plan = desk.backfill("AAA")
    bars = DyingTable(desk.platform.tables["bars_1d"], after=False)
    broken = desk.with_(tables={**desk.platform.tables, "bars_1d": bars})
    with pytest.raises(Dies):
        desk.work(plan, broken)
    (raw,) = Path(desk.platform.location.url.removeprefix("file://")).rglob("raw/**/*.parquet")
    if left is None:
        raw.unlink()
    else:
        raw.write_bytes(raw.read_bytes()[: raw.stat().st_size * left // 100])
    curator_of(desk.platform).curate(everything=True)
    assert desk.rows().is_empty()
    assert (desk.task("AAA")["state"], desk.task("AAA")["attempts"]) == ("pending", 1)
    (rejected,) = desk.rows("quarantine").iter_rows(named=True)
    assert (rejected["rules"], rejected["raw"]) == ("raw_object_readable", raw.stem)
    desk.work(plan)
    assert desk.task("AAA")["state"] == "done"
    assert desk.rows().height == 9
    assert len(desk.tape.asked) == 2


def test_files_stay_few(desk: Any) -> None:
    """Many updates leave fewer files than updates, and the same rows."""
    desk.clock.goes_to(date(2024, 2, 16))
    days = sorted(d for d in desk.tape.shows["AAA"] if d <= date(2024, 2, 9))
    for day in days:
        desk.work(desk.backfill("AAA", start=str(day), end=str(day)))
    assert len(days) == 28
    assert desk.platform.tables["bars_1d"].facts()["files"] < 10
    assert desk.rows()["date"].to_list() == days


# ------------------------------------------------------------------------------------------------- looking at the whole


def test_status_and_manifest_tell_what_happened(desk: Any) -> None:
    desk.tape.answers["BBB"] = [TransientProviderError("502")] * 2
    desk.work(desk.backfill("AAA", "BBB"))
    platform = desk.platform
    status = status_of(platform.state, platform.queue.depth(), platform.location.url, platform.clock.now())
    assert status["tasks"] == {"pending": 0, "leased": 0, "landed": 0, "done": 1, "failed": 1, "dead": 1}
    assert status["queue"]["total"] == 0
    assert status["runs"][0]["failed"] == 1
    manifest = manifest_of(platform.tables, platform.state.series, platform.state.gaps, platform.location.url)
    series = {s["symbol"]: s for s in manifest["series"]}
    assert (series["AAA"]["first"], series["AAA"]["last"], series["AAA"]["rows"]) == (date(2024, 1, 2), D12, 9)
    assert series["BBB"]["last_error"] == "502"


def test_a_state_belongs_to_its_lake(migrated_database_url: str, tmp_path: Any) -> None:
    from quantx.settings import load_settings

    one, two = (load_settings(lake_url=str(tmp_path / n), state_url=migrated_database_url) for n in ("one", "two"))
    for _ in range(2):
        with open_platform(one):
            pass
    with pytest.raises(ConfigError, match="there is no lake in"), open_platform(two):
        pass
    open_location(two.lake_url).put("meta/lake_id", b"another")
    with pytest.raises(ConfigError, match="belongs to another lake"), open_platform(two):
        pass


def test_of_two_rows_for_a_session_the_last_one_with_prices_is_kept(desk: Any) -> None:
    final = (110.0, 112.0, 109.0, 111.0, 1000.0)
    running = (110.0, 111.0, 109.0, 110.5, 400.0)
    rows = [["2024-01-10", *running], ["2024-01-10", *final], ["2024-01-10", None, None, None, None, None]]
    others = [["2024-01-09", *final], ["2024-01-11", *final]]
    desk.tape.answers["AAA"] = [json.dumps({"bars": [others[0], *rows, others[1]], "actions": []}).encode()]
    desk.work(desk.backfill("AAA", "BBB"))
    mine = desk.rows().filter(pl.col("symbol") == "AAA")
    assert mine.select("open", "high", "low", "close", "volume").rows() == [(110.0, 112.0, 109.0, 111.0, 1000)] * 3
    assert desk.rows().filter(pl.col("symbol") == "BBB").height == 9
    assert sorted(desk.rows("quarantine")["rules"]) == [
        "one_row_per_session",
        "prices_present,volume_valid,one_row_per_session",
    ]


def test_a_symbol_with_old_bars_does_not_open_the_years_of_the_others(desk: Any) -> None:
    desk.tape.trades("AAA", date(2022, 1, 3), date(2024, 1, 12))
    desk.work(desk.backfill("AAA", "BBB", start="2022-01-03"))
    incoming = desk.rows().filter(
        ((pl.col("symbol") == "AAA") & (pl.col("date") == date(2022, 1, 4)))
        | ((pl.col("symbol") == "BBB") & (pl.col("date") == D10))
    )
    found = current_rows(desk.platform.tables["bars_1d"], incoming)
    assert found.select("symbol", "date").sort("symbol").rows() == [("AAA", date(2022, 1, 4)), ("BBB", D10)]


def test_a_damaged_table_is_a_clear_error(desk: Any) -> None:
    desk.work(desk.backfill("AAA"))
    table = desk.platform.tables["bars_1d"]
    for file in Path(table.url).rglob("source=*/**/*.parquet"):
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(LakeError, match=r"has 100 bytes, not .*`quantx verify --repair` repairs it"):
        table.read()


def test_evidence_and_the_good_reply_of_one_task_in_one_round_are_told_apart(desk: Any) -> None:
    desk.tape.answers["AAA"] = [b"<html>not today</html>"]
    desk.backfill("AAA")
    with desk.platform.state.exclusive("curator") as mine:  # no curator runs before both replies have landed
        assert mine is not None
        worker_of(desk.platform).run(time_budget=4)
    assert [row["n"] for row in desk.sql("select count(*) as n from landings")] == [2]
    desk.work()
    assert (desk.task("AAA")["state"], desk.task("AAA")["error_class"]) == ("done", None)
    assert desk.rows().height == 9
    assert desk.rows("quarantine").select("rules", "row").rows() == [("payload_readable", "the tape is torn")]
