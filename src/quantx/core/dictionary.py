"""The data dictionary: the unit, time zone, origin and nullability of each column.

A new table or column needs an entry here and a meaning in `core/column_meanings.py`; `fields_of` reports a missing one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import polars as pl

from quantx.core.column_meanings import MEANINGS
from quantx.core.features.tables import feature_of, unit_of
from quantx.core.table import INSTANT, Table

# vendor: the reply, converted to as traded where the vendor's prices are adjusted; request: the request;
# list: the source of a universe or of the symbol history; settings: universes.yaml; person: a manual entry;
# quantx: computed here.
Origin = Literal["vendor", "request", "list", "settings", "person", "quantx"]

_PRICE = "`currency` per share"
_OPTION = "currency of the contract, per unit of the underlying"


@dataclass(frozen=True)
class Column:
    """The origin and unit of a column, in every table."""

    origin: Origin
    unit: str = ""  # of numbers; empty for texts, dates and instants


@dataclass(frozen=True)
class Field:
    """A column of one table with all its facts."""

    name: str
    dtype: pl.DataType
    _: KW_ONLY
    unit: str
    zone: str  # of dates and instants
    origin: Origin
    nullable: bool
    meaning: str


COLUMNS: Mapping[str, Column] = {
    "source": Column("request"),
    "year": Column("quantx", "year"),
    "month": Column("quantx", "year × 100 + month"),
    "symbol": Column("request"),
    "date": Column("vendor"),
    "time": Column("vendor"),
    "regular": Column("quantx"),
    "open": Column("vendor", _PRICE),
    "high": Column("vendor", _PRICE),
    "low": Column("vendor", _PRICE),
    "close": Column("vendor", _PRICE),
    "volume": Column("vendor", "shares"),
    "currency": Column("vendor"),
    "raw": Column("quantx"),
    "known_from": Column("quantx"),
    "known_to": Column("quantx"),
    "ex_date": Column("vendor"),
    "kind": Column("vendor"),
    "value": Column("vendor", f"new shares per old one, {_PRICE}, shares, or `unit`"),
    "reference_close": Column("quantx", _PRICE),
    "dataset": Column("quantx"),
    "rules": Column("quantx"),
    "row": Column("vendor"),
    "payload_sha256": Column("quantx"),
    "universe": Column("settings"),
    "phase": Column("settings"),
    "market": Column("list"),
    "asset_class": Column("quantx"),
    "name": Column("list"),
    "member_from": Column("list"),
    "member_to": Column("list"),
    "instrument": Column("quantx"),
    "status": Column("quantx"),
    "listed_on": Column("list"),
    "delisted_on": Column("list"),
    "reason": Column("person"),
    "evidence": Column("quantx"),
    "symbol_from": Column("list"),
    "symbol_to": Column("list"),
    "ours": Column("quantx", "factor before / factor after"),
    "vendors": Column("vendor", "factor before / factor after"),
    "verdict": Column("quantx"),
    "policy": Column("quantx", "version"),
    "sent": Column("vendor"),
    "passed": Column("quantx", "version"),
    "decision": Column("person"),
    "by": Column("person"),
    "source_a": Column("quantx"),
    "source_b": Column("quantx"),
    "sessions": Column("quantx", "sessions"),
    "agreed": Column("quantx", "sessions"),
    "wrong_a": Column("quantx", "sessions"),
    "wrong_b": Column("quantx", "sessions"),
    "lacking_a": Column("quantx", "sessions"),
    "lacking_b": Column("quantx", "sessions"),
    "worst": Column("quantx", "relative difference"),
    "decided_by": Column("quantx"),
    "rule": Column("quantx"),
    "against": Column("quantx"),
    "field": Column("quantx"),
    "other_value": Column("vendor", f"{_PRICE}, or shares"),
    "other_date": Column("vendor"),
    "calendar": Column("quantx"),
    "severity": Column("quantx"),
    "subject": Column("quantx"),
    "first_day": Column("quantx"),
    "last_day": Column("quantx"),
    "message": Column("quantx"),
    "facts": Column("quantx"),
    "first_seen": Column("quantx"),
    "filer": Column("vendor"),
    "cik": Column("vendor", "number"),
    "taxonomy": Column("vendor"),
    "tag": Column("vendor"),
    "unit": Column("vendor"),
    "start": Column("vendor"),
    "end": Column("vendor"),
    "form": Column("vendor"),
    "accession": Column("vendor"),
    "fy": Column("vendor", "year"),
    "fp": Column("vendor"),
    "filed": Column("vendor"),
    "public_at": Column("quantx"),
    "label_end": Column("quantx"),
    "public_how": Column("quantx"),
    "revision": Column("quantx"),
    "concept": Column("quantx"),
    "period": Column("quantx"),
    "origin": Column("quantx"),
    "operands": Column("quantx"),
    "items": Column("vendor"),
    "report_end": Column("vendor"),
    "description": Column("vendor"),
    "url": Column("quantx"),
    "sic": Column("vendor"),
    "industry": Column("vendor"),
    "sector": Column("quantx"),
    "fiscal_year_end": Column("vendor"),
    "tickers": Column("vendor"),
    "metric": Column("quantx"),
    "method": Column("quantx"),
    "licence": Column("quantx"),
    "study": Column("settings"),
    "model": Column("quantx"),
    "prediction": Column("quantx", "unit of the study's label"),
    "underlying": Column("quantx"),
    "contract": Column("quantx"),
    "root": Column("vendor"),
    "expiration": Column("vendor"),
    "right": Column("vendor"),
    "strike": Column("vendor", _OPTION),
    "multiplier": Column("quantx", "units of the underlying"),
    "deliverable": Column("quantx"),
    "settlement": Column("quantx"),
    "first_date": Column("vendor"),
    "bid": Column("vendor", _OPTION),
    "ask": Column("vendor", _OPTION),
    "bid_open": Column("vendor", _OPTION),
    "bid_high": Column("vendor", _OPTION),
    "bid_low": Column("vendor", _OPTION),
    "bid_close": Column("vendor", _OPTION),
    "ask_open": Column("vendor", _OPTION),
    "ask_high": Column("vendor", _OPTION),
    "ask_low": Column("vendor", _OPTION),
    "ask_close": Column("vendor", _OPTION),
    "bid_size": Column("vendor", "contracts"),
    "ask_size": Column("vendor", "contracts"),
    "last": Column("vendor", _OPTION),
    "last_size": Column("vendor", "contracts"),
    "last_time": Column("vendor"),
    "sequence": Column("vendor", "number of a message"),
    "publisher": Column("vendor", "number of an exchange"),
    "price": Column("vendor", _OPTION),
    "size": Column("vendor", "contracts"),
    "open_interest": Column("vendor", "contracts"),
    "tenor": Column("vendor"),
    "base": Column("vendor"),
    "quote": Column("vendor"),
    "rate": Column("vendor", "units of `quote` per unit of `base`"),
}

# The nullable columns by table; their meaning explains a null. A table's revisions have the same ones.
NULLABLE: Mapping[str, frozenset[str]] = {
    "bars_1d": frozenset({"currency"}),
    "bars_1d_adjusted": frozenset({"currency"}),
    "bars_1m": frozenset({"currency"}),
    "actions": frozenset({"reference_close", "currency"}),
    "adjustment_proofs": frozenset(),
    "agreements": frozenset({"worst", "decided_by"}),
    "verdicts": frozenset({"against", "decided_by", "field", "value", "other_value"}),
    "action_verdicts": frozenset({"decided_by", "value", "other_value", "other_date"}),
    "quarantine": frozenset({"date", "payload_sha256", "policy", "sent", "passed"}),
    "decisions": frozenset({"date"}),
    "universe_members": frozenset({"name", "member_from", "member_to"}),
    "instruments": frozenset(
        {"asset_class", "name", "listed_on", "delisted_on", "reason", "sic", "industry", "sector"}
    ),
    "symbol_history": frozenset({"symbol_from", "symbol_to"}),
    "sessions": frozenset(),
    "findings": frozenset({"source", "dataset", "first_day", "last_day", "facts", "by", "reason"}),
    "filer_symbols": frozenset({"symbol_from", "symbol_to"}),
    "fundamentals_facts": frozenset({"cik", "start", "form", "fy", "fp", "revision"}),
    "fundamentals": frozenset({"cik", "start", "value", "unit", "tag", "origin", "reason", "operands", "accession"}),
    "filings": frozenset({"cik", "items", "report_end", "description", "url"}),
    "filers": frozenset({"cik", "name", "kind", "sic", "industry", "sector", "fiscal_year_end", "tickers"}),
    "esg_facts": frozenset({"cik", "start", "form", "accession"}),
    "predictions": frozenset(),
    "rates": frozenset(),
    "fx_rates": frozenset(),
    "options_contracts": frozenset({"multiplier", "deliverable", "settlement"}),
    "options_quotes_1m": frozenset({"bid", "ask", "bid_size", "ask_size", "last", "last_size", "last_time"}),
    "options_quotes_1d": frozenset(
        {f"{side}_{price}" for side in ("bid", "ask") for price in ("open", "high", "low", "close", "size")}
    ),
    "options_trades": frozenset(),
    "options_ohlcv_1d": frozenset(),
    "options_open_interest": frozenset(),
}


def fields_of(table: Table) -> list[Field]:
    """Return the columns of a table in order; raise ValueError for a missing entry, with the place to add it."""
    base = table.name.removesuffix("_revisions")
    if table.zone == "features" and base not in NULLABLE:
        return [_field_of_features(table, name, dtype) for name, dtype in table.schema.items()]
    if base not in NULLABLE:
        raise ValueError(f"the table {base} has no entry in NULLABLE; add one to core/dictionary.py")
    if strange := sorted(NULLABLE[base] - set(table.schema)):
        raise ValueError(
            f"NULLABLE of {base} in core/dictionary.py has {strange[0]}, which is not a column of the table"
        )
    return [_field(table, name, dtype, name in NULLABLE[base]) for name, dtype in table.schema.items()]


def _field_of_features(table: Table, name: str, dtype: pl.DataType | type[pl.DataType]) -> Field:
    """Return a column of a feature table: the registry describes the features."""
    feature = feature_of(table, name)
    if feature is None:
        return _field(table, name, dtype, name == "label_end")
    zone, unit = "", unit_of(feature)
    return Field(name, pl.Float64(), unit=unit, zone=zone, origin="quantx", nullable=True, meaning=feature.formula)


def _field(table: Table, name: str, dtype: pl.DataType | type[pl.DataType], nullable: bool) -> Field:
    for entries, where in (
        (MEANINGS, "MEANINGS in core/column_meanings.py"),
        (COLUMNS, "COLUMNS in core/dictionary.py"),
    ):
        if name not in entries:
            raise ValueError(f"the column {name} of {table.name} has no entry in {where}; add one")
    kind, column = dtype() if isinstance(dtype, type) else dtype, COLUMNS[name]
    if kind.is_numeric() and not column.unit:
        raise ValueError(f"the column {name} of {table.name} is a number; its entry in core/dictionary.py needs a unit")
    zone = "UTC" if kind == INSTANT else "the exchange's" if kind == pl.Date else ""
    return Field(
        name, kind, unit=column.unit, zone=zone, origin=column.origin, nullable=nullable, meaning=MEANINGS[name]
    )
