"""The command `quantx options import`: archives of options become rows of the lake."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantx.cli.options import Json, UseLocal, exits, traced_settings
from quantx.cli.options_group import options
from quantx.cli.output import counted, err, out, print_json, print_table
from quantx.core.model import Window
from quantx.errors import ConfigError

if TYPE_CHECKING:
    from quantx.pipeline.options.importing import ImportedMembers, ImportProgress
    from quantx.pipeline.runtime.platform import Platform
    from quantx.settings import Settings

_SHOWN = 10  # failures, and members that are left out
_SHOWN_ROWS = 40  # of --dry-run
_INTERRUPTED = 130  # the exit code after a second Ctrl+C, as shells have it


def register(_: typer.Typer) -> None:
    """Add the command of this module to the group `options`."""
    options.command("import")(exits(import_options))


def import_options(
    paths: Annotated[list[Path], typer.Argument(help="Archives: a zip, a folder, or single files.")],
    dates: Annotated[
        str | None,
        typer.Option(help="Only members with a day of these, as in 2024-05-01..2024-05-31,2024-06-03."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="The name of the source in the tables, for files whose form has none, as the CSV form."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be done with each member; nothing is recorded.")
    ] = False,
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Import options from archives: Databento's DBN files in a zip or a folder, LEAN's archives, and CSV.

    Members are read straight from the archive, one at a time: size and SHA-256 are checked first, then the rows are
    staged, checked by the rules, and committed once. An interrupted import resumes when it is repeated, and members
    that failed are tried again; what was imported before costs nothing. A later version of a member replaces its rows
    as a correction. Ctrl+C finishes the member under way; a second one stops at once. The exit code is 1 where members
    failed or are left.

    Example: quantx options import OPRA-20240501-spy.zip --dates 2024-05-01..2024-05-03 --dry-run
    """
    from quantx.pipeline.options.preflight import check_paths
    from quantx.pipeline.runtime.platform import open_platform

    windows = _windows(dates)
    check_paths(paths)
    settings = traced_settings(use_local)
    try:
        with open_platform(settings) as platform:
            if dry_run:
                return _show(platform, paths, windows, source, json=json)
            return _carry_out(platform, settings, paths, windows, source, json=json)
    except KeyboardInterrupt:
        err.print("stopped at once; run the same command again to resume")
        sys.stdout.flush()
        os._exit(_INTERRUPTED)  # the thread of the import may be in a library, which would delay the end


def _windows(dates: str | None) -> Sequence[Window]:
    from quantx.pipeline.options.archive_plan import parse_windows

    try:
        return () if dates is None else parse_windows(dates)
    except ValueError:
        raise ConfigError(
            f"--dates {dates!a} is not a list of dates; write it as in 2024-05-01..2024-05-31,2024-06-03"
        ) from None


def _show(
    platform: Platform, paths: Sequence[Path], windows: Sequence[Window], source: str | None, *, json: bool
) -> int:
    """Show what an import would do; nothing is recorded."""
    from quantx.pipeline.options.archive_plan import dry_rows
    from quantx.pipeline.options.service import open_plans

    with open_plans(paths, windows, source) as (plans, form_of):
        rows = [asdict(row) for plan in plans for row in dry_rows(plan, form_of, platform.state.option_members)]
    if json:
        print_json({"members": rows})
        return 0
    print_table("members", [{k: v for k, v in row.items() if k != "archive"} for row in rows[:_SHOWN_ROWS]])
    if len(rows) > _SHOWN_ROWS:
        err.print(f"  … and {len(rows) - _SHOWN_ROWS:,} more; --json lists all")
    imports = Counter(str(row["action"]).partition(":")[0] for row in rows)
    out.print(f"{counted(len(rows), 'member')}: {_counts(imports)}; nothing was recorded")
    return 0


def _carry_out(
    platform: Platform,
    settings: Settings,
    paths: Sequence[Path],
    windows: Sequence[Window],
    source: str | None,
    *,
    json: bool,
) -> int:
    from quantx.pipeline.options.service import import_paths

    runtime = platform.runtime
    with _progress(quiet=json) as display, _two_interrupts(runtime.stop):
        bar = display.add_task("importing", total=None, note="reading the list of members")

        def show(progress: ImportProgress) -> None:
            note = f"{counted(progress.rows, 'row')}  {progress.member} {progress.step}"
            display.update(bar, total=progress.size or None, completed=progress.bytes, note=note)

        def work() -> ImportedMembers:
            return import_paths(platform, paths, windows, source, keep=settings.options_keep, on_progress=show)

        (done,) = runtime.together([work], 1, math.inf)  # in a thread: this one answers to signals at once
    assert done is not None
    return _summarize(done, json=json)


def _summarize(done: ImportedMembers, *, json: bool) -> int:
    if json:
        print_json(asdict(done))
        return _exit_code(done)
    out.print(
        f"{counted(done.done, 'member')} imported, {done.known:,} imported before, {done.failed:,} failed,"
        f" {len(done.left_out):,} left out; {counted(done.rows, 'row')}, {done.rows_changed:,} revised,"
        f" {done.rows_rejected:,} rejected"
    )
    for verb, some, why in (("failed", done.failures, "error"), ("left out", done.left_out, "reason")):
        for each in some[:_SHOWN]:
            named = "" if str(each[why]).startswith(str(each["member"])) else f" {each['member']}"
            err.print(f"  {verb}{named}: {each[why]}")
        if len(some) > _SHOWN:
            err.print(f"  … and {len(some) - _SHOWN:,} more; --json lists all")
    if done.elsewhere:
        err.print(f"{counted(done.elsewhere, 'member')} held by another import; run the same command again later")
    if done.unfinished:
        err.print(f"stopped: {counted(done.unfinished, 'member')} left; run the same command again to resume")
    return _exit_code(done)


def _exit_code(done: ImportedMembers) -> int:
    return 1 if done.failed or done.refused or done.unfinished or done.elsewhere else 0


def _counts(numbers: Counter[str]) -> str:
    return ", ".join(f"{number:,} to {name}" for name, number in sorted(numbers.items())) or "none"


def _progress(*, quiet: bool) -> Any:
    """Return a progress display with bytes and rows on stderr; it shows nothing where stderr is not a terminal."""
    from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(),
        BarColumn(),
        DownloadColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=err,
        transient=True,
        disable=quiet or not err.is_terminal,
    )


class _two_interrupts:  # noqa: N801 — used as a verb
    """Stop after the member under way on the first SIGINT or SIGTERM, at once on the second one."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._first = True

    def __enter__(self) -> None:
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, *_: object) -> None:
        if not self._first:
            raise KeyboardInterrupt
        self._first = False
        self._stop()
        err.print("stopping after the member under way; Ctrl+C again stops at once")
