"""The bound of an answer: how many values it may have, checked before the query reads, and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import polars as pl

from quantx.core.tables import BARS_1D, BARS_1M
from quantx.dashboard.api.resources import Resource
from quantx.errors import ConfigError
from quantx.reader.arguments import to_date
from quantx.reader.feature_names import chosen_features
from quantx.reader.lake import Lake

MOST_SYMBOLS = 1000  # in one URL
_NARROW = "narrow symbols, start and end, or columns, and ask in parts"
_SESSIONS_OF_A_YEAR = 262  # at most: the weekdays
_ROWS_OF_A_SESSION = {"1d": 1, "1m": 390}
_EXTENDED_MINUTES = 960  # 04:00 to 20:00 in New York
_BARS = {"1d": BARS_1D.name, "1m": BARS_1M.name}
_COLUMNS_OF_BARS = 10
_READ_BESIDE = 4  # columns: symbol, day, vendor and time of ingestion are read for each value of a panel


class AnswerTooLarge(ConfigError):
    """The answer has more values than an answer may have."""


def check_request(lake: Lake, resource: Resource, arguments: Mapping[str, Any], most: int) -> None:
    """Raise AnswerTooLarge if the answer could need more than `most` values, without reading its rows.

    Sessions are counted as the weekdays between start and end, or between the first and the last day of the table.
    """
    symbols: Sequence[str] = arguments.get("symbols") or ()
    if len(symbols) > MOST_SYMBOLS:
        raise AnswerTooLarge(
            f"symbols has {len(symbols):,} entries, and a request may have {MOST_SYMBOLS:,}; ask in parts, or name a"
            " universe where the address has one"
        )
    if not resource.by_session:
        return
    timeframe = str(arguments.get("timeframe", "1d"))
    per_session = _ROWS_OF_A_SESSION.get(timeframe, 1)
    if timeframe == "1m" and arguments.get("extended"):
        per_session = _EXTENDED_MINUTES
    series = _series(lake, arguments)
    columns = _columns(resource, arguments)
    sessions = _sessions(*_span(lake, arguments, _BARS.get(timeframe, BARS_1D.name)))
    values = series * sessions * per_session * columns
    if values > most:
        rows = f" of {per_session:,} minutes" if per_session > 1 else ""
        raise AnswerTooLarge(
            f"the answer could need {values:,} values ({_count(series, 'symbol')}, {_count(sessions, 'session')}{rows},"
            f" {_count(columns, 'column')} to read), and an answer may need {most:,}; {_NARROW}"
        )


def check_answer(frame: pl.DataFrame, most: int) -> None:
    """Raise AnswerTooLarge if a frame has more than `most` values."""
    values = frame.height * frame.width
    if values > most:
        raise AnswerTooLarge(
            f"the answer has {values:,} values ({frame.height:,} rows, {frame.width:,} columns), and an answer may have"
            f" {most:,}; {_NARROW}"
        )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _series(lake: Lake, arguments: Mapping[str, Any]) -> int:
    """Return the number of requested symbols; of a universe, that of all members between start and end."""
    if (universe := arguments.get("universe")) is None:
        return len(set(arguments.get("symbols") or ()))
    first, last = to_date(arguments.get("start")), to_date(arguments.get("end"))
    return int(lake.membership(universe, first, last)["symbol"].n_unique())


def _columns(resource: Resource, arguments: Mapping[str, Any]) -> int:
    if resource.name == "panel":
        return len(arguments.get("field") or ("close",)) + _READ_BESIDE
    if resource.name == "features":
        chosen = chosen_features(arguments["names"], str(arguments.get("timeframe", "1d")))
        return sum(len(each.columns) for each in chosen) + _READ_BESIDE
    return len(arguments.get("columns") or ()) or _COLUMNS_OF_BARS


def _span(lake: Lake, arguments: Mapping[str, Any], table: str) -> tuple[date, date]:
    """Return the first and the last requested day, within those of the table."""
    first, last = to_date(arguments.get("start")), to_date(arguments.get("end"))
    today = datetime.now(UTC).date()
    held = lake.stored_days(table) or (today, today)
    return max(first or held[0], held[0]), min(last or held[1], held[1])


def _sessions(first: date, last: date) -> int:
    """Return the weekdays between two days, both inclusive, or a few more."""
    return max(0, (last - first).days + 1) * _SESSIONS_OF_A_YEAR // 365 + 1
