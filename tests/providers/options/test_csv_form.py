"""The CSV form of options: each kind of file, and texts that are no values."""

from __future__ import annotations

import codecs
import gzip
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from quantx.errors import ConfigError, MalformedPayload
from quantx.providers.options.csv_form import WRONG_WIDTH
from quantx.providers.options.forms import form_of
from quantx.sandbox.dbn_files import compress

from .opened import all_rows, opened, rejections

CALL, ID = "SPY   250815C00640000", "SPY250815C00640000"
DAY = date(2025, 8, 7)
NOON = datetime(2025, 8, 7, 16, tzinfo=UTC)
EXPECTED = {
    "time,symbol,bid,ask": ([f"2025-08-07T12:00:00-04:00,{CALL},0.15,0.16"], (NOON, 0.15, 0.16, *[None] * 5)),
    "time,symbol,bid,ask,bid_size,ask_size,last,last_size,last_time": (
        [f"2025-08-07 16:00Z,{ID},0.15,,3,4,0.155,2,2025-08-07T15:59:59.5Z"],
        (NOON, 0.15, None, 3, 4, 0.155, 2, NOON.replace(hour=15, minute=59, second=59, microsecond=500_000)),
    ),
    "time,symbol,price,size": ([f"2025-08-07T16:00:00+0000,{CALL},1.1,7"], (NOON, 1, 0, 1.1, 7)),
    "date,root,expiration,right,strike,bid_close,ask_close": (
        ["2025-08-07,spy,2025-08-15,call,640,1.1,1.3"],
        (*[None] * 3, 1.1, *[None] * 3, 1.3, None, None),
    ),
    "Date,Symbol,Open,High,Low,Close,Volume": ([f'2025-08-07,"{CALL}",1,2,0.5,1.5,10'], (1.0, 2.0, 0.5, 1.5, 10)),
    "date,symbol,open_interest": (
        [f"2025-08-07,{CALL},500"],
        (500, datetime(2025, 8, 8, 13, 30, tzinfo=UTC)),
    ),
    "date,symbol,open_interest,public_at": ([f"2025-08-07,{CALL},500,2025-08-07T16:00:00Z"], (500, NOON)),
}


def text(header: str, *rows: str) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


@pytest.mark.parametrize("header", EXPECTED)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, compress])
def test_each_kind(header: str, pack: Callable[[bytes], bytes]) -> None:
    rows, expected = EXPECTED[header]
    member = opened(pack(text(header, *rows)), "chain.csv.gz")
    assert (member.facts.source, member.facts.first, member.facts.last) == ("mine", DAY, DAY)
    assert all_rows(member).rows() == [(DAY, ID, *expected)]


def test_a_text_that_is_no_value_rejects_its_row() -> None:
    good = f"2025-08-07T16:00:00Z,{CALL},1,2"
    wrong = {
        f"2025-08-07T16:00:00,{CALL},1,2": "its time is no time with its zone, as in 2025-08-07T15:30:00-04:00",
        f"2025-08-07T16:00:00Z,{CALL},x,2": "its bid is no number",
        f"2025-08-07T16:00:00Z,{CALL},1,nan": "its ask is no number",
        "2025-08-07T16:00:00Z,SPY,1,2": "the row names no option contract",
        f"2025-08-07T16:00:00Z,{CALL},1": WRONG_WIDTH,
    }
    content = text("time,symbol,bid,ask", good, *wrong)
    assert len(all_rows(opened(content, "a.csv"))) == 1
    assert rejections(opened(content, "a.csv")) == list(wrong.values())
    (batch, _) = opened(content, "a.csv").batches()
    assert batch.rejected is not None
    assert json.loads(batch.rejected["row"][1])["bid"] == "x"


def test_bytes_of_another_encoding_reject_their_rows_only() -> None:
    rows = [f"2025-08-07,{CALL},5".encode(), b"2025-08-07,\xff,5", b"2025-08-07,\xfe"]
    content = codecs.BOM_UTF8 + b"\n".join([b"date,symbol,open_interest", *rows, b""])
    assert len(all_rows(opened(content, "a.csv"))) == 1
    assert rejections(opened(content, "a.csv")) == ["the row names no option contract", WRONG_WIDTH]


@pytest.mark.parametrize("strike", ["640.0005", "x", ""])
def test_a_strike_that_can_not_be_is_rejected(strike: str) -> None:
    header = "date,root,expiration,right,strike,open_interest"
    content = text(header, f"2025-08-07,SPY,2025-08-15,C,{strike},5")
    assert rejections(opened(content, "a.csv")) == ["the row names no option contract"]


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "is no CSV"),
        (b"<html><body>Sign in</body></html>\n", "not those of one kind"),
        (text("date,symbol,open_interest,volume", "2025-08-07,x,1,2"), "not those of one kind"),
        (text("date,symbol,open_interest,Date", "2025-08-07,x,1,2"), "two columns of one name"),
        (b"date,symbol,open_interest\n2025-08-07,SPY   250815C00640000,50", "it may be cut"),
        (b"date,\xff\xfe,open_interest\n2025-08-07,x,50\n", "not those of one kind"),
        (gzip.compress(text("date,symbol,open_interest", f"2025-08-07,{CALL},5"), mtime=0)[:-9], "cut or damaged"),
    ],
)
def test_what_can_not_be_read_is_refused(content: bytes, fact: str) -> None:
    with pytest.raises(MalformedPayload, match=fact):
        opened(content, "a.csv.gz")


def test_a_source_must_be_named() -> None:
    form = form_of("a.csv", b"")
    assert form is not None
    with pytest.raises(ConfigError, match="--source NAME"):
        form.open("a.csv", io.BytesIO(b""), 0)
