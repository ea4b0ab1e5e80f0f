"""The command of the second trigger: sweep."""

from __future__ import annotations

import contextlib
from dataclasses import asdict

import typer

from quantx.cli.after_work import announce, imported_from_inbox, inspect
from quantx.cli.options import Json, UseLocal, exits, settings_for
from quantx.cli.output import counted, err, out, print_json
from quantx.errors import Busy, LakeError
from quantx.pipeline.runtime.platform import Platform, open_platform

_OPENING = 30.0  # seconds to wait for the state and the lake


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("sweep")(exits(sweep))


def sweep(json: Json = False, use_local: UseLocal = False) -> int:
    """Recover from a dead timer or worker: send waiting messages, plan missed updates, curate, report, inspect, verify.

    Run it on a schedule of its own, every 15 minutes. A session without a run after its deadline is a finding, and its
    daily update is planned. Each sweep also imports the files of the lake's inbox, goes on with deletions that are not
    complete (see `quantx delete`), verifies the next part of the lake (see `quantx verify`), and sends alerts (see
    `quantx alerts`). The command is idempotent.

    Example: quantx sweep --json
    """
    from quantx.pipeline.curating.curator import curate_left
    from quantx.pipeline.planning.sweep import sweep as sweep_once
    from quantx.pipeline.reporting.run_report import report_ended_runs
    from quantx.pipeline.wiring import curator_of

    with open_platform(settings_for(use_local), retry_seconds=_OPENING) as platform:
        try:
            swept = sweep_once(platform)
            rows = curate_left(curator_of(platform), platform.state.tasks) + imported_from_inbox(platform)
            report_ended_runs(platform.state, platform.location, platform.clock)
            inspect(platform, announced=False)
            _end_deletions(platform)
            damaged = _verify(platform)
        finally:  # what stops a sweep is what alerts are for
            announce(platform)
    if json:
        print_json({**asdict(swept), "curated_rows": rows, "damaged": damaged})
        return 0
    out.print(
        f"sent {counted(swept.sent, 'message')} ({swept.resent:,} again); wrote {counted(rows, 'new or changed row')}"
    )
    for message in damaged:
        err.print(message, markup=False)
    for missed in swept.missed:
        out.print(missed.finding().message, markup=False)
    if swept.run_id:
        out.print(f"run {swept.run_id} was planned for the missed sessions")
    return 0


def _end_deletions(platform: Platform) -> None:
    """Go on with the deletions that are not complete; what can't be removed yet stays recorded."""
    from quantx.lake.tombstones import deleted_of
    from quantx.pipeline.wiring import deleter_of

    if all(stone.done for stone in deleted_of(platform.location).stones):
        return
    with contextlib.suppress(Busy):  # the next sweep tries again
        for done in deleter_of(platform).resume():
            if done.pending:
                err.print(
                    f"tombstone {done.id}: {counted(len(done.pending), 'raw object')} can't be removed yet;"
                    " `quantx delete --list` shows the deletions"
                )


def _verify(platform: Platform) -> list[str]:
    """Verify the next portion of the lake; return what is damaged."""
    from quantx.pipeline.verifying.portions import verify_portion

    most = platform.settings.verify_megabytes * 1_000_000
    try:
        found = verify_portion(platform, most, stopping=lambda: platform.runtime.stopping) if most else None
    except LakeError as error:  # the work of the sweep is done
        err.print(f"the lake was not verified: {error}; the next sweep goes on")
        return []
    return [damage.message for damage in found.damages] if found else []
