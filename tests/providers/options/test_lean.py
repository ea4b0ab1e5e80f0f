"""LEAN's zips of options: recorded ones, and made ones of the kinds that are not recorded."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, date, datetime

import polars as pl
import pytest

from quantx.errors import MalformedPayload
from quantx.providers.options.archives import open_archive
from quantx.providers.options.forms import open_member
from quantx.providers.options.lean import MALFORMED

from ...market_data import FOLDER
from .opened import all_rows, opened, rejections

LEAN = FOLDER / "options_daily_lean"
recorded = pytest.mark.skipif(not LEAN.is_dir(), reason="needs the recorded zips of LEAN")
ZIP = "aapl_2014_quote_american.zip"
CONTRACT = "aapl_quote_american_call_6650000_20140719.csv"


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@recorded
def test_the_recorded_quotes() -> None:
    with open_archive(LEAN / "aapl_2014_quote_american.zip") as archive:
        (member,) = archive.members
        with open_member(archive, member) as read:
            assert (read.facts.kind, read.facts.source, read.facts.first, read.facts.last) == (
                "quotes_1d",
                "lean",
                date(2014, 6, 6),
                date(2014, 6, 9),
            )
            assert len(read.contracts) == 4532
            rows = all_rows(read)
    assert len(rows) == 4532
    assert rows.filter(pl.col("contract") == "AAPL150117C01000000").rows() == [
        (date(2014, 6, 6), "AAPL150117C01000000", 1.49, 1.59, 1.04, 1.21, 1.63, 1.95, 1.25, 1.33, 30, 6)
    ]
    assert rows.filter(pl.col("bid_open").is_null() | pl.col("ask_open").is_null()).height == 355


@recorded
def test_the_recorded_open_interest_is_of_the_session_before() -> None:
    with open_archive(LEAN / "aapl_2014_openinterest_american.zip") as archive:
        (member,) = archive.members
        with open_member(archive, member) as read:
            assert (read.facts.first, read.facts.last) == (date(2014, 6, 5), date(2014, 6, 27))
            rows = all_rows(read)
    # Monday 2014-06-09 was the first session after the split of seven for one: its file has the old strikes.
    assert rows.filter(pl.col("contract") == "AAPL150117C00650000").drop("contract").rows() == [
        (date(2014, 6, 5), 14752, datetime(2014, 6, 6, 13, 30, tzinfo=UTC)),
        (date(2014, 6, 6), 14357, datetime(2014, 6, 9, 13, 30, tzinfo=UTC)),
    ]


def test_minutes_end_a_minute_after_their_beginning() -> None:
    name = "20140606_aapl_minute_quote_american_put_6650000_20140719.csv"
    content = zipped(**{name: "34200000,100,200,50,150,7,300,400,250,350,9\n34260000,,,,,0,1,1,1,1,2\n"})
    member = opened(content, "aapl/20140606_quote_american.zip")
    assert (member.facts.kind, member.facts.first, member.facts.last) == (
        "quotes_1m",
        date(2014, 6, 6),
        date(2014, 6, 6),
    )
    assert all_rows(member).select("contract", "time", "bid", "ask", "bid_size", "ask_size", "last").rows() == [
        ("AAPL140719P00665000", datetime(2014, 6, 6, 13, 31, tzinfo=UTC), 0.015, 0.035, 7, 9, None),
        ("AAPL140719P00665000", datetime(2014, 6, 6, 13, 32, tzinfo=UTC), None, 0.0001, 0, 2, None),
    ]


def test_daily_trades_are_bars() -> None:
    content = zipped(**{"spxw_trade_european_call_20000000_20141231.csv": "20141230 00:00,1000,2000,500,1500,77\n"})
    assert all_rows(opened(content, ZIP)).rows() == [
        (date(2014, 12, 30), "SPXW141231C02000000", 0.1, 0.2, 0.05, 0.15, 77)
    ]


def test_a_row_of_another_form_is_rejected() -> None:
    whole = "20140606 00:00,1,1,1,1,1,1,1,1,1,1"
    wrong = ["20140606 00:00,1,1", whole.replace("0606", "0231"), f"{whole[:-1]}x", f"{whole},1", "<html>"]
    rows = [whole, *wrong]
    content = zipped(**{CONTRACT: "\n".join(rows)})
    assert len(all_rows(opened(content, ZIP))) == 1
    assert rejections(opened(content, ZIP)) == [MALFORMED] * 5


@pytest.mark.parametrize(
    ("files", "fact"),
    [
        ({"readme.txt": "x"}, "a zip inside of an archive"),
        ({CONTRACT.replace("20140719", "20140231"): "x"}, "a date that does not exist"),
        ({CONTRACT.replace("6650000", "6650001"): "x"}, "no multiple of 0.001"),
        ({CONTRACT: "x", CONTRACT.replace("quote", "trade"): "x"}, "files of several kinds"),
        ({CONTRACT: ""}, "no row with a date"),
    ],
)
def test_what_is_no_archive_of_lean_is_refused(files: dict[str, str], fact: str) -> None:
    with pytest.raises(MalformedPayload, match=fact):
        opened(zipped(**files), ZIP)


def test_a_damaged_zip_is_refused() -> None:
    whole = zipped(**{CONTRACT: "20140606 00:00,1,1,1,1,1,1,1,1,1,1\n" * 100})
    for tenth in range(1, 10):
        with pytest.raises(MalformedPayload):
            opened(whole[: len(whole) * tenth // 10], ZIP)
    damaged = bytearray(whole)
    damaged[len(CONTRACT) + 40] ^= 0xFF
    with pytest.raises(MalformedPayload):
        opened(bytes(damaged), ZIP)
