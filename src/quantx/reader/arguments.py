"""Parse the arguments of queries: dates, instants, symbols, timeframes and columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from typing import Any

from quantx.core.preference import BEST
from quantx.core.symbols import symbol_of
from quantx.core.table import Table
from quantx.core.tables import BARS_1D, BARS_1M
from quantx.errors import ConfigError
from quantx.settings import source_of

Day = str | date | datetime
Symbols = str | Sequence[str]
On = Day | Mapping[str, Day | None]  # a day, or a day for each symbol
BAR_COLUMNS = ("symbol", "date", "open", "high", "low", "close", "volume", "adj_close", "source", "known_from")
MINUTE_COLUMNS = ("symbol", "time", *BAR_COLUMNS[1:])
FX_COLUMNS = ("fx_rate", "fx_date", "fx_source")  # of bars in another currency
_LONGEST = 60  # characters of a value in a message
BARS = {"1d": BARS_1D, "1m": BARS_1M}


def to_date(value: Day | None) -> date | None:
    """Return the date of a text, a date, a datetime, or those of NumPy and pandas; raise ConfigError for others."""
    value = _plain(value)
    if isinstance(value, datetime):
        return value.date()
    if value is None or isinstance(value, date):
        return value
    try:
        return datetime.fromisoformat(value).date()
    except (TypeError, ValueError):
        raise ConfigError(f"{value!r} is not a date, use YYYY-MM-DD") from None


def to_instant(value: Day | None) -> datetime | None:
    """Return an aware instant in UTC: a date is the end of that day, a naive time is in UTC."""
    moment = to_moment(value)
    if moment is None or isinstance(moment, datetime):
        return moment
    return datetime.combine(moment, time.max, UTC)


def to_moment(value: Day | None) -> date | datetime | None:
    """Return a date as it is, or else an aware instant in UTC; a naive time is in UTC."""
    value = _plain(value)
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
        return value
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise ConfigError(f"{value} is before the year 1 or after 9999 in UTC; use a time between them") from None


def shifted(day: date, days: int) -> date:
    """Return the date some days later, or the first or the last date that there is."""
    number = day.toordinal() + days
    return date.fromordinal(min(max(number, date.min.toordinal()), date.max.toordinal()))


def _plain(value: Any) -> Any:
    """Return Python's date or datetime for those of NumPy and pandas, which need not be installed."""
    if type(value).__module__.partition(".")[0] not in ("numpy", "pandas"):
        return value
    if value != value:  # noqa: PLR0124 – NaT, which equals nothing
        raise ConfigError(f"{value} is not a date, use YYYY-MM-DD")
    if isinstance(value, datetime):  # of pandas, with nanoseconds
        return datetime.combine(value.date(), value.timetz())
    if hasattr(value, "astype") and str(value.dtype).startswith("datetime64"):
        exact = value.astype("datetime64[us]").item()
        return exact.date() if str(value.dtype) == "datetime64[D]" else exact
    return value


def to_names(symbols: object) -> list[str]:
    """Return canonical symbols, each once; raise ConfigError for what is not a symbol."""
    given = list(symbols) if isinstance(symbols, Iterable) and not isinstance(symbols, str) else [symbols]
    names = []
    for symbol in given:
        if not isinstance(symbol, str):
            raise ConfigError(f"{_brief(symbol)} is not a symbol; use a text, or a list of texts")
        names.append(symbol_of(symbol))
    return list(dict.fromkeys(names))


def to_days(names: Sequence[str], on: On | None) -> dict[str, date | None]:
    """Return the day of each symbol on which it carried the wanted security."""
    if isinstance(on, Mapping):
        days = {symbol_of(symbol): to_date(day) for symbol, day in on.items()}
        return {name: days.get(name) for name in names}
    return dict.fromkeys(names, to_date(on))


def to_source(source: str | None) -> str | None:
    """Return the source that a vendor's name means, or "best"; raise ConfigError for what is not a text."""
    return None if source is None else source_of(to_text(source, "source"))


def to_vendor(source: str | None) -> str | None:
    """Return the vendor to which rows are limited; None: rows of several vendors are needed."""
    found = to_source(source)
    return None if found == BEST else found


def to_text(value: object, argument: str) -> str:
    """Return a text; raise ConfigError for any other value of an argument."""
    if not isinstance(value, str):
        raise ConfigError(f"{argument}={_brief(value)} is not a text")
    return value


def to_texts(value: object, argument: str) -> list[str]:
    """Return a text as a list, or a list of texts; raise ConfigError for others and for an empty list."""
    given = list(value) if isinstance(value, Iterable) and not isinstance(value, str) else [value]
    if not given:
        raise ConfigError(f"{argument} is empty; use a name, or a list of names")
    return [to_text(each, argument) for each in given]


def _brief(value: object) -> str:
    """Return a value for a message, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def bars_table(timeframe: object) -> Table:
    """Return the table of a timeframe; raise ConfigError for an unknown one."""
    if not isinstance(timeframe, str) or timeframe not in BARS:
        raise ConfigError(f"unknown timeframe {timeframe!r}; use {' or '.join(BARS)}")
    return BARS[timeframe]


def shown_columns(columns: str | Sequence[str] | None, *, minutes: bool, converted: bool = False) -> list[str]:
    """Return the columns of a frame of bars; raise ConfigError for an unknown one.

    `converted`: the prices are in another currency, which has columns of its own.
    """
    usual = (*(MINUTE_COLUMNS if minutes else BAR_COLUMNS), *(("currency", *FX_COLUMNS) if converted else ()))
    shown = list(usual) if columns is None else to_texts(columns, "columns")
    allowed = [*dict.fromkeys([*usual, "currency", "raw", *(["regular"] if minutes else [])])]
    if len(set(shown)) < len(shown):
        raise ConfigError(f"columns has a duplicate: {', '.join(shown)}")
    unknown = [c for c in shown if c not in allowed]
    if unknown:
        raise ConfigError(f"unknown column {unknown[0]!r}{did_you_mean(unknown[0], allowed)}; use {', '.join(allowed)}")
    return shown


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a part of a message with the known names that are alike, as in ' (did you mean AAPL?)', or nothing."""
    alike = get_close_matches(name, sorted(known), n=3)
    return f" (did you mean {' or '.join(alike)}?)" if alike else ""
