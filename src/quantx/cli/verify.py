"""The command that finds damaged objects of the lake: verify."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from quantx.cli.options import Json, UseLocal, exits, parse_share, settings_for
from quantx.cli.output import counted, err, out, print_json, work_progress
from quantx.errors import Busy
from quantx.pipeline.runtime.platform import Platform, open_platform

_SHOWN = 40  # damages


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("verify")(exits(verify))


def verify(
    sample: Annotated[
        str | None, typer.Option(help="Only a random share of the files, as in 5%; the logs are always verified.")
    ] = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what the raw zone, the log or a digest proves.")
    ] = False,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Find damaged and missing objects of the lake, and duplicate keys; with --repair, repair them.

    Reads raw objects, data files, logs and checkpoints, and compares them with their SHA-256. Findings record what is
    damaged. Rows of a damaged data file are derived again from the raw zone; a damaged raw object is named with the
    rows and replies that depend on it. The exit code is 1 where a damage is left.

    Example: quantx verify --sample 5%
    """
    share = parse_share(sample)
    try:
        with open_platform(settings_for(use_local)) as platform:
            facts = _carry_out(platform, share, repair=repair)
    except Busy as error:
        err.print(str(error))
        return 1
    print_json(facts) if json else _print(facts)
    return 1 if facts["left"] or facts["inspections_failed"] else 0


def _carry_out(platform: Platform, share: float, *, repair: bool) -> dict[str, Any]:
    from quantx.pipeline.verifying.portions import record
    from quantx.pipeline.verifying.repair import Repairer
    from quantx.pipeline.wiring import repairing, reprocessor_of, verifier_of

    failed: Sequence[str] = ()
    with work_progress() as display:
        bar = display.add_task("verifying", total=None, note="")
        started = time.monotonic()
        found = verifier_of(platform).verify(share, on_object=lambda n, of: display.update(bar, completed=n, total=of))
        seconds = round(time.monotonic() - started, 3)
        record(platform.state.findings, found, whole=share == 1)
        if repair and found.damages:
            display.update(bar, note=f"repairing {counted(len(found.damages), 'damage')}")
            repairer = Repairer(reprocessor_of(platform))
            with repairing(platform, found) as role:
                found.repairs = repairer.repair(role, found.damages)
            record(platform.state.findings, found)
            failed = [*_inspect(platform, repairer), *_build_features(platform, found)]
    messages = {damage.path: damage.message for damage in found.damages}
    return {**found.as_facts(), "seconds": seconds, "messages": messages, "inspections_failed": list(failed)}


def _inspect(platform: Platform, repairer: Any) -> Sequence[str]:
    from quantx.pipeline.inspecting.inspection import inspect_symbols

    touched = sorted({symbol for done in repairer.summaries for _, symbol in done.touched})
    return inspect_symbols(platform, platform.tables, touched) if touched and platform.settings.inspect else ()


def _build_features(platform: Platform, found: Any) -> Sequence[str]:
    """Build the feature sets again of which the repair has removed files; return the names of those that failed."""
    from quantx.core.features.sets import SETS
    from quantx.features.follow import build_sets

    tables = {damage.table for damage in found.damages}
    return build_sets(platform, [name for name, each in SETS.items() if each.table_name in tables])


def _print(facts: dict[str, Any]) -> None:
    megabytes = facts["bytes"] / 1e6
    earlier = f"; {facts['undigested']:,} of an earlier program without a digest were decoded and compared"
    out.print(
        f"{counted(facts['objects'], 'object')} verified, {megabytes:,.1f} MB in {facts['seconds']:,.1f} s"
        f"{earlier if facts['undigested'] else ''}"
    )
    repairs = {repair["path"]: repair for repair in facts["repairs"]}
    for number, (path, message) in enumerate(facts["messages"].items()):
        if number == _SHOWN:
            out.print(f"… and {len(facts['messages']) - _SHOWN:,} more; --json lists all")
            break
        done = repairs.get(path)
        if done is None:
            out.print(message, markup=False)
        else:
            out.print(f"{path}: {'repaired' if done['done'] else 'not repaired'}: {done['what']}", markup=False)
    if not facts["messages"]:
        out.print("nothing is damaged")
    for check in facts["inspections_failed"]:
        err.print(f"inspection failed: {check}; `quantx validate run` repeats it")
