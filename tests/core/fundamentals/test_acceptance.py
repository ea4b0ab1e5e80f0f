"""The two clocks of acceptance times: late where they can't be told apart, never early."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from pydantic_core import from_json

from quantx.core.fundamentals.acceptance import public_times, reconcile_times
from quantx.providers.sec_filings import read_filings

from ...market_data import FOLDER, RECORDED

WIRE = FOLDER / "wire_sec_edgar" / "submissions"
TWICE = FOLDER / "known_answers" / "sec_fundamentals" / "submissions_two_clocks"
recorded = pytest.mark.skipif(not RECORDED, reason="needs the recordings of the SEC")


def filings(*sent: tuple[str, str, str], page: int = 0) -> pl.DataFrame:
    """Filings of one page: accession, acceptance time as it was sent, day of filing."""
    rows = [
        ("CIK0000000001", page, accession, datetime.fromisoformat(time) if time else None, date.fromisoformat(filed))
        for accession, time, filed in sent
    ]
    schema = {
        "symbol": pl.String,
        "page": pl.Int32,
        "accession": pl.String,
        "accepted": pl.Datetime("us", "UTC"),
        "filed": pl.Date,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def times(frame: pl.DataFrame) -> list[tuple[str, str]]:
    return [(f"{at:%Y-%m-%d %H:%M}", how) for at, how in frame.select("public_at", "public_how").iter_rows()]


def test_rows_above_the_newest_proof_of_utc_count_as_new_york() -> None:
    read = public_times(
        filings(
            ("0000000001-26-000003", "2026-03-04T17:33:00Z", "2026-03-04"),
            ("0000000001-25-000002", "2025-12-23T00:35:00Z", "2025-12-22"),  # 00:35 is no hour of EDGAR's
            ("0000000001-25-000001", "2025-11-19T21:20:00Z", "2025-11-19"),
        )
    )
    assert times(read) == [
        ("2026-03-04 22:33", "accepted_new_york"),
        ("2025-12-23 00:35", "accepted_utc"),
        ("2025-11-19 21:20", "accepted_utc"),
    ]


def test_a_page_decides_for_itself() -> None:
    newer = filings(("0000000001-25-000002", "2025-12-23T00:35:00Z", "2025-12-22"))
    older = filings(("0000000001-15-000001", "2015-06-01T16:30:00Z", "2015-06-01"), page=1)
    assert times(public_times(pl.concat([newer, older])))[1] == ("2015-06-01 20:30", "accepted_new_york")


@pytest.mark.parametrize(
    ("accession", "sent"),
    [
        pytest.param("9999999995-25-001041", "2025-04-09T00:15:05Z", id="a notice of the SEC's own"),
        pytest.param("0000000001-22-000009", "2022-10-04T22:05:07Z", id="finished minutes after 22:00"),
        pytest.param("0000000001-02-000009", "2002-04-10T04:00:00Z", id="a day alone, sent as UTC"),
        pytest.param("0000000001-02-000009", "2002-04-10T00:00:00Z", id="a day alone, sent as New York's"),
    ],
)
def test_what_proves_nothing_makes_no_older_row_early(accession: str, sent: str) -> None:
    old = ("0000000001-01-000001", "2001-11-01T16:30:00Z", "2001-11-01")
    assert times(public_times(filings((accession, sent, sent[:10]), old)))[1] == (
        "2001-11-01 21:30",
        "accepted_new_york",
    )


def test_without_a_time_of_day_a_filing_is_public_when_its_day_ends() -> None:
    read = public_times(
        filings(
            ("0000000001-24-000001", "", "2024-07-01"), ("0000000001-02-000002", "2002-04-10T04:00:00Z", "2002-04-10")
        )
    )
    assert times(read) == [("2024-07-02 04:00", "filed_day"), ("2002-04-11 04:00", "filed_day")]


def test_a_time_in_the_hour_that_does_not_exist_or_comes_twice_is_late() -> None:
    read = public_times(filings(("0000000001-24-000001", "2024-11-03T06:30:00Z", "2024-11-04")))
    assert times(read) == [("2024-11-03 11:30", "accepted_new_york")]


def settled(first: pl.DataFrame, second: pl.DataFrame) -> list[tuple[str, str]]:
    return times(reconcile_times(public_times(second), public_times(first)))


def test_two_downloads_with_both_clocks_are_one_time_and_proven() -> None:
    new_york = filings(("0000000001-26-000003", "2026-01-08T16:30:00Z", "2026-01-08"))
    utc = filings(("0000000001-26-000003", "2026-01-08T21:30:00Z", "2026-01-08"))
    assert settled(new_york, utc) == [("2026-01-08 21:30", "accepted_new_york")]  # as stored: no revision
    assert settled(utc, new_york) == [("2026-01-08 21:30", "confirmed")]  # it was read as 02:30 of the next day


def test_a_row_that_turns_out_to_be_utc_keeps_the_later_time() -> None:
    alone = filings(("0000000001-26-000003", "2026-01-08T21:30:00Z", "2026-01-08"))
    below = filings(
        ("0000000001-26-000004", "2026-01-10T02:00:00Z", "2026-01-09"),
        ("0000000001-26-000003", "2026-01-08T21:30:00Z", "2026-01-08"),
    )
    assert settled(alone, below)[1] == ("2026-01-09 02:30", "accepted_new_york")


def test_a_proven_time_stays_when_its_proof_has_moved_to_another_page() -> None:
    row = ("0000000001-26-000003", "2026-01-08T21:30:00Z", "2026-01-08")
    proven = filings(("0000000001-26-000004", "2026-01-10T02:00:00Z", "2026-01-09"), row)
    again = reconcile_times(public_times(filings(row)), public_times(proven))
    assert times(again) == [("2026-01-08 21:30", "accepted_utc")]


def test_another_shift_is_a_revision() -> None:
    first = filings(("0000000001-26-000003", "2026-01-08T16:30:00Z", "2026-01-08"))
    second = filings(("0000000001-26-000003", "2026-01-08T17:45:00Z", "2026-01-08"))
    assert settled(first, second) == [("2026-01-08 22:45", "accepted_new_york")]


def recorded_times(path: Path) -> pl.DataFrame:
    document = from_json(gzip.decompress(path.read_bytes()))
    page = document["filings"]["recent"] if "filings" in document else document
    read = read_filings(page, int(path.name[3:13]))
    return public_times(read.with_columns(pl.lit(path.name[:13]).alias("symbol"), pl.lit(0).alias("page")))


@recorded
def test_apple_was_public_at_the_time_that_another_vendor_has() -> None:
    """FMP's acceptedDate of Apple's 10-K of 2024 is 06:01:36 in New York; all of this download is New York's."""
    apple = recorded_times(WIRE / "CIK0000320193.json.gz")
    assert apple["public_how"].unique().to_list() == ["accepted_new_york"]
    filed = apple.filter(pl.col("accession") == "0000320193-24-000123")["public_at"].item()
    assert filed == datetime(2024, 11, 1, 10, 1, 36, tzinfo=UTC)


@recorded
@pytest.mark.parametrize(("name", "utc", "new_york"), [("CIK0001045810", 986, 21), ("CIK0001318605", 1000, 0)])
def test_downloads_in_utc_and_mixed_ones(name: str, utc: int, new_york: int) -> None:
    how = recorded_times(WIRE / f"{name}.json.gz")["public_how"]
    assert ((how == "accepted_utc").sum(), (how == "accepted_new_york").sum()) == (utc, new_york)


@recorded
@pytest.mark.parametrize("cik", ["CIK0000310522", "CIK0001677077", "CIK0001718179"])
def test_a_second_download_in_the_other_clock_revises_nothing(cik: str) -> None:
    downloads = [recorded_times(path) for path in sorted(TWICE.glob(f"{cik}*"))]
    first = stored = downloads[0]
    for download in downloads[1:]:
        again = reconcile_times(download, stored)
        both = again.join(stored, on="accession", suffix="_stored")
        assert both.height >= first.height
        assert both.filter(pl.col("public_at") != pl.col("public_at_stored")).is_empty()
        assert both.filter(pl.col("public_how") != pl.col("public_how_stored")).is_empty()
        stored = pl.concat([again, stored.join(again, on="accession", how="anti")])
