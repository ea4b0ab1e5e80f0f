"""The commands by name: the modules that define them, imported when a command runs, and the summary in the overview."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, cast

import typer
import typer.core
import typer.main

Command = Any  # click's, or the copy of it in typer


@dataclass(frozen=True)
class CommandModules:
    """The modules of `quantx.cli` that register a command or a group, and the first paragraph of its help."""

    modules: tuple[str, ...]
    summary: str


def _of(module: str, *others: str, summary: str) -> CommandModules:
    return CommandModules((module, *others), summary)


COMMANDS: Mapping[str, CommandModules] = {
    "demo": _of(
        "setup",
        summary="Run the whole pipeline in a minute: a mock vendor, a backfill, three daily updates, and a report with"
        " charts.",
    ),
    "init": _of(
        "setup",
        summary="Create config/universes.yaml and config/settings.yaml where missing, and create the lake and the"
        " state.",
    ),
    "config": _of("config", summary="Show every setting in force, with secrets hidden."),
    "sandbox": _of(
        "setup",
        summary="Run a mock server of the vendors on 127.0.0.1, with data from files or a synthetic market, until"
        " stopped.",
    ),
    "refresh-universe": _of(
        "data",
        summary="Read the constituents of universes, and record them in the state, the lake and"
        " meta/universe_<phase>.csv.",
    ),
    "backfill": _of(
        "data",
        summary="Fetch and curate the sessions that were never fetched. Backfills are incremental and resumable.",
    ),
    "update-daily": _of(
        "data",
        summary="Fetch and curate every session since the last one, and record the vendor's corrections as revisions.",
    ),
    "import": _of(
        "importing",
        summary="Import bars from files: CSV, Parquet, Excel, archives. They are checked, revised and explained as a"
        " vendor's.",
    ),
    "options": _of(
        "options_group",
        "options_import",
        "options_validate",
        "options_chain",
        summary="Import options from a vendor's archives, check them, and show chains with implied volatilities.",
    ),
    "work": _of(
        "data",
        summary="Process queued tasks: fetch, store, curate. Any number of workers may run; this is the container's"
        " command.",
    ),
    "curate": _of("data", summary="Curate stored replies, without fetching anything."),
    "sweep": _of(
        "sweep",
        summary="Recover from a dead timer or worker: send waiting messages, plan missed updates, curate, report,"
        " inspect, verify.",
    ),
    "status": _of(
        "status",
        summary="Show runs, tasks, the queue, vendors in back-off, refused symbols, freshness of universes, archives of"
        " options.",
    ),
    "show-manifest": _of(
        "manifest",
        summary="Show the manifest of the lake: tables with versions and sizes, and each series with its sessions.",
    ),
    "query": _of(
        "query",
        summary="Read OHLCV bars from the lake. No database is needed. The exit code is 1 if no bar was found.",
    ),
    "explain": _of(
        "explain",
        summary="Explain a value: its vendor's reply, rules, rejected rows, revisions, other vendors and adjustment.",
    ),
    "changes": _of(
        "changes",
        summary="List what is new, revised, withdrawn, rejected, delisted, renamed or deleted since a moment or a run.",
    ),
    "sql": _of(
        "sql", summary="Run one SQL SELECT over the lake's tables. No database is needed, and nothing can be changed."
    ),
    "db": _of("sql", summary="Write a DuckDB file of views for other tools."),
    "snapshot": _of(
        "snapshot", summary="Pin the versions of all tables under a name, list such snapshots, and drop them."
    ),
    "export": _of(
        "export",
        summary="Export OHLCV bars as files in the layout of another tool: all of the lake, a universe, a phase or"
        " symbols.",
    ),
    "dashboard": _of(
        "dashboard",
        summary="Serve the dashboard on 127.0.0.1 until stopped. Open the address that it prints: it has the token.",
    ),
    "coverage": _of(
        "coverage",
        summary="Report completeness and quality, and write them as a page and as JSON to reports/coverage in the"
        " lake.",
    ),
    "reprocess": _of(
        "quarantine",
        summary="Derive the curated tables again from the raw replies, after a change of rules, adapters or decisions.",
    ),
    "compact": _of(
        "compact",
        summary="Compact the tables' files for fast reads. No row changes, and an interrupted compaction loses"
        " nothing.",
    ),
    "cache": _of(
        "cache", summary="Show, clear and fill the cache: decoded copies of the lake's files on this machine."
    ),
    "verify": _of(
        "verify",
        summary="Find damaged and missing objects of the lake, and duplicate keys; with --repair, repair them.",
    ),
    "ready": _of(
        "operate",
        summary="Check that database, queue and lake answer, and that the lake is that of the state. Exit code 1 if"
        " not.",
    ),
    "migrate": _of(
        "operate",
        summary="Migrate the state's schema to this program's version. Run it as the owner of the schema; it is"
        " idempotent.",
    ),
    "cost": _of(
        "operate",
        summary="Estimate the monthly cost in Azure from the usage of past daily runs and a dated price table.",
    ),
    "tasks": _of("tasks", "heal", summary="List tasks, and retry those that failed permanently."),
    "validate": _of(
        "validate", summary="Check stored bars or local files against the quality rules, and report findings."
    ),
    "findings": _of("findings", summary="List the quality findings about data and system, and acknowledge them."),
    "quarantine": _of("quarantine", summary="List rejected rows, validate them again, and accept the correct ones."),
    "crossvalidate": _of(
        "crossvalidate", summary="Compare bars, splits, dividends and fundamentals of different vendors."
    ),
    "fundamentals": _of(
        "fundamentals",
        "fundamentals_show",
        summary="Fetch the filings and facts of filers from the SEC, and show them point in time.",
    ),
    "features": _of("features", summary="List the declared features, and build the tables that store them."),
    "research": _of(
        "research",
        summary="Run a study: build a dataset without look-ahead, train a model, judge it, and write its predictions.",
    ),
    "rates": _of(
        "rates",
        "rates_show",
        summary="Fetch the US Treasury's par yields and the ECB's reference rates, and show them point in time.",
    ),
    "instruments": _of(
        "instruments", summary="Manage securities and their symbol history: list, import from files, delist."
    ),
    "delete": _of(
        "delete",
        summary="Delete a vendor's data for good, everywhere: tables, revisions, quarantine, files, raw replies, state,"
        " cache.",
    ),
    "state": _of(
        "state",
        summary="Keep the embedded PostgreSQL's state in the lake, for machines that do not outlive a run.",
    ),
    "alerts": _of("alerts", summary="List what is wrong, send the messages about it, and test the channels."),
    "schedule": _of(
        "schedule",
        summary="Run update, sweep and backup on a schedule of this machine: install it, show it, remove it.",
    ),
    "backup": _of(
        "backup",
        summary="Copy lake and state to another place, verify the copies, and restore them into an empty place.",
    ),
}

# The groups of the overview. Each command is in one of them.
PANELS: Mapping[str, tuple[str, ...]] = {
    "Start": ("demo", "init", "config", "sandbox", "dashboard"),
    "Collect": (
        *("refresh-universe", "backfill", "update-daily", "import", "options", "fundamentals", "rates", "instruments"),
        *("work", "curate", "sweep"),
    ),
    "Read": ("query", "sql", "db", "export", "snapshot", "show-manifest", "changes", "cache"),
    "Trust": (
        *("status", "coverage", "explain", "findings", "quarantine", "validate", "crossvalidate", "verify"),
        "reprocess",
    ),
    "Research": ("features", "research"),
    "Operate": ("tasks", "alerts", "schedule", "ready", "cost", "compact", "backup", "migrate", "state", "delete"),
}


class _LoadedCommands(Mapping[str, Command]):
    """The commands by name; reading a value imports the modules of its command."""

    def __getitem__(self, name: str) -> Command:
        return registered(COMMANDS[name].modules)[name]

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class LazyCommands(typer.core.TyperGroup):
    """The group of all commands, which imports only the one that runs; the overview needs none of them."""

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.commands = cast("dict[str, Any]", _LoadedCommands())

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the overview from the summaries."""
        overview = typer.core.TyperGroup(
            name=self.name,
            help=self.help,
            params=self.params,
            rich_markup_mode=self.rich_markup_mode,
            commands={
                name: typer.core.TyperCommand(name=name, help=COMMANDS[name].summary, rich_help_panel=panel)
                for panel, names in PANELS.items()
                for name in names
                if name in COMMANDS
            },
        )
        overview.format_help(ctx, formatter)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return list(self.commands)


@cache
def registered(modules: tuple[str, ...]) -> Mapping[str, Command]:
    """Import some modules and return the commands that they define."""
    app = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    for module in modules:
        import_module(f"quantx.cli.{module}").register(app)
    return typer.main.get_group(app).commands
