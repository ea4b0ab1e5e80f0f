"""Create the lake of the notebooks: an invented market, in a minute and without a network.

`from sample_lake import sample_lake` in a notebook, or `python sample_lake.py FOLDER`. It needs the extra `local`.

The lake has ten years (2014 to 2024) of 29 invented symbols of three exchanges from Yahoo's mock server; one company
that was delisted; a universe, `sample_us`, whose members come and go; a split and a late correction that came with
daily updates; prices of a second vendor, one of them wrong; a month of minute bars of two symbols; and the filings of
three companies.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import quantx
from quantx import DataOperations
from quantx.sandbox import Sandbox, load_market, running
from quantx.storage import LocalStorage

START, BEFORE, SPLIT, CORRECTION = "2014-03-17", "2024-03-12", "2024-03-13", "2024-03-14"
MINUTES, FILERS = ("QXAA", "QXAC"), ("QXAA", "QXAC", "QXAH")
WRONG = ("QXAH:2024-02-06:high:235.5", "QXAH:2024-02-06:close:235.2")  # at the second vendor
UNIVERSE = """symbol,member_from,member_to
QXAA,2014-03-17,
QXAB,2014-03-17,2022-12-06
QXAC,2014-03-17,
QXAD,2019-09-16,
QXAF,2014-03-17,
QXAG,2014-03-17,2020-06-19
QXAH,2014-03-17,
QXAI,2016-06-20,
QXAJ,2014-03-17,
QXAK,2014-03-17,2018-12-21
QXAL,2019-06-24,
QXAM,2014-03-17,
QXAN,2014-03-17,
QXAO,2017-03-20,2023-03-17
QXAP,2014-03-17,
QXAQ,2014-03-17,
QXAR,2014-03-17,
QXAS,2014-03-17,
QXAT.B,2022-12-07,
"""
DECLARATION = """phases:
  sample:
    sample_us: {market: us, type: csv, path: members.csv, symbol_column: symbol,
                from_column: member_from, to_column: member_to}
"""


def sample_lake(folder: str | Path = "sample-lake", state_url: str | None = None) -> quantx.Lake:
    """Return the lake in a folder, open for reading; create it where it is missing.

    `state_url` names a PostgreSQL server instead of the embedded one.
    """
    folder = Path(folder).absolute()
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "members.csv").write_text(UNIVERSE)
        (folder / "universes.yaml").write_text(DECLARATION)
        with _vendors(folder) as sandbox:
            _fill(DataOperations(LocalStorage(folder, state_url)), sandbox)
        (folder / "complete").touch()
    return quantx.open_lake(folder / "lake")


def _fill(operations: DataOperations, sandbox: Sandbox) -> None:
    symbols = [name for name, past in sandbox.market.histories.items() if past.until is None]
    operations.refresh_universe(phase="sample")
    operations.fetch_backfill(symbols, START, BEFORE, source="yahoo")
    for session in (SPLIT, CORRECTION):
        sandbox.clock.set(session)
        operations.fetch_daily_incremental(symbols, source="yahoo")
    operations.fetch_backfill("QXAA,QXAC,QXAH", "2023-01-03", CORRECTION, source="alpaca")
    operations.fetch_backfill(",".join(MINUTES), "2024-02-15", CORRECTION, source="alpaca", timeframe="1m")
    operations.fetch_fundamentals(FILERS)


@contextmanager
def _vendors(folder: Path) -> Iterator[Sandbox]:
    """Run the mock vendors, with the settings of this process pointed to them."""
    sandbox = Sandbox(load_market(None, today="2024-03-15"), now=BEFORE)
    with running(sandbox) as url, running(Sandbox(sandbox.market, now=CORRECTION, revisions=WRONG)) as second:
        settings = {
            "QUANTX_YFINANCE_BASE_URL": url,
            "QUANTX_YFINANCE_QUOTA": "unlimited",
            "QUANTX_ALPACA_BASE_URL": second,
            "QUANTX_ALPACA_API_KEY": "any",
            "QUANTX_ALPACA_API_SECRET": "any",
            "QUANTX_ALPACA_QUOTA": "unlimited",
            "QUANTX_SEC_BASE_URL": url,
            "QUANTX_CONTACT": "research@example.com",
            "QUANTX_UNIVERSE_PATH": str(folder / "universes.yaml"),
            "QUANTX_LOG_LEVEL": "ERROR",
        }
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield sandbox
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


if __name__ == "__main__":
    print(sample_lake(*sys.argv[1:2]))
