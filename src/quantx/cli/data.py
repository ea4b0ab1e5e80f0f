"""Commands that move data: refresh-universe, backfill, update-daily, work, curate."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from quantx.cli.after_work import imported_from_inbox, inspect
from quantx.cli.estimate import show_estimate
from quantx.cli.options import (
    ChunkSize,
    DryRun,
    EnqueueOnly,
    Json,
    MaxWorkers,
    Phase,
    Symbols,
    Universe,
    UseLocal,
    exits,
    parse_day,
    settings_for,
    split_symbols,
    traced_settings,
)
from quantx.cli.output import counted, err, out, print_json, print_table, work_progress
from quantx.core.model import Window
from quantx.errors import ConfigError
from quantx.pipeline.fetching.modules import modules_to_fetch
from quantx.pipeline.planning.triggers import plan_request
from quantx.pipeline.planning.update_request import UpdateRequest
from quantx.pipeline.reporting.run_report import run_totals
from quantx.pipeline.runtime.platform import Platform, open_platform
from quantx.settings import DECLARATION, is_symbol_list
from quantx.state.tasks.port import Plan
from quantx.state.values import UNFINISHED
from quantx.tracing import flush_traces

if TYPE_CHECKING:
    from quantx.pipeline.fetching.landing import Progress

Source = Annotated[
    str | None, typer.Option(help="Fetch from this vendor only; by default from those of the setting `sources`.")
]
Timeframe = Annotated[str, typer.Option(help="1d: daily bars; 1m: minute bars.")]


_SHOWN = 10  # failures, and symbols without a vendor
_INSPECTING = 0.95  # of the time budget: no inspection starts later
_OPENING = 60.0  # seconds that a worker without a time budget waits for the state and the lake


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("refresh-universe")(exits(refresh_universe))
    app.command("backfill")(exits(backfill))
    app.command("update-daily")(exits(update_daily))
    app.command("work")(exits(work))
    app.command("curate")(exits(curate))


def refresh_universe(
    phase: Phase = None,
    name: Annotated[str | None, typer.Option(help="Only this universe.")] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Accept lists that fail plausibility checks; requires --reason.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why the lists are right; stored with the decision.")] = None,
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Read the constituents of universes, and record them in the state, the lake and meta/universe_<phase>.csv.

    A list that is unreadable or fails the plausibility checks is refused: the last good list stays, the exit code is 1.
    A missing config/universes.yaml is written first, as `quantx init` does.

    Example: quantx refresh-universe --phase phase_1
    """
    from quantx.cli.setup import write_template
    from quantx.pipeline.reference.universes import refresh_universes

    if accept != (reason is not None):
        raise ConfigError('--accept and --reason "…" belong together')
    settings = settings_for(use_local)
    if settings.declaration_path == DECLARATION and write_template(DECLARATION):
        err.print(f"written {DECLARATION}, which declares the universes; change it as you need")
    with open_platform(settings) as platform:
        results = refresh_universes(platform, platform.tables, phase=phase, name=name, accept=reason)
    rows = [vars(r) for r in results]
    if json:
        print_json(rows)
    else:
        print_table("universes", rows, ["universe", "phase", "members", "joined", "left", "decision"])
        for refused in (r for r in results if r.decision == "refused"):
            err.print(f"  {refused.universe}: {refused.why}; the last good list stays")
    return 1 if any(r.decision == "refused" for r in results) else 0


def backfill(
    start: Annotated[str, typer.Option(help="First day, as in 2000-01-01.")],
    end: Annotated[str | None, typer.Option(help="Last day; today by default.")] = None,
    universe: Universe = None,
    phase: Phase = None,
    symbols: Symbols = None,
    source: Source = None,
    timeframe: Timeframe = "1d",
    max_workers: MaxWorkers = None,
    chunk_size: ChunkSize = None,
    again: Annotated[bool, typer.Option("--again", help="Fetch again what was fetched before.")] = False,
    dry_run: DryRun = False,
    enqueue_only: EnqueueOnly = False,
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Fetch and curate the sessions that were never fetched. Backfills are incremental and resumable.

    Example: quantx backfill --start 2000-01-01 --end 2016-12-31 --symbols AAPL,MSFT
    """
    first, given = parse_day(start, "--start"), parse_day(end, "--end") if end else None
    scope = scope_of(universe, phase, symbols)
    if given is not None:
        _check_order(first, given)  # before anything is opened
    settings = traced_settings(use_local, max_workers=max_workers, chunk_size=chunk_size)
    if not any(scope.values()) and not is_symbol_list(settings.universe_path):
        raise ConfigError("nothing to fetch was given: use --universe NAME|FILE.csv, --phase PHASE or --symbols A,B")
    with open_platform(settings, modules=() if enqueue_only or dry_run else modules_to_fetch(settings)) as platform:
        # The UTC day by the state's clock: this machine's may be wrong, and a day behind the sessions of Tokyo.
        last = given or platform.clock.now().date()
        _check_order(first, last)
        request = UpdateRequest(**scope, window=Window(first, last), source=source, timeframe=timeframe, again=again)
        if dry_run:
            return show_estimate(platform, request, json=json)
        return carry_out(platform, plan_request(platform, request), enqueue_only=enqueue_only, json=json)


def update_daily(
    lookback_days: Annotated[int | None, typer.Option(min=0, max=250, help="Stored sessions to fetch again.")] = None,
    universe: Universe = None,
    phase: Phase = None,
    symbols: Symbols = None,
    source: Source = None,
    timeframe: Timeframe = "1d",
    max_workers: MaxWorkers = None,
    chunk_size: ChunkSize = None,
    dry_run: DryRun = False,
    enqueue_only: EnqueueOnly = False,
    use_local: UseLocal = False,
    json: Json = False,
) -> int:
    """Fetch and curate every session since the last one, and record the vendor's corrections as revisions.

    Example: quantx update-daily --lookback-days 5 --universe us_mega_caps
    """
    scope = scope_of(universe, phase, symbols)
    request = UpdateRequest(**scope, lookback_days=lookback_days, source=source, timeframe=timeframe)
    settings = traced_settings(use_local, max_workers=max_workers, chunk_size=chunk_size)
    with open_platform(settings, modules=() if enqueue_only or dry_run else modules_to_fetch(settings)) as platform:
        if dry_run:
            return show_estimate(platform, request, json=json)
        plan = plan_request(platform, request)
        return carry_out(platform, plan, enqueue_only=enqueue_only, json=json, named=bool(request.symbols))


def work(
    until_empty: Annotated[
        bool, typer.Option("--until-empty/--forever", help="Exit when no task is left, or run forever.")
    ] = True,
    time_budget: Annotated[
        float | None, typer.Option(min=1, help="Seconds; no new task after 80 % of them, no new inspection after 95 %.")
    ] = None,
    max_workers: MaxWorkers = None,
    chunk_size: ChunkSize = None,
    use_local: UseLocal = False,
) -> int:
    """Process queued tasks: fetch, store, curate. Any number of workers may run; this is the container's command.

    Example: quantx work --until-empty --time-budget 1440
    """
    settings = traced_settings(use_local, max_workers=max_workers, chunk_size=chunk_size)
    begun = time.monotonic()
    retry_seconds = _OPENING if time_budget is None else 0.8 * time_budget
    with open_platform(settings, retry_seconds=retry_seconds, modules=modules_to_fetch(settings)) as platform:
        left = None if time_budget is None else max(0.0, time_budget - (time.monotonic() - begun))
        end = None if time_budget is None else begun + _INSPECTING * time_budget
        imported_from_inbox(platform)
        done = _process(platform, inspect_until=end, until_empty=until_empty, time_budget=left)
        stopped = platform.runtime.stopping
    out.print(
        f"fetched {counted(done.landed, 'reply', 'replies')}, wrote {counted(done.rows, 'new or changed row')},"
        f" {counted(done.failed, 'task')} failed" + ("; `quantx tasks list --dead` lists them" if done.failed else "")
    )
    code = 1 if done.failed else 0
    if stopped:  # a hanging request must not keep the process alive
        sys.stdout.flush()
        flush_traces()
        os._exit(code)
    return code


def curate(use_local: UseLocal = False) -> int:
    """Curate stored replies, without fetching anything.

    Example: quantx curate
    """
    from quantx.pipeline.reporting.run_report import report_ended_runs
    from quantx.pipeline.wiring import curator_of

    with open_platform(traced_settings(use_local)) as platform:
        rows = curator_of(platform).curate(everything=True)
        report_ended_runs(platform.state, platform.location, platform.clock)
        inspect(platform)
    out.print(f"wrote {counted(rows, 'new or changed row')}")
    return 0


def _check_order(first: date, last: date) -> None:
    if first > last:
        raise ConfigError(f"--start {first} is after --end {last}")


def scope_of(universe: str | None, phase: str | None, symbols: str | None) -> dict[str, Any]:
    """Return the parts of a scope; ConfigError where more than one is given."""
    given = [o for o, v in (("--universe", universe), ("--phase", phase), ("--symbols", symbols)) if v is not None]
    if len(given) > 1:
        raise ConfigError(f"{' and '.join(given)} exclude each other; give one")
    return {"symbols": split_symbols(symbols), "universe": universe, "phase": phase}


def carry_out(platform: Platform, plan: Plan, *, enqueue_only: bool, json: bool, named: bool = False) -> int:
    """Process the plan's tasks, and print the results."""
    if enqueue_only:
        facts = {"run_id": plan.run_id, "enqueued": len(plan.task_ids), "skipped": plan.skipped, "shared": plan.shared}
        facts["unserved"] = {each.symbol: each.why for each in plan.unserved}
        print_json(facts) if json else out.print(
            f"run {plan.run_id}: {counted(len(plan.task_ids), 'task')} enqueued,"
            f" {counted(plan.skipped - len(plan.unserved), 'symbol')} up to date"
            + (f"; {counted(plan.shared, 'task')} shared with earlier runs" if plan.shared else "")
        )
        _print_unserved(plan)
        return 0
    _process(platform, task_ids=plan.task_ids)
    return _summarize(platform, plan, named=named, json=json)


def _print_unserved(plan: Plan) -> None:
    for each in plan.unserved[:_SHOWN]:
        err.print(f"  {each.symbol} has {each.why}", markup=False)
    if len(plan.unserved) > _SHOWN:
        err.print(f"  … and {counted(len(plan.unserved) - _SHOWN, 'more symbol')}; `quantx status --json` lists them")


def _process(
    platform: Platform, *, task_ids: Sequence[int] | None = None, inspect_until: float | None = None, **how: Any
) -> Progress:
    """Run a worker in this process, then inspect the data of ended runs; return the worker's progress.

    No inspection starts after `inspect_until` (monotonic clock).
    """
    from quantx.pipeline.wiring import worker_of

    with work_progress() as display:
        bar = display.add_task("fetching", total=None if task_ids is None else len(task_ids), note="")

        def show(progress: Progress) -> None:
            note = counted(progress.rows, "row") + (f" · {progress.last_error}" if progress.last_error else "")
            display.update(bar, completed=progress.landed + progress.failed, note=note[:80])

        worker = worker_of(platform, on_progress=show)
        with stops_on_signals(platform.runtime.stop):
            done = worker.run(task_ids=task_ids, **how)
            display.update(bar, note="running quality checks")
            inspect(platform, inspect_until)
    return done


def _summarize(platform: Platform, plan: Plan, *, named: bool, json: bool) -> int:
    """Print the results; return the exit code. `named`: the user named the symbols, and expects bars of each."""
    totals = run_totals(platform.state.runs, plan.run_id)
    failures = platform.state.runs.failures(plan.run_id)
    # Tasks that an earlier run planned are reported with that run; their outcome still decides this exit code.
    ended = platform.state.tasks.count(plan.task_ids)
    failed = ended.get("failed", 0) > 0
    unfinished = sum(ended.get(state, 0) for state in UNFINISHED)
    report = platform.state.runs.report_of(plan.run_id)
    unserved = {each.symbol: each.why for each in plan.unserved}
    if json:
        print_json(
            {
                "run_id": plan.run_id,
                **totals,
                "skipped": plan.skipped,
                "unserved": unserved,
                "failures": failures,
                "report": report,
            }
        )
    else:
        out.print(
            f"run {plan.run_id}: {totals['success']:,} done, {totals['failed']:,} failed,"
            f" {plan.skipped - len(unserved):,} up to date;"
            f" {counted(totals['rows_new'], 'new row')}, {totals['rows_changed']:,} revised,"
            f" {totals['rows_rejected']:,} rejected; {counted(totals['requests'], 'request')}"
        )
        if plan.shared:
            out.print(f"{counted(plan.shared, 'shared task')}, reported with the earlier run that planned them")
        _print_unserved(plan)
        for failure in failures[:_SHOWN]:
            err.print(f"  {failure['symbol']}: {failure['error_class']}: {failure['last_error']}")
        if len(failures) > _SHOWN:
            err.print(f"  … and {len(failures) - _SHOWN} more; `quantx tasks list --state failed` lists all")
        if report:
            out.print(f"report: {platform.location.url}/{report}", markup=False)
    if unfinished:
        err.print("stopped before the end; run the same command again to resume")
    return 1 if failures or failed or unfinished or (named and any(not x.has_bars for x in plan.unserved)) else 0


class stops_on_signals:  # noqa: N801 — used as a verb
    """Shut down gracefully on SIGTERM and Ctrl-C: start no new task, finish or release the claimed ones."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop

    def __enter__(self) -> None:
        self._before = {s: signal.signal(s, lambda *_: self._stop()) for s in (signal.SIGTERM, signal.SIGINT)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
