"""Read-only commands (status, show-manifest, tasks list, query), and tasks retry."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import polars as pl
import typer

from quantx.cli.options import Json, Most, UseLocal, exits, settings_for, split_symbols
from quantx.cli.output import counted, incomplete_data_reported, out, print_json, print_table
from quantx.core.prices import ADJUSTMENTS
from quantx.errors import ConfigError
from quantx.pipeline.reporting.manifest import manifest_of
from quantx.pipeline.reporting.status import status_of
from quantx.pipeline.runtime.platform import open_platform
from quantx.reader.lake import lake_of
from quantx.state.values import TaskState

_SHOWN = 40  # rows of a table on the terminal
_FORMATS = ("table", "csv", "parquet")

AsOf = Annotated[
    str | None,
    typer.Option(help="Point-in-time read, as known then: a date, or an instant as in 2024-01-31T15:30:00Z."),
]
PublicBy = Annotated[
    str | None,
    typer.Option(help="Only what was public then: bars of settled sessions, actions from their ex-date."),
]

tasks = typer.Typer(help="List tasks, and retry those that failed permanently.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("status")(exits(status))
    app.command("show-manifest")(exits(show_manifest))
    app.command("query")(exits(query))
    tasks.command("list")(exits(tasks_list))
    tasks.command("retry")(exits(tasks_retry))
    app.add_typer(tasks, name="tasks")


def status(json: Json = False, use_local: UseLocal = False) -> int:
    """Show runs, tasks, the queue, vendors in back-off, refused symbols, and the freshness of universes.

    Example: quantx status --json
    """
    with open_platform(settings_for(use_local)) as platform:
        facts = status_of(platform.state, platform.queue.depth(), platform.location.url, platform.clock.now())
    if json:
        print_json(facts)
        return 0
    print_table(
        "runs",
        facts["runs"],
        [
            "id",
            "kind",
            "created_at",
            "tasks",
            "success",
            "failed",
            "skipped",
            "rows_new",
            "rows_changed",
            "rows_rejected",
        ],
    )
    print_table("tasks", [facts["tasks"]])
    print_table("queue", [facts["queue"]])
    print_table("vendors in back-off", facts["closed"])
    print_table("series that their vendor refuses", facts["refused"])
    print_table("universes", facts["universes"])
    print_table("open findings", [facts["findings"]] if facts["findings"] else [])
    print_table("missing sessions", [facts["gaps"]] if any(facts["gaps"].values()) else [])
    return 0


def show_manifest(
    json: Json = False,
    all_series: Annotated[bool, typer.Option("--all", help=f"All series, not only the first {_SHOWN}.")] = False,
    use_local: UseLocal = False,
) -> int:
    """Show the manifest of the lake: tables with versions and sizes, and each series with its sessions.

    Example: quantx show-manifest --json
    """
    with open_platform(settings_for(use_local)) as platform:
        facts = manifest_of(platform.tables, platform.state.series, platform.state.gaps, platform.location.url)
    if json:
        print_json(facts)
        return 0
    out.print(f"lake {facts['lake']}")
    print_table("tables", facts["tables"], ["table", "version", "rows", "files", "megabytes"])
    series = facts["series"]
    shown = [row | {"gaps": row["gaps_open"]} for row in (series if all_series else series[:_SHOWN])]
    print_table(
        "series",
        shown,
        [
            "source",
            "dataset",
            "timeframe",
            "symbol",
            "first",
            "last",
            "rows",
            "revised",
            "rejected",
            "vendor_has_nothing",
            "gaps",
            "last_error",
        ],
    )
    if len(shown) < len(series):
        out.print(f"… {len(series) - len(shown):,} more series; --all lists them")
    return 0


def tasks_list(
    state: Annotated[TaskState | None, typer.Option(help="Only tasks in this state.")] = None,
    dead: Annotated[
        bool, typer.Option("--dead", help="Tasks that failed permanently, and the messages of the poison queue.")
    ] = False,
    run: Annotated[str | None, typer.Option(help="Only tasks of this run.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of tasks, the newest first.")] = 50,
    most: Most = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """List tasks, the newest first.

    Example: quantx tasks list --dead
    """
    with open_platform(settings_for(use_local)) as platform:
        rows = platform.state.tasks.listed(state, run, most or limit, dead=dead)
        poison = [vars(p) for p in platform.queue.poisoned(min(most or limit, 32))] if dead else []
    columns = [
        "id",
        "kind",
        "source",
        "dataset",
        "timeframe",
        "symbol",
        "window_start",
        "window_end",
        "state",
        "attempts",
        "rows_new",
        "rows_changed",
        "rows_rejected",
        "last_error",
    ]
    if json:
        print_json({"tasks": rows, "poison": poison} if dead else rows)
        return 0
    shown = [row | ({"state": "passed on"} if row["passed_on"] else {}) for row in rows]
    print_table("tasks", shown, columns)
    if poison:
        print_table("poison queue", poison)
    return 0


def tasks_retry(
    ids: Annotated[list[int] | None, typer.Option("--id", help="Only this task; may be repeated.")] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Retry tasks that failed permanently: they get a run of their own, which `quantx work` processes.

    Example: quantx tasks retry --id 17
    """
    from quantx.pipeline.planning.plan import plan_retry

    with open_platform(settings_for(use_local)) as platform:
        dead = {row["id"] for row in platform.state.tasks.listed("failed", None, None, dead=True)}
        if unknown := sorted(set(ids or ()) - dead):
            raise ConfigError(f"task {unknown[0]} is not a dead task; `quantx tasks list --dead` lists them")
        plan = plan_retry(platform, ids)
    facts = {"run_id": plan.run_id, "enqueued": len(plan.task_ids)}
    print_json(facts) if json else out.print(
        f"run {plan.run_id}: {counted(len(plan.task_ids), 'task')} enqueued again" if plan.task_ids else "no dead tasks"
    )
    return 0


def query(
    symbols: Annotated[
        str, typer.Option("--symbols", "--symbol", help="Comma-separated symbols, as in AAPL,BRK.B,0700.HK.")
    ],
    view: Annotated[
        Literal["bars", "latest"], typer.Argument(help="bars: all; latest: the last ones of each symbol.")
    ] = "bars",
    rows: Annotated[
        int | None, typer.Option(min=1, help="Only the last bars of each symbol; with `latest` 1 by default.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="First day.")] = None,
    end: Annotated[str | None, typer.Option(help="Last day, inclusive.")] = None,
    adjust: Annotated[str, typer.Option(help="none: as traded; split; total: splits and dividends.")] = "none",
    as_of: AsOf = None,
    public_by: PublicBy = None,
    source: Annotated[
        str | None, typer.Option(help="Only this vendor; best: per session the bar that no vendor contradicts.")
    ] = None,
    timeframe: Annotated[str, typer.Option(help="1d: daily bars; 1m: minute bars.")] = "1d",
    extended: Annotated[
        bool, typer.Option("--extended", help="Include minute bars outside the regular session.")
    ] = False,
    format: Annotated[  # noqa: A002 — the option's name
        str | None, typer.Option(help="table, csv or parquet; by default as the file's name ends, else table.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
    use_local: UseLocal = False,
) -> int:
    """Read OHLCV bars from the lake. No database is needed. The exit code is 1 if no bar was found.

    `quantx query latest --symbol AAPL --rows 10` shows the last ten bars.

    Example: quantx query --symbols AAPL,BRK.B --start 2014-01-01 --adjust total -o bars.csv
    """
    settings = settings_for(use_local)
    adjustment = next((a for a in ADJUSTMENTS if a == adjust), None)
    if adjustment is None:
        raise ConfigError(f"--adjust {adjust!r} must be one of {', '.join(ADJUSTMENTS)}")
    form = _format(format, output)
    lake = lake_of(settings)
    names = split_symbols(symbols)
    with incomplete_data_reported():
        bars = lake.bars(
            names,
            start,
            end,
            timeframe=timeframe,
            adjust=adjustment,
            as_of=as_of,
            public_by=public_by,
            source=source,
            extended=extended,
        )
    if view == "latest" or rows is not None:
        bars = bars.group_by("symbol", maintain_order=True).tail(rows or 1)
    _write(bars, form, output)
    return 0 if bars.height else 1


def _format(given: str | None, output: Path | None) -> str:
    """Return the format to write; ConfigError where it does not fit the file."""
    if given not in (None, *_FORMATS):
        raise ConfigError(f"--format {given!r} must be table, csv or parquet")
    if output is None:
        if given == "parquet":
            raise ConfigError("--format parquet needs a file: -o bars.parquet")
        return given or "table"
    form = given or output.suffix.lower().removeprefix(".")
    if form not in _FORMATS:
        raise ConfigError(f"the name of {output} has no known ending; use .csv or .parquet, or --format")
    if form == "table":
        raise ConfigError("--format table is for the terminal; use --format csv or parquet with -o")
    return form


def _write(bars: pl.DataFrame, form: str, output: Path | None) -> None:
    if output is None:
        if form == "csv":
            sys.stdout.write(_csv(bars))
        elif bars.height:
            _print_bars(bars)
        return
    try:
        if form == "csv":
            output.write_text(_csv(bars))
        else:
            bars.write_parquet(output)
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror or error}") from error
    symbols = counted(bars["symbol"].n_unique(), "symbol")
    out.print(f"{counted(bars.height, 'bar')} of {symbols} written to {output}", markup=False)


def _csv(bars: pl.DataFrame) -> str:
    return bars.write_csv(datetime_format="%Y-%m-%dT%H:%M:%S%.6fZ")


def _print_bars(bars: pl.DataFrame) -> None:
    rows: list[dict[str, Any]] = bars.drop("known_from").tail(_SHOWN).to_dicts()
    title = counted(bars.height, "bar") + (f", the last {_SHOWN}" if bars.height > _SHOWN else "")
    print_table(title, rows)
