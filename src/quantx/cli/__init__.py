"""The `quantx` command."""

from quantx.cli.main import main

__all__ = ["main"]
