"""The command `quantx options validate`: what is stored of options, and what is missing or damaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from quantx.cli.options import Json, UseLocal, exits, settings_for
from quantx.cli.options_group import options
from quantx.cli.output import counted, out, print_json, print_table, work_progress

if TYPE_CHECKING:
    from quantx.pipeline.options.validate import ValidatedOptions

_SHOWN = 5  # of each kind of trouble


def register(_: typer.Typer) -> None:
    """Add the command of this module to the group `options`."""
    options.command("validate")(exits(validate))


def validate(
    underlying: Annotated[str | None, typer.Option(help="Only this underlying, as in SPY.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Only sessions and numbers of rows: no data file is read.")
    ] = False,
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Check the tables of options: sessions of the calendar, rows of each imported member, files, gaps of contracts.

    Every session of New York from the first to the newest one must have rows, and no fewer than the members brought.
    Each data file is compared with its SHA-256. A contract has a gap where it has rows in sessions before and after,
    but not in one between; trades and daily bars have many. The exit code is 1 where sessions or rows are missing, a
    chain has lost half of its contracts since the session before, or a file is damaged.

    Example: quantx options validate --underlying SPY
    """
    from quantx.pipeline.options.validate import validate_options
    from quantx.pipeline.runtime.platform import open_platform

    with open_platform(settings_for(use_local)) as platform, work_progress() as display:
        bar = display.add_task("validating", total=None, note="")
        members = platform.state.option_members
        records = [members.read(row["id"]) for row in members.listed(None, state="done")]
        done = validate_options(
            platform.location,
            platform.tables,
            records,
            underlying=underlying,
            hashes=not quick,
            on_file=lambda number, of: display.update(bar, completed=number, total=of),
        )
    print_json(done.as_facts()) if json else _print(done)
    return 0 if done.is_whole else 1


def _print(done: ValidatedOptions) -> None:
    if not done.series:
        out.print("the lake has no options: `quantx options import` brings some")
        return
    rows = [
        {
            "underlying": each.underlying,
            "dataset": each.dataset,
            "source": each.source,
            "first": each.first,
            "newest": each.newest,
            "sessions": each.sessions,
            "missing": len(each.missing),
            "rows": each.rows,
            "half a chain": len(each.short),
            "contracts with gaps": each.contracts_with_gaps,
        }
        for each in done.series
    ]
    print_table("options", rows)
    for each in done.series:
        name = f"{each.dataset} of {each.underlying}"
        if each.missing:
            out.print(f"{name} lacks {counted(len(each.missing), 'session')}: {_some(each.missing)}")
        if each.short:
            out.print(f"{name} has fewer than half of the contracts of the session before on {_some(each.short)}")
    for lacking in done.lacking[:_SHOWN]:
        out.print(
            f"{lacking['member']} brought {lacking['rows']:,} rows, and {lacking['dataset']} has {lacking['stored']:,}"
            " of its days",
            markup=False,
        )
    for damaged in done.damaged[:_SHOWN]:
        out.print(damaged, markup=False)
    files = f", {counted(done.files, 'file')} compared with their SHA-256" if done.files else ""
    out.print(f"{counted(done.members, 'member')} compared{files}; {'all is there' if done.is_whole else 'see above'}")


def _some(days: Sequence[object]) -> str:
    return ", ".join(str(day) for day in days[:_SHOWN]) + (f" and {len(days) - _SHOWN} more" if days[_SHOWN:] else "")
