"""Quarantine: list rejected rows, replay them, and accept one by a manual decision."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.model import Payload, Series, StoredReply, Window
from quantx.core.quality import POLICY_VERSION
from quantx.core.quality.daily_rules import DAILY_RULES
from quantx.core.quality.policy import Policy
from quantx.core.quality.row_policy import RowPolicy
from quantx.core.table import Table
from quantx.core.tables import DECISIONS, QUARANTINE
from quantx.errors import Busy, ConfigError, IncompleteData
from quantx.lake.protocol import CommitContext
from quantx.lake.raw import raw_path
from quantx.lake.table import LakeTable
from quantx.pipeline.curating.normalize import normalize_round
from quantx.pipeline.curating.stored_replies import ReadReply
from quantx.pipeline.reprocessing.quarantine import RowSelection, accept, rejected_rows, replay, show
from quantx.pipeline.wiring import reprocessor_of
from quantx.reader.lake import Lake
from quantx.state.database import Database

from ..conftest import Dies, reprocess

D5, D9, D10, D11 = (date(2024, 1, day) for day in (5, 9, 10, 11))
LENIENT = Policy(POLICY_VERSION + 1, [rule for rule in DAILY_RULES if rule.id != "open_in_range"])
ODD = (106.0, 105.75, 104.0, 105.5, 10.0)  # the open is above the high


@pytest.fixture
def old(desk: Any) -> Any:
    """Rejected: an odd bar of AAA and one of BBB, an empty row, a Sunday, a bar of tomorrow, an unreadable reply."""
    desk.tape.shows["AAA"][D9] = ODD
    desk.tape.shows["BBB"][D5] = ODD
    desk.tape.shows["BBB"][D10] = (None, None, None, None, 0.0)
    desk.tape.shows["BBB"][date(2024, 1, 7)] = (1.0, 1.0, 1.0, 1.0, 1.0)
    desk.tape.answers["CCC"] = [b"no JSON"]
    desk.work(desk.backfill("AAA", "BBB", "CCC"))
    assert desk.rows("quarantine").height == 5
    return desk


def state_of(desk: Any, symbol: str, day: date | None) -> str:
    (row,) = (
        rejected_rows(desk.platform.tables)
        .filter(pl.col("symbol") == symbol, pl.col("date").eq_missing(day))
        .to_dicts()
    )
    return str(row["state"])


def id_of(desk: Any, symbol: str, day: date | None) -> str:
    rows = rejected_rows(desk.platform.tables).filter(pl.col("symbol") == symbol, pl.col("date").eq_missing(day))
    return str(rows["id"].item())


def bar(desk: Any, symbol: str, day: date) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = (
        desk.rows().filter(symbol=symbol, date=day).select("open", "high", "low", "close").rows()
    )
    return rows


# -------------------------------------------------------------------------------------------------------------- listing


def test_rows_are_found_by_rule_symbol_source_market_and_state(old: Any) -> None:
    def found(**wanted: Any) -> list[tuple[str, date | None]]:
        return sorted(
            rejected_rows(old.platform.tables, RowSelection(**wanted)).select("symbol", "date").rows(), key=repr
        )

    assert found(rule="open_in_range") == [("AAA", D9), ("BBB", D5)]
    assert found(rule="high") == []
    assert found(symbol="CCC") == [("CCC", None)]
    assert len(found(source="tape")) == len(found(market="us")) == len(found(state="open")) == len(found()) == 5
    assert found(source="yahoo") == found(market="hk") == found(state="accepted") == []


def test_a_row_says_all_that_the_vendor_sent(old: Any) -> None:
    (row,) = rejected_rows(old.platform.tables, RowSelection(symbol="AAA")).to_dicts()
    assert row["policy"] == old.platform.policy.version
    assert json.loads(row["sent"]) == {
        **dict(zip(("open", "high", "low", "close", "volume"), ODD, strict=True)),
        "vendor_adj_close": None,
        "currency": "USD",
    }
    assert json.loads(row["row"])["high"] == 105.75


def test_a_row_is_quoted_as_traded_and_as_it_was_sent(desk: Any) -> None:
    class Adjusting(type(desk.tape)):  # type: ignore[misc]
        """The vendor, with prices divided by splits."""

        capabilities = replace(desk.tape.capabilities, price_basis="split_adjusted")

    quiet = [
        [f"2024-01-{day:02}", 52.5, 53.0, 52.0, close, 20.0] for day, close in ((8, 52.5), (10, 52.5), (11, 52.75))
    ]
    bars = [["2024-01-09", 53.0, 52.875, 52.0, 52.75, 20.0], *quiet]
    body = json.dumps({"bars": bars, "actions": [["2024-01-10", "split", 2.0, None]]}).encode()
    payload = Payload("AAA", "tape:AAA", 200, desk.clock.now(), content_type="application/json", body=body)
    stored = StoredReply(
        task_id=1,
        run_id="01RUN",
        series=Series("tape", "bars", "1d", "AAA"),
        window=Window(D5, D11),
        path=raw_path("tape", "bars", "2024-01-12", "01RAW"),
        row=0,
        fetched_at=payload.fetched_at,
        size=len(body),
    )
    item = ReadReply(stored, (payload,))
    rows = normalize_round("tape", [item], Adjusting(desk.clock), RowPolicy()).quarantine
    (row,) = rows.to_dicts()
    assert json.loads(row["row"]) | {"time": None} == {
        "time": None,
        "open": 106.0,
        "high": 105.75,
        "low": 104.0,
        "close": 105.5,
        "volume": 10.0,
    }
    assert [json.loads(row["sent"])[c] for c in ("open", "high", "volume")] == [53.0, 52.875, 20.0]
    policy = RowPolicy(
        decisions=rows.with_columns(pl.lit("accept").alias("decision"), by=pl.lit("a"), reason=pl.lit("b")).select(
            list(DECISIONS.schema)
        )
    )
    accepted = normalize_round("tape", [item], Adjusting(desk.clock), policy)
    day = accepted.tables["bars_1d"].filter(pl.col("date") == date(2024, 1, 9))
    assert day.select("high", "volume").rows() == [(105.75, 10)]
    assert accepted.quarantine.height == 1


def test_ids_are_stable_and_may_be_shortened(old: Any, another_desk: Any, fresh_database: Database) -> None:
    ids = rejected_rows(old.platform.tables)["id"]
    assert ids.n_unique() == 5
    assert set(ids.str.len_chars()) == {64}
    desk = another_desk(fresh_database, "scratch")
    raw = Path(old.platform.settings.lake_url) / "raw"
    shutil.copytree(raw, Path(desk.platform.settings.lake_url) / "raw")
    reprocess(replace(desk.platform, policy=Policy(7)))
    assert sorted(rejected_rows(desk.platform.tables)["id"]) == sorted(ids)
    assert rejected_rows(old.platform.tables, RowSelection(ids=(ids[0][:6],)))["id"].to_list() == [ids[0]]
    with pytest.raises(ConfigError, match="there is no row 'zzz'"):
        show(old.platform.tables, old.platform.location, "zzz")
    with pytest.raises(ConfigError, match="there is no row ''"):
        show(old.platform.tables, old.platform.location, "")


def test_rows_whose_ids_begin_alike_are_all_there_and_told_apart(desk: Any) -> None:
    """Among 17 ids two begin with the same of 16 digits."""
    days = desk.tape.shows["AAA"] = dict.fromkeys(list(desk.tape.shows["AAA"])[:17], ODD)
    desk.clock.goes_to(max(days) + timedelta(days=1))
    desk.work(desk.backfill("AAA", end="2024-02-02"))
    ids = rejected_rows(desk.platform.tables)["id"]
    assert ids.n_unique() == 17
    first = ids.str.head(1)
    twice = ids.filter(first.is_duplicated())[0]
    with pytest.raises(ConfigError, match="begins the ids of several rows"):
        show(desk.platform.tables, desk.platform.location, twice[:1])
    assert show(desk.platform.tables, desk.platform.location, twice)["id"] == twice


def test_show_tells_the_rules_and_what_was_sent(old: Any) -> None:
    facts = show(old.platform.tables, old.platform.location, id_of(old, "AAA", D9))
    assert [rule["id"] for rule in facts["rules"]] == ["open_in_range"]
    assert "belongs to another moment" in facts["rules"][0]["why"]
    payload = facts["payload"]
    assert (payload["request"], payload["status"]) == ("tape:AAA", 200)
    assert payload["path"].endswith(f"/{facts['raw']}.parquet")
    assert '["2024-01-09", 106.0, 105.75' in payload["excerpt"]
    whole = show(old.platform.tables, old.platform.location, id_of(old, "CCC", None))
    assert (whole["payload"]["excerpt"], whole["sent"]) == ("no JSON", None)


def test_show_tells_that_a_reply_is_gone(old: Any) -> None:
    for file in (Path(old.platform.settings.lake_url) / "raw").rglob("*.parquet"):
        file.write_bytes(b"")
    assert "is damaged" in show(old.platform.tables, old.platform.location, id_of(old, "AAA", D9))["payload"]["problem"]
    shutil.rmtree(Path(old.platform.settings.lake_url) / "raw")
    assert (
        "does not have this reply"
        in show(old.platform.tables, old.platform.location, id_of(old, "AAA", D9))["payload"]["problem"]
    )


# --------------------------------------------------------------------------------------------------------------- replay


def test_replay_moves_what_passes_and_nothing_else(old: Any) -> None:
    lenient = replace(old.platform, policy=LENIENT)
    assert replay(reprocessor_of(old.platform), RowSelection()).rows["state"].to_list() == ["open"] * 5
    done = replay(reprocessor_of(lenient), RowSelection(symbol="AAA"))
    assert done.rows.select("symbol", "date", "state").rows() == [("AAA", D9, "replayed")]
    assert (bar(old, "AAA", D9), bar(old, "BBB", D5)) == ([ODD[:4]], [])
    done = replay(reprocessor_of(lenient), RowSelection(rule="open_in_range"))
    assert dict(done.rows.select("symbol", "state").rows()) == {"AAA": "replayed", "BBB": "replayed"}
    assert (bar(old, "BBB", D5), bar(old, "BBB", D10)) == ([ODD[:4]], [])
    assert state_of(old, "BBB", D10) == "open"
    versions = old.versions()
    assert [each.commits for each in replay(reprocessor_of(lenient), RowSelection()).reprocessed] == [0]
    assert old.versions() == versions


def test_replay_by_id(old: Any) -> None:
    row = id_of(old, "AAA", D9)
    done = replay(reprocessor_of(replace(old.platform, policy=LENIENT)), RowSelection(ids=(row,)))
    assert done.rows["state"].to_list() == ["replayed"]
    assert (state_of(old, "AAA", D9), state_of(old, "BBB", D5)) == ("replayed", "open")
    with pytest.raises(ConfigError, match="there is no row"):
        replay(reprocessor_of(old.platform), RowSelection(ids=("zzz",)))


def test_a_reply_that_can_be_read_by_now_becomes_rows(old: Any) -> None:
    class Mended:
        """The adapter, which reads that reply by now."""

        def __init__(self, real: Any) -> None:
            self._real = real

        def __getattr__(self, name: str) -> Any:
            return getattr(self._real, name)

        def normalize(self, payload: Any) -> Any:
            body = b'{"bars": [["2024-01-08", 5, 6, 4, 5, 10]], "actions": []}'
            return self._real.normalize(replace(payload, body=body) if payload.body == b"no JSON" else payload)

    assert old.sql("select * from series where symbol = 'CCC'") == []
    platform = old.with_(providers={"tape": Mended(old.tape)})
    done = replay(reprocessor_of(platform), RowSelection(symbol="CCC"))
    assert done.rows["state"].to_list() == ["replayed"]
    assert bar(old, "CCC", date(2024, 1, 8)) == [(5.0, 6.0, 4.0, 5.0)]
    series = old.series("CCC")
    assert (series["first_session"], series["watermark"]) == (date(2024, 1, 8), date(2024, 1, 8))
    assert old.sql("select count(*) as n from hot_bars where symbol = 'CCC'") == [{"n": 1}]
    assert old.rows("quarantine").filter(symbol="CCC")["passed"].to_list() == [old.platform.policy.version]


# --------------------------------------------------------------------------------------------------------------- accept


def test_an_accepted_row_is_curated_and_stays_so(old: Any, another_desk: Any, fresh_database: Database) -> None:
    row, before = id_of(old, "AAA", D9), old.clock.at
    old.clock.goes_to(date(2024, 1, 15))
    done = accept(reprocessor_of(old.platform), row, "the exchange says so", "ops")
    assert done.rows.select("state", "by", "reason").rows() == [("accepted", "ops", "the exchange says so")]
    assert (bar(old, "AAA", D9), bar(old, "BBB", D5)) == ([ODD[:4]], [])
    (known,) = old.rows().filter(symbol="AAA", date=D9)["known_from"]
    assert known == old.clock.at  # when it was decided: nobody could see it before
    reader = Lake(old.platform.location)
    with pytest.warns(IncompleteData, match="bars of other days only"):
        assert reader.bars(["AAA"], start=D9, end=D9, as_of=before).is_empty()
    assert reader.bars(["AAA"], start=D9, end=D9, as_of=known).height == 1
    hot = old.sql("select high from hot_bars where symbol = 'AAA' and date = %s", D9)
    assert hot == [{"high": 105.75}]
    (decision,) = old.rows("decisions").to_dicts()
    assert (decision["decision"], decision["rules"], decision["by"]) == ("accept", "open_in_range", "ops")

    versions = old.versions()
    again = accept(reprocessor_of(old.platform), row, "once more", "bob")
    assert again.rows["by"].to_list() == ["ops"]
    assert [each.commits for each in again.reprocessed] == [0]
    assert reprocess(old.platform).commits == 0
    assert replay(reprocessor_of(old.platform), RowSelection()).rows.filter(symbol="AAA")["state"].to_list() == [
        "accepted"
    ]
    assert old.versions() == versions

    old.clock.goes_to(date(2024, 1, 16))
    old.work(old.daily("AAA", lookback=6))  # the vendor repeats it
    assert bar(old, "AAA", D9) == [ODD[:4]]
    reprocess(replace(old.platform, policy=LENIENT))
    reprocess(old.platform)
    assert (bar(old, "AAA", D9), state_of(old, "AAA", D9)) == ([ODD[:4]], "accepted")

    desk = another_desk(fresh_database, "scratch")  # from raw and from what was decided
    lake, scratch = (Path(d.platform.settings.lake_url) for d in (old, desk))
    shutil.copytree(lake / "raw", scratch / "raw")
    shutil.copytree(lake / "curated" / "decisions", scratch / "curated" / "decisions")
    reprocess(desk.platform)
    assert desk.rows().equals(old.rows())


def test_an_accepted_row_takes_the_place_of_another_one_of_its_session(desk: Any) -> None:
    first, last = (
        ["2024-01-10", *values] for values in ((110.0, 111.0, 109.0, 110.5, 400.0), (110.0, 112.0, 109.0, 111.0, 1e3))
    )
    bars = [["2024-01-09", 1.0, 1.0, 1.0, 1.0, 1.0], first, last, ["2024-01-11", 1.0, 1.0, 1.0, 1.0, 1.0]]
    desk.tape.answers["AAA"] = [json.dumps({"bars": bars, "actions": []}).encode()]
    desk.work(desk.backfill("AAA"))
    assert bar(desk, "AAA", D10) == [(110.0, 112.0, 109.0, 111.0)]
    accept(reprocessor_of(desk.platform), id_of(desk, "AAA", D10), "the first one was final", "ops")
    assert bar(desk, "AAA", D10) == [(110.0, 111.0, 109.0, 110.5)]
    assert desk.rows("bars_1d_revisions").select("close", "known_from", "known_to").rows() == [
        (111.0, desk.clock.at, desk.clock.at)
    ]


def test_at_no_moment_are_there_two_rows_of_a_session(desk: Any) -> None:
    """The vendor sent 110.5 on the 12th, an odd bar on the 16th, 105.5 on the 17th; accepted on the 18th."""
    good, moments = desk.tape.shows["AAA"][D10], [desk.clock.at]
    desk.work(desk.backfill("AAA"))
    for day, shown in ((16, ODD), (17, (104.0, 106.0, 103.0, 105.75, 10.0))):
        desk.clock.goes_to(date(2024, 1, day))
        moments.append(desk.clock.at)
        desk.tape.shows["AAA"][D10] = shown
        desk.work(desk.daily("AAA", lookback=9))
    desk.clock.goes_to(date(2024, 1, 18))
    moments.append(desk.clock.at)
    accept(reprocessor_of(desk.platform), id_of(desk, "AAA", D10), "the exchange says so", "ops")
    reader = Lake(desk.platform.location)
    closes = [reader.bars(["AAA"], start=D10, end=D10, as_of=at)["close"].to_list() for at in moments]
    assert closes == [[good[3]], [good[3]], [105.75], [105.5]]
    assert reprocess(desk.platform).commits == 0


@pytest.mark.parametrize(
    ("symbol", "day", "why"),
    [
        ("CCC", None, "is a whole reply that can't be read"),
        ("BBB", D10, "has no open, high, low, close: it can't be a bar"),
    ],
)
def test_what_can_be_no_bar_is_refused(symbol: str, day: date | None, why: str, old: Any) -> None:
    with pytest.raises(ConfigError, match=why):
        accept(reprocessor_of(old.platform), id_of(old, symbol, day), "why not", "ops")
    assert old.rows("decisions").is_empty()


def test_a_bar_of_the_future_is_refused(desk: Any) -> None:
    plan = desk.backfill("AAA")
    desk.clock.goes_to(D10)  # the vendor's clock is two days ahead
    desk.tape.answers["AAA"] = [json.dumps({"bars": [["2024-01-11", 1.0, 1.0, 1.0, 1.0, 1.0]], "actions": []}).encode()]
    desk.work(plan)
    with pytest.raises(ConfigError, match="had not ended when the reply was fetched"):
        accept(reprocessor_of(desk.platform), id_of(desk, "AAA", D11), "why not", "ops")


@pytest.mark.parametrize(("reason", "by"), [(" ", "ops"), ("why", "")])
def test_a_decision_needs_a_reason_and_a_name(reason: str, by: str, old: Any) -> None:
    with pytest.raises(ConfigError, match="must not be empty"):
        accept(reprocessor_of(old.platform), id_of(old, "AAA", D9), reason, by)


def test_who_curates_is_not_disturbed(old: Any) -> None:
    row = id_of(old, "AAA", D9)
    with old.platform.state.exclusive("curator") as mine:
        assert mine is not None
        for act in (
            lambda: accept(reprocessor_of(old.platform), row, "why", "ops"),
            lambda: replay(reprocessor_of(old.platform), RowSelection()),
        ):
            with pytest.raises(Busy, match="another process is curating"):
                act()
    assert old.rows("decisions").is_empty()


@pytest.mark.parametrize("table", ["decisions", "bars_1d"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_accepting_is_repeated_after_a_kill(table: str, after: bool, old: Any) -> None:
    class Dying:
        def __getattr__(self, name: str) -> Any:
            return getattr(old.platform.tables[table], name)

        def commit(self, *arguments: Any, **named: Any) -> bool:
            if after:
                old.platform.tables[table].commit(*arguments, **named)
            raise Dies

    row = id_of(old, "AAA", D9)
    with pytest.raises(Dies):
        accept(reprocessor_of(old.with_(tables={**old.platform.tables, table: Dying()})), row, "why", "ops")
    accept(reprocessor_of(old.platform), row, "why", "ops")
    assert (bar(old, "AAA", D9), state_of(old, "AAA", D9)) == ([ODD[:4]], "accepted")
    assert old.rows("decisions").height == 1


# ------------------------------------------------------------------------------------- quarantine of an earlier program


def test_a_table_without_the_newer_columns_is_read_and_written(old: Any) -> None:
    columns = {c: t for c, t in QUARANTINE.schema.items() if c not in ("policy", "sent", "passed")}
    rows = old.rows("quarantine")
    path = Path(old.platform.settings.lake_url) / "quarantine"
    shutil.rmtree(path)
    earlier = Table(
        "quarantine", columns, partitions=QUARANTINE.partitions, key=QUARANTINE.key, sort=QUARANTINE.sort, zone=""
    )
    LakeTable(old.platform.location, earlier).commit(CommitContext(1), rows.select(list(columns)))
    import deltalake

    assert "policy" not in [field.name for field in deltalake.DeltaTable(str(path)).schema().fields]

    fresh = replace(
        old.platform, tables={**old.platform.tables, "quarantine": LakeTable(old.platform.location, QUARANTINE)}
    )
    assert set(rejected_rows(fresh.tables)["policy"]) == {None}
    assert show(fresh.tables, fresh.location, rejected_rows(fresh.tables)["id"][0])["sent"] is None
    assert reprocess(fresh).commits == 0  # what is known is not told again
    old.clock.goes_to(date(2024, 1, 16))
    old.tape.shows["AAA"][D11] = ODD
    old.work(old.daily("AAA", lookback=6), old.with_(tables=fresh.tables))
    found = fresh.tables["quarantine"].read().filter(symbol="AAA").sort("date")
    assert found.select("date", "policy", "passed").rows() == [
        (D9, None, None),
        (D11, old.platform.policy.version, None),
    ]
    replay(reprocessor_of(replace(fresh, policy=LENIENT)), RowSelection(symbol="AAA"))
    found = fresh.tables["quarantine"].read().filter(symbol="AAA").sort("date")
    assert found["passed"].to_list() == [LENIENT.version] * 2


def test_decisions_hold_no_more_than_they_say(old: Any) -> None:
    accept(reprocessor_of(old.platform), id_of(old, "AAA", D9), "why", "ops")
    assert old.rows("decisions").columns == list(DECISIONS.schema)
    assert (
        old.rows("decisions")["row"].item()
        == rejected_rows(old.platform.tables, RowSelection(symbol="AAA"))["row"].item()
    )
