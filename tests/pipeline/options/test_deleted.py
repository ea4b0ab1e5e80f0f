"""Options that are deleted for good: rows, rejected rows, members of archives; what can be done about a bad row."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.model import Finding
from quantx.core.option_tables import OPTIONS_OHLCV_1D, OPTIONS_QUOTES_1M
from quantx.core.quality.option_rules import HALF_CHAIN_MISSING
from quantx.core.tables import QUARANTINE
from quantx.core.tombstones import SymbolDays, Tombstone
from quantx.errors import ConfigError
from quantx.lake.files import damaged_file
from quantx.lake.protocol import CommitContext
from quantx.pipeline.deleting.survey import survey
from quantx.pipeline.options.service import import_paths
from quantx.pipeline.options.validate import validate_options
from quantx.pipeline.reporting.status import status_of
from quantx.pipeline.reprocessing.quarantine import RowSelection, accept, rejected_rows, replay, show
from quantx.pipeline.wiring import deleter_of, reprocessor_of
from quantx.sandbox.option_archives import OptionSession, write_archive

from ..conftest import Desk

DAY = date(2024, 1, 11)
BOTH = (("SPY", 470.0), ("QQQ", 400.0))


def archive(path: Path, **facts: Any) -> Path:
    sessions = [
        OptionSession(
            underlying=name, day=DAY, spot=spot, strikes=(spot,), expirations=(date(2024, 1, 19),), minutes=2, **facts
        )
        for name, spot in BOTH
    ]
    return write_archive(path, sessions)


def reject(desk: Desk) -> None:
    """Put a rejected quote of each underlying into quarantine, and a row of an archive that names no contract."""
    raw = desk.rows(OPTIONS_QUOTES_1M.name).filter(underlying="SPY").row(0, named=True)
    values = json.dumps({"time": "2024-01-11 15:00:00", "bid": 2.0, "ask": 1.0})
    facts = {"date": DAY, "source": "databento", "dataset": OPTIONS_QUOTES_1M.name, "row": values, "policy": 1}
    facts |= {"raw": raw["raw"], "known_from": raw["known_from"], "rules": "option_quote_not_crossed"}
    rows = [{**facts, "symbol": symbol} for symbol in ("SPY240119C00470000", "QQQ240119C00400000", "*")]
    frame = pl.DataFrame(rows, schema=dict(QUARANTINE.schema))
    desk.platform.tables[QUARANTINE.name].commit(CommitContext(), frame)


def stone(desk: Desk, **facts: Any) -> Tombstone:
    at = {"id": "01M8QE8WHHFGRR9CTHKVCS0CP1", "source": "databento", "by": "eve", "reason": "the licence ended"}
    return Tombstone(**{**at, "at": desk.clock.now(), "symbols": (SymbolDays("SPY"),), "requested": ("SPY",), **facts})


def raw_members(desk: Desk) -> list[str]:
    return sorted(desk.platform.location.paths("raw/source=databento"))


def test_a_deletion_finds_rows_rejected_rows_and_members_and_leaves_the_other_underlying(
    desk: Desk, tmp_path: Path
) -> None:
    done = import_paths(desk.platform, [archive(tmp_path / "both.zip")], (), None, keep="archive")
    assert (done.done, done.rows) == (2, 8)
    reject(desk)
    assert len(raw_members(desk)) == 2

    deleted = deleter_of(desk.platform).delete(stone(desk))

    assert (deleted.complete, deleted.raw_removed) == (True, 1)
    assert desk.rows(OPTIONS_QUOTES_1M.name)["underlying"].unique().to_list() == ["QQQ"]
    assert rejected_rows(desk.platform.tables)["symbol"].to_list() == ["QQQ240119C00400000"]
    (left,) = raw_members(desk)
    assert desk.rows(OPTIONS_QUOTES_1M.name)["raw"].unique().to_list() == [left.rpartition("/")[2][:-8]]
    members = desk.platform.state.option_members
    records = [members.read(row["id"]) for row in members.listed(None)]
    assert validate_options(desk.platform.location, desk.platform.tables, records).is_whole


def test_a_deletion_of_earlier_days_leaves_a_member_of_later_ones(desk: Desk, tmp_path: Path) -> None:
    import_paths(desk.platform, [archive(tmp_path / "both.zip")], (), None, keep="archive")
    deleter = deleter_of(desk.platform)
    assert list(deleter.raw.plan(stone(desk, before=DAY))) == []
    assert len(list(deleter.raw.plan(stone(desk, before=date(2024, 1, 12))))) == 1


def test_a_member_of_several_underlyings_goes_as_a_whole_and_the_survey_names_the_others(
    desk: Desk, tmp_path: Path
) -> None:
    path = tmp_path / "day.csv"
    lines = ["symbol,bid,ask,time"]
    lines += [f"{symbol},1.0,1.1,{DAY}T15:00:00Z" for symbol in ("SPY   240119C00470000", "QQQ   240119C00400000")]
    path.write_text("\n".join(lines) + "\n")
    done = import_paths(desk.platform, [path], (), "databento", keep="archive")
    assert done.rows == 2, done
    found = survey(
        stone(desk),
        location=desk.platform.location,
        tables=desk.platform.tables,
        raw=deleter_of(desk.platform).raw,
        deletions=desk.platform.state.deletions,
        settings=desk.platform.settings,
        now=desk.clock.now(),
    )
    assert (found.raw_objects, found.shared) == (1, ["QQQ"])


def test_a_rejected_row_of_options_states_what_can_be_done(desk: Desk, tmp_path: Path) -> None:
    import_paths(desk.platform, [archive(tmp_path / "both.zip")], (), None, keep="archive")
    reject(desk)
    chosen = RowSelection(symbol="SPY240119C00470000")
    row_id = rejected_rows(desk.platform.tables, chosen)["id"][0]
    shown = show(desk.platform.tables, desk.platform.location, row_id)["payload"]
    assert shown["request"].endswith("both.zip!opra-pillar-20240111.cbbo-1m.SPY.dbn.zst")
    assert "can't be accepted or replayed" in shown["problem"]
    with pytest.raises(ConfigError, match="can't be accepted or replayed"):
        accept(reprocessor_of(desk.platform), row_id, "it is right", "eve")
    with pytest.raises(ConfigError, match="only rows of options"):
        replay(reprocessor_of(desk.platform), chosen)


def test_a_correction_resolves_the_findings_that_it_no_longer_has(desk: Desk, tmp_path: Path) -> None:
    import_paths(desk.platform, [archive(tmp_path / "first.zip")], (), None, keep="hashes")
    place = {"source": "databento", "dataset": OPTIONS_QUOTES_1M.name, "first_day": DAY, "last_day": DAY}
    findings = desk.platform.state.findings
    findings.note([Finding(HALF_CHAIN_MISSING, "warn", name, "half a chain", **place) for name in ("SPY", "IWM")])
    done = import_paths(desk.platform, [archive(tmp_path / "later.zip", volatility=0.3)], (), None, keep="hashes")
    assert done.rows_changed == 8
    assert [each.subject for each in findings.open(HALF_CHAIN_MISSING)] == ["IWM"]
    counts = status_of(desk.platform.state, desk.platform.queue.depth(), "", desk.clock.now())["option_members"]
    assert (counts["done"], counts["failed"]) == (4, 0)


def test_a_damaged_file_of_options_is_brought_back_by_a_backup() -> None:
    message = str(damaged_file(OPTIONS_OHLCV_1D, "curated/x.parquet", "is missing"))
    assert "restore it from a backup" in message
    assert "repairs it" not in message
