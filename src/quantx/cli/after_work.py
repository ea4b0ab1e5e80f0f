"""Work after that of a command: check the data of ended runs, and build the features that follow it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from quantx.cli.output import counted, err
from quantx.errors import LakeError, QuantxError, QueueError, RefusedStatement, StateError
from quantx.pipeline.runtime.platform import Platform
from quantx.settings import Settings


def inspect(platform: Platform, until: float | None = None, *, announced: bool = True) -> None:
    """Inspect the data of ended runs, and print which inspections failed; the exit code stays that of the work.

    No inspection starts after `until` (monotonic clock), or once the process is stopping. Then build the feature sets
    of the settings, predict by its studies, refresh the file of views for other tools, if the settings name one, and
    `announce`.
    """
    from quantx.pipeline.inspecting.inspection import inspect_ended_runs

    def stopping() -> bool:
        return platform.runtime.stopping or (until is not None and time.monotonic() >= until)

    describe_platform_filers(platform)
    if failed := inspect_ended_runs(platform, platform.tables, stopping=stopping):
        err.print(
            f"inspection failed: {', '.join(failed)}; `quantx findings list --rule inspection_failed` shows the reasons"
        )
    if platform.settings.features and not stopping():
        from quantx.features.follow import follow

        if failed := follow(platform, stopping=stopping):
            err.print(
                f"features not built: {', '.join(failed)}; `quantx findings list --rule features_failed` shows why"
            )
    if platform.settings.studies and not stopping():
        from quantx.research.follow import follow_studies

        if failed := follow_studies(platform, stopping=stopping):
            err.print(
                f"no predictions: {', '.join(failed)}; `quantx findings list --rule predictions_failed` shows why"
            )
    if platform.settings.sql_views is not None and not stopping():
        _refresh_views(platform.settings, platform.settings.sql_views)
    if announced and not platform.runtime.stopping:  # also where the time for inspections is over
        announce(platform)


def announce(platform: Platform) -> None:
    """Check the conditions of alerts, send what began and ended, and write the status page.

    The exit code stays that of the work.
    """
    from quantx.alerts.run import check_and_send
    from quantx.alerts.status_page import write_status_page

    try:
        check_and_send(platform)
    except QuantxError as error:
        err.print(f"alerts were not checked: {error}; the next work or sweep does it")
    try:
        write_status_page(platform)
    except QuantxError as error:
        err.print(f"the status page was not written: {error}; the next work or sweep does it")


def imported_from_inbox(platform: Platform) -> int:
    """Import the files in the lake's inbox, and print what was refused; return how many rows are new or changed.

    The members of archives of options become tasks of the queue.
    """
    from quantx.pipeline.importing.inbox import INBOX, OPTIONS, import_inbox
    from quantx.pipeline.wiring import worker_of

    try:
        done = import_inbox(platform, worker_of)
        if platform.location.paths(f"{INBOX}/{OPTIONS}"):
            from quantx.pipeline.options.inbox import plan_inbox

            if planned := plan_inbox(platform):
                err.print(f"{counted(planned, 'member')} of option archives in the inbox: queued for `quantx work`")
    except RefusedStatement:
        raise
    except (LakeError, QueueError, StateError) as error:  # an outage, which the work after it waits for
        err.print(f"the inbox was not imported: {error}; the next sweep goes on")
        return 0
    if done.refused:
        some = counted(done.refused, "file")
        err.print(f"{some} in the inbox refused; `quantx findings list --rule import_refused` shows why")
    return done.rows


def describe_platform_filers(platform: Platform) -> None:
    """Record what the replies of filers state about them; where another process is doing so, it is left to it."""
    from quantx.core.fact_tables import FILERS

    if platform.tables[FILERS.name].version() is None and not platform.settings.fundamentals:
        return
    from quantx.pipeline.reference.filers import describe_filers, refresh_filer_symbols

    if platform.settings.fundamentals:  # planning reads what the list of tickers records
        try:
            refresh_filer_symbols(platform, platform.tables)
        except QuantxError as error:
            err.print(f"the SEC's list of tickers was not read: {error}")
    with contextlib.suppress(StateError):  # another process is changing instruments; the next work records it
        describe_filers(platform, platform.tables)


def _refresh_views(settings: Settings, file: Path) -> None:
    from quantx.reader.lake import lake_of

    try:
        lake_of(settings).write_views(file)
    except QuantxError as error:
        err.print(f"the views of {file} were not refreshed: {error}")
