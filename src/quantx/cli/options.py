"""Options shared by several commands."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from quantx.errors import ConfigError
from quantx.settings import Settings, load_settings, source_of

UseLocal = Annotated[
    bool, typer.Option("--use-local", help="Use ./data and the embedded PostgreSQL, and ignore the environment.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Symbols = Annotated[
    str | None, typer.Option("--symbols", "--symbol", help="Comma-separated symbols, as in AAPL,BRK.B,0700.HK.")
]
Universe = Annotated[
    str | None,
    typer.Option(help="All members of a refreshed universe, or of a CSV on disk or in the lake."),
]
Phase = Annotated[str | None, typer.Option(help="All universes of a phase.")]
MaxWorkers = Annotated[
    int | None, typer.Option(min=1, max=64, help="Maximum number of concurrent requests of this process.")
]
AsOf = Annotated[
    str | None,
    typer.Option(help="Point-in-time read, as known then: a date, or an instant as in 2024-01-31T15:30:00Z."),
]
PublicBy = Annotated[
    str | None,
    typer.Option(help="Only what was public then: bars of settled sessions, actions from their ex-date."),
]
EnqueueOnly = Annotated[
    bool, typer.Option("--enqueue-only", help="Plan and enqueue only; `quantx work` processes the tasks.")
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Show tasks, requests, minutes, rows and megabytes that it would need; nothing is recorded."
    ),
]
_EARLIER_LIMIT = "The earlier name of --limit; it wins over --limit."
Most = Annotated[int | None, typer.Option("--most", min=1, max=100_000, hidden=True, help=_EARLIER_LIMIT)]
MostRows = Annotated[int | None, typer.Option("--most", min=1, max=1_000_000, hidden=True, help=_EARLIER_LIMIT)]
ChunkSize = Annotated[
    int | None,
    typer.Option(min=1, max=10_000, help="Number of tasks claimed and stored together; more than 32 are split."),
]


def exits(command: Callable[..., int]) -> Callable[..., None]:
    """Turn the exit code that a command returns into Typer's exit, and its docstring into help that fills lines."""

    @functools.wraps(command)
    def ending(*args: Any, **values: Any) -> None:
        code = command(*args, **values)
        if code:
            raise typer.Exit(code)

    paragraphs = (inspect.getdoc(command) or "").split("\n\n")
    ending.__doc__ = "\n\n".join(" ".join(each.split()) for each in paragraphs) or None
    return ending


def reading_settings(use_local: bool, **flags: Any) -> Settings:
    """Return the settings with the flags above them, for commands that only read the lake: they write no log."""
    if use_local:
        flags |= {"lake_url": "./data/lake", "state_url": "./data/state", "queue_url": "postgresql"}
    return load_settings(**flags)


def settings_for(use_local: bool, **flags: Any) -> Settings:
    """Return the settings with the flags above them, and configure the log."""
    return logged(reading_settings(use_local, **flags))


def logged(settings: Settings) -> Settings:
    """Configure the log as the settings say, and return them."""
    from quantx.cli.logs import configure_logging

    configure_logging(settings.log_level)
    return settings


def traced_settings(use_local: bool, **flags: Any) -> Settings:
    """Return the settings of a command that moves data, and export its traces as they configure."""
    from quantx.tracing import export_traces

    settings = settings_for(use_local, **flags)
    export_traces(settings)
    return settings


def split_symbols(text: str | None) -> tuple[str, ...]:
    """Return the symbols of a comma-separated list."""
    if text is None:
        return ()
    symbols = tuple(part for part in text.split(",") if part.strip())
    if not symbols:
        raise ConfigError("--symbols is empty; write it as in --symbols AAPL,MSFT")
    return symbols


def known_rule(rule: str | None) -> str | None:
    """Return the id of a row rule; ConfigError for an unknown one."""
    from quantx.core.quality import RULES

    if rule is not None and rule not in RULES:
        raise ConfigError(f"--rule {rule!a} is not a rule; docs/data-quality.md lists all rules")
    return rule


def known_source(source: str | None, settings: Settings) -> str | None:
    """Return the own name of a vendor, as in yahoo for yf, or of a source of files; ConfigError for an unknown one."""
    from quantx.lake.store import open_location
    from quantx.pipeline.runtime.import_sources import has_options, recorded_basis
    from quantx.providers.registry import VENDORS

    source = None if source is None else source_of(source)
    if source is None or source in VENDORS:
        return source
    location = open_location(settings.lake_url, settings)
    try:
        if recorded_basis(location, source) is not None or has_options(location, source):
            return source
    finally:
        location.close()
    raise ConfigError(
        f"--source {source!a} is neither a vendor nor a source of imported files; the vendors are {', '.join(VENDORS)}"
    )


def parse_day(text: str, option: str) -> date:
    """Return the date of an option; ConfigError where it is not one."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{option} {text!r} is not a date; use YYYY-MM-DD") from None


def parse_share(sample: str | None) -> float:
    """Return the share of a --sample as in 5%, 1.0 without one; ConfigError where it is not one."""
    if sample is None:
        return 1.0
    try:
        percent = float(sample.removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise ConfigError(f"--sample {sample!a} must be a share of the files, as in 5%")
    return percent / 100


def existing_folder(path: Path | None, option: str) -> Path | None:
    """Return the folder; ConfigError where there is none."""
    if path is not None and not path.is_dir():
        raise ConfigError(f"{option} {path} is not a folder")
    return path


def format_of(given: str | None, output: Path | None, formats: Sequence[str]) -> str:
    """Return the format to write, table by default; of a file that of its ending. ConfigError where they do not fit.

    `formats` begins with table. Parquet needs a file.
    """
    *first, last = formats
    if given not in (None, *formats):
        raise ConfigError(f"--format {given!r} must be {', '.join(first)} or {last}")
    if output is None:
        if given == "parquet":
            raise ConfigError("--format parquet needs a file: -o FILE.parquet")
        return given or "table"
    form = given or output.suffix.lower().removeprefix(".")
    if form not in formats:
        endings = f"{', '.join(f'.{each}' for each in first[1:])} or .{last}"
        raise ConfigError(f"the name of {output} has no known ending; use {endings}, or --format")
    if form == "table":
        raise ConfigError(f"--format table is for the terminal; use --format {', '.join(first[1:])} or {last} with -o")
    return form
