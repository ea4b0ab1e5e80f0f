"""The clock of the sandbox: it follows the system's, or stands still at an instant that a user set."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from quantx.errors import ConfigError

# By then all sessions of a day have closed, and the next day's first one (Tokyo, 00:00 UTC) has not opened.
_END_OF_DAY = time(23, 59, 59, tzinfo=UTC)

_YEARS = range(1970, 2200)


def parse_now(value: str | date | datetime) -> datetime:
    """Return the instant that `value` means, aware and in UTC, or raise ConfigError.

    A bare date is the end of that day, 23:59:59 UTC; a datetime without a zone is UTC.

    >>> parse_now("2016-12-30").isoformat()
    '2016-12-30T23:59:59+00:00'
    """
    try:
        if isinstance(value, str):
            text = value.strip()
            value = date.fromisoformat(text) if len(text) <= len("2016-12-30") else datetime.fromisoformat(text)
        if not isinstance(value, datetime):
            value = datetime.combine(value, _END_OF_DAY)
        instant = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        if instant.year not in _YEARS:
            raise ValueError("out of range")
        return instant
    except (ValueError, TypeError, OverflowError):
        raise ConfigError(
            f"{str(value)[:40]!a} is not a date or an instant; write it as in 2016-12-30 or 2016-12-30T15:00:00Z"
        ) from None


class SandboxClock:
    """The sandbox's time; without a setting it follows the system clock."""

    def __init__(self, now: str | date | datetime | None = None) -> None:
        self._fixed = None if now is None else parse_now(now)

    def now(self) -> datetime:
        """Return the sandbox's present, aware and in UTC."""
        return self._fixed or datetime.now(UTC)

    def set(self, now: str | date | datetime) -> datetime:
        """Stop the clock at `now`, earlier or later than before, and return it; ConfigError if it is no instant."""
        self._fixed = parse_now(now)
        return self._fixed
