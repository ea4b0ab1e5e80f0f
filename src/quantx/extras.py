"""The extras of the package: libraries that `pip install quantx-data-builder`, which is for reading, does not install.

Modules for reading import such a library where they use it, inside `extra(…)`: its absence is an error that names the
extra.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from quantx.errors import ConfigError

Extra = Literal["azure-storage", "dashboard", "local", "ml", "options", "pandas", "spark"]


class MissingExtra(ConfigError):
    """A library is not installed that only an extra of this package brings."""


@contextmanager
def extra(name: Extra, purpose: str) -> Iterator[None]:
    """Import libraries of an extra in this block; MissingExtra where one is not installed.

    `purpose` is the subject of the message, as in "the layout hive-ticker".

    >>> with extra("pandas", "an example"):
    ...     import pyarrow
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise missing_extra(error, name, purpose) from None


def missing_extra(error: ModuleNotFoundError, name: Extra, purpose: str) -> MissingExtra:
    """Return the error about a library that is not installed; raise `error` where it is a module of this package."""
    library = (error.name or "quantx").partition(".")[0]
    if library == "quantx":
        raise error
    return MissingExtra(
        f"{purpose} needs the library {library}, which is not installed; run `pip install"
        f" 'quantx-data-builder[{name}]'`"
    )
