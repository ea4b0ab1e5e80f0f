"""The dated table of prices: a file of the user's, or the shipped one."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from quantx.core.foreign_errors import file_fact
from quantx.errors import ConfigError

OWN_PRICES = Path("config/prices.yaml")


def price_table(path: Path | None) -> tuple[str, str]:
    """Return the text of a price table, and its name; None: config/prices.yaml if it exists, or the shipped one."""
    file = path or OWN_PRICES
    if path is None and not file.is_file():
        shipped = resources.files("quantx.pipeline.reporting").joinpath("prices.yaml")
        return shipped.read_text("utf-8"), "the shipped table"
    try:
        return file.read_text("utf-8"), str(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {file_fact(error)}") from error
