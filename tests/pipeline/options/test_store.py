"""A member of an archive becomes rows of the tables: judged, sorted, committed once, corrected with revisions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from quantx.core.option_tables import (
    OPTIONS_CONTRACTS,
    OPTIONS_OHLCV_1D,
    OPTIONS_QUOTES_1M,
    OPTIONS_TRADES,
)
from quantx.core.table import Table
from quantx.core.tables import QUARANTINE, TABLES
from quantx.core.tombstones import SymbolDays, Tombstone
from quantx.errors import LakeError, MalformedPayload
from quantx.lake.store import LakeLocation, open_location
from quantx.lake.streamed_file import StreamedFile
from quantx.lake.table import LakeTable, open_tables
from quantx.lake.tombstones import write_tombstone
from quantx.pipeline.options import sorted_runs
from quantx.pipeline.options.commit import commit_member
from quantx.pipeline.options.compaction import compact_options
from quantx.pipeline.options.judge import PricesOf, no_prices
from quantx.pipeline.options.stage import stage_member
from quantx.pipeline.options.staged import CommittedMember, StagedMember
from quantx.pipeline.reprocessing.quarantine import RowSelection, rejected_rows
from quantx.providers.options.protocol import OptionBatch

from .members import DAY, LAST_RAW, LATER_RAW, NEXT_DAY, RAW, Holder, ListedMember, at, batch, contracts, member

CALL, PUT, LATE_CALL = "SPY250808C00630000", "SPY250808P00630000", "SPY250815C00640000"
LISTED = contracts(CALL, PUT, LATE_CALL)


@dataclass
class Lake:
    """A lake in a folder, with a folder for temporary files."""

    folder: Path
    location: LakeLocation

    def stage(self, staged: ListedMember, raw: str = RAW, prices: PricesOf = no_prices) -> StagedMember:
        return stage_member(staged, self.folder, location=self.location, raw=raw, prices=prices)

    def store(self, stored: ListedMember, raw: str = RAW, corrects: Sequence[str] = ()) -> CommittedMember:
        return commit_member(self.location, self.stage(stored, raw), Holder(), self.folder, corrects=corrects)

    def rows(self, table: Table) -> pl.DataFrame:
        return LakeTable(self.location, table).read().sort(table.sort)

    def files(self, table: Table) -> list[str]:
        return sorted(path for path in self.location.paths(table.path) if path.endswith(".parquet"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    (tmp_path / "temporary").mkdir()
    return Lake(tmp_path / "temporary", open_location(str(tmp_path / "lake")))


def quote(of: str, time: datetime, bid: float | None, ask: float | None, **others: Any) -> dict[str, Any]:
    return {"of": of, "time": time, "bid": bid, "ask": ask, "bid_size": 1, "ask_size": 2, **others}


def quotes(*rows: dict[str, Any], day: date = DAY) -> OptionBatch:
    return batch("quotes_1m", rows, LISTED, day)


def a_session(bid: float = 1.1) -> ListedMember:
    minutes = [at(13, 31), at(13, 32)]
    rows = [quote(of, time, bid, 1.2) for time in minutes for of in (LATE_CALL, PUT, CALL)]
    return member("quotes_1m", LISTED, quotes(*rows))


class TestASession:
    def test_is_one_file_in_the_order_of_its_contracts_and_times(self, lake: Lake) -> None:
        lake.store(a_session())
        (path,) = lake.files(OPTIONS_QUOTES_1M)
        stored = pl.read_parquet(lake.folder.parent / "lake" / path)
        order = [(CALL, at(13, 31)), (CALL, at(13, 32)), (PUT, at(13, 31)), (PUT, at(13, 32))]
        assert stored.select("contract", "time").rows()[:4] == order

    def test_is_the_same_whether_it_is_sorted_in_memory_or_on_disk(
        self, lake: Lake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        of_memory = lake.stage(a_session())
        monkeypatch.setattr(sorted_runs, "MOST_HELD_ROWS", 2)
        monkeypatch.setattr(sorted_runs, "ROWS_PER_RUN", 2)
        monkeypatch.setattr(sorted_runs, "ROWS_PER_RANGE", 2)
        rows = a_session().content[0].rows
        pieces = [OptionBatch(date=DAY, rows=rows[start : start + 2]) for start in (0, 2, 4)]
        on_disk = lake.stage(member("quotes_1m", LISTED, *pieces))
        assert on_disk.rows == of_memory.rows
        first, second = (staged.files[0].put.added for staged in (of_memory, on_disk))
        read = [pl.read_parquet(lake.folder.parent / "lake" / OPTIONS_QUOTES_1M.path / x.path) for x in (first, second)]
        assert read[0].equals(read[1])
        assert list(lake.folder.iterdir()) == []

    def test_frees_the_disk_while_it_is_merged(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for limit in ("MOST_HELD_ROWS", "ROWS_PER_RUN", "ROWS_PER_RANGE"):
            monkeypatch.setattr(sorted_runs, limit, 2)
        runs = sorted_runs.SortedRuns(tmp_path, 3, ("time",))
        for minute in (1, 2):
            times = [at(13, 30 + minute)] * 3
            runs.add(pl.DataFrame({"rank": pl.Series([0, 1, 2], dtype=pl.UInt32), "time": times}))
        left = [(rows["rank"].to_list(), len(list(tmp_path.iterdir()))) for rows in runs.ranges()]
        assert left == [([0, 0], 4), ([1, 1], 2), ([2, 2], 0)]

    def test_again_changes_nothing(self, lake: Lake) -> None:
        lake.store(a_session())
        before = LakeTable(lake.location, OPTIONS_QUOTES_1M).version()
        assert lake.store(a_session()).rows == 0
        assert LakeTable(lake.location, OPTIONS_QUOTES_1M).version() == before

    def test_that_another_archive_has_too_changes_nothing(self, lake: Lake) -> None:
        lake.store(a_session())
        files = lake.files(OPTIONS_QUOTES_1M)
        assert lake.store(a_session(), LATER_RAW) == CommittedMember(sessions=1)
        assert lake.files(OPTIONS_QUOTES_1M) == files

    def test_of_several_underlyings_is_a_file_for_each(self, lake: Lake) -> None:
        listed = contracts(CALL, "QQQ250808C00500000", "SPY1250808C00630000")
        rows = [quote(of, at(13, 31), 1.0, 1.1) for of in listed["contract"]]
        lake.store(member("quotes_1m", listed, batch("quotes_1m", rows, listed)))
        assert [path.split("/")[2] for path in lake.files(OPTIONS_QUOTES_1M)] == ["underlying=QQQ", "underlying=SPY"]
        assert lake.rows(OPTIONS_QUOTES_1M).filter(underlying="SPY")["root"].to_list() == ["SPY", "SPY1"]

    def test_that_is_staged_but_not_committed_is_not_visible(self, lake: Lake) -> None:
        lake.stage(a_session())
        assert lake.rows(OPTIONS_QUOTES_1M).is_empty()


class TestAFailure:
    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_of_a_full_disk_is_an_outage_of_the_lake_and_not_of_the_member(self) -> None:
        rows = OPTIONS_CONTRACTS.empty().drop(OPTIONS_CONTRACTS.partitions)
        file = StreamedFile(OPTIONS_CONTRACTS, Path("/dev/full"))
        with pytest.raises(LakeError, match=r"can't be written to /dev/full: No space left on device$"):
            file.write(rows.clear(1).to_arrow(compat_level=pl.CompatLevel.oldest()))

    def test_of_the_bytes_leaves_no_file(self, lake: Lake) -> None:
        class Cut(ListedMember):
            def batches(self):  # type: ignore[no-untyped-def]
                yield quotes(quote(CALL, at(13, 31), 1.0, 1.1))
                raise MalformedPayload("the member is cut")

        with pytest.raises(MalformedPayload):
            lake.stage(Cut(a_session().facts, LISTED))
        assert lake.files(OPTIONS_QUOTES_1M) == []
        assert list(lake.folder.iterdir()) == []

    def test_between_staging_and_the_commit_is_repaired_by_staging_again(self, lake: Lake) -> None:
        files = [lake.stage(a_session()).files[0].put for _ in range(2)]
        assert [file.is_new for file in files] == [True, False]
        lake.store(a_session())
        assert len(lake.files(OPTIONS_QUOTES_1M)) == 1


class TestACorrection:
    def test_replaces_what_differs_and_keeps_the_previous_values(self, lake: Lake) -> None:
        lake.store(a_session())
        rows = [
            quote(of, time, 1.15 if of == PUT else 1.1, 1.2)
            for time in (at(13, 31), at(13, 32))
            for of in LISTED["contract"]
        ]
        done = lake.store(member("quotes_1m", LISTED, quotes(*rows)), LATER_RAW, [RAW])
        assert done == CommittedMember(changed=2, sessions=1)
        now = lake.rows(OPTIONS_QUOTES_1M)
        assert now.group_by("contract", "raw", "bid").len().sort("contract").rows() == [
            (CALL, RAW, 1.1, 2),
            (PUT, LATER_RAW, 1.15, 2),
            (LATE_CALL, RAW, 1.1, 2),
        ]
        before = lake.rows(OPTIONS_QUOTES_1M.revisions)
        assert before.select("contract", "bid").unique().rows() == [(PUT, 1.1)]
        assert before["known_to"].unique().to_list() == now.filter(contract=PUT)["known_from"].unique().to_list()

    def test_of_every_row_is_its_own_file(self, lake: Lake) -> None:
        lake.store(a_session())
        assert lake.store(a_session(1.15), LATER_RAW, [RAW]).changed == 6
        assert lake.rows(OPTIONS_QUOTES_1M)["bid"].unique().to_list() == [1.15]

    def test_removes_the_rows_that_it_lacks(self, lake: Lake) -> None:
        lake.store(a_session())
        left = [quote(of, time, 1.1, 1.2) for time in (at(13, 31), at(13, 32)) for of in (CALL, PUT)]
        done = lake.store(member("quotes_1m", LISTED, quotes(*left)), LATER_RAW, [RAW])
        assert done.removed == 2
        assert lake.rows(OPTIONS_QUOTES_1M)["contract"].unique().sort().to_list() == [CALL, PUT]
        assert lake.rows(OPTIONS_QUOTES_1M.revisions)["contract"].to_list() == [LATE_CALL] * 2

    def test_without_a_session_removes_it(self, lake: Lake) -> None:
        second = quotes(quote(CALL, at(13, 31, NEXT_DAY), 1.0, 1.1), day=NEXT_DAY)
        lake.store(member("quotes_1m", LISTED, *a_session().content, second))
        corrected = member("quotes_1m", LISTED, second)
        corrected.facts = a_session().facts.__class__(
            kind="quotes_1m", schema="cbbo-1m", source="databento", first=DAY, last=NEXT_DAY, rows=None
        )
        assert lake.store(corrected, LATER_RAW, [RAW]).removed == 6
        assert lake.rows(OPTIONS_QUOTES_1M)["date"].to_list() == [NEXT_DAY]

    def test_after_a_kill_between_its_two_commits_keeps_previous_values_once(self, lake: Lake) -> None:
        class Dies(Holder):
            def confirm(self) -> None:
                self.times = getattr(self, "times", 0) + 1
                if self.times == 2:  # the revisions are committed, and the rows are not
                    raise KeyboardInterrupt

        lake.store(a_session())
        staged = lake.stage(a_session(1.15), LATER_RAW)
        with pytest.raises(KeyboardInterrupt):
            commit_member(lake.location, staged, Dies(), lake.folder)
        assert lake.rows(OPTIONS_QUOTES_1M)["bid"].unique().to_list() == [1.1]
        assert lake.store(a_session(1.15), LATER_RAW).changed == 6
        assert lake.rows(OPTIONS_QUOTES_1M.revisions).height == 6

    def test_of_one_contract_leaves_the_files_of_others(self, lake: Lake) -> None:
        for raw, of in ((RAW, CALL), ("01K20000000000000000000002", LATE_CALL)):
            lake.store(member("quotes_1m", LISTED, quotes(quote(of, at(13, 31), 1.0, 1.1))), raw)
        files = lake.files(OPTIONS_QUOTES_1M)
        lake.store(member("quotes_1m", LISTED, quotes(quote(CALL, at(13, 32), 1.0, 1.1))), LATER_RAW)
        live = LakeTable(lake.location, OPTIONS_QUOTES_1M).files()["path"].to_list()
        assert len([path for path in live if f"{OPTIONS_QUOTES_1M.path}/{path}" in files]) == 1
        assert lake.rows(OPTIONS_QUOTES_1M).height == 3


class TestRejectedRows:
    def test_stand_in_quarantine_once_for_each_contract_session_and_rule(self, lake: Lake) -> None:
        rows = [quote(CALL, at(14, minute), 1.3, 1.2) for minute in range(5)]
        done = lake.store(member("quotes_1m", LISTED, quotes(*rows, quote(PUT, at(14, 0), 1.0, 1.1))))
        assert (done.rows, done.rejected) == (1, 5)
        found = lake.rows(QUARANTINE).row(0, named=True)
        assert (found["symbol"], found["rules"]) == (CALL, "option_quote_not_crossed")
        assert found["row"].endswith('"rows":5,"until":"2025-08-06T14:04:00Z"}')

    @pytest.mark.parametrize(("market", "rows"), [("us", 1), ("hk", 0)])
    def test_are_listed_with_the_american_market(self, lake: Lake, market: str, rows: int) -> None:
        lake.store(member("quotes_1m", LISTED, quotes(quote(CALL, at(14, 0), 1.3, 1.2))))
        tables = open_tables(lake.location, TABLES)
        assert rejected_rows(tables, RowSelection(market=market)).height == rows

    def test_come_there_once_however_often_the_member_comes(self, lake: Lake) -> None:
        for raw in (RAW, LATER_RAW):
            lake.store(member("quotes_1m", LISTED, quotes(quote(CALL, at(14, 0), 1.3, 1.2))), raw)
        assert lake.rows(QUARANTINE).height == 1

    @pytest.mark.parametrize(
        ("row", "rule"),
        [
            (quote(CALL, at(14, 0), -0.01, 1.2), "option_quote_not_negative"),
            (quote(CALL, at(14, 0), float("nan"), 1.2), "option_quote_not_negative"),
            (quote(CALL, at(14, 0), 1.3, 1.2), "option_quote_not_crossed"),
            (quote(CALL, at(12, 1), 1.1, 1.2), "option_quote_in_session"),
            (quote(CALL, at(20, 16), 1.1, 1.2), "option_quote_in_session"),
        ],
    )
    def test_name_their_rule(self, lake: Lake, row: dict[str, Any], rule: str) -> None:
        staged = lake.stage(member("quotes_1m", LISTED, quotes(row)))
        assert staged.rejected["rules"].to_list() == [rule]

    @pytest.mark.parametrize(
        "row",
        [
            quote(CALL, at(12, 1), None, None),  # vendors begin the day with empty quotes
            quote(CALL, at(20, 15), 1.1, 1.2),
            quote(CALL, at(14, 0), 0.0, 0.01),
            quote(CALL, at(14, 0), 1.2, 1.2),
            quote(CALL, at(14, 0), None, 1.2),
        ],
    )
    def test_are_no_usual_quotes(self, lake: Lake, row: dict[str, Any]) -> None:
        assert lake.stage(member("quotes_1m", LISTED, quotes(row))).rows_rejected == 0

    def test_are_those_of_impossible_contracts(self, lake: Lake) -> None:
        listed = contracts("SPY250801C00630000", "SPY250810C00630000", "SPY250808C00000000", "SPY400106C00630000", CALL)
        rows = [quote(of, at(14, 0), 1.0, 1.1) for of in listed["contract"]]
        staged = lake.stage(member("quotes_1m", listed, batch("quotes_1m", rows, listed)))
        assert staged.rows == 1
        assert dict(staged.rejected.select("symbol", "rules").rows()) == {
            "SPY250801C00630000": "option_expiration_possible",
            "SPY250810C00630000": "option_expiration_possible",
            "SPY400106C00630000": "option_expiration_possible",
            "SPY250808C00000000": "option_strike_possible",
        }

    def test_without_a_contract_have_their_reason(self, lake: Lake) -> None:
        unknown = pl.DataFrame({"reason": ["no symbol"] * 1_002, "row": ['{"instrument_id":7}'] * 1_002})
        batch_of = OptionBatch(date=DAY, rows=a_session().content[0].rows, rejected=unknown)
        staged = lake.stage(member("quotes_1m", LISTED, batch_of))
        assert staged.rows_rejected == 1_002
        assert staged.rejected.height == 1_001
        assert staged.rejected["row"][-1] == '{"reason":"no symbol","row":"{\\"further_rows\\":2}"}'

    def test_are_the_earlier_ones_of_a_minute_that_comes_twice(self, lake: Lake) -> None:
        same, other = quote(PUT, at(14, 0), 1.0, 1.1), quote(CALL, at(14, 0), 1.0, 1.1)
        done = lake.stage(member("quotes_1m", LISTED, quotes(same, same, other, {**other, "bid": 0.9})))
        assert (done.rows, done.rows_repeated, done.rows_rejected) == (2, 1, 1)
        assert done.rejected["rules"].to_list() == ["option_row_once"]

    def test_are_not_those_of_an_index_before_the_session(self, lake: Lake) -> None:
        listed = contracts("SPXW250808C06300000")
        row = quote("SPXW250808C06300000", at(7, 0), 1.0, 1.1)
        assert lake.stage(member("quotes_1m", listed, batch("quotes_1m", [row], listed))).rows == 1


class TestDoubtfulQuotes:
    def test_below_the_intrinsic_value_are_a_finding(self, lake: Lake) -> None:
        rows = [quote(CALL, at(14, 0), 1.0, 1.1), quote(PUT, at(14, 0), 29.9, 31.0)]
        staged = lake.stage(member("quotes_1m", LISTED, quotes(*rows)), prices=lambda symbol, day: (640.0, 645.0))
        (finding,) = staged.findings
        assert (finding.rule, finding.subject, finding.facts["rows"]) == ("option_quote_within_bounds", "SPY", 1)
        assert staged.rows == 2

    def test_of_half_a_chain_at_a_minute_are_a_finding(self, lake: Lake) -> None:
        rows = [quote(of, at(14, minute), 1.0, 1.1) for minute in range(6) for of in LISTED["contract"]]
        (finding,) = lake.stage(member("quotes_1m", LISTED, quotes(*rows[:-2]))).findings
        assert (finding.rule, finding.facts["minutes"]) == ("option_chain_complete", 1)

    def test_few_contracts_after_the_close_are_none(self, lake: Lake) -> None:
        rows = [quote(of, at(14, minute), 1.0, 1.1) for minute in range(6) for of in LISTED["contract"]]
        after = [quote(CALL, at(20, minute), 1.0, 1.1) for minute in range(1, 5)]
        staged = lake.stage(member("quotes_1m", LISTED, quotes(*rows, *after)))
        assert (staged.rows, staged.findings) == (22, [])


class TestDays:
    def test_of_a_year_are_one_file(self, lake: Lake) -> None:
        days = [date(2025, 8, day) for day in (4, 5, 6)]
        bar = {"of": LATE_CALL, "open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "volume": 3}
        lake.store(
            member("ohlcv_1d", LISTED, *(batch("ohlcv_1d", [bar], LISTED, day) for day in days), schema="ohlcv-1d")
        )
        assert len(lake.files(OPTIONS_OHLCV_1D)) == 1
        assert lake.rows(OPTIONS_OHLCV_1D)["date"].to_list() == days


class TestTradesAndContracts:
    def test_trades_stay_apart_by_exchange_and_in_order(self, lake: Lake) -> None:
        rows = [
            {"of": CALL, "time": at(14, 0), "sequence": s, "publisher": p, "price": 1.0, "size": 2}
            for p, s in ((26, 9), (23, 4), (26, 8))
        ]
        lake.store(member("trades", LISTED, batch("trades", rows, LISTED), schema="trades"))
        assert lake.rows(OPTIONS_TRADES).select("publisher", "sequence").rows() == [(23, 4), (26, 8), (26, 9)]

    def test_contracts_have_their_first_session_and_unknown_terms_stay_unknown(self, lake: Lake) -> None:
        listed = contracts(CALL, "SPY1250808C00630000", PUT)
        later = batch("quotes_1m", [quote(CALL, at(14, 0, NEXT_DAY), 1.0, 1.1)], listed, NEXT_DAY)
        rows = [quote(of, at(14, 0), 1.0, 1.1) for of in (CALL, "SPY1250808C00630000")]
        lake.store(member("quotes_1m", listed, later))
        lake.store(member("quotes_1m", listed, batch("quotes_1m", rows, listed)), LATER_RAW)
        assert lake.rows(OPTIONS_CONTRACTS).select("contract", "first_date", "multiplier").rows() == [
            (CALL, DAY, 100.0),
            ("SPY1250808C00630000", DAY, None),
        ]

    def test_definitions_state_terms_whether_quotes_come_before_or_after(self, lake: Lake) -> None:
        listed = contracts(CALL, "SPY1250808C00630000")
        terms = [{"of": of, "multiplier": 40.0, "deliverable": None, "settlement": "PM"} for of in listed["contract"]]
        definitions = member("contracts", listed, batch("contracts", terms, listed), schema="definition")
        row = batch("quotes_1m", [quote(CALL, at(14, 0), 1.0, 1.1)], listed)
        implied = listed.with_columns(deliverable=pl.lit("100 SPY"))
        quoted = member("quotes_1m", implied, row)
        for raw, each in ((RAW, quoted), (LATER_RAW, definitions), (LAST_RAW, quoted)):
            lake.store(each, raw)
        assert lake.rows(OPTIONS_CONTRACTS).select("multiplier", "deliverable").rows() == [(40.0, None)] * 2

    def test_definitions_of_a_part_of_the_mapped_contracts_are_stored(self, lake: Lake) -> None:
        stated = {"multiplier": 100.0, "deliverable": "100 SPY", "settlement": "PM"}
        terms = [{"of": of, **stated} for of in (PUT, LATE_CALL)]
        lake.store(member("contracts", LISTED, batch("contracts", terms, LISTED), schema="definition"))
        assert lake.rows(OPTIONS_CONTRACTS).select("contract", "first_date").rows() == [(PUT, DAY), (LATE_CALL, DAY)]


class TestCompaction:
    def test_makes_one_sorted_file_of_a_session_that_came_by_contract(self, lake: Lake) -> None:
        for number, of in enumerate((LATE_CALL, CALL, PUT)):
            stored = member("quotes_1m", LISTED, quotes(quote(of, at(13, 31), 1.0, 1.1)))
            lake.store(stored, f"01K2000000000000000000000{number}")
        before = lake.rows(OPTIONS_QUOTES_1M)
        assert compact_options(lake.location, Holder(), lake.folder, most_session_files=1) == {"options_quotes_1m": 3}
        (path,) = LakeTable(lake.location, OPTIONS_QUOTES_1M).files()["path"].to_list()
        stored_rows = pl.read_parquet(lake.folder.parent / "lake" / OPTIONS_QUOTES_1M.path / path)
        assert stored_rows["contract"].to_list() == [CALL, PUT, LATE_CALL]
        assert lake.rows(OPTIONS_QUOTES_1M).equals(before)


class TestDeletedData:
    def test_does_not_come_back(self, lake: Lake) -> None:
        spy = (SymbolDays("SPY", last=DAY),)
        write_tombstone(
            lake.location, Tombstone(id=RAW, source="databento", at=at(1, 1), by="A", reason="licence", symbols=spy)
        )
        later = quotes(quote(CALL, at(14, 0, NEXT_DAY), 1.0, 1.1), day=NEXT_DAY)
        lake.store(member("quotes_1m", LISTED, *a_session().content, later))
        assert lake.rows(OPTIONS_QUOTES_1M)["date"].to_list() == [NEXT_DAY]


class TestSessionsOfOneMember:
    def test_that_come_in_turns_are_one_file_each(self, lake: Lake) -> None:
        turns = [
            quotes(quote(CALL, at(14, minute, day), 1.0, 1.1), day=day) for minute in (0, 1) for day in (DAY, NEXT_DAY)
        ]
        assert [file.put.rows for file in lake.stage(member("quotes_1m", LISTED, *turns)).files] == [2, 2]

    def test_that_are_too_large_must_come_in_order(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("quantx.pipeline.options.stage.MOST_OPEN_ROWS", 1)
        turns = [quotes(quote(CALL, at(14, 0, day), 1.0, 1.1), day=day) for day in (DAY, NEXT_DAY, DAY)]
        with pytest.raises(MalformedPayload, match="sort the member by time"):
            lake.stage(member("quotes_1m", LISTED, *turns))
        assert lake.files(OPTIONS_QUOTES_1M) == []
