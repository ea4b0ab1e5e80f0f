"""Commands for data quality: run the rules, report findings, check local files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from quantx.cli.options import Json, Symbols, UseLocal, exits, known_source, parse_day, settings_for, split_symbols
from quantx.cli.output import counted, err, out, print_json, print_table
from quantx.core.model import Finding
from quantx.core.quality.daily_file_checks import FileReport
from quantx.core.symbols import parse_symbol
from quantx.errors import ConfigError
from quantx.pipeline.inspecting.local_files import JudgedFile, judge_files
from quantx.pipeline.inspecting.minute_sessions import RECENT, check_minutes
from quantx.pipeline.inspecting.series import validate_series
from quantx.pipeline.runtime.platform import open_platform

_SHOWN = 40  # findings on the terminal

validate = typer.Typer(
    help="Check stored bars or local files against the quality rules, and report findings.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    validate.command("run")(exits(validate_run))
    validate.command("report")(exits(validate_report))
    validate.command("files")(exits(validate_files))
    app.add_typer(validate, name="validate")


def validate_run(
    symbols: Symbols = None,
    source: Annotated[str | None, typer.Option(help="Only this vendor's bars.")] = None,
    timeframe: Annotated[Literal["1d", "1m"], typer.Option(help="1d: daily bars; 1m: sessions of minutes.")] = "1d",
    since: Annotated[
        str | None, typer.Option(help="With --timeframe 1m: the first session; that of a week ago by default.")
    ] = None,
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Check the series of stored bars, and update the findings; each run of updates ends with this check.

    With --timeframe 1m, whole sessions of minutes are checked: those of the last week, or from --since on.

    Example: quantx validate run --symbols AAPL,MSFT
    """
    names = [parse_symbol(symbol) for symbol in split_symbols(symbols)] or None
    if since is not None and timeframe != "1m":
        raise ConfigError("--since is for sessions of minutes: add --timeframe 1m; daily bars are checked as wholes")
    first = parse_day(since, "--since") if since else None
    with open_platform(settings_for(use_local)) as platform:
        findings, only = platform.state.findings, known_source(source, platform.settings)
        if timeframe == "1m":
            first = first or platform.clock.now().date() - RECENT
            checked = check_minutes(platform.tables, findings, first, names, source=only)
        else:
            checked = validate_series(platform.tables, findings, names, source=only)
    if json:
        facts = {"bars": checked.bars, "symbols": checked.symbols, "new": checked.new, "resolved": checked.resolved}
        print_json({**facts, "findings": [_shown(finding) for finding in checked.findings]})
        return 0
    _print_findings(checked.findings)
    out.print(
        f"{counted(checked.bars, 'bar')} of {counted(checked.symbols, 'symbol')}:"
        f" {counted(len(checked.findings), 'finding')}, {checked.new:,} of them new; {checked.resolved:,} resolved"
    )
    return 0


def validate_report(json: Json = False, use_local: UseLocal = False) -> int:
    """Show the number of findings by rule, and the worst open ones.

    Example: quantx validate report
    """
    with open_platform(settings_for(use_local)) as platform:
        rows = platform.state.findings.listed(None)
    counted = Counter((row["severity"], row["rule"], row["source"], row["status"]) for row in rows)
    totals = [
        {"severity": severity, "rule": rule, "source": source, "status": status, "findings": count}
        for (severity, rule, source, status), count in counted.items()
    ]
    still_open = [row for row in rows if row["status"] == "open"]
    if json:
        print_json({"totals": totals, "open": still_open})
        return 0
    print_table("findings by rule", totals)
    columns = ["id", "severity", "rule", "subject", "source", "first_day", "last_day", "message"]
    print_table("open findings, the worst first", still_open[:_SHOWN], columns)
    if len(still_open) > _SHOWN:
        out.print(f"… {len(still_open) - _SHOWN:,} more; `quantx findings list --status open` lists them")
    return 0


def validate_files(
    paths: Annotated[list[Path], typer.Argument(help="Files of daily bars, or folders of such files.")],
    symbol: Annotated[
        str | None, typer.Option(help="The symbol of a single file, where its name is not a symbol.")
    ] = None,
    json: Json = False,
) -> int:
    """Check files of daily bars (Yahoo, yfinance, Stooq, Quandl; also .gz and .xz) without a lake.

    Example: quantx validate files AAPL.csv --json
    """
    judged = list(judge_files(paths, symbol))
    unread = [file for file in judged if file.report is None]
    if json:
        print_json([_facts(file) for file in judged])
    else:
        print_table("files", [_line(file) for file in judged if file.report])
        _print_rejected([file.report for file in judged if file.report])
        _print_findings([finding for file in judged for finding in file.findings])
        for file in unread:
            err.print(f"{file.path}: {file.why}")
    return 1 if unread else 0


def _line(file: JudgedFile) -> dict[str, Any]:
    report = file.report
    assert report is not None
    worst = Counter(finding.severity for finding in file.findings)
    return {
        "file": file.path.name,
        "symbol": report.symbol,
        "rows": report.rows,
        "rejected": report.rejected.height,
        "unreadable lines": report.strange,
        "error": worst["error"],
        "warn": worst["warn"],
        "info": worst["info"],
    }


def _facts(file: JudgedFile) -> dict[str, Any]:
    if file.report is None:
        return {"file": str(file.path), "why": file.why}
    return {
        "file": str(file.path),
        "symbol": file.report.symbol,
        "rows": file.report.rows,
        "lines_that_are_no_rows": file.report.strange,
        "rejected": file.report.rejected.to_dicts(),
        "findings": [_shown(finding) for finding in file.findings],
    }


def _shown(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity,
        "rule": finding.rule,
        "symbol": finding.subject,
        "source": finding.source,
        "first_day": finding.first_day,
        "last_day": finding.last_day,
        "message": finding.message,
        **finding.facts,
    }


def _print_rejected(reports: Sequence[FileReport]) -> None:
    rows = [{"symbol": each.symbol, **row} for each in reports for row in each.rejected.head(_SHOWN).to_dicts()]
    if not rows:
        return
    columns = ["symbol", "date", "open", "high", "low", "close", "volume", "rules"]
    print_table("rejected rows", rows[:_SHOWN], columns)
    more = sum(each.rejected.height for each in reports) - len(rows[:_SHOWN])
    if more:
        out.print(f"… {more:,} more; --json lists all")


def _print_findings(findings: Sequence[Finding]) -> None:
    order = {"error": 0, "warn": 1, "info": 2}
    worst = sorted(findings, key=lambda finding: order[finding.severity])
    columns = ["severity", "rule", "symbol", "source", "seen"]
    rows = [{"seen": finding.first_day or finding.message, **_shown(finding)} for finding in worst[:_SHOWN]]
    print_table("findings", rows, columns)
    if len(worst) > _SHOWN:
        out.print(f"… {len(worst) - _SHOWN:,} more; --json lists all")
