"""The sandbox's market: from a folder, or a synthetic one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from quantx.sandbox.clock import parse_now
from quantx.sandbox.files import load_folder
from quantx.sandbox.market import Market
from quantx.sandbox.synthetic import synthetic_market


def load_market(data: Path | None, *, seed: int = 7, today: date | None = None) -> Market:
    """Return the market in a folder, or without one a synthetic market that ends with the last closed session.

    `today` (default: the real present) and `seed` apply to the synthetic market only. ConfigError where the folder does
    not exist or has no file that can be served.
    """
    if data is not None:
        return load_folder(Path(data))
    return synthetic_market(seed, datetime.now(UTC) if today is None else parse_now(today))
