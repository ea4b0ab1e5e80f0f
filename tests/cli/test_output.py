"""Tables on a terminal: whole words in columns, or paragraphs where there is no room for them."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest

from quantx.cli.output import counted, out, print_table

FINDING: dict[str, Any] = {
    "id": 12345,
    "rule": "dividend_in_unit_of_price",
    "subject": "0700.HK",
    "first_day": date(2024, 1, 12),
    "sessions": 1234,
    "source": "",
    "last_day": None,
    "message": "36.53% of the price, which fell by 0.00%: " * 4,
}


def test_what_fits_is_a_table_in_which_only_texts_are_broken(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("findings", [FINDING])
    said = capsys.readouterr().out
    assert "│" in said
    assert max(map(len, said.splitlines())) <= 140
    for whole in ("12345", "dividend_in_unit_of_price", "0700.HK", "2024-01-12", "1,234"):
        assert whole in said


def test_small_numbers_keep_four_digits(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("returns", [{"return": value} for value in (-0.0000123, 0.0, 0.25, 1234.5)])
    assert re.findall(r"│ +(\S+) │", capsys.readouterr().out) == ["-1.23e-05", "0", "0.25", "1,234.5"]


def test_bars_keep_their_columns_in_a_narrow_window(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bar = {"symbol": "AAPL", "date": date(2024, 1, 12), "open": 186.06, "high": 186.74, "low": 185.19, "close": 185.92}
    bar |= {"volume": 40_477_800, "adj_close": 184.2345, "source": "yahoo"}
    monkeypatch.setattr(out, "width", 80)
    print_table("2 bars", [bar, bar])
    title, heads, *lines = capsys.readouterr().out.splitlines()
    assert title.strip() == "2 bars"
    assert heads.split() == ["symbol", "date", "open", "high", "low", "close", "volume", "adj", "close", "source"]
    assert lines[0].split() == [
        "AAPL",
        "2024-01-12",
        "186.06",
        "186.74",
        "185.19",
        "185.92",
        "40,477,800",
        "184.2345",
        "yahoo",
    ]
    assert max(map(len, lines)) <= 80


def test_what_does_not_fit_is_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    more = {f"figure_{i}": 1000.5 + i for i in range(9)}
    print_table("findings", [FINDING | more] * 2)
    title, *lines = capsys.readouterr().out.splitlines()
    assert title == "findings"
    assert len(lines) == 2
    assert lines[0].startswith("• id: 12345  rule: dividend_in_unit_of_price  subject: 0700.HK  first day: 2024-01-12")
    assert "figure 8: 1,008.5" in lines[0]
    assert not re.search("source|last day", lines[0])  # what is empty is left out


def test_columns_are_chosen_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("findings", [FINDING], {"subject": "symbol", "id": "number"})
    printed = capsys.readouterr().out
    assert re.search(r"symbol\s*┃\s*number", printed)
    assert "rule" not in printed


@pytest.mark.parametrize(
    ("number", "nouns", "text"),
    [
        (0, ("request",), "0 requests"),
        (1, ("request",), "1 request"),
        (2000, ("request",), "2,000 requests"),
        (1, ("reply", "replies"), "1 reply"),
        (2, ("reply", "replies"), "2 replies"),
    ],
)
def test_a_number_has_its_noun_in_the_right_form(number: int, nouns: tuple[str, ...], text: str) -> None:
    assert counted(number, *nouns) == text
