"""Commands about the schedule of this machine: install, show, remove."""

from __future__ import annotations

import os
import shutil
import sys
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from quantx.cli.options import UseLocal, exits, reading_settings
from quantx.cli.output import err, out
from quantx.cli.schedule.cron import CronLines
from quantx.cli.schedule.jobs import Installation, Scheduler, installation_here, jobs_of
from quantx.cli.schedule.systemd import SystemdTimers, has_user_manager
from quantx.errors import ConfigError
from quantx.settings.sources import dotenv_variables

schedule = typer.Typer(
    help="Run update, sweep and backup on a schedule of this machine: install it, show it, remove it.",
    no_args_is_help=True,
)
Kind = Literal["systemd", "cron"]
With = Annotated[Kind | None, typer.Option("--with", help="systemd or cron; by default what this machine has.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (install, show, remove):
        schedule.command(command.__name__)(exits(command))
    app.add_typer(schedule, name="schedule")


def install(
    backup: Annotated[str | None, typer.Option(help="Also copy lake and state to this place each night.")] = None,
    keep_days: Annotated[int, typer.Option(min=1, help="Keep the backups of the last N days.")] = 30,
    with_: With = None,
    yes: Yes = False,
    use_local: UseLocal = False,
) -> int:
    """Show the timers or lines for the daily update, the sweep and the backup of this folder, and install them.

    The update runs at the setting `daily_schedule`, the sweep every 15 minutes, the backup at 04:30, in UTC. Commands
    run in this folder with its config/ and .env. Repeat the command after a change: it replaces what it installed.

    Example: quantx schedule install --backup /mnt/backups
    """
    settings = reading_settings(use_local)
    chosen = _scheduler(installation_here(), with_)
    jobs = jobs_of(settings.daily_schedule, backup_url=backup, backup_keep_days=keep_days, use_local=use_local)
    out.print(f"{chosen.title} for {chosen.installation.folder}:\n", markup=False)
    out.print(chosen.preview(jobs), markup=False)
    _warn_of_variables()
    if not _confirmed("install them", yes):
        return 1
    chosen.install(jobs)
    first = min(job.schedule.first_after(datetime.now(UTC)) for job in jobs)
    out.print(f"installed; the first one runs at {first:%Y-%m-%d %H:%M} UTC. `quantx schedule remove` removes them")
    if isinstance(chosen, SystemdTimers):
        out.print("to let them run while you are not signed in: loginctl enable-linger")
    return 0


def show() -> int:
    """Show what is installed for this folder.

    Example: quantx schedule show
    """
    installation = installation_here()
    found = {each.title: text for each in _schedulers(installation) if (text := each.installed())}
    for title, text in found.items():
        out.print(f"{title} for {installation.folder}:\n\n{text}", markup=False)
    if not found:
        out.print(f"nothing is installed for {installation.folder}", markup=False)
    return 0


def remove(yes: Yes = False) -> int:
    """Show what is installed for this folder, and remove it; other timers and lines stay.

    Example: quantx schedule remove
    """
    installation = installation_here()
    found = [each for each in _schedulers(installation) if each.installed()]
    if not found:
        out.print(f"nothing is installed for {installation.folder}", markup=False)
        return 0
    for each in found:
        out.print(f"{each.title} for {installation.folder}:\n\n{each.installed()}", markup=False)
    if not _confirmed("remove them", yes):
        return 1
    for each in found:
        each.remove()
    out.print("removed")
    return 0


def _scheduler(installation: Installation, kind: Kind | None) -> SystemdTimers | CronLines:
    if kind == "systemd" or (kind is None and shutil.which("systemctl") and has_user_manager()):
        return SystemdTimers(installation)
    if kind == "cron" or shutil.which("crontab"):
        return _cron(installation)
    raise ConfigError("this machine has neither systemd for this user nor crontab; run `quantx sweep` by other means")


def _schedulers(installation: Installation) -> list[Scheduler]:
    """Return the schedulers of this machine that may have something of ours."""
    return [SystemdTimers(installation), *([_cron(installation)] if shutil.which("crontab") else [])]


def _cron(installation: Installation) -> CronLines:
    offset = datetime.now().astimezone().utcoffset()
    assert offset is not None, "astimezone returns aware instants"
    return CronLines(installation, offset)


def _warn_of_variables() -> None:
    """Name the settings that a scheduled command will not have."""
    known = dotenv_variables()
    unseen = sorted(name for name in os.environ if name.startswith("QUANTX_") and name not in known)
    if unseen:
        err.print(
            f"these variables are set here, and a scheduled command does not see them: {', '.join(unseen)}; put them"
            " into .env in this folder"
        )


def _confirmed(what: str, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise ConfigError(f"there is no terminal to ask on; add --yes to {what}")
    return typer.confirm(f"{what[0].upper()}{what[1:]}?")
