"""The 39 recorded files (171,000 rows) through everything: the sandbox's HTTP, queue, worker, raw zone, curator."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl

from benchmarks.measure import apart, environment, stretch
from benchmarks.servers import server, stats
from benchmarks.table import Line, Outcome
from quantx.core.tables import BARS_1D
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable
from quantx.sandbox import Sandbox, load_market, serve

START, END = "1960-01-01", "2018-03-27"
_FOLDER = "daily_us_unadjusted_with_events_quandl_wiki"
_QUANTX = "import sys; from quantx.cli import main; sys.exit(main())"


def run(folder: Path, *, quick: bool) -> Outcome:
    """Backfill with the real command, then again: no session is left to fetch."""
    title = "Backfill of 39 recorded files through HTTP"
    data = Path(os.environ.get("QUANTX_MARKET_DATA") or Path(__file__).parents[2] / "shared" / "market-data") / _FOLDER
    if not data.is_dir():
        return Outcome(title, (), skipped="no recorded market data; QUANTX_MARKET_DATA names its folder")
    names = sorted(path.name.split(".csv")[0] for path in data.glob("*.csv*"))[: 4 if quick else None]
    with server("benchmarks.real_files:serve_files", data=str(data)) as url:
        backfill = _quantx(folder, url, names)
        requests = stats(url)["total"]
        again = _quantx(folder, url, names)
        repeated = stats(url)["total"] - requests
        floor = apart("benchmarks.real_files:fetch_and_write", folder=folder, url=url, names=names)
    rows = floor["rows"]
    return Outcome(
        f"{title}: {len(names)} symbols, {rows:,} rows",
        (
            Line("quantx backfill, with its start, s", backfill["seconds"], floor["seconds"], "< 15"),
            Line("the same again, nothing to do, s", again["seconds"]),
        ),
        {"requests": requests, "requests_again": repeated, "rows": rows},
    )


def serve_files(data: str) -> None:
    """Serve the recorded files."""
    serve(Sandbox(load_market(Path(data)), now=END), on_ready=lambda url: print(url, flush=True))


def _quantx(folder: Path, url: str, names: list[str]) -> dict[str, Any]:
    settings = {
        "QUANTX_LAKE_URL": f"{folder}/lake",
        "QUANTX_STATE_URL": f"{folder}/state",
        "QUANTX_YFINANCE_BASE_URL": url,
        "QUANTX_YFINANCE_QUOTA": "unlimited",
    }
    command = [sys.executable, "-c", _QUANTX, "backfill", "--start", START, "--end", END, "--symbols", ",".join(names)]
    with stretch() as measured:
        subprocess.run(command, env=environment(**settings), stdout=subprocess.DEVNULL, check=True)
    return vars(measured)


def fetch_and_write(folder: str, url: str, names: list[str]) -> dict[str, Any]:
    """Measure the floor: the same requests over one connection, and the same rows from Parquet to Parquet."""
    source, target = Path(folder) / "rows.parquet", Path(folder) / "written.parquet"
    LakeTable(open_location(f"{folder}/lake"), BARS_1D).scan().sink_parquet(
        source, compression="zstd", compression_level=3
    )
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    with stretch() as measured:
        for name in names:
            connection.request(
                "GET", f"/v8/finance/chart/{name}?period1=-315619200&period2=1522281600&interval=1d&events=div,splits"
            )
            connection.getresponse().read()
        rows = pl.read_parquet(source)
        rows.write_parquet(target, compression="zstd", compression_level=3)
    return {**vars(measured), "rows": rows.height}
