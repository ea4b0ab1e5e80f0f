"""Symbols of option contracts: the OSI form, the permanent id of a contract, and their parts.

OSI has 21 characters: the root padded to six, the expiration as yymmdd, C or P, and the strike × 1000 with eight digits
(https://www.theocc.com, Options Symbology Initiative). The permanent id is the same without the padding. Both are read
from the right, where the last 15 characters have fixed places.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from quantx.core.options.roots import terms, underlying_expr, underlying_of_root
from quantx.errors import InvalidSymbol

PATTERN = r"^([A-Z0-9]{1,6}) *([0-9]{6})([CP])([0-9]{8})$"
_COMPILED = re.compile(r"([A-Z0-9]{1,6}) *([0-9]{6})([CP])([0-9]{8})")
_ROOT_WIDTH = 6
_STRIKE_WIDTH = 8
_STRIKE_SCALE = 1000


@dataclass(frozen=True, order=True)
class OptionContract:
    """One listed option contract; contracts order as CONTRACT_ORDER does."""

    expiration: date
    root: str
    right: str  # C or P
    strike: float

    @property
    def id(self) -> str:
        """Return the permanent id, as in SPY250807C00450000."""
        return f"{self.root}{self._tail}"

    @property
    def osi(self) -> str:
        """Return the OSI symbol of 21 characters, as in `SPY   250807C00450000`."""
        return f"{self.root:<{_ROOT_WIDTH}}{self._tail}"

    @property
    def underlying(self) -> str:
        """Return the symbol of the underlying."""
        return underlying_of_root(self.root)

    @property
    def _tail(self) -> str:
        return f"{self.expiration:%y%m%d}{self.right}{round(self.strike * _STRIKE_SCALE):0{_STRIKE_WIDTH}d}"


def parse_contract(text: str) -> OptionContract:
    """Return the contract of an OSI symbol or of a permanent id; InvalidSymbol for another text.

    >>> parse_contract("SPY   250807C00450000").id
    'SPY250807C00450000'
    >>> parse_contract("spxw250807p06350000").osi
    'SPXW  250807P06350000'
    """
    found = _COMPILED.fullmatch(text.strip().upper())
    expiration = None if found is None else _day(found[2])
    if found is None or expiration is None or found[1].isdigit():
        raise InvalidSymbol(
            f"{text!r} is no symbol of an option; write root, yymmdd, C or P, and the strike × 1000 with eight digits,"
            " as in SPY250807C00450000"
        )
    return OptionContract(expiration, found[1], found[3], int(found[4]) / _STRIKE_SCALE)


def parse_contracts(symbols: pl.Series) -> pl.DataFrame:
    """Return underlying, contract, root, expiration, right and strike of OSI symbols or ids, a row per symbol.

    A row is null where the text is no symbol of an option.
    """
    text = symbols.alias("symbol").cast(pl.String).to_frame().select(pl.col("symbol").str.strip_chars())
    parts = text.select(pl.col("symbol").str.extract_groups(PATTERN).alias("part")).unnest("part")
    root, day, right, strike = (pl.col(name) for name in parts.columns)
    expiration = pl.concat_str(pl.lit("20"), day).str.to_date("%Y%m%d", strict=False)
    valid = expiration.is_not_null() & ~root.str.contains("^[0-9]+$")
    return parts.select(
        pl.when(valid).then(each)
        for each in (
            underlying_expr(root).alias("underlying"),
            pl.concat_str(root, day, right, strike).alias("contract"),
            root.alias("root"),
            expiration.alias("expiration"),
            right.alias("right"),
            # From its text: Polars divides by a constant with its reciprocal, which is not exact.
            pl.concat_str(strike.str.head(5), pl.lit("."), strike.str.tail(3)).cast(pl.Float64).alias("strike"),
        )
    )


def with_terms(contracts: pl.DataFrame) -> pl.DataFrame:
    """Return contracts with multiplier, deliverable and settlement, as far as their roots state them."""
    return contracts.with_columns(terms(pl.col("root")))


def contract_ids() -> pl.Expr:
    """Return the permanent ids of rows with root, expiration, right and strike."""
    scaled = (pl.col("strike") * _STRIKE_SCALE).round().cast(pl.Int64).cast(pl.String)
    return pl.concat_str(
        "root", pl.col("expiration").dt.strftime("%y%m%d"), "right", scaled.str.zfill(_STRIKE_WIDTH)
    ).alias("contract")


def osi_symbols() -> pl.Expr:
    """Return the OSI symbols of rows with contract and root."""
    tail = pl.col("contract").str.slice(pl.col("root").str.len_chars())
    return pl.concat_str(pl.col("root").str.pad_end(_ROOT_WIDTH), tail).alias("osi")


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(f"20{text}", "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None
