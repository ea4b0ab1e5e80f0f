"""User timers of systemd: a service and a timer per job in ~/.config/systemd/user.

Texts are written by systemd.syntax(7) and systemd.service(5): `%` begins a specifier, `$` a variable, and a word with
blanks is quoted.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from typing_extensions import override

from quantx.cli.schedule.jobs import Installation, ScheduledJob, Scheduler
from quantx.core.foreign_errors import file_fact
from quantx.core.schedule import Schedule
from quantx.errors import ConfigError

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
_UNSAFE = frozenset("\"'\\$")  # in the path of a program
_SECONDS = 30  # for systemctl


@dataclass(frozen=True)
class SystemdTimers(Scheduler):
    """Timers in the folder of the user's units."""

    installation: Installation
    title: str = "timers of systemd"

    @override
    def preview(self, jobs: Sequence[ScheduledJob]) -> str:
        return "\n".join(f"{path}\n\n{_indented(text)}" for path, text in self._files(jobs).items())

    @override
    def install(self, jobs: Sequence[ScheduledJob]) -> None:
        files = self._files(jobs)
        _systemctl("show-environment")  # fails before anything is written
        self._stop([path for path in self._paths() if path not in files])
        for path, text in files.items():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
            except OSError as error:
                raise ConfigError(f"cannot write {path}: {file_fact(error)}") from error
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", *(path.name for path in files if path.suffix == ".timer"))

    @override
    def installed(self) -> str:
        return "\n".join(f"{path}\n\n{_indented(path.read_text('utf-8'))}" for path in self._paths())

    @override
    def remove(self) -> None:
        """Remove files and links; where systemd does not run for this user any more, no timer runs that must stop."""
        running = has_user_manager()
        self._stop(self._paths(), running=running)
        if running:
            _systemctl("daemon-reload")

    def _stop(self, paths: Sequence[Path], *, running: bool = True) -> None:
        timers = [path.name for path in paths if path.suffix == ".timer"]
        if timers and running:
            _systemctl("disable", "--now", *timers)
        for path in paths:
            (path.parent / "timers.target.wants" / path.name).unlink(missing_ok=True)
            path.unlink(missing_ok=True)

    def _paths(self) -> list[Path]:
        """Return the files that were installed for the folder: by their names, and by their first line."""
        found = sorted(units_folder().glob(f"{self.installation.id}-*"))
        return [path for path in found if path.read_text("utf-8").startswith(self._mark())]

    def _mark(self) -> str:
        return f"# quantx schedule of {self.installation.folder}\n"

    def _files(self, jobs: Sequence[ScheduledJob]) -> dict[Path, str]:
        files: dict[Path, str] = {}
        for job in jobs:
            place = units_folder() / f"{self.installation.id}-{job.name}"
            files[place.with_name(f"{place.name}.service")] = self._mark() + self._service(job)
            files[place.with_name(f"{place.name}.timer")] = self._mark() + self._timer(job)
        return files

    def _description(self, job: ScheduledJob) -> str:
        return f"Description=QuantX {job.meaning} in {_literal(str(self.installation.folder))}"

    def _service(self, job: ScheduledJob) -> str:
        lines = ["[Unit]", self._description(job), "", "[Service]", "Type=oneshot", "Nice=10"]
        lines.append(f"WorkingDirectory={_literal(str(self.installation.folder))}")
        lines += [f"ExecStart={exec_line(command)}" for command in job.commands]
        return "\n".join([*lines, ""])

    def _timer(self, job: ScheduledJob) -> str:
        lines = ["[Unit]", self._description(job), "", "[Timer]", f"OnCalendar={on_calendar(job.schedule)}"]
        return "\n".join([*lines, "Persistent=true", "", "[Install]", "WantedBy=timers.target", ""])


def units_folder() -> Path:
    """Return the folder of the user's units."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "systemd" / "user"


def has_user_manager() -> bool:
    """Return whether systemd runs for this user."""
    try:
        _systemctl("show-environment")
    except ConfigError:
        return False
    return True


def exec_line(command: Sequence[str]) -> str:
    r"""Return a command line for ExecStart.

    >>> print(exec_line(["/my apps/python", "-m", "quantx", "100%", "$HOME", 'a"b']))
    "/my apps/python" -m quantx 100%% $$HOME "a\"b"
    """
    # systemd refuses a program whose path has quotes or backslashes, and reads no variable in it: env takes any path.
    first, *others = command if _UNSAFE.isdisjoint(command[0]) else ["/usr/bin/env", *command]
    return " ".join([_word(first), *(_word(word).replace("$", "$$") for word in others)])


def on_calendar(schedule: Schedule) -> str:
    """Return a schedule as a calendar event of systemd, in UTC.

    >>> from quantx.core.schedule import parse_schedule
    >>> on_calendar(parse_schedule("0 0 6 * * 1-5"))
    'Mon,Tue,Wed,Thu,Fri *-*-* 06:00:00 UTC'
    """
    days = ",".join(_WEEKDAYS[n] for n in sorted(schedule.weekdays)) if len(schedule.weekdays) < 7 else ""
    month = _listed(schedule.months, 12)
    day = _listed(schedule.days, 31)
    hours, minutes, seconds = ({time[i] for time in schedule.times} for i in range(3))
    time = f"{_listed(hours, 24)}:{_listed(minutes, 60)}:{_listed(seconds, 60)}"
    return " ".join(filter(None, (days, f"*-{month}-{day}", time, "UTC")))


def _listed(values: set[int] | frozenset[int], most: int) -> str:
    return "*" if len(values) == most else ",".join(f"{value:02}" for value in sorted(values))


def _literal(text: str) -> str:
    return text.replace("%", "%%")


def _word(word: str) -> str:
    text = _literal(word).replace("\\", "\\\\").replace('"', '\\"')
    plain = text and all(letter.isalnum() or letter in "-_./:=@%$+," for letter in text)
    return text if plain else f'"{text}"'


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.splitlines())


def _systemctl(*arguments: str) -> None:
    """Run systemctl for the user; ConfigError with the exit code where it fails."""
    try:
        done = subprocess.run(
            ["systemctl", "--user", *arguments], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        raise ConfigError("systemctl can't be run; use --with cron") from None
    if done.returncode:
        raise ConfigError(
            f"`systemctl --user {' '.join(arguments)}` failed with exit code {done.returncode}; run it to see why"
        )
