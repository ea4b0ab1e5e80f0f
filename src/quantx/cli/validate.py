"""Commands about the quality of the data: run the rules, and see what they have found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from quantx.cli.options import Json, Symbols, UseLocal, exits, known_source, settings_for, split_symbols
from quantx.cli.output import err, out, print_json, print_table
from quantx.core.model import Finding
from quantx.core.symbols import parse_symbol
from quantx.pipeline.inspecting.local_files import JudgedFile, judge_files
from quantx.pipeline.inspecting.series import validate_series
from quantx.pipeline.runtime.platform import open_platform

_SHOWN = 40  # findings on the terminal

validate = typer.Typer(
    help="Judge stored bars, or files of yours, by the quality rules, and see what was found.", no_args_is_help=True
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
    json: Json = False,
    use_local: UseLocal = False,
) -> int:
    """Judge the stored daily bars as series, and bring the findings up to date; a run of updates ends with the same.

    Example: quantx validate run --symbols AAPL,MSFT
    """
    wanted = [parse_symbol(symbol) for symbol in split_symbols(symbols)] or None
    with open_platform(settings_for(use_local)) as platform:
        seen = validate_series(platform.tables, platform.state.findings, wanted, source=known_source(source))
    if json:
        facts = {"bars": seen.bars, "symbols": seen.symbols, "new": seen.new, "resolved": seen.resolved}
        print_json({**facts, "findings": [_shown(finding) for finding in seen.findings]})
        return 0
    _print_findings(seen.findings)
    out.print(
        f"{seen.bars:,} bars of {seen.symbols:,} symbols: {len(seen.findings):,} findings, {seen.new:,} of them new;"
        f" {seen.resolved:,} earlier ones are resolved"
    )
    return 0


def validate_report(json: Json = False, use_local: UseLocal = False) -> int:
    """Show how many findings there are by rule, and the worst that are open.

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
        out.print(f"… {len(still_open) - _SHOWN:,} more; `quantx findings list --status open` shows them")
    return 0


def validate_files(
    paths: Annotated[list[Path], typer.Argument(help="Daily files, or folders with such files.")],
    symbol: Annotated[
        str | None, typer.Option(help="The security of a single file, where its name does not tell.")
    ] = None,
    json: Json = False,
) -> int:
    """Judge daily files (Yahoo, yfinance, Stooq, Quandl; also .gz and .xz) without a lake.

    Example: quantx validate files AAPL.csv --json
    """
    judged = list(judge_files(paths, symbol))
    unread = [file for file in judged if file.report is None]
    if json:
        print_json([_facts(file) for file in judged])
    else:
        print_table("files", [_line(file) for file in judged if file.report])
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
        "no rows": report.strange,
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


def _print_findings(findings: Sequence[Finding]) -> None:
    order = {"error": 0, "warn": 1, "info": 2}
    worst = sorted(findings, key=lambda finding: order[finding.severity])
    columns = ["severity", "rule", "symbol", "source", "seen"]
    print_table("findings", [_shown(finding) for finding in worst[:_SHOWN]], columns)
    if len(worst) > _SHOWN:
        out.print(f"… {len(worst) - _SHOWN:,} more; --json shows all")
