"""The folder of market data that tests read: the recordings where they are, else the invented sample in tests/data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

SAMPLE = Path(__file__).parent / "data"
_named = os.environ.get("QUANTX_MARKET_DATA") or Path(__file__).parents[2] / "shared" / "market-data"
FOLDER = Path(_named) if Path(_named).is_dir() else SAMPLE
RECORDED = FOLDER.resolve() != SAMPLE.resolve()

T = TypeVar("T")


def either(recorded: T, sample: T) -> T:
    """Return what holds for the data that the tests read: the recordings or the sample."""
    return recorded if RECORDED else sample
