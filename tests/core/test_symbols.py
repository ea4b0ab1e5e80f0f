"""Symbols are an allow-list: legal ones round-trip in every form, all else is refused by name."""

from __future__ import annotations

import json
import string
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.symbols import US, VENUES_BY_SUFFIX, parse_symbol, venue_of
from quantx.errors import ConfigError, InvalidSymbol

LEGAL = {
    "AAPL": "us",
    "A": "us",
    "BRK.B": "us",
    "BF.B": "us",
    "BAC.PRL": "us",
    "^GSPC": "us",
    "^N225": "us",
    # words that careless readers take for truth values, missing values, files or dates
    "TRUE": "us",
    "NA": "us",
    "NAN": "us",
    "NULL": "us",
    "ON": "us",
    "NO": "us",
    "CON": "us",
    "MAR": "us",
    "E": "us",
    "0700.HK": "hk",
    "00700.HK": "hk",
    "9988.HK": "hk",
    "7203.T": "jp",
    "285A.T": "jp",
    "130A.T": "jp",
    "ASML.AS": "eu",
    "NOVO-B.CO": "eu",
    "BP.L": "eu",
    "1COV.DE": "eu",
    "KOMB.PR": "eu",
}

HOSTILE = {
    "empty": "",
    "white space": " \t\n",
    "a path up": "../../x",
    "a Windows path": "..\\x",
    "an encoded path": "%2e%2e/",
    "a folder": "a/b",
    "dots": "..",
    "a dot in front": ".HK",
    "a dot behind": "AAPL.",
    "SQL": "'; drop table--",
    "SQL with a quote": "AAPL'",
    "a formula": "=cmd()",
    "a formula with plus": "+1",
    "a formula with at": "@SUM",
    "emoji": "\N{ROCKET}",
    "emoji behind": "AAPL\N{ROCKET}",
    "a right-to-left mark": "AAPL\N{RIGHT-TO-LEFT MARK}",
    "an override of direction": "\N{RIGHT-TO-LEFT OVERRIDE}LPAA",
    "NUL": "AAPL\0",
    "NUL inside": "AA\0PL",
    "a line break inside": "AA\nPL",
    "white space inside": "AA PL",
    "300 letters": "A" * 300,
    "17 letters": "A" * 17,
    "Cyrillic A": "\N{CYRILLIC CAPITAL LETTER A}APL",
    "dotless i, whose capital is I": "\N{LATIN SMALL LETTER DOTLESS I}BM",
    "long s, whose capital is S": "\N{LATIN SMALL LETTER LONG S}PY",
    "a ligature, whose capital is FI": "\N{LATIN SMALL LIGATURE FI}X",
    "full-width letters": "ＡＡＰＬ",
    "Arabic digits": "٠٧٠٠.HK",
    "a suffix of no exchange": "AAPL.XX",
    "Hong Kong with letters": "TENC.HK",
    "Hong Kong with three digits": "700.HK",
    "Tokyo with letters only": "SONY.T",
    "Yahoo's form of a share class": "BRK-B",
    "Yahoo's form of a currency": "EURUSD=X",
    "two symbols": "AAPL,MSFT",
    "a number": "1234",
    "an option": "-AAPL",
    "any symbol": "*",
    "a condition": "AAPL OR 1=1",
    "a line break between two": "AAPL\nMSFT",
    "Hong Kong with another suffix": "0700.XX",
}


@pytest.mark.parametrize("symbol", LEGAL)
def test_a_legal_symbol_is_its_own_canonical_form(symbol: str) -> None:
    assert parse_symbol(symbol) == symbol
    assert parse_symbol(f"  {symbol.lower()}\n") == symbol
    assert venue_of(symbol).market == LEGAL[symbol]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_symbol_is_refused(text: str) -> None:
    with pytest.raises(InvalidSymbol, match=r"write it as in AAPL"):
        parse_symbol(text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_refusal_is_one_short_printable_line(text: str) -> None:
    with pytest.raises(InvalidSymbol) as refusal:
        venue_of(text)
    message = str(refusal.value)
    assert message.isascii()
    assert message.isprintable()
    assert len(message) < 500


def test_a_wrong_symbol_is_the_users_to_mend() -> None:
    assert issubclass(InvalidSymbol, ConfigError)


@given(st.text(max_size=20))
def test_any_text_is_either_refused_or_safe_in_a_path_a_message_and_a_query(text: str) -> None:
    try:
        symbol = parse_symbol(text)
    except InvalidSymbol:
        return
    assert set(symbol) <= set(string.ascii_uppercase + string.digits + ".-^")
    assert text.strip().upper() == symbol
    assert text.strip().isascii()
    assert PurePosixPath(f"raw/{symbol}.parquet").parent == PurePosixPath("raw")
    assert json.loads(json.dumps(symbol)) == unquote(quote(symbol)) == symbol


@given(st.from_regex(r"\^?[A-Z][A-Z0-9]{0,6}(\.[AB])?|[0-9]{4,5}\.HK|[0-9][0-9A-Z]{3}\.T", fullmatch=True))
def test_parsing_twice_is_parsing_once(symbol: str) -> None:
    assert parse_symbol(parse_symbol(symbol)) == parse_symbol(symbol) == symbol


def test_every_suffix_belongs_to_one_market_with_zone_and_currency() -> None:
    for venue in (US, *VENUES_BY_SUFFIX.values()):
        assert venue.market in ("us", "hk", "jp", "eu")
        assert len(venue.calendar) == 4
        assert "/" in venue.timezone
        assert len(venue.currency) == 3


def test_suffixes_lead_to_their_exchange() -> None:
    told = {s: (venue_of(s).calendar, venue_of(s).currency) for s in ("AAPL", "0700.HK", "7203.T", "VOD.L", "ASML.AS")}
    assert told == {
        "AAPL": ("XNYS", "USD"),
        "0700.HK": ("XHKG", "HKD"),
        "7203.T": ("XTKS", "JPY"),
        "VOD.L": ("XLON", "GBX"),
        "ASML.AS": ("XAMS", "EUR"),
    }
