"""A value of a contract is explained by the archive that brought it; nothing else is read than the lake."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from quantx.core.model import Payload
from quantx.errors import ConfigError
from quantx.lake.raw import RawPage, write_batch
from quantx.lake.store import open_location
from quantx.pipeline.options.commit import commit_member
from quantx.pipeline.options.stage import stage_member
from quantx.pipeline.reporting.coverage_options import option_coverage
from quantx.reader import Lake, open_lake
from quantx.reader.explain.option_value import OptionValue

from .members import DAY, LATER_RAW, NEXT_DAY, RAW, Holder, at, batch, contracts, member

CALL = "SPY250808C00630000"
LISTED = contracts(CALL, "SPY250808P00630000")
FACTS = {"archive": "spy.zip", "member": "spy-20250806.dbn.zst", "size": 294, "sha256": "37a2"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """A quote that a correction has replaced, a rejected one, and a second session."""
    folder = tmp_path_factory.mktemp("explained")
    location = open_location(str(folder / "lake"))
    body, fetched = json.dumps(FACTS).encode(), datetime(2025, 8, 7, tzinfo=UTC)
    payload = Payload("spy", "spy.zip!spy", 200, fetched, content_type="application/json", body=body)
    path = f"raw/source=databento/dataset=options/ingest_date=2025-08-18/{LATER_RAW}.parquet"
    write_batch(location, path, [RawPage(0, payload)])
    rows = [
        {"of": CALL, "time": at(14, 1), "bid": 1.1, "ask": 1.2},
        {"of": CALL, "time": at(14, 2), "bid": 1.3, "ask": 1.2},
    ]
    corrected = [{**rows[0], "bid": 1.15}, rows[1]]
    later = batch("quotes_1m", [{"of": CALL, "time": at(14, 1, NEXT_DAY), "bid": 1.1, "ask": 1.2}], LISTED, NEXT_DAY)
    for raw, quotes in ((RAW, rows), (LATER_RAW, corrected)):
        stored = member("quotes_1m", LISTED, batch("quotes_1m", quotes, LISTED), later)
        commit_member(location, stage_member(stored, folder, location=location, raw=raw), Holder(), folder)
    return open_lake(folder / "lake")


def explained(lake: Lake, time: str | None = "10:01", **others: str) -> OptionValue:
    found = lake.explain(CALL, DAY, field="bid", time=time, **others)  # type: ignore[arg-type]
    assert isinstance(found, OptionValue)
    return found


def test_a_quote_names_its_archive_and_the_value_before_its_correction(lake: Lake) -> None:
    found = explained(lake)
    assert (found.value, found.member) == (1.15, FACTS)
    assert [each["bid"] for each in found.revisions] == [1.1]
    assert "spy-20250806.dbn.zst of spy.zip, 294 bytes" in repr(found)


def test_a_quote_as_it_was_known_before(lake: Lake) -> None:
    assert explained(lake, as_of="2025-08-07").value == 1.1


def test_a_minute_without_a_quote_has_the_nearest_ones_and_what_was_rejected(lake: Lake) -> None:
    found = explained(lake, "10:02")
    assert found.row is None
    assert found.absence == ["the contract has quotes at 1 other minutes of the session, the nearest at 14:01 UTC"]
    assert {each["rules"] for each in found.rejected} == {"option_quote_not_crossed"}


def test_a_quote_needs_its_minute(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="give its time"):
        explained(lake, None)


def test_the_coverage_of_options_counts_sessions(lake: Lake) -> None:
    (row,) = option_coverage(lake._stored).rows()
    assert row == ("databento", "options_quotes_1m", "SPY", DAY, date(2025, 8, 7), 2, 2, 2)
