"""The command that reports the completeness and quality of the lake's data."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from quantx.cli.lake_only import LakeOnly, has_state, open_stored, report_without_state
from quantx.cli.options import Json, UseLocal, exits, logged, reading_settings
from quantx.cli.output import out, print_json, print_table
from quantx.errors import ConfigError
from quantx.pipeline.reporting.coverage import coverage_json, store_coverage
from quantx.pipeline.reporting.coverage_facts import CoverageFacts, coverage_facts
from quantx.pipeline.reporting.coverage_items import item_tables
from quantx.pipeline.reporting.coverage_options import option_tables
from quantx.pipeline.reporting.coverage_page import coverage_page
from quantx.pipeline.reporting.coverage_rates import rate_tables
from quantx.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("coverage")(exits(coverage))


def coverage(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Also write the report here: a folder, or a file ending in .html or .json."
        ),
    ] = None,
    universe: Annotated[str | None, typer.Option(help="Only this universe.")] = None,
    json: Json = False,
    lake_only: LakeOnly = False,
    use_local: UseLocal = False,
) -> int:
    """Report completeness and quality, and write them as a page and as JSON to reports/coverage in the lake.

    The page shows completeness by universe and month, freshness, rejected rows, findings, adjustment proofs, vendor
    agreement, and the companies with each concept by year. It is one self-contained file that needs no network. Without
    a state (PostgreSQL) nothing is written to the lake, the findings are those that the lake has, and explanations of
    gaps are not known.

    Example: quantx coverage --output .
    """
    facts, stored = _facts(reading_settings(use_local), universe, lake_only=lake_only)
    written = _write(output, facts) if output is not None else []
    if json:
        print_json(facts.as_json())
        return 0
    columns = {
        "universe": "universe",
        "market": "market",
        "members": "members",
        "up_to_date": "up to date",
        "behind": "stale",
        "delisted": "delisted",
        "without_bars": "no bars",
        "newest": "newest bar",
        "settled": "last settled session",
    }
    print_table("current members", facts.freshness.to_dicts(), columns)
    for each in (*item_tables(facts.items), *rate_tables(facts.rates), *option_tables(facts.options)):
        print_table(each.caption, [dict(zip(each.heads, row, strict=True)) for row in each.rows])
    for place in (*stored, *written):
        out.print(f"page {place}" if str(place).endswith(".html") else f"JSON {place}")
    return 0


def _facts(settings: Settings, universe: str | None, *, lake_only: bool) -> tuple[CoverageFacts, list[str]]:
    """Return the facts, and the address of the page in the lake, if it was written."""
    if lake_only or not has_state(settings):
        location, tables = open_stored(settings)
        report_without_state(settings, lake_only=lake_only)
        return coverage_facts(tables, None, location.url, datetime.now(UTC), universe), []
    from quantx.pipeline.runtime.platform import open_platform

    with open_platform(logged(settings)) as platform:
        location, now = platform.location, platform.clock.now()
        facts = coverage_facts(platform.tables, platform.state, location.url, now, universe)
        return facts, [f"{location.url}/{store_coverage(location, facts)}"]


def _write(output: Path, facts: CoverageFacts) -> list[Path]:
    """Write the page, the JSON or (into a folder) both; return the files."""
    forms = {".html": coverage_page, ".json": coverage_json}
    if output.suffix in forms and not output.is_dir():
        files = {output: forms[output.suffix]}
    elif output.is_dir() or not output.suffix:
        files = {output / f"coverage{suffix}": form for suffix, form in forms.items()}
    else:
        raise ConfigError(f"--output {output} must be a folder, or a file that ends in .html or .json")
    try:
        for file, form in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(form(facts), "utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror or error}") from error
    return list(files)
