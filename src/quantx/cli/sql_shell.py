"""A shell for SQL on the terminal: lines until a semicolon, with history and completion by readline."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from quantx.cli.output import err, out
from quantx.errors import QuantxError
from quantx.reader.sql.catalog import VIEWS, columns_of

_HISTORY = Path("~/.quantx_sql_history")
_KEPT = 1_000  # lines of history
_WORDS = (
    "select",
    "from",
    "where",
    "group",
    "order",
    "limit",
    "join",
    "left",
    "using",
    "with",
    "distinct",
    "between",
    "having",
    "qualify",
    "partition",
    "describe",
)
_HELP = "One SELECT, ended by a semicolon. Tab completes names. .tables lists the tables, .quit ends the shell."


def run_shell(run: Callable[[str], None]) -> int:
    """Read queries from the terminal and run them, until the end of the input; return the exit code."""
    out.print(_HELP)
    with _line_editing():
        while (query := _next_query()) is not None:
            if query == ".help":
                out.print(_HELP)
                continue
            try:
                run("show tables" if query == ".tables" else query)
            except QuantxError as error:
                err.print(str(error))
            except KeyboardInterrupt:
                err.print("the query was stopped")
    return 0


def _next_query() -> str | None:
    """Return the next query or command; None at the end of the input."""
    lines: list[str] = []
    while True:
        try:
            line = input("   ...> " if lines else "quantx> ")
        except EOFError:
            out.print("")
            return None
        except KeyboardInterrupt:  # drops what was typed
            out.print("")
            lines = []
            continue
        word = line.strip()
        if not lines and word in (".quit", ".exit", "quit", "exit"):
            return None
        if not lines and word.startswith("."):
            return word
        if word or lines:
            lines.append(line)
        if word.endswith(";"):
            return "\n".join(lines)


@contextlib.contextmanager
def _line_editing() -> Iterator[None]:
    """Have history and completion within the block, where this Python has readline."""
    try:
        import readline
    except ImportError:  # not on Windows
        yield
        return
    file = _HISTORY.expanduser()
    with contextlib.suppress(OSError):
        readline.read_history_file(file)
    readline.set_history_length(_KEPT)
    readline.set_completer_delims(" \t\n,;()=<>+-*/'\".")
    readline.set_completer(completions)
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(None)
        with contextlib.suppress(OSError):
            readline.write_history_file(file)


def completions(begun: str, number: int) -> str | None:
    """Return the completion with this number of a begun word: a table, a view, a column or a word of SQL."""
    columns = columns_of()
    names = {*columns, *(c for each in columns.values() for c in each), *_WORDS}
    found = sorted(each for each in names if each.startswith(begun.lower()))
    if number >= len(found):
        return None
    view = VIEWS.get(found[number])
    return f"{found[number]}(" if view is not None and view.parameters else found[number]
