"""The moment of a chain: a New York time without a zone, an instant, or the end of a session."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from quantx.core.symbols import US
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, to_moment


@dataclass(frozen=True, slots=True)
class ChainMoment:
    """The session of a chain, and the instant (UTC); None: the end of the session."""

    session: date
    instant: datetime | None

    @staticmethod
    def parse(at: Day) -> ChainMoment:
        """Return the moment of a user's argument; ConfigError for what is none."""
        moment = to_moment(at)
        if moment is None:
            raise ConfigError("at is missing; use a time of New York as in 2025-08-07T15:30, an instant, or a date")
        if not isinstance(moment, datetime):
            return ChainMoment(moment, None)
        zone = ZoneInfo(US.timezone)
        if _is_naive(at):
            moment = moment.replace(tzinfo=zone).astimezone(UTC)
        return ChainMoment(moment.astimezone(zone).date(), moment)


def _is_naive(at: Day) -> bool:
    value = datetime.fromisoformat(at) if isinstance(at, str) else at
    return getattr(value, "tzinfo", None) is None
