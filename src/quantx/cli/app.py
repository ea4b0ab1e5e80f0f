"""The command line: decode, call one service, print, set an exit code (0 done, 1 finished with failures, 2 usage)."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from quantx import __version__
from quantx.cli.commands import LazyCommands
from quantx.errors import ConfigError, ProviderError, QuantxError
from quantx.extras import missing_extra

app = typer.Typer(
    name="quantx",
    cls=LazyCommands,
    help="Market data that you own and can trust: collect, store, curate and query, locally or in your cloud account.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

FAILURES, USAGE = 1, 2
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (the process's arguments by default) and return its exit code."""
    try:
        code = _exit_code(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the pipe has closed it, as `head` does
        _drop_output()
        return 0
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _drop_output()
        return _fail(ConfigError(f"cannot write: {error.strerror}; free some space, and repeat the command"), USAGE)
    return code


def _drop_output() -> None:
    """Let what is left of the output go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit_code(argv: Sequence[str] | None) -> int:
    try:
        app(args=list(argv) if argv is not None else None, prog_name="quantx")
    except SystemExit as ended:  # Typer always exits so: with the command's code, or 2 for wrong usage
        return int(ended.code or 0)
    except ModuleNotFoundError as error:
        of_azure = (error.name or "").partition(".")[0] == "azure"
        return _fail(missing_extra(error, "azure-storage" if of_azure else "local", "this command"), USAGE)
    except ProviderError as error:
        return _fail(error, FAILURES)
    except QuantxError as error:
        return _fail(error, USAGE)
    return 0


def _fail(error: QuantxError, code: int) -> int:
    from rich.text import Text

    from quantx.cli.output import err

    # A ConfigError is the user's mistake: the text is the fact and the next step.
    kind = "error" if isinstance(error, ConfigError) else type(error).__name__
    err.print(Text(f"{kind}:", "red"), str(error))
    return code


def _show_version(requested: bool) -> None:
    if requested:
        sys.stdout.write(f"quantx {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass
