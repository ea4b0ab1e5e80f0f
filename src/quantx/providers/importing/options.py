"""What a user declares about files: in config/imports.yaml or on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from quantx.errors import ConfigError
from quantx.providers.importing.form import BASES, FIELDS
from quantx.providers.importing.names import SymbolRule


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """The declared facts about a source's files; None: as the files show it."""

    columns: Mapping[str, str] = field(default_factory=dict)  # of fields: the header's names
    order: tuple[str, ...] = ()  # of fields in files without a header; "" for a column that is not read
    separator: str | None = None
    decimal: str | None = None
    date_format: str | None = None
    zone: str | None = None
    stamps: str | None = None
    timeframe: str | None = None
    basis: str | None = None
    currency: str | None = None
    price_factor: float | None = None
    volume_factor: float | None = None
    symbols: SymbolRule = field(default_factory=SymbolRule)

    @property
    def digest(self) -> str:
        """Return what tells this declaration from another one."""
        return sha256(repr(self).encode()).hexdigest()[:16]

    def __post_init__(self) -> None:
        """Raise ConfigError for a value that can't be."""
        checks = (
            ("basis", self.basis, tuple(BASES)),
            ("stamps", self.stamps, ("start", "end")),
            ("timeframe", self.timeframe, ("1d", "1m")),
            ("decimal", self.decimal, (".", ",")),
        )
        for name, value, known in checks:
            if value is not None and value not in known:
                raise ConfigError(f"{name} {value!a} must be {' or '.join(known)}")
        for name in (*self.columns, *filter(None, self.order)):
            if name not in FIELDS:
                raise ConfigError(f"there is no field {name!a} for a column; the fields are {', '.join(FIELDS)}")
        for name, factor in (("price_factor", self.price_factor), ("volume_factor", self.volume_factor)):
            if factor is not None and not 0 < factor < 1e9:
                raise ConfigError(f"{name} must be a positive number, as in 0.01")


def parse_columns(text: str) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the names by field of `date=Day,close=Last`, or the order of fields of `date,open,high,low,close`.

    >>> parse_columns("date=Day,close=Last")
    ({'date': 'Day', 'close': 'Last'}, ())
    >>> parse_columns("date,-,close")
    ({}, ('date', '', 'close'))
    """
    parts = [part.strip() for part in text.split(",")]
    if any("=" in part for part in parts):
        pairs = [part.partition("=") for part in parts]
        if not all(mark and name.strip() and column.strip() for name, mark, column in pairs):
            raise ConfigError(f"--columns {text!a}: write it as in date=Day,close=Last")
        return {name.strip(): column.strip() for name, _, column in pairs}, ()
    return {}, tuple("" if part in ("-", "_", "") else part for part in parts)
