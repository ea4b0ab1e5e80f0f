"""Files of the exchanges' calendars: computed once for all processes, as exchange_calendars loads pandas.

A file appears whole or not at all. It is used only if it is as the installed exchange_calendars and the time zone's
rules of this machine would have it. Any file may be deleted at any time.

`python -m quantx.calendar_files` writes the files of an image or a package, which are found beside this module.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from quantx.core.calendars import Calendar, a_year_from, compute_calendar, take_calendars
from quantx.core.open_markets import MADE_CALENDARS
from quantx.core.symbols import VENUES

ZONES = {venue.calendar: venue.timezone for venue in VENUES if venue.calendar not in MADE_CALENDARS}
SHIPPED = Path(__file__).with_name("calendars")
_FORM = 1
_DAY = 86_400  # seconds
_EPOCH = date(1970, 1, 1).toordinal()


def keep_calendars(cache: Callable[[], Path]) -> None:
    """Take the calendars of this process from files; those that are missing are written below the folder of `cache`."""
    take_calendars(partial(find_calendar, cache))


def read_calendar(code: str, folder: Path, today: date) -> Calendar:
    """Return the calendar of a file until a year from `today`.

    OSError if the file can't be read; ValueError if it is damaged or outdated.
    """
    digest, _, body = _path(code, folder).read_bytes().partition(b"\n")
    if _digest(body) != digest:
        raise ValueError("the file is damaged")
    content = json.loads(zlib.decompress(body))
    until, end = date.fromisoformat(content["until"]), a_year_from(today)
    if until < end or content["zone"] != _rules_of_zone(code, until):
        raise ValueError("the file is outdated")
    days = content["days"]
    opens, closes, starts, ends = (_instants(days, seconds) for seconds in content["seconds"])
    whole = Calendar(code, tuple(map(date.fromordinal, days)), opens, closes, break_starts=starts, break_ends=ends)
    return whole.until(end)


def write_calendar(whole: Calendar, until: date, folder: Path) -> None:
    """Write the file of a calendar that was computed to `until`; OSError if the folder can't be written."""
    instants = (whole.opens, whole.closes, whole.break_starts, whole.break_ends)
    content = {
        "until": until.isoformat(),
        "zone": _rules_of_zone(whole.code, until),
        "days": [day.toordinal() for day in whole.days],
        "seconds": [_seconds(whole.days, each) for each in instants],
    }
    body = zlib.compress(json.dumps(content).encode())
    _write_whole(_path(whole.code, folder), _digest(body) + b"\n" + body)


def last_day(today: date) -> date:
    """Return the day to which a file is computed: it is good enough until the end of the next year."""
    return date(today.year + 2, 12, 31)


def find_calendar(cache: Callable[[], Path], code: str) -> Calendar:
    """Return a calendar until a year from today: that of its file, else a computed one, whose file is written."""
    today = datetime.now(UTC).date()
    if code not in ZONES:
        return compute_calendar(code, a_year_from(today))
    folders = [SHIPPED]
    with contextlib.suppress(RuntimeError):  # a user without a home
        folders.append(cache() / "calendars")
    for folder in folders:
        with contextlib.suppress(OSError, ValueError):
            return read_calendar(code, folder, today)
    until = last_day(today)
    whole = compute_calendar(code, until)
    for folder in folders[1:]:
        with contextlib.suppress(OSError):
            write_calendar(whole, until, folder)
    return whole.until(a_year_from(today))


def _path(code: str, folder: Path) -> Path:
    try:
        version = metadata.version("exchange_calendars")  # does not import it
    except metadata.PackageNotFoundError:
        version = "none"
    return folder / f"{code}-{version}-{_FORM}"


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _rules_of_zone(code: str, until: date) -> str:
    """Return a digest of the offsets of a calendar's time zone, week by week of four years: their rules change."""
    last = datetime(until.year, until.month, until.day, tzinfo=ZoneInfo(ZONES[code]))
    offsets = [str((last - timedelta(weeks=back)).utcoffset()) for back in range(209)]
    return hashlib.sha256(" ".join(offsets).encode()).hexdigest()


def _seconds(days: Sequence[date], instants: Sequence[datetime | None]) -> list[int | None]:
    """Return instants as seconds after midnight (UTC) of their session."""
    midnights = ((day.toordinal() - _EPOCH) * _DAY for day in days)
    return [
        None if at is None else int(at.timestamp()) - midnight
        for midnight, at in zip(midnights, instants, strict=False)
    ]


def _instants(days: Sequence[int], seconds: Sequence[int | None]) -> tuple[Any, ...]:
    """Return the instants of `_seconds`; `days` are ordinals."""
    begin = datetime(1970, 1, 1, tzinfo=UTC)
    midnights = [begin + timedelta(day - _EPOCH) for day in days]
    times = {after: timedelta(seconds=after) for after in set(seconds) if after is not None}  # few, so made once
    return tuple(None if at is None else day + times[at] for day, at in zip(midnights, seconds, strict=False))


def _write_whole(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.{time.monotonic_ns()}")
    try:
        unfinished.write_bytes(body)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


if __name__ == "__main__":
    end = last_day(datetime.now(UTC).date())
    for each in ZONES:
        write_calendar(compute_calendar(each, end), end, Path(sys.argv[1]) if sys.argv[1:] else SHIPPED)
