"""The schedule of this machine: update, sweep and backup as timers of systemd or as lines of cron."""

from quantx.cli.schedule.commands import register

__all__ = ["register"]
