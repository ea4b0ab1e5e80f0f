"""The command that compacts the tables' files."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from quantx.cli.options import Json, UseLocal, exits, settings_for
from quantx.cli.output import counted, err, out, print_json, work_progress
from quantx.errors import ConfigError
from quantx.pipeline.runtime.platform import Platform, open_platform
from quantx.pipeline.runtime.roles import RoleHolder, committing, take_role


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("compact")(exits(compact))


def compact(
    timeframe: Annotated[str | None, typer.Option(help="1d or 1m; both by default.")] = None,
    month: Annotated[str | None, typer.Option(help="Only this month of minute bars, as in 2024-10.")] = None,
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Compact the tables' files for fast reads. No row changes, and an interrupted compaction loses nothing.

    Workers compact by themselves where it is needed. The minute bars of a closed month are merged and sorted by symbol.
    Each session of options becomes one sorted file; without --timeframe and --month only.

    Example: quantx compact --timeframe 1m --month 2024-10
    """
    from quantx.pipeline.curating.compaction import parse_month

    if timeframe not in (None, "1d", "1m"):
        raise ConfigError(f"--timeframe {timeframe!r} must be 1d or 1m")
    if month is not None and timeframe == "1d":
        raise ConfigError("--month applies to minute bars; omit --timeframe 1d")
    number = None if month is None else parse_month(month)
    with open_platform(settings_for(use_local)) as platform:
        take = partial(take_role, platform.location, platform.tables, platform.state, "curator")
        facts = committing(take, partial(_carry_out, platform, timeframe, number))
        if facts is not None and timeframe is None and number is None:
            facts["folded"] |= _compact_options(platform)
    if facts is None:
        err.print("another process is curating; try again when it has ended")
        return 1
    if json:
        print_json(facts)
    else:
        for table, partitions in facts["folded"].items():
            out.print(f"{table}: {counted(partitions, _unit(table))} compacted")
        for name, files in facts["months"].items():
            out.print(f"minute bars of {name}: {counted(files, 'file')} compacted")
        if not facts["folded"] and not facts["months"]:
            out.print("nothing to compact")
    return 0


def _carry_out(
    platform: Platform, timeframe: str | None, month: int | None, holder: RoleHolder | None
) -> dict[str, dict[str, int]] | None:
    """Compact under the curator's role; return the counts, None if another process has the role."""
    from quantx.core.tables import BARS_1M
    from quantx.pipeline.curating.compaction import compact_minutes, fold_tables

    if holder is None:
        return None
    folded: dict[str, int] = {}
    months: dict[int, int] = {}
    if timeframe != "1m" and month is None:
        folded = fold_tables(platform.tables, holder, most_files=2)  # the newest sessions have a file of their own
    if timeframe != "1d":
        with work_progress() as display:
            bar = display.add_task("compacting", total=None, note="")

            def show(month: int, done: int, total: int) -> None:
                display.update(bar, completed=done, total=total, note=_label(month))

            now, bars = platform.clock.now(), platform.tables[BARS_1M.name]
            months = compact_minutes(bars, holder, now, most_files=1, month=month, on_month=show)
    return {"folded": folded, "months": {_label(m): files for m, files in months.items()}}


def _unit(table: str) -> str:
    """Return what is counted of a table: files of sessions, or partitions."""
    return "file" if table in ("options_quotes_1m", "options_trades") else "partition"


def _compact_options(platform: Platform) -> dict[str, int]:
    """Compact the tables of options under their role; return the counts by table, none where another process has it."""
    from tempfile import TemporaryDirectory

    from quantx.pipeline.options.compaction import compact_options

    def carry_out(holder: RoleHolder | None) -> dict[str, int]:
        if holder is None:
            err.print("another process commits options; their tables stay as they are")
            return {}
        with TemporaryDirectory(prefix="quantx-compact-") as folder:
            return compact_options(platform.location, holder, Path(folder), most_session_files=1, most_year_files=2)

    return committing(partial(take_role, platform.location, platform.tables, platform.state, "options"), carry_out)


def _label(month: int) -> str:
    return f"{month // 100}-{month % 100:02d}"
