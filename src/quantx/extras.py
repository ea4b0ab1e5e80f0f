"""The extras of the package: which libraries the core does not install, and which extra brings them.

`pip install quantx-data-builder` installs what reading needs. A module of the core imports a library of an extra where
it uses it, inside `extra(…)`, so that its absence is an error with a next step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from quantx.errors import ConfigError

# The extra that brings a library, by the first part of the library's module name; `local` brings all others.
_EXTRAS: Mapping[str, str] = {"azure": "azure", "pandas": "pandas", "pyarrow": "pandas"}
_OWN = "quantx"


class MissingExtra(ConfigError):
    """A library is not installed that only an extra of this package brings."""


@contextmanager
def extra(purpose: str) -> Iterator[None]:
    """Import libraries of an extra in this block; MissingExtra names it where one is not installed.

    `purpose` is the subject of the message, as in "the layout hive-ticker".

    >>> with extra("an example"):
    ...     import pyarrow
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(error, purpose) from None


def missing_extra(error: ModuleNotFoundError, purpose: str) -> MissingExtra:
    """Return the error about a library that is not installed; raise `error` where it is a module of this package."""
    library = (error.name or "").partition(".")[0]
    if library in ("", _OWN):
        raise error
    needed = _EXTRAS.get(library, "local")
    return MissingExtra(
        f"{purpose} needs the library {library}, which is not installed; run"
        f" `pip install 'quantx-data-builder[{needed}]'`"
    )
