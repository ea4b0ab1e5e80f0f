"""The command line: decode, call one service, print, set an exit code (0 done, 1 finished with failures, 2 usage)."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import structlog
import typer
from rich.text import Text

from quantx import __version__
from quantx.cli import (
    backup,
    compact,
    coverage,
    crossvalidate,
    data,
    export,
    findings,
    heal,
    instruments,
    operate,
    quarantine,
    setup,
    show,
    state,
    sweep,
    validate,
    verify,
)
from quantx.cli.output import err, out
from quantx.errors import ConfigError, ProviderError, QuantxError
from quantx.tracing import add_trace

app = typer.Typer(
    name="quantx",
    help="Market data that you own and can trust: collect, store, curate and query, locally or in your cloud account.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
for module in (
    setup,
    data,
    sweep,
    show,
    export,
    coverage,
    heal,
    validate,
    findings,
    quarantine,
    crossvalidate,
    instruments,
    compact,
    verify,
    state,
    backup,
    operate,
):
    module.register(app)

FAILURES, USAGE = 1, 2


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (the process's arguments by default) and return its exit code."""
    _configure_logging()
    try:
        code = _exit_code(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the pipe has closed it, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


def _exit_code(argv: Sequence[str] | None) -> int:
    try:
        app(args=list(argv) if argv is not None else None, prog_name="quantx")
    except SystemExit as ended:  # Typer always exits so: with the command's code, or 2 for wrong usage
        return int(ended.code or 0)
    except ProviderError as error:
        err.print(Text(f"{type(error).__name__}:", "red"), str(error))
        return FAILURES
    except ConfigError as error:  # the user's mistake: the text is the fact and the next step
        err.print(Text("error:", "red"), str(error))
        return USAGE
    except QuantxError as error:
        err.print(Text(f"{type(error).__name__}:", "red"), str(error))
        return USAGE
    return 0


def _show_version(requested: bool) -> None:
    if requested:
        out.print(f"quantx {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass


def _configure_logging() -> None:
    """Log events to stderr: for people on a terminal, as JSON elsewhere; the settings give the level."""
    renderer = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_trace,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(
            sys.stderr
        ),  # the current stderr, which a caller may have replaced
    )
    logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # its lines repeat our errors
