"""The command of the second trigger: sweep."""

from __future__ import annotations

from dataclasses import asdict

import typer

from quantx.cli.after_work import inspect
from quantx.cli.options import Json, UseLocal, exits, settings_for
from quantx.cli.output import out, print_json
from quantx.pipeline.runtime.platform import open_platform

_OPENING = 30.0  # seconds that it waits for the state and the lake


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("sweep")(exits(sweep))


def sweep(json: Json = False, use_local: UseLocal = False) -> int:
    """Do what a timer or a worker that died has left: send what waits, plan what was missed, curate, report, inspect.

    For a schedule of its own, every quarter of an hour. A session without a run after its deadline is a finding, and
    its daily update is planned; doing all this twice changes nothing.

    Example: quantx sweep --json
    """
    from quantx.pipeline.curating.curator import curate_left
    from quantx.pipeline.planning.sweep import sweep as sweep_once
    from quantx.pipeline.reporting.run_report import report_ended_runs
    from quantx.pipeline.wiring import curator_of

    with open_platform(settings_for(use_local), retry_seconds=_OPENING) as platform:
        swept = sweep_once(platform)
        rows = curate_left(curator_of(platform), platform.state.tasks)
        report_ended_runs(platform)
        inspect(platform)
    if json:
        print_json({**asdict(swept), "curated_rows": rows})
        return 0
    out.print(f"sent {swept.sent:,} messages, {swept.resent:,} of them again; curated {rows:,} new or changed rows")
    for missed in swept.missed:
        out.print(missed.finding().message, markup=False)
    if swept.run_id:
        out.print(f"run {swept.run_id} makes up for it")
    return 0
