"""Reprocessing from raw: the same rows where nothing has changed, and exactly the right ones where a rule has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.model import Payload, Series, StoredReply, Window
from quantx.core.prices import PRICES
from quantx.core.quality import POLICY_VERSION
from quantx.core.quality.daily_rules import DAILY_RULES
from quantx.core.quality.policy import Policy
from quantx.core.quality.rule import Rule
from quantx.core.tables import BARS_1D, QUARANTINE
from quantx.errors import Busy
from quantx.lake.protocol import CommitContext
from quantx.lake.raw import RawPage, list_raw, raw_path, read_pages, write_batch
from quantx.pipeline.curating.derive import derived_tables
from quantx.reader.lake import Lake
from quantx.state.database import Database

from ..conftest import Dies, DyingTable, reprocess

D = {day: date(2024, 1, day) for day in range(2, 32)}
CHEAP = Rule(
    "not_cheap",
    "reject",
    "bars_1d",
    meaning="the close is at least 105",
    why="a test wants a rule",
    reference="this test",
    broken=pl.col("close") < 105,
)
LENIENT = Policy(POLICY_VERSION + 1, [rule for rule in DAILY_RULES if rule.id != "open_in_range"])
STRICT = Policy(POLICY_VERSION + 2, (*DAILY_RULES, CHEAP))
OTHER = Policy(POLICY_VERSION + 3, (*LENIENT.daily, CHEAP))
NEXT = "01" + "Z" * 24  # a ULID after all others


def grow(desk: Any, policy: Policy | None = None) -> None:
    """Three days of work: corrections, a bad row that is corrected and one that is not, events, an unreadable reply."""
    platform = desk.with_(policy=policy) if policy else desk.platform
    desk.tape.pays["AAA"] = [(D[10], "dividend", 1.0, None)]
    desk.tape.shows["AAA"][D[9]] = (50.0, 1.0, 99.0, 50.0, 10.0)  # breaks the rules until the 16th
    desk.tape.shows["BBB"][D[5]] = (106.0, 105.75, 104.0, 105.5, 10.0)  # its high is too low, for ever
    desk.work(desk.backfill("AAA", "BBB", "CCC"), platform)
    desk.clock.goes_to(D[16])
    desk.tape.shows["AAA"][D[9]] = (109.0, 110.0, 108.0, 109.5, 1000.0)
    desk.tape.shows["AAA"][D[11]] = (110.0, 112.0, 109.0, 111.0, 2000.0)
    desk.tape.shows["BBB"][D[12]] = (115.0, 114.0, 111.0, 113.0, 1.0)  # it breaks a rule from the 16th to the 17th
    desk.tape.answers["CCC"] = [b"<html>not today</html>"]
    desk.work(desk.daily("AAA", "BBB", "CCC", lookback=9), platform)
    desk.clock.goes_to(D[17])
    desk.tape.pays["AAA"] = [(D[10], "dividend", 1.25, None), (D[16], "split", 2.0, None)]
    desk.tape.shows["BBB"][D[12]] = (112.0, 113.0, 111.0, 112.5, 1000.0)
    desk.work(desk.daily("AAA", "BBB", "CCC", lookback=9), platform)


def contents(desk: Any) -> dict[str, Any]:
    """What readers can see, and what the state knows of the series."""
    found: dict[str, Any] = {}
    for table in derived_tables():
        rows = desk.rows(table.name)
        if "known_to" in rows.columns:  # an empty period is seen at no moment
            rows = rows.filter(pl.col("known_to") > pl.col("known_from"))
        if table is QUARANTINE:
            rows = rows.filter(pl.col("passed").is_null()).drop("policy")
        found[table.name] = rows.sort(pl.all()).rows()
    found["series"] = [
        (s["symbol"], s["covered"], s["nothing"], s["first_session"], s["watermark"], s["asked_through"])
        for s in desk.sql("select *, covered::text as covered, nothing::text as nothing from series order by symbol")
    ]
    hot = "select source, symbol, date, open, high, low, close, volume, known_from from hot_bars order by symbol, date"
    found["hot"] = [tuple(row.values()) for row in desk.sql(hot)]
    return found


def without_raw(found: dict[str, Any]) -> dict[str, Any]:
    """The same of a lake with other raw objects."""
    places = {
        t.name: list(t.schema if t is not QUARANTINE else [c for c in t.schema if c not in ("policy",)])
        for t in derived_tables()
    }
    return {
        name: sorted((tuple(v for c, v in zip(places[name], row, strict=True) if c != "raw") for row in rows), key=repr)
        if name in places
        else rows
        for name, rows in found.items()
    }


@pytest.fixture(scope="module")
def grown(
    open_desk: Any,
    new_database: Callable[[], AbstractContextManager[Database]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Policy | None], Any]]:
    """Lakes that grew under given rules from the start; tests do not change them."""
    made: dict[int, Any] = {}
    contexts: list[AbstractContextManager[Database]] = []

    def make(policy: Policy | None) -> Any:
        key = policy.version if policy else 0
        if key not in made:
            contexts.append(new_database())
            desk = open_desk(contexts[-1].__enter__(), tmp_path_factory.mktemp("grown") / "lake")
            grow(desk, policy)
            made[key] = without_raw(contents(desk))
        return made[key]

    yield make
    for context in contexts:
        context.__exit__(None, None, None)


@pytest.fixture
def old(desk: Any) -> Any:
    """A lake that grew under the rules of this program."""
    grow(desk)
    assert desk.rows("bars_1d_revisions").height == 1
    assert desk.rows("actions_revisions").height == 2
    assert sorted(desk.rows("quarantine")["symbol"]) == ["AAA", "BBB", "BBB", "CCC"]
    return desk


# -------------------------------------------------------------------------------------------------- nothing has changed


def test_nothing_is_committed_where_nothing_has_changed(old: Any) -> None:
    before, versions = contents(old), old.versions()
    done = reprocess(old.platform)
    assert (done.commits, done.rows, done.left, done.mute) == (0, 0, {}, {})
    assert (done.symbols, done.replies) == (3, 10)
    assert old.versions() == versions
    assert contents(old) == before


def test_from_scratch_the_raw_zone_alone_gives_the_same_rows(
    old: Any, another_desk: Any, fresh_database: Database
) -> None:
    desk = another_desk(fresh_database, "scratch")
    shutil.copytree(
        Path(old.platform.tables["bars_1d"].url).parents[1] / "raw", Path(desk.platform.settings.lake_url) / "raw"
    )
    done = reprocess(desk.platform)
    assert (done.left, done.mute, done.replies) == ({}, {}, 10)
    assert contents(desk) == contents(old)
    assert reprocess(desk.platform).commits == 0


def test_a_part_is_derived_alone(old: Any) -> None:
    done = reprocess(replace(old.platform, policy=LENIENT), ["AAA"])
    assert (done.symbols, done.tables["bars_1d"]["new"] + done.tables["bars_1d"]["changed"], done.touched) == (
        1,
        0,
        set(),
    )
    assert reprocess(replace(old.platform, policy=LENIENT)).touched == {("tape", "BBB")}
    assert reprocess(old.platform, source="nobody").symbols == 0
    assert reprocess(old.platform, ["ZZZ"]).left == {("any source", "ZZZ"): "the raw zone has no reply about it"}


# --------------------------------------------------------------------------------------------------- rules have changed


@pytest.mark.parametrize("policy", [LENIENT, STRICT, OTHER], ids=["one rule less", "one more", "one less and one more"])
def test_the_tables_become_what_they_would_be_had_the_rules_been_there_from_the_start(
    policy: Policy, old: Any, grown: Any
) -> None:
    done = reprocess(replace(old.platform, policy=policy))
    assert done.commits > 0
    assert without_raw(contents(old)) == grown(policy)
    versions = old.versions()
    assert reprocess(replace(old.platform, policy=policy)).commits == 0
    assert old.versions() == versions
    assert reprocess(old.platform).commits > 0
    assert without_raw(contents(old)) == grown(None)


def test_it_says_what_has_changed(old: Any) -> None:
    done = reprocess(replace(old.platform, policy=OTHER))
    assert done.tables["bars_1d"] == {"new": 1, "changed": 1, "gone": 9}
    # Of AAA on the 9th another rule is broken still; the cheap rows are the first three of each symbol, and that one.
    assert done.rules == {"open_in_range": {"rejected": 0, "passed": 3}, "not_cheap": {"rejected": 10, "passed": 0}}
    shown = {(e["what"], e["symbol"], e["date"]): e for e in done.examples}
    bar = shown["new", "BBB", D[5]]
    assert (bar["table"], bar["before"], bar["after"]["high"]) == ("bars_1d", None, 105.75)
    assert shown["gone", "AAA", D[2]]["before"]["close"] == 102.5
    assert done.as_facts()["left"] == []


def test_a_dry_run_says_the_same_and_changes_nothing(old: Any) -> None:
    before, versions = contents(old), old.versions()
    platform = replace(old.platform, policy=OTHER)
    dry = reprocess(platform, dry_run=True)
    assert (old.versions(), contents(old)) == (versions, before)
    done = reprocess(platform)
    assert (dry.tables, dry.rules, dry.examples) == (done.tables, done.rules, done.examples)
    assert (dry.commits, done.commits > 0) == (0, True)


def test_at_each_moment_readers_see_what_todays_rules_would_have_let_them_see(old: Any) -> None:
    lake = Lake(old.platform.location)
    known = [datetime(2024, 1, day, 23, tzinfo=UTC) for day in (12, 16, 17)]

    def close(moment: datetime) -> list[float]:
        rows = lake.bars("BBB", D[12], D[12], as_of=moment)
        return rows["close"].to_list()

    assert [close(at) for at in known] == [[112.5]] * 3
    reprocess(replace(old.platform, policy=LENIENT))
    assert [close(at) for at in known] == [[112.5], [113.0], [112.5]]
    reprocess(old.platform)
    assert [close(at) for at in known] == [[112.5]] * 3


def test_what_was_believed_under_other_rules_stays_on_record(old: Any) -> None:
    reprocess(replace(old.platform, policy=STRICT))
    gone = old.rows("bars_1d_revisions").filter(pl.col("known_to") == pl.col("known_from"))
    assert set(gone.filter(symbol="AAA")["date"]) == {D[2], D[3], D[4]}
    reprocess(old.platform)
    reprocess(replace(old.platform, policy=STRICT))
    again = old.rows("bars_1d_revisions").filter(pl.col("known_to") == pl.col("known_from"))
    assert again.sort(pl.all()).equals(gone.sort(pl.all()))


def test_a_mended_adapter_changes_values_also_those_that_were_replaced(old: Any) -> None:
    class Mended(type(old.tape)):  # type: ignore[misc]
        """The adapter, which has taken dollars for half dollars."""

        def normalize(self, payload: Payload) -> Any:
            read = super().normalize(payload)
            return replace(read, bars=read.bars.with_columns(pl.col(c) * 2 for c in PRICES))

    lake, before = Lake(old.platform.location), contents(old)
    known = [datetime(2024, 1, day, 23, tzinfo=UTC) for day in (12, 16)]

    def closes() -> list[list[float]]:
        return [lake.bars("AAA", D[11], D[11], as_of=at)["close"].to_list() for at in known]

    assert closes() == [[111.5], [111.0]]
    mended = replace(old.platform, providers={"tape": Mended(old.clock)})
    done = reprocess(mended)
    assert done.tables["bars_1d"] == {"new": 0, "changed": 32, "gone": 0}  # all but the one that is rejected for ever
    assert closes() == [[223.0], [222.0]]
    record = old.rows("bars_1d_revisions").filter(symbol="AAA", date=D[11]).sort("known_from", "known_to", "close")
    assert [(r["close"], r["known_to"] > r["known_from"]) for r in record.to_dicts()] == [
        (111.5, False),
        (223.0, True),
        (111.0, False),
    ]
    assert reprocess(mended).commits == 0
    reprocess(old.platform)
    assert (closes(), contents(old)) == ([[111.5], [111.0]], before)
    reprocess(mended)
    reprocess(old.platform)
    assert not old.rows("bars_1d_revisions").is_duplicated().any()
    assert reprocess(old.platform).commits == 0


def test_a_row_that_passes_stays_in_quarantine_with_the_policy_that_let_it(old: Any) -> None:
    reprocess(replace(old.platform, policy=LENIENT))
    rows = old.rows("quarantine").select("symbol", "date", "policy", "passed").rows()
    assert ("BBB", D[5], POLICY_VERSION, LENIENT.version) in rows
    assert ("AAA", D[9], POLICY_VERSION, None) not in rows  # it breaks low_is_lowest still, which is told anew
    assert ("AAA", D[9], LENIENT.version, None) in rows
    old.clock.goes_to(D[18])
    old.work(old.daily("BBB", lookback=15))  # under the rules of before: rejected again, once
    rows = old.rows("quarantine").filter(symbol="BBB", date=D[5])
    assert rows.select("policy", "passed").rows() == [(POLICY_VERSION, None)]


# ---------------------------------------------------------------------------------------------- kills and other workers


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("table", ["bars_1d_revisions", "bars_1d", "quarantine"])
def test_a_kill_between_commits_is_repeated_to_the_same_tables(table: str, after: bool, old: Any, grown: Any) -> None:
    tables = {**old.platform.tables, table: DyingTable(old.platform.tables[table], after=after)}
    with pytest.raises(Dies):
        reprocess(old.with_(tables=tables, policy=OTHER))
    reprocess(replace(old.platform, policy=OTHER))
    assert without_raw(contents(old)) == grown(OTHER)
    revisions = old.rows("bars_1d_revisions")
    assert not revisions.is_duplicated().any()


def test_a_round_that_was_interrupted_is_finished_first(desk: Any, another_desk: Any, fresh_database: Database) -> None:
    tables = {**desk.platform.tables, "quarantine": DyingTable(desk.platform.tables["quarantine"], after=False)}
    desk.tape.shows["AAA"][D[9]] = (50.0, 1.0, 99.0, 50.0, 10.0)
    with pytest.raises(Dies):
        desk.work(desk.backfill("AAA"), desk.with_(tables=tables))
    assert reprocess(replace(desk.platform, policy=STRICT)).tables["bars_1d"]["gone"] == 3
    assert desk.task("AAA")["state"] == "done"
    other = another_desk(fresh_database, "other")
    other.tape.shows["AAA"][D[9]] = (50.0, 1.0, 99.0, 50.0, 10.0)
    other.work(other.backfill("AAA"), other.with_(policy=STRICT))
    assert without_raw(contents(desk)) == without_raw(contents(other))


def test_it_waits_for_nobody(old: Any) -> None:
    with old.platform.state.exclusive("curator") as mine:
        assert mine is not None
        with pytest.raises(Busy, match="another process is curating"):
            reprocess(old.platform)


def test_what_has_landed_since_is_left_for_the_curator(old: Any) -> None:
    old.clock.goes_to(D[18])
    with old.platform.state.exclusive("curator") as mine:
        assert mine is not None
        from quantx.pipeline.wiring import worker_of

        old.daily("AAA")
        worker_of(old.platform).run(time_budget=3)
    assert old.task("AAA")["state"] == "landed"
    assert reprocess(old.platform).commits == 0
    old.work()
    assert old.rows().filter(symbol="AAA")["date"].max() == D[18]
    assert reprocess(old.platform).commits == 0


# ----------------------------------------------------------------------------------------- raw objects without a footer


def test_a_reply_that_never_landed_is_not_used(old: Any) -> None:
    """Its worker lost the task or died before it was recorded, and the vendor was asked again."""
    (run,) = old.sql("select run_id from tasks order by id limit 1")
    body = json.dumps({"bars": [["2024-01-08", 1.0, 1.0, 1.0, 1.0, 1.0]], "actions": []}).encode()
    payload = Payload("AAA", "tape:AAA", 200, old.clock.now(), content_type="application/json", body=body)
    path = raw_path("tape", "bars", "2024-01-17", NEXT)
    stored = StoredReply(
        task_id=1,
        run_id=run["run_id"],
        series=Series("tape", "bars", "1d", "AAA"),
        window=Window(D[8], D[12]),
        path=path,
        row=0,
        fetched_at=payload.fetched_at,
        size=len(body),
    )
    write_batch(old.platform.location, path, [RawPage(1, payload)], [stored])
    assert reprocess(old.platform).commits == 0
    path = raw_path("tape", "bars", "2024-01-17", NEXT[:-1] + "Y")
    foreign = replace(stored, path=path, run_id="01HXX")  # of a state that is gone
    write_batch(old.platform.location, path, [RawPage(1, payload)], [foreign])
    assert reprocess(old.platform).tables["bars_1d"] == {"new": 0, "changed": 1, "gone": 0}


@pytest.mark.parametrize("damage", [b"", None], ids=["damaged", "missing"])
def test_a_symbol_whose_reply_is_lost_is_left_as_it_is(damage: bytes | None, old: Any) -> None:
    lake = Path(old.platform.settings.lake_url)
    (raw,) = old.rows().filter(symbol="CCC", date=D[8])["raw"]
    (path,) = [p for p in list_raw(old.platform.location) if raw in p]
    symbols = {reply.payload.symbol for reply in read_pages(old.platform.location, path)}
    (lake / path).unlink()
    if damage is not None:
        (lake / path).write_bytes(damage)
    before = contents(old)
    done = reprocess(replace(old.platform, policy=STRICT))
    assert {symbol for _, symbol in done.left} == symbols
    assert "is missing, damaged or does not list" in done.left["tape", "CCC"]
    after = contents(old)
    for symbol in symbols:
        assert [r for r in after["bars_1d"] if symbol in r] == [r for r in before["bars_1d"] if symbol in r]


def test_an_object_of_an_earlier_program_is_used_as_long_as_the_state_knows_it(
    old: Any, another_desk: Any, fresh_database: Database
) -> None:
    lake = Path(old.platform.settings.lake_url)
    for path in list_raw(old.platform.location):
        batch = list(read_pages(old.platform.location, path))
        (lake / path).unlink()
        _write_as_earlier(old.platform.location, path, batch)
    done = reprocess(old.platform)
    assert (done.commits, done.left) == (0, {})
    desk = another_desk(fresh_database, "scratch")
    shutil.copytree(lake / "raw", Path(desk.platform.settings.lake_url) / "raw")
    done = reprocess(desk.platform)
    assert (done.symbols, set(done.mute)) == (0, set(list_raw(desk.platform.location)))


def _write_as_earlier(location: Any, path: str, batch: list[RawPage]) -> None:
    import io

    import pyarrow.parquet as pq

    write_batch(location, path + ".new", batch)
    table = pq.read_table(io.BytesIO(location.get(path + ".new"))).replace_schema_metadata(None)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    location.put(path, buffer.getvalue())


def test_doubled_keys_are_repaired(old: Any) -> None:
    """A lake may have rows twice that an earlier program's suspended committer has written."""
    before = {table.name: old.rows(table.name).sort(pl.all()) for table in derived_tables()}
    for name, rows in before.items():
        if rows.height:
            old.platform.tables[name].commit(CommitContext(), rows)
    other = before["bars_1d"].head(3).with_columns(pl.col("close") + 1)
    old.platform.tables["bars_1d"].commit(CommitContext(), other)
    assert reprocess(old.platform).commits == sum(rows.height > 0 for rows in before.values())
    after = {name: old.rows(name).sort(pl.all()) for name in before}
    odd = other.with_columns(pl.col("known_from").alias("known_to"))  # on record, with a period that no reader sees
    before["bars_1d_revisions"] = pl.concat([before["bars_1d_revisions"], odd]).sort(pl.all())
    assert [name for name in after if not after[name].equals(before[name])] == []
    assert reprocess(old.platform).commits == 0


def test_last_bits_are_no_news(old: Any) -> None:
    table = old.platform.tables["bars_1d"]
    rows = table.read()
    table.commit(
        CommitContext(table.committed_round() + 1),
        BARS_1D.empty(),
        rows.with_columns(pl.col(c) * (1 + 1e-12) for c in PRICES),
    )
    assert reprocess(old.platform).commits == 0


def test_rejected_rows_and_known_ones_are_all_that_was_sent(old: Any) -> None:
    """Nothing is in both places, nothing in none."""
    keys = ["symbol", "date"]
    for policy in (LENIENT, STRICT, OTHER, Policy()):
        reprocess(replace(old.platform, policy=policy))
        bars = old.rows().select(keys)
        assert not bars.is_duplicated().any()
        first = old.rows("quarantine").filter(pl.col("date").is_not_null()).select(keys)
        everything = pl.concat([bars, first]).unique()
        assert everything.height == 3 * 11, policy.version  # sessions from the 2nd to the 17th
