"""The part of the demo about options: an archive of a week as a vendor sends it, imported as it is."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from quantx.cli.output import counted, out
from quantx.pipeline.options.service import import_paths
from quantx.pipeline.runtime.platform import Platform
from quantx.sandbox.option_archives import OptionSession, write_archive

_SESSIONS = [date(2024, 5, day) for day in (13, 14, 15, 16, 17)]
_EXPIRATIONS = (date(2024, 6, 21), date(2024, 9, 20))


def show_options(platform: Platform, folder: Path) -> None:
    """Write an invented archive of options, import it, and print what is in the lake."""
    strikes = [80.0 + 2.5 * n for n in range(17)]
    sessions = [
        OptionSession(underlying="DEMO", day=day, spot=100.0, strikes=strikes, expirations=_EXPIRATIONS, minutes=60)
        for day in _SESSIONS
    ]
    archive = write_archive(folder / "options.zip", sessions, modified=date(2024, 6, 1))
    done = import_paths(platform, [archive], (), None, keep=platform.settings.options_keep)
    out.print(
        f"[bold]Options[/bold] of {counted(done.done, 'session')} from {archive.name}"
        f" ({archive.stat().st_size / 1e6:.1f} MB, read in place): {counted(done.rows, 'quote')} at the ends of minutes"
    )
