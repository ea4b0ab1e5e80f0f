"""Parse the dates and instants of users."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from quantx.errors import ConfigError

Day = str | date | datetime


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
