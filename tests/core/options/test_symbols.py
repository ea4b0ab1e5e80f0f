"""Symbols of options: OSI, the permanent id, and their parts, one by one and as columns."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from quantx.core.options.roots import underlying_expr, underlying_of_root
from quantx.core.options.symbols import (
    OptionContract,
    contract_ids,
    osi_symbols,
    parse_contract,
    parse_contracts,
    with_terms,
)
from quantx.errors import InvalidSymbol

KNOWN = {
    "SPY   250807C00450000": OptionContract(date(2025, 8, 7), "SPY", "C", 450.0),
    "SPY1  250807P00000500": OptionContract(date(2025, 8, 7), "SPY1", "P", 0.5),
    "SPXW  250808C06350000": OptionContract(date(2025, 8, 8), "SPXW", "C", 6350.0),
    "A     241220P00132140": OptionContract(date(2024, 12, 20), "A", "P", 132.14),
    "BRKB  260116C99999999": OptionContract(date(2026, 1, 16), "BRKB", "C", 99999.999),
}
WRONG = ("SPY", "", "SPY   250230C00450000", "SPY   250807X00450000", "SPY   250807C0045000", "123   250807C00450000")


@pytest.mark.parametrize("osi", KNOWN)
def test_a_contract_is_read_and_written(osi: str) -> None:
    contract = parse_contract(osi)
    assert contract == KNOWN[osi] == parse_contract(contract.id)
    assert (contract.osi, contract.id) == (osi, osi.replace(" ", ""))


@pytest.mark.parametrize("text", WRONG)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidSymbol, match="as in SPY250807C00450000"):
        parse_contract(text)


def test_columns_say_the_same_as_one_contract() -> None:
    read = parse_contracts(pl.Series([*KNOWN, *WRONG, None]))
    assert read.head(len(KNOWN)).rows() == [
        (each.underlying, each.id, each.root, each.expiration, each.right, each.strike) for each in KNOWN.values()
    ]
    assert read.tail(len(WRONG) + 1).null_count().row(0) == (len(WRONG) + 1,) * 6
    written = read.head(len(KNOWN)).select(contract_ids(), osi_symbols())
    assert written.rows() == [(each.id, each.osi) for each in KNOWN.values()]


@pytest.mark.parametrize(
    ("root", "underlying"),
    [("SPY", "SPY"), ("SPY1", "SPY"), ("SPXW", "SPX"), ("VIXW", "VIX"), ("BRKB", "BRK.B"), ("2SPX", "SPX")],
)
def test_the_underlying_of_a_root(root: str, underlying: str) -> None:
    assert underlying_of_root(root) == underlying
    assert pl.select(underlying_expr(pl.lit(root))).item() == underlying


def test_terms_are_those_of_the_root() -> None:
    roots = pl.DataFrame({"root": ["SPY", "SPY1", "SPX", "SPXW", "2SPX", "BRKB"]})
    assert with_terms(roots).rows() == [
        ("SPY", 100.0, "100 SPY", "PM"),
        ("SPY1", None, None, "PM"),
        ("SPX", 100.0, "cash", "AM"),
        ("SPXW", 100.0, "cash", "PM"),
        ("2SPX", None, None, None),
        ("BRKB", 100.0, "100 BRK.B", "PM"),
    ]
