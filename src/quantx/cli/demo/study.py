"""The demonstration's study: momentum and value over the members of each date, walk-forward."""

from __future__ import annotations

from datetime import date, timedelta
from importlib import resources
from pathlib import Path

import yaml

from quantx.cli.after_work import describe_platform_filers
from quantx.cli.output import counted, incomplete_data_reported, out
from quantx.core.symbols import venue_of
from quantx.pages.charts import LineChart
from quantx.pipeline.planning.fundamentals import plan_scope
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.reference.filers import refresh_filer_symbols
from quantx.pipeline.reference.universes import refresh_universes
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.wiring import worker_of
from quantx.reader.lake import Lake
from quantx.sandbox import Market
from quantx.sandbox.hours import day_of

_UNIVERSE = "demo_members"
_UNKNOWN = "QXZZ"  # a member that no vendor has, as indices of real markets have many
_AFTER_LISTING = timedelta(days=90)


def show_study(platform: Platform, market: Market, folder: Path) -> LineChart | None:
    """Run the study, print its measures, and return the chart of its portfolio; None: the market has no filings."""
    if market.kind != "synthetic":
        return None
    from quantx.research.report import key_figures, value_chart
    from quantx.research.steps import StudyRun
    from quantx.research.study import read_study

    members = _declare_members(market, folder)
    refresh_universes(platform, platform.tables, phase=None, name=_UNIVERSE)
    _fetch_filings(platform, [symbol for symbol in members if symbol != _UNKNOWN])
    study = read_study(_write_study(market, folder))
    run = StudyRun(
        study=study.model_copy(update={"tracking": False}),  # loading MLflow takes as long as the study
        folder=folder / "study",
        lake=lambda: Lake(platform.location),
    )
    with incomplete_data_reported():
        evaluation, report = run.evaluate()
    facts = run.dataset().facts
    figures = {name: value for name, value, _ in key_figures(study, evaluation)}
    out.print(
        f"[bold]Study[/bold] of momentum and value: {counted(facts['rows'], 'row')} of"
        f" {counted(facts['symbols'], 'member')} as of {counted(facts['dates'], 'date')},"
        f" {counted(len(evaluation.folds), 'fold')}, each trained on the past alone"
    )
    out.print(
        f"  rank IC {figures['Rank IC']}: the prices are random walks; checks for look-ahead:"
        f" {_checks([each.status for each in evaluation.checks])}"
    )
    out.print(
        f"  without bars on some sessions: {counted(len(facts['absences']), 'member')}; {_UNKNOWN} has none at all"
    )
    out.print(f"  report  {report}", markup=False)
    out.print()
    return value_chart(evaluation)


def _checks(statuses: list[str]) -> str:
    passed = statuses.count("passed")
    return "all passed" if passed == len(statuses) else f"{passed} of {len(statuses)} passed"


def _declare_members(market: Market, folder: Path) -> list[str]:
    """Declare a universe with the members of each day, and return their symbols."""
    lives = {s: past for s, past in market.histories.items() if past.until is None and venue_of(s).market == "us"}
    days = {symbol: (day_of(int(past.days[0])), day_of(int(past.days[-1]))) for symbol, past in lives.items()}
    begin, end = min(first for first, _ in days.values()), max(last for _, last in days.values())
    members = [(_UNKNOWN, begin, begin + (end - begin) / 2)]
    for symbol, (first, last) in days.items():
        members.append((symbol, first if first == begin else first + _AFTER_LISTING, last))
    rows = [f"{symbol},{first},{'' if last == end else last}" for symbol, first, last in members]
    (folder / "members.csv").write_text("\n".join(["symbol,from,to", *rows]) + "\n", "utf-8")
    path = folder / "universes.yaml"
    declared = yaml.safe_load(path.read_text("utf-8"))
    declared["phases"]["study"] = {
        _UNIVERSE: {
            "market": "us",
            "type": "csv",
            "path": "members.csv",
            "enabled": False,  # its members are fetched with the other universes
            "from_column": "from",
            "to_column": "to",
        }
    }
    path.write_text(yaml.safe_dump(declared, sort_keys=False), "utf-8")
    return [symbol for symbol, _, _ in members]


def _fetch_filings(platform: Platform, symbols: list[str]) -> None:
    """Fetch the filings of the members: value needs book values and earnings."""
    refresh_filer_symbols(platform, platform.tables, symbols)
    plan = plan_scope(platform, Scope(symbols=tuple(symbols)), again=False)
    worker_of(platform).run(task_ids=plan.task_ids)
    describe_platform_filers(platform)


def _write_study(market: Market, folder: Path) -> Path:
    """Write the shipped study with the days of the market; the first two years are for momentum to begin."""
    text = resources.files("quantx.cli").joinpath("templates", "momentum_value.yaml").read_text("utf-8")
    days = [day for past in market.histories.values() for day in (int(past.days[0]), int(past.days[-1]))]
    first, last = day_of(min(days)), day_of(max(days))
    declared = yaml.safe_load(text)
    text = text.replace(f"start: {declared['start']}", f"start: {date(first.year + 2, 1, 2)}")
    path = folder / "study.yaml"
    path.write_text(text.replace(f"end: {declared['end']}", f"end: {last - timedelta(days=30)}"), "utf-8")
    return path
