"""Run the story: sandbox, embedded PostgreSQL, backfill, three daily updates, and the results."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import httpx
import polars as pl
import typer
import yaml

from quantx.cli.after_work import inspect
from quantx.cli.demo.features import show_features
from quantx.cli.demo.filings import show_filings
from quantx.cli.demo.options import show_options
from quantx.cli.demo.page import Chapter, DemoResults, write_page
from quantx.cli.demo.proofs import show_proofs
from quantx.cli.demo.rates import show_rates
from quantx.cli.demo.script import Story, story_of
from quantx.cli.demo.study import show_study
from quantx.cli.logs import configure_logging
from quantx.cli.options import existing_folder, settings_for
from quantx.cli.output import counted, out, print_table
from quantx.core.model import Window
from quantx.core.quality import RULES
from quantx.core.symbols import venue_of
from quantx.core.tables import QUARANTINE
from quantx.errors import ConfigError
from quantx.pipeline.planning.plan import plan_backfill, plan_daily
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.reference.universes import refresh_universes
from quantx.pipeline.reporting.manifest import manifest_of
from quantx.pipeline.reporting.run_report import run_totals
from quantx.pipeline.runtime.platform import Platform, open_platform
from quantx.pipeline.wiring import worker_of
from quantx.reader.lake import Lake
from quantx.sandbox import Market, Sandbox, load_market, running
from quantx.state.tasks.port import Plan

_MARK = ".quantx-demo"  # only a folder with this file is ever emptied
_PHASE = "demo"
_SHOWN = 12
_FAILURES_SHOWN = 2


def demo(
    data: Annotated[Path | None, typer.Option(help="A folder of daily files; by default a synthetic market.")] = None,
    folder: Annotated[
        Path, typer.Option(help="Folder of lake, state and report; emptied if an earlier demo made it.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Random seed of the synthetic market.")] = 7,
) -> int:
    """Run the whole pipeline in a minute: a mock vendor, a backfill, three daily updates, and a report with charts.

    Example: quantx demo --data FOLDER
    """
    started = time.monotonic()
    configure_logging()
    market = load_market(existing_folder(data, "--data"), seed=seed)
    story = story_of(market)
    _prepare(folder, market)
    sandbox = Sandbox(market, now=story.before)
    with running(sandbox) as url:
        settings = settings_for(
            False,
            lake_url=str(folder.absolute() / "lake"),
            state_url=str(folder.absolute() / "state"),
            universe_path=folder / "universes.yaml",
            yfinance_base_url=url,
            yfinance_quota="unlimited",
            sec_base_url=url,
            treasury_base_url=url,
            ecb_base_url=url,
            contact="demo@example.org",
            max_attempts=2,
            log_level="ERROR",  # the story reports the failures
        )
        with open_platform(settings) as platform:
            kind = "a synthetic market" if market.kind == "synthetic" else f"files of {data}"
            symbols = counted(sum(h.until is None for h in market.histories.values()), "symbol")  # without former names
            out.print(f"[bold]A mock Yahoo server[/bold] serves {symbols} from {kind} at {url}")
            if not any(history.splits for history in market.histories.values()):
                out.print("These files hold no splits: their (adjusted) prices are used as the traded ones.")
            chapters = _tell(platform, market, story, url)
            show_filings(platform, market)
            show_rates(platform)
            show_options(platform, folder)
            inspect(platform)
            show_features(platform)
            findings = _find(platform, market, story, chapters)
            findings = replace(findings, study=show_study(platform, market, folder))
            _show(platform, findings)
            show_proofs(platform, folder, story.revision)
            page = write_page(folder / "report.html", findings)
    _show_places(folder, page, findings, seconds=time.monotonic() - started)
    return 0


def _show_places(folder: Path, page: Path, findings: DemoResults, *, seconds: float) -> None:
    """Print where the report, the lake and the other results lie, and the next command."""
    out.print(f"\n[bold]Results[/bold] (made in {seconds:.0f} s)")
    out.print(f"  report   {page.absolute()}  (open it in a browser)")
    if findings.study is not None:
        out.print(f"  study    {folder / 'study' / 'report.html'}  (momentum and value, out of sample)")
    out.print(f"  lake     {folder / 'lake'}  (raw replies, Delta tables, run reports)")
    out.print(f"  state    {folder / 'state'}  (PostgreSQL)")
    out.print(f"  export   {folder / 'export'}  (Parquet for pandas, DuckDB, Spark)")
    out.print(f"  backup   {folder / 'backup'}  (lake and state; quantx backup restore)")
    command = ".venv/bin/quantx" if Path(".venv/bin/quantx").exists() else "quantx"
    out.print(
        f"  page     QUANTX_LAKE_URL={folder / 'lake'} QUANTX_STATE_URL={folder / 'state'} {command} dashboard",
        soft_wrap=True,
    )
    out.print(
        f"  next     QUANTX_LAKE_URL={folder / 'lake'} {command} query --symbols {findings.symbol} --adjust split"
    )


def _prepare(folder: Path, market: Market) -> None:
    """Create an empty folder with a universe per market of the vendor."""
    if folder.exists():
        if not (folder / _MARK).exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} holds other files than a demo's; choose another folder with --folder")
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True)
        (folder / _MARK).touch()
    except OSError as error:
        raise ConfigError(f"cannot create {folder}: {error.strerror}") from error
    members: dict[str, list[str]] = defaultdict(list)
    for symbol, history in market.histories.items():
        if history.until is None:  # the vendor no longer knows a renamed symbol
            members[venue_of(symbol).market].append(symbol)
    universes = {
        f"demo_{name}": {"market": name, "type": "static", "symbols": symbols}
        for name, symbols in sorted(members.items())
    }
    (folder / "universes.yaml").write_text(yaml.safe_dump({"phases": {_PHASE: universes}}, sort_keys=False))


def _tell(platform: Platform, market: Market, story: Story, url: str) -> list[Chapter]:
    """Run the backfill and the three updates, and return a chapter for each."""
    with httpx.Client(base_url=url) as control:

        def command(name: str, **body: object) -> None:
            control.post(f"/_sandbox/{name}", json=body).raise_for_status()

        revision = story.revision
        if not revision.scripted:
            where = {"symbol": revision.symbol, "date": str(revision.date), "field": revision.field}
            command("revise", **where, value=revision.wrong)
        refreshed = refresh_universes(platform, platform.tables, phase=_PHASE, name=None)
        out.print(f"[bold]Universes[/bold] refreshed: {', '.join(f'{r.universe} ({r.members})' for r in refreshed)}\n")
        scope = Scope(phase=_PHASE)
        plan = plan_backfill(platform, scope, Window(story.first, story.before), source="yahoo")
        chapters = [
            _carry_out(
                platform, plan, f"Backfill to {story.before}", "the vendor's whole history, one request per symbol"
            )
        ]

        command("now", now=str(story.split_session))
        text = (
            f"{story.split_symbol} splits: one new action, no bar rewritten"
            if story.split_symbol
            else "a session without events"
        )
        chapters.append(_update(platform, scope, story.split_session, text))

        command("now", now=str(story.correction_session))
        if not revision.scripted:
            command("revise", **where, value=revision.right)
        corrected = f"{revision.field} of {revision.symbol} on {revision.date}"
        text = f"the vendor corrects {corrected}: the previous value stays as a revision"
        chapters.append(_update(platform, scope, story.correction_session, text))

        command("now", now=str(story.outage_session))
        command("fault", kind="502", rate=1.0)
        chapters.append(
            _update(
                platform,
                scope,
                story.outage_session,
                "the vendor returns an outage page: nothing is lost, nothing is stored",
            )
        )
        command("fault", kind="502", rate=0.0)
        chapters.append(
            _update(platform, scope, story.outage_session, "the vendor is back: the same command fills the gap")
        )
    return chapters


def _update(platform: Platform, scope: Scope, session: date, text: str) -> Chapter:
    plan = plan_daily(platform, scope, source="yahoo", lookback=platform.settings.lookback_days)
    return _carry_out(platform, plan, f"Daily update of {session}", text)


def _carry_out(platform: Platform, plan: Plan, title: str, text: str) -> Chapter:
    started = time.monotonic()
    worker_of(platform).run(task_ids=plan.task_ids)
    chapter = Chapter(title, text, round(time.monotonic() - started, 1), run_totals(platform.state.runs, plan.run_id))
    t = chapter.totals
    failures = platform.state.runs.failures(plan.run_id)
    out.print(f"[bold]{title}[/bold] — {text}")
    out.print(
        f"  {counted(t['requests'], 'request')}, {counted(t['success'], 'symbol')} done, {t['failed']} failed;"
        f" {counted(t['rows_new'], 'new row')}, {t['rows_changed']} revised, {t['rows_rejected']} rejected;"
        f" {chapter.seconds} s"
    )
    for failure in failures[:_FAILURES_SHOWN]:
        text = f"  failed: {failure['symbol']}: {failure['last_error']}"
        out.print(text, markup=False)
    if len(failures) > _FAILURES_SHOWN:
        out.print(f"  … and {len(failures) - _FAILURES_SHOWN} more; the run's report lists all")
    out.print()
    return chapter


def _find(platform: Platform, market: Market, story: Story, chapters: list[Chapter]) -> DemoResults:
    """Read the results from the lake, as a user does."""
    lake = Lake(platform.location)
    symbol = story.split_symbol or next(iter(market.histories))
    quarantine = platform.tables[QUARANTINE.name].read().sort("symbol", "date")
    since = _weeks_before(story.outage_session)
    traded = lake.symbols().filter(pl.col("last") >= since)
    return DemoResults(
        source="a synthetic market" if market.kind == "synthetic" else "recorded files",
        chapters=chapters,
        symbol=symbol,
        as_traded=lake.bars(symbol),
        split_adjusted=lake.bars(symbol, adjust="split"),
        total_adjusted=lake.bars(symbol, adjust="total"),
        actions=lake.actions(symbol),
        revisions=lake.revisions(),
        quarantine=quarantine,
        recent=lake.bars(traded["symbol"].to_list(), start=since),
        manifest=manifest_of(platform.tables, platform.state.series, platform.state.gaps, platform.location.url),
    )


def _weeks_before(day: date) -> date:
    return date.fromordinal(day.toordinal() - 12 * 7)


def _show(platform: Platform, found: DemoResults) -> None:
    print_table("The lake", found.manifest["tables"], ["table", "version", "rows", "files", "megabytes"])
    series: list[dict[str, Any]] = found.manifest["series"]
    columns = ["symbol", "first", "last", "rows", "revised", "rejected", "vendor_has_nothing"]
    print_table(f"Series (the first {min(_SHOWN, len(series))} of {len(series)})", series[:_SHOWN], columns)
    rejected = found.quarantine.head(_SHOWN).select("symbol", "date", "rules", "row").to_dicts()
    for row in rejected:
        row["violated_rule"] = "; ".join(RULES[rule].meaning for rule in row["rules"].split(","))
    print_table(
        f"Quarantined ({found.quarantine.height}): kept with the rule and the reply, never returned as data",
        rejected,
        ["symbol", "date", "violated_rule"],
    )
    shown = [
        {
            "symbol": r["symbol"],
            "date": r["date"],
            "close": r["close"],
            "volume": r["volume"],
            "known_from": r["known_from"].isoformat(" ", "milliseconds"),
            "known_to": r["known_to"].isoformat(" ", "milliseconds"),
        }
        for r in found.revisions.to_dicts()
    ]
    print_table("Revisions: previous values", shown)
    around = found.actions.filter(pl.col("kind") == "split").tail(1)
    if around.height:
        day = around["ex_date"][0]
        both = found.as_traded.join(found.split_adjusted, on="date", suffix="_adjusted").select(
            "date", "close", "volume", pl.col("close_adjusted"), pl.col("volume_adjusted")
        )
        at = both.with_row_index().filter(pl.col("date") >= day)["index"].head(1)
        rows = both.slice(max(0, int(at[0]) - 3), 6).to_dicts() if at.len() else both.tail(6).to_dicts()
        print_table(
            f"{found.symbol} around its split of {day} ({around['value'][0]:g} for 1): as traded, and split-adjusted",
            rows,
        )
