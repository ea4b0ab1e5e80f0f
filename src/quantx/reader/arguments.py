"""Parse the arguments of queries: dates, instants, symbols, timeframes and columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time

from quantx.core.preference import BEST
from quantx.core.symbols import parse_symbol
from quantx.core.tables import BARS_1D, BARS_1M, Table
from quantx.errors import ConfigError
from quantx.settings import source_of

Day = str | date | datetime
Symbols = str | Sequence[str]
On = Day | Mapping[str, Day | None]  # a day, or a day for each symbol
BAR_COLUMNS = ("symbol", "date", "open", "high", "low", "close", "volume", "adj_close", "source", "known_from")
MINUTE_COLUMNS = ("symbol", "time", *BAR_COLUMNS[1:])
BARS = {"1d": BARS_1D, "1m": BARS_1M}


def to_date(value: Day | None) -> date | None:
    """Return a date from a text, a date or a datetime; raise ConfigError for anything else."""
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    if isinstance(value, datetime):
        return value.date()
    try:
        return datetime.fromisoformat(value).date()
    except (TypeError, ValueError):
        raise ConfigError(f"{value!r} is not a date, use YYYY-MM-DD") from None


def to_instant(value: Day | None) -> datetime | None:
    """Return an aware instant in UTC: a date is the end of that day, a naive time is in UTC."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = (
                datetime.fromisoformat(value) if len(value.strip()) > len("2024-01-31") else date.fromisoformat(value)
            )
        except ValueError:
            raise ConfigError(
                f"{value!r} is not a time, use YYYY-MM-DD or ISO 8601, as in 2024-01-31T15:30:00+00:00"
            ) from None
    if not isinstance(value, date):
        raise ConfigError(f"{value!r} is not a time; use a text, a date or a datetime")
    if not isinstance(value, datetime):
        return datetime.combine(value, time.max, UTC)
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def to_names(symbols: object) -> list[str]:
    """Return canonical symbols, each once; raise ConfigError for what is not a symbol."""
    given = list(symbols) if isinstance(symbols, Iterable) and not isinstance(symbols, str) else [symbols]
    names = []
    for symbol in given:
        if not isinstance(symbol, str):
            raise ConfigError(f"{symbol!r} is not a symbol; use a text, or a list of texts")
        names.append(parse_symbol(symbol))
    return list(dict.fromkeys(names))


def to_days(names: Sequence[str], on: On | None) -> dict[str, date | None]:
    """Return the day of each symbol on which it carried the wanted security."""
    if isinstance(on, Mapping):
        days = {parse_symbol(symbol): to_date(day) for symbol, day in on.items()}
        return {name: days.get(name) for name in names}
    return dict.fromkeys(names, to_date(on))


def to_vendor(source: str | None) -> str | None:
    """Return the vendor to which rows are limited; None: rows of several vendors are needed."""
    return None if source is None or source == BEST else source_of(source)


def bars_table(timeframe: str) -> Table:
    """Return the table of a timeframe; raise ConfigError for an unknown one."""
    if timeframe not in BARS:
        raise ConfigError(f"unknown timeframe {timeframe!r}; use {' or '.join(BARS)}")
    return BARS[timeframe]


def shown_columns(columns: Sequence[str] | None, *, minutes: bool) -> list[str]:
    """Return the columns of a frame of bars; raise ConfigError for an unknown one."""
    usual = MINUTE_COLUMNS if minutes else BAR_COLUMNS
    shown = list(columns) if columns is not None else list(usual)
    allowed = [*usual, "currency", "raw", *(["regular"] if minutes else [])]
    if len(set(shown)) < len(shown):
        raise ConfigError(f"columns has a duplicate: {', '.join(shown)}")
    unknown = [c for c in shown if c not in allowed]
    if unknown:
        raise ConfigError(f"unknown column {unknown[0]!r}; use {', '.join(allowed)}")
    return shown
