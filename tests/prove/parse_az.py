"""Parse the command lines on standard input (JSON, one list per line), in the environment of azure-cli.

Prints one JSON line each: null, or the real parser's error. Needs no sign-in and no network.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import sys

os.environ["AZURE_CORE_COLLECT_TELEMETRY"] = "0"

from azure.cli.core import get_default_cli  # type: ignore[import-not-found]
from knack.events import EVENT_INVOKER_POST_PARSE_ARGS  # type: ignore[import-not-found]

LOGGERS = ("cli", "cli.azure.cli.core", "cli.azure.cli.core.azclierror", "az_command_data_logger")


class ParsedError(BaseException):
    """Stops a command after its arguments were understood."""


def complaint(arguments: list[str]) -> str | None:
    cli = get_default_cli()

    def stop(_context: object, **_event: object) -> None:
        raise ParsedError

    cli.register_event(EVENT_INVOKER_POST_PARSE_ARGS, stop)
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setLevel(logging.ERROR)
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            cli.invoke(arguments)
    except ParsedError:
        return None
    except SystemExit as end:
        lines = [line for line in said.getvalue().splitlines() if line.strip()]
        return next(
            (line for line in lines if not line.startswith(("Command arguments", "event:"))), f"exit {end.code}"
        )
    finally:
        for name in LOGGERS:
            logging.getLogger(name).removeHandler(handler)
    return "it ended without parsing"


for line in sys.stdin:
    print(json.dumps(complaint(json.loads(line))), flush=True)
