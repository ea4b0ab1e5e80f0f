"""The request document: all errors are reported at once, and nothing that was sent comes back verbatim."""

from __future__ import annotations

import contextlib
import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantx.core.model import Window
from quantx.pipeline.planning.update_request import (
    MOST_BYTES,
    MOST_SYMBOLS,
    InvalidRequest,
    RequestTooLarge,
    UpdateRequest,
    parse_request,
)

TODAY = date(2024, 1, 12)


def read(document: Any) -> UpdateRequest:
    return parse_request(document if isinstance(document, bytes) else json.dumps(document).encode(), TODAY)


def pointers(document: Any) -> list[str]:
    with pytest.raises(InvalidRequest) as refused:
        read(document)
    reported = json.dumps([vars(error) for error in refused.value.errors])
    assert reported.isascii()
    assert len(reported) < 20_000
    return [error.pointer for error in refused.value.errors]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"", UpdateRequest()),
        ({}, UpdateRequest()),
        ({"phase": "phase_1"}, UpdateRequest(phase="phase_1")),
        ({"universe": "us", "lookback_days": 0}, UpdateRequest(universe="us", lookback_days=0)),
        ({"symbols": ["aapl", "0700.HK", "AAPL"]}, UpdateRequest(symbols=("AAPL", "0700.HK"))),
        ({"symbols": ["00700.HK", "700.HK", "0700.HK", "^n225"]}, UpdateRequest(symbols=("0700.HK", "^N225"))),
        (
            {"symbols": ["A"], "start": "2015-01-01", "end": "2016-12-31", "again": True, "source": "yahoo"},
            UpdateRequest(
                symbols=("A",), window=Window(date(2015, 1, 1), date(2016, 12, 31)), again=True, source="yahoo"
            ),
        ),
        ({"phase": "p", "start": "2024-01-12"}, UpdateRequest(phase="p", window=Window(TODAY, TODAY))),
        ({"universe": "Große Werte 😀"}, UpdateRequest(universe="Große Werte 😀")),
        ({"timeframe": "1m", "symbols": ["A"]}, UpdateRequest(symbols=("A",), timeframe="1m")),
    ],
    ids=str,
)
def test_a_valid_document_becomes_a_request(document: Any, expected: UpdateRequest) -> None:
    assert read(document) == expected


@pytest.mark.parametrize(
    ("document", "places"),
    [
        (b"{", ["#"]),
        (b"\xff\xfe{}", ["#"]),
        (b"\xef\xbb\xbf{}", ["#"]),
        (b'{"lookback_days": NaN}', ["#"]),
        (b'{"lookback_days": Infinity}', ["#"]),
        (b'{"lookback_days": ' + b"9" * 5000 + b"}", ["#"]),
        (b"[" * 100_000, ["#"]),
        (b'{"a":' * 40_000, ["#"]),
        (b'["AAPL"]', ["#"]),
        (b"null", ["#"]),
        (b'"AAPL"', ["#"]),
        (b'{"phase": "a", "phase": "b"}', ["#/phase"]),
        (b'{"x": {"y": 1, "y": 2}}', ["#/y"]),
        ({"symbol": "AAPL"}, ["#/symbol"]),
        ({"a/b~c": 1}, ["#/a~1b~0c"]),
        (b'{"\\ud800": 1, "phase": 7}', ["#/phase", "#/\\\\ud800"]),
        ({"phase": None}, ["#/phase"]),
        ({"symbols": None, "lookback_days": None, "timeframe": None}, ["#/symbols", "#/lookback_days", "#/timeframe"]),
        ({"phase": "a", "universe": "b"}, ["#/universe"]),
        ({"symbols": "AAPL,MSFT"}, ["#/symbols"]),
        ({"symbols": []}, ["#/symbols"]),
        ({"symbols": {"0": "AAPL"}}, ["#/symbols"]),
        ({"symbols": [700, None, ["AAPL"], "AAPL"]}, ["#/symbols/0", "#/symbols/1", "#/symbols/2"]),
        ({"symbols": ["../../x", "A" * 300, "😀", "'; drop table tasks --", "\u202eLPAA", "A\u0000", "=cmd()"]},
         [f"#/symbols/{n}" for n in range(7)]),
        ({"symbols": ["A"] * (MOST_SYMBOLS + 1)}, ["#/symbols"]),
        ({"phase": ""}, ["#/phase"]),
        ({"phase": " p"}, ["#/phase"]),
        ({"phase": "p" * 101}, ["#/phase"]),
        ({"universe": "a\u0000b"}, ["#/universe"]),
        (b'{"universe": "\\ud800"}', ["#/universe"]),
        ({"universe": ["us"]}, ["#/universe"]),
        ({"source": {"name": "yahoo"}}, ["#/source"]),
        ({"lookback_days": "five"}, ["#/lookback_days"]),
        ({"lookback_days": True}, ["#/lookback_days"]),
        ({"lookback_days": -1}, ["#/lookback_days"]),
        ({"lookback_days": 251}, ["#/lookback_days"]),
        ({"lookback_days": 2.0}, ["#/lookback_days"]),
        ({"timeframe": "2d"}, ["#/timeframe"]),
        ({"timeframe": ["1d"]}, ["#/timeframe"]),
        ({"again": True}, ["#/again"]),
        ({"symbols": ["A"], "start": "2015-01-01", "again": 1}, ["#/again"]),
        ({"symbols": ["A"], "start": "2016-12-31", "end": "2015-01-01"}, ["#/start"]),
        ({"symbols": ["A"], "start": "20150101"}, ["#/start"]),
        ({"symbols": ["A"], "start": "2015-02-30"}, ["#/start"]),
        ({"symbols": ["A"], "start": 20150101}, ["#/start"]),
        ({"symbols": ["A"], "start": "２０１５-01-01"}, ["#/start"]),
        ({"symbols": ["A"], "start": "2015-01-01", "end": "2024-01-13"}, ["#/end"]),
        ({"symbols": ["A"], "start": "2999-01-01"}, ["#/start"]),
        ({"symbols": ["A"], "end": "2015-01-01"}, ["#/end"]),
        ({"start": "2015-01-01"}, ["#"]),
        ({"symbols": ["A"], "start": "2015-01-01", "lookback_days": 5}, ["#/lookback_days"]),
    ],
    ids=lambda value: ascii(value)[:60],
)  # fmt: skip
def test_an_invalid_document_is_refused_with_the_places_of_its_errors(document: Any, places: list[str]) -> None:
    assert pointers(document) == places


def test_all_errors_are_reported_at_once() -> None:
    document = {
        "phase": 1, "symbols": ["x y", "AAPL"], "start": "soon", "end": "2999-01-01", "lookback_days": -1, "sauce": "y",
    }  # fmt: skip
    assert sorted(pointers(document)) == [
        "#/end", "#/lookback_days", "#/lookback_days", "#/phase", "#/sauce", "#/start", "#/symbols", "#/symbols/0",
    ]  # fmt: skip


def test_a_flood_of_errors_is_cut_and_counted() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read({f"field {n}": n for n in range(5000)})
    assert len(refused.value.errors) == 51
    assert "4,950 more" in refused.value.errors[-1].detail


def test_a_huge_document_is_not_even_read() -> None:
    for size in (MOST_BYTES + 1, 10_000_000):
        with pytest.raises(RequestTooLarge):
            read(b"[" * size)
    with pytest.raises(RequestTooLarge):
        read({"symbols": [f"S{n}" for n in range(100_000)]})


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(parse_request(body, TODAY), UpdateRequest)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_FIELDS = ("phase", "universe", "symbols", "start", "end", "lookback_days", "source", "timeframe", "again")


@given(st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=5))
def test_an_admitted_value_is_safe_in_a_statement(document: dict[str, Any]) -> None:
    try:
        request = read(document)
    except InvalidRequest:
        return
    for name in (request.universe, request.phase, request.source):
        assert name is None or (name.isprintable() and name.encode())
    assert all(symbol.isascii() for symbol in request.symbols)
