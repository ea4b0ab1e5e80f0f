"""Lines of cron: a block of the user's crontab between two marks; all other lines stay as they are.

cron fires by the machine's local time. A schedule in UTC is converted with the offset of today: where the clock
changes twice a year, it then fires an hour earlier or later.
"""

from __future__ import annotations

import shlex
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from typing_extensions import override

from quantx.cli.schedule.jobs import Installation, ScheduledJob, Scheduler
from quantx.core.schedule import Schedule
from quantx.errors import ConfigError

_DAY = 24 * 60  # minutes
_LOG = "quantx-schedule.log"
_SECONDS = 30  # for crontab


@dataclass(frozen=True)
class CronLines(Scheduler):
    """A block in the crontab of the user."""

    installation: Installation
    offset: timedelta  # of local time from UTC
    title: str = "lines of cron"

    @override
    def preview(self, jobs: Sequence[ScheduledJob]) -> str:
        return f"crontab\n\n{self._block(jobs)}"

    @override
    def install(self, jobs: Sequence[ScheduledJob]) -> None:
        # First: SHELL, PATH and CRON_TZ in other lines apply to what follows them.
        _write(self._block(jobs) + self._without_block(_read()))

    @override
    def installed(self) -> str:
        text = _read()
        block = text[len(self._head(text)) :][: len(text) - len(self._without_block(text))]
        return f"crontab\n\n{block}" if block else ""

    @override
    def remove(self) -> None:
        text = _read()
        if (others := self._without_block(text)) != text:
            _write(others)

    def _block(self, jobs: Sequence[ScheduledJob]) -> str:
        return "\n".join(
            [self._mark("begin"), *(line for job in jobs for line in self._lines(job)), self._mark("end"), ""]
        )

    def _mark(self, place: str) -> str:
        return f"# quantx schedule {place}: {self.installation.folder}"

    def _head(self, text: str) -> str:
        """Return what comes before the block."""
        begin = f"{self._mark('begin')}\n"
        if text.startswith(begin):
            return ""
        at = text.find(f"\n{begin}")
        return text if at < 0 else text[: at + 1]

    def _without_block(self, text: str) -> str:
        """Return a crontab without the block; ConfigError where its end is missing."""
        head = self._head(text)
        if head == text:
            return text
        end = f"{self._mark('end')}\n"
        at = text.find(end, len(head))
        if at < 0:
            raise ConfigError(f"the crontab has no line {end.strip()!a}; correct it with `crontab -e`")
        return head + text[at + len(end) :]

    def _lines(self, job: ScheduledJob) -> list[str]:
        folder = shlex.quote(str(self.installation.folder))
        steps = "; ".join(shlex.join(command) for command in job.commands)
        command = f"cd {folder} && {{ {steps}; }} >> {_LOG} 2>&1".replace("%", r"\%")  # cron reads % as a new line
        return [f"{fields} {command}" for fields in cron_fields(job.schedule, self.offset)]


def cron_fields(schedule: Schedule, offset: timedelta) -> list[str]:
    """Return the five fields of the lines that fire as a schedule in UTC does, in local time.

    ConfigError where a schedule of certain days of the month would fall on other days.

    >>> from quantx.core.schedule import parse_schedule
    >>> cron_fields(parse_schedule("0 0 6 * * 1-5"), timedelta(hours=-8))
    ['0 22 * * 0,1,2,3,4']
    """
    minutes = int(offset.total_seconds() // 60)
    every_day = len(schedule.weekdays) == 7 and len(schedule.days) == 31 and len(schedule.months) == 12
    groups: dict[int, dict[int, set[int]]] = defaultdict(lambda: defaultdict(set))  # hours by shift of days and minute
    for hour, minute, _ in schedule.times:
        shift, local = divmod(hour * 60 + minute + minutes, _DAY)
        groups[0 if every_day else shift][local % 60].add(local // 60)
    lines = []
    for shift, by_minute in groups.items():
        if shift and (len(schedule.days) < 31 or len(schedule.months) < 12):
            raise ConfigError(f"{schedule.text!a} falls on other days in local time; use --with systemd")
        weekdays = {(day + shift) % 7 for day in schedule.weekdays}
        by_hours: dict[frozenset[int], list[int]] = defaultdict(list)
        for minute, hours in by_minute.items():
            by_hours[frozenset(hours)].append(minute)
        rest = (_field(schedule.days, 31), _field(schedule.months, 12), _field(weekdays, 7))
        lines += [" ".join((_field(ms, 60), _field(hours, 24), *rest)) for hours, ms in by_hours.items()]
    return lines


def _field(values: Sequence[int] | set[int] | frozenset[int], most: int) -> str:
    return "*" if len(values) == most else ",".join(map(str, sorted(values)))


def _read() -> str:
    """Return the user's crontab; empty where there is none."""
    done = _crontab("-l")
    if done.returncode and "no crontab" not in done.stderr.lower():
        raise ConfigError(f"`crontab -l` failed with exit code {done.returncode}; run it to see why")
    return done.stdout if not done.returncode else ""


def _write(text: str) -> None:
    done = _crontab("-", text=text)
    if done.returncode:
        raise ConfigError(f"`crontab -` failed with exit code {done.returncode}: nothing was changed")


def _crontab(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run crontab. Its bytes come back as they went: other lines may end in CR LF, or be in another encoding."""
    given = None if text is None else text.encode("utf-8", "surrogateescape")
    try:
        done = subprocess.run(["crontab", *arguments], input=given, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        raise ConfigError("crontab can't be run; install cron, or use --with systemd") from None
    output, errors = (each.decode("utf-8", "surrogateescape") for each in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, output, errors)
