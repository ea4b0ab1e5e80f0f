"""The columns of the CSV form of options: which table takes a file, and how each text is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from quantx.core.options.symbols import contract_ids
from quantx.core.table import INSTANT
from quantx.providers.options.protocol import OptionKind

Type = Literal["price", "count", "date", "time"]

# A contract is named by its symbol (OSI or our own id), or by its parts.
SYMBOL = ("symbol",)
PARTS = ("root", "expiration", "right", "strike")

_KEYS = {"time", "date", "open_interest"}
_ERROR = 1e-6  # of a float; strikes are thousandths
NO_CONTRACT = "the row names no option contract"
_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})$"
_FORMS: Mapping[Type, str] = {
    "price": "no number",
    "count": "no whole number",
    "date": "no date as in 2025-08-07",
    "time": "no time with its zone, as in 2025-08-07T15:30:00-04:00",
}


@dataclass(frozen=True)
class CsvColumns:
    """The columns of a kind of file: those that it must have, and those that it may have."""

    kind: OptionKind
    required: Mapping[str, Type]
    optional: Mapping[str, Type]

    @property
    def all(self) -> dict[str, Type]:
        """Return the type of each column."""
        return {**self.required, **self.optional}


_PRICES: dict[str, Type] = dict.fromkeys(("open", "high", "low", "close"), "price")
_SIDES: dict[str, Type] = {f"{side}_{name}": "price" for side in ("bid", "ask") for name in _PRICES}
_SIZES: dict[str, Type] = {"bid_size": "count", "ask_size": "count"}

KINDS = (
    CsvColumns(
        "quotes_1m",
        {"time": "time", "bid": "price", "ask": "price"},
        {**_SIZES, "last": "price", "last_size": "count", "last_time": "time"},
    ),
    CsvColumns(
        "trades", {"time": "time", "price": "price", "size": "count"}, {"sequence": "count", "publisher": "count"}
    ),
    CsvColumns("quotes_1d", {"date": "date", "bid_close": "price", "ask_close": "price"}, {**_SIDES, **_SIZES}),
    CsvColumns("ohlcv_1d", {"date": "date", **_PRICES, "volume": "count"}, {}),
    CsvColumns("open_interest", {"date": "date", "open_interest": "count"}, {"public_at": "time"}),
)


def kind_of(names: Sequence[str]) -> CsvColumns | None:
    """Return the kind of a file by its columns; None where they are not those of one kind."""
    contract = contract_columns(names)
    if contract is None:
        return None
    given = set(names) - set(contract)
    return next((each for each in KINDS if each.required.keys() <= given <= each.all.keys()), None)


def contract_columns(names: Sequence[str]) -> tuple[str, ...] | None:
    """Return the columns that name the contract of a row."""
    return next((each for each in (SYMBOL, PARTS) if set(each) <= set(names)), None)


def contracts_of(rows: pl.DataFrame) -> pl.Series:
    """Return the OSI symbol or the id of each row's contract; null where its parts are none."""
    if contract_columns(rows.columns) == SYMBOL:
        return rows["symbol"].str.strip_chars().str.to_uppercase().alias("symbol")
    parts = rows.select(
        pl.col("root").str.strip_chars().str.to_uppercase(),
        read_column("expiration", "date"),
        pl.col("right").str.strip_chars().str.to_uppercase().replace({"CALL": "C", "PUT": "P"}),
        read_column("strike", "price"),
    )
    thousandths = pl.col("strike") * 1000
    exact = (thousandths - thousandths.round()).abs() < _ERROR
    return parts.with_columns(pl.when(exact).then("strike").alias("strike")).select(contract_ids())["contract"]


def read_column(name: str, type_: Type) -> pl.Expr:
    """Return the values of a column of texts; null where a text is empty, or is no value of the type."""
    text = pl.col(name).str.strip_chars()
    number = text.cast(pl.Float64, strict=False)
    by_type = {
        "price": pl.when(number.is_finite()).then(number),
        "count": text.cast(pl.Int64, strict=False),
        "date": text.str.to_date("%Y-%m-%d", strict=False),
        "time": _instant(text),
    }
    return by_type[type_].alias(name)


def fault(columns: CsvColumns, names: Sequence[str]) -> pl.Expr:
    """Return why a row is rejected, else null; of each column, the text has the prefix `text_`."""
    faults = []
    for name, type_ in columns.all.items():
        if name in names:
            stated = pl.lit(name in _KEYS) | (pl.col(f"text_{name}").str.strip_chars() != "")
            faults.append(pl.when(pl.col(name).is_null() & stated).then(pl.lit(f"its {name} is {_FORMS[type_]}")))
    return pl.coalesce(pl.when(pl.col("contract_index").is_null()).then(pl.lit(NO_CONTRACT)), *faults)


def _instant(text: pl.Expr) -> pl.Expr:
    whole = text.str.extract(_TIME, 0).str.replace(" ", "T", literal=True).str.replace("Z$", "+00:00")
    with_seconds = whole.str.replace(r"(T\d{2}:\d{2})([+-])", "$1:00$2")
    return with_seconds.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", strict=False, time_unit="us").cast(INSTANT)
