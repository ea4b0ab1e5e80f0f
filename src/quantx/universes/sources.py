"""Where members come from: each source type turns its declaration into a frame of members."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl

from quantx.core.symbols import parse_symbol, venue_of
from quantx.errors import ConfigError, InvalidSymbol
from quantx.universes.declared import UniverseSpec

# Members as a source gives them: one row per interval of membership.
MEMBERS = {
    "symbol": pl.String,
    "market": pl.String,
    "name": pl.String,
    "member_from": pl.Date,  # null: since before the list began
    "member_to": pl.Date,  # null: still a member
}
Member = tuple[str, str, str | None, date | None, date | None]
_LARGEST_FILE = 20_000_000  # bytes; the longest real list has a hundredth of it


def read_members(spec: UniverseSpec, folder: Path) -> pl.DataFrame:
    """Return the members of a universe; ConfigError says what is wrong with its source."""
    rows = _static(spec) if spec.type == "static" else _csv(spec, folder)
    frame = pl.DataFrame(rows, schema=MEMBERS, orient="row").unique(maintain_order=True)
    if frame.is_empty():
        raise ConfigError(f"the universe {spec.name} has no members; the last good list stays")
    twice = frame.group_by("symbol", "member_from").len().filter(pl.col("len") > 1)
    if twice.height:
        raise ConfigError(f"the universe {spec.name} names {twice['symbol'][0]} twice with different facts")
    return frame.sort("symbol", "member_from", nulls_last=False)


def _static(spec: UniverseSpec) -> list[Member]:
    return [(s, venue_of(s).market, None, None, None) for s in map(_symbol, spec.symbols)]


def _csv(spec: UniverseSpec, folder: Path) -> list[Member]:
    assert spec.path is not None, "checked where the declaration is read"
    path = folder / spec.path
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"{path} has more than {_LARGEST_FILE // 1_000_000} MB; that is no list of symbols")
        # All columns as text: NA and TRUE are symbols, not missing values.
        table = pl.read_csv(path, infer_schema=False, empty_string_is_null=False, glob=False).fill_null("")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigError(f"the universe {spec.name} can't read {path}: {error}") from error
    wanted = [c for c in (spec.symbol_column, spec.name_column, spec.from_column, spec.to_column) if c]
    missing = [c for c in wanted if c not in table.columns]
    if missing:
        raise ConfigError(f"{path} has no column {missing[0]!r}; it has {', '.join(table.columns)}")
    rows: list[Member] = []
    for row in table.iter_rows(named=True):
        symbol = _symbol(row[spec.symbol_column])
        name = row[spec.name_column] if spec.name_column else None
        first, last = _date(spec.from_column, row), _date(spec.to_column, row)
        if first is not None and last is not None and last < first:
            raise ConfigError(f"{path}: {symbol} can't leave ({last}) before it joins ({first})")
        rows.append((symbol, venue_of(symbol).market, name, first, last))
    return rows


def _symbol(text: str) -> str:
    try:
        return parse_symbol(text)
    except InvalidSymbol as error:
        raise ConfigError(f"a universe has a wrong member: {error}") from error


def _date(column: str | None, row: dict[str, str]) -> date | None:
    if column is None or not row[column].strip():
        return None
    try:
        return date.fromisoformat(row[column].strip())
    except ValueError as error:
        raise ConfigError(f"column {column!r} holds {row[column]!r}, which is no date as in 2024-01-31") from error
