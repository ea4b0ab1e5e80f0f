"""Symbols are an allow-list: legal ones round-trip in every form, all else is refused by name."""

from __future__ import annotations

import json
import string
from datetime import date
from pathlib import PurePosixPath
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.calendars import calendar
from quantx.core.symbols import (
    US,
    VENUES_BY_SUFFIX,
    VENUES_OF_INDICES,
    canonical_symbol,
    parse_symbol,
    stored_symbol,
    symbol_of,
    venue_of,
)
from quantx.errors import ConfigError, InvalidSymbol

LEGAL = {
    "AAPL": "us",
    "A": "us",
    "BRK.B": "us",
    "BF.B": "us",
    "BAC.PRL": "us",
    "^GSPC": "us",
    "^VIX": "us",
    "^N225": "jp",
    "^HSI": "hk",
    "^FTSE": "eu",
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
    "80700.HK": "hk",
    "9988.HK": "hk",
    "7203.T": "jp",
    "285A.T": "jp",
    "130A.T": "jp",
    "ASML.AS": "eu",
    "NOVO-B.CO": "eu",
    "BP.L": "eu",
    "1COV.DE": "eu",
    "KOMB.PR": "eu",
    "EURUSD=X": "fx",
    "USDJPY=X": "fx",
    "BTC-USD": "crypto",
    "1INCH-EUR": "crypto",
    "CL=F": "futures",
    "6E=F": "futures",
    "CLZ26.NYM": "futures",
    "^TNX": "us",
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
    "Hong Kong with six digits": "000700.HK",
    "Hong Kong without a number": "0000.HK",
    "Hong Kong without a suffix": "700",
    "Tokyo with letters only": "SONY.T",
    "Yahoo's form of a share class": "BRK-B",
    "a pair with something that is no currency": "EURXYZ=X",
    "a pair of one currency": "EUREUR=X",
    "a currency in itself": "USD=X",
    "a crypto currency in something that is no currency": "BTC-ABC",
    "a contract of no month": "CLA26.NYM",
    "a contract of no exchange": "CLZ26.XYZ",
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


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BRK-B", "BRK.B"),
        ("brk/b", "BRK.B"),
        ("BAC-PL", "BAC.PRL"),
        ("AAPL.US", "AAPL"),
        ("BRK-B.US", "BRK.B"),
        ("7203.JP", "7203.T"),
        ("VOD.UK", "VOD.L"),
        ("700.HK", "0700.HK"),
        ("NOVO-B.CO", "NOVO-B.CO"),
    ],
)
def test_the_forms_of_vendors_are_understood_where_users_read_and_named_elsewhere(text: str, symbol: str) -> None:
    assert symbol_of(text) == symbol
    if text not in ("700.HK", "NOVO-B.CO"):
        with pytest.raises(InvalidSymbol, match=f"is a vendor's form of the symbol {symbol}; write {symbol}"):
            parse_symbol(text)


@pytest.mark.parametrize("text", [text for text in HOSTILE.values() if text not in ("a/b", "BRK-B")])
def test_other_texts_are_refused_where_users_read_as_well(text: str) -> None:
    with pytest.raises(InvalidSymbol):
        symbol_of(text)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_symbol_is_refused(text: str) -> None:
    with pytest.raises(InvalidSymbol, match=r"write it as in AAPL|write [0-9]{4}\.HK for Hong Kong|write [AB]"):
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
    assert text.strip().upper().lstrip("0") == symbol.lstrip("0")
    assert text.strip().isascii()
    assert PurePosixPath(f"raw/{symbol}.parquet").parent == PurePosixPath("raw")
    assert json.loads(json.dumps(symbol)) == unquote(quote(symbol)) == symbol


@given(st.from_regex(r"[A-Z][A-Z0-9]{0,6}(\.[AB])?|[1-9][0-9]{3,4}\.HK|[0-9][0-9A-Z]{3}\.T", fullmatch=True))
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


@pytest.mark.parametrize("text", ["0700.HK", "00700.HK", "700.HK", " 00700.hk "])
def test_the_codes_of_hong_kong_are_one_share(text: str) -> None:
    assert parse_symbol(text) == canonical_symbol(text) == "0700.HK"
    assert venue_of(text).calendar == "XHKG"


@given(st.integers(1, 99_999))
def test_a_code_of_hong_kong_has_one_form_in_any_width(code: int) -> None:
    symbols = {parse_symbol(f"{code:0{width}d}.HK") for width in range(1, 6)}
    assert symbols == {f"{code:04d}.HK"}


INDICES = {
    "^GSPC": ("us", "XNYS", "America/New_York", "USD"),
    "^DJI": ("us", "XNYS", "America/New_York", "USD"),
    "^IXIC": ("us", "XNYS", "America/New_York", "USD"),
    "^VIX": ("us", "XNYS", "America/New_York", "USD"),
    "^RUT": ("us", "XNYS", "America/New_York", "USD"),
    "^N225": ("jp", "XTKS", "Asia/Tokyo", "JPY"),
    "^HSI": ("hk", "XHKG", "Asia/Hong_Kong", "HKD"),
    "^FTSE": ("eu", "XLON", "Europe/London", "GBP"),
    "^GDAXI": ("eu", "XETR", "Europe/Berlin", "EUR"),
    "^FCHI": ("eu", "XPAR", "Europe/Paris", "EUR"),
    "^SSMI": ("eu", "XSWX", "Europe/Zurich", "CHF"),
}


@pytest.mark.parametrize("index", INDICES)
def test_an_index_has_the_calendar_the_zone_and_the_currency_of_its_exchange(index: str) -> None:
    venue = venue_of(index)
    assert (venue.market, venue.calendar, venue.timezone, venue.currency) == INDICES[index]
    assert parse_symbol(index.lower()) == canonical_symbol(index) == index


def test_tokyo_trades_on_thanksgiving_and_not_on_its_own_holiday() -> None:
    sessions = calendar(venue_of("^N225").calendar)
    assert sessions.is_session(date(2026, 11, 26))
    assert not sessions.is_session(date(2026, 11, 23))


def test_every_index_of_the_table_is_a_symbol() -> None:
    for index in VENUES_OF_INDICES:
        assert parse_symbol(index) == index


@pytest.mark.parametrize("text", ["^TWII", "^AXJO", "^BVSP", "^KS11", "^NSEI"])
def test_an_index_of_an_unknown_exchange_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(InvalidSymbol, match=r"an index whose exchange is not known.*\^N225"):
        parse_symbol(text)
    assert stored_symbol(text) == text  # an earlier version may have stored it
    assert venue_of(text) == US
