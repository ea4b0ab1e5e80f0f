"""Pages about several symbols are cut only where the rest provably gives the same rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import polars as pl
import pytest

from quantx.core.model import Payload
from quantx.pipeline.deleting.cut_pages import CUT, cut_page
from quantx.providers.protocol import Provider
from quantx.providers.registry import vendor_to_read
from quantx.settings import load_settings

from ..conftest import StoppedClock

BAR = {"t": "2024-01-05T05:00:00Z", "o": 10.5, "h": 11.25, "l": 10.0, "c": 11.0, "v": 1200, "n": 5, "vw": 10.7}


@pytest.fixture(scope="module")
def alpaca() -> Provider:
    return vendor_to_read("alpaca", load_settings(), StoppedClock())


def page(body: object, symbols: str = "AAA,BBB") -> Payload:
    at = datetime(2024, 2, 1, tzinfo=UTC)
    text = json.dumps(body).encode()
    return Payload(symbols, "https://x/v2/stocks/bars?symbols=AAA,BBB", 200, at, content_type="json", body=text)


def test_a_symbol_leaves_a_page_and_the_other_keeps_its_rows(alpaca: Provider) -> None:
    whole = page({"bars": {"AAA": [{**BAR, "v": 918273645}], "BBB": [BAR]}, "next_page_token": None})
    cut = cut_page(whole, {"AAA"}, alpaca)
    assert cut is not None
    assert (cut.symbol, cut.request.startswith(CUT), b"918273645" in cut.body) == ("BBB", True, False)
    before = alpaca.normalize(whole).bars.filter(pl.col("symbol") == "BBB")
    assert alpaca.normalize(cut).bars.equals(before)


@pytest.mark.parametrize(
    "body",
    [
        {"bars": {"BBB": [BAR]}, "note": "AAA", "next_page_token": None},  # the name is left in a text
        {"quotes": {"AAA": []}},  # another form
    ],
)
def test_what_can_not_be_proved_is_not_cut(alpaca: Provider, body: object) -> None:
    assert cut_page(page(body), {"AAA"}, alpaca) is None


def test_bytes_that_are_no_json_are_not_cut(alpaca: Provider) -> None:
    torn = Payload("AAA,BBB", "x", 200, datetime(2024, 2, 1, tzinfo=UTC), content_type="csv", body=b"AAA;1\nBBB;2")
    assert cut_page(torn, {"AAA"}, alpaca) is None
    assert cut_page(page({"bars": {"AAA": [BAR]}}, "AAA"), {"AAA"}, alpaca) is None  # nothing would be left
