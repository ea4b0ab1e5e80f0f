"""The jobs of a schedule, and what each command line runs."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from quantx.core.schedule import Schedule, parse_schedule
from quantx.errors import ConfigError

SWEEP = "0 */15 * * * *"
BACKUP = "0 30 4 * * *"
_SWEEP_BUDGET = 780  # seconds of work after a sweep: the next one begins after 900


@dataclass(frozen=True, kw_only=True)
class ScheduledJob:
    """One job: when it runs, in UTC, and its command lines, one after the other."""

    name: str
    meaning: str
    schedule: Schedule
    commands: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Installation:
    """The folder in which the commands run: it has config/, .env and the data of relative settings."""

    folder: Path  # absolute

    @property
    def id(self) -> str:
        """Return a name for files: the folder's, and a digest of its path."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.folder.name.lower()).strip("-")[:24] or "folder"
        return f"quantx-{slug}-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:8]}"


class Scheduler(Protocol):
    """Where jobs are installed."""

    title: str

    def preview(self, jobs: Sequence[ScheduledJob]) -> str:
        """Return what `install` would write, with its places."""
        ...

    def install(self, jobs: Sequence[ScheduledJob]) -> None:
        """Install these jobs, in place of those that were installed for the folder; ConfigError where that fails."""
        ...

    def installed(self) -> str:
        """Return what is installed for the folder, with its places; empty: nothing."""
        ...

    def remove(self) -> None:
        """Remove what `install` has written, and nothing else."""
        ...


def installation_here() -> Installation:
    """Return the installation of the working folder; ConfigError for a path that no schedule can hold."""
    folder = Path.cwd()
    if not str(folder).isprintable():
        raise ConfigError("the path of this folder has characters that can't be printed; use another folder")
    return Installation(folder)


def jobs_of(
    daily_schedule: str, *, backup_url: str | None, backup_keep_days: int, use_local: bool
) -> list[ScheduledJob]:
    """Return the jobs: the daily update, the sweep with the work that it plans, and the backup where it has a place."""

    def line(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "quantx", *arguments, *(["--use-local"] if use_local else [])]

    work = line("work", "--until-empty", "--time-budget", str(_SWEEP_BUDGET))
    jobs = [
        ScheduledJob(
            name="update",
            meaning="daily update",
            schedule=parse_schedule(daily_schedule),
            commands=[line("update-daily")],
        ),
        ScheduledJob(
            name="sweep",
            meaning="sweep, and the work that it plans",
            schedule=parse_schedule(SWEEP),
            commands=[line("sweep"), work],
        ),
    ]
    if backup_url is not None:
        if not backup_url.isprintable():
            raise ConfigError("--backup has characters that can't be printed")
        backup = line("backup", "create", backup_url, "--keep-days", str(backup_keep_days))
        jobs.append(ScheduledJob(name="backup", meaning="backup", schedule=parse_schedule(BACKUP), commands=[backup]))
    return jobs
