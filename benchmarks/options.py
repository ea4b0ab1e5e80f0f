"""Options: a session of minute quotes from the vendor's file to a sorted data file, beside the vendor's own conversion.

The vendor's conversion writes the records as they come; ours maps each record to its contract, judges it, sorts it, and
leaves a file that a commit makes visible.
"""

from __future__ import annotations

import json
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

from ulid import ULID

from benchmarks.measure import apart, environment, stretch
from benchmarks.table import Line, Outcome
from quantx.lake.store import open_location
from quantx.pipeline.options.stage import stage_member
from quantx.providers.options.archives import open_archive
from quantx.providers.options.forms import open_member
from quantx.sandbox.dbn_files import write_session
from quantx.settings import load_settings

CLIENT = Path(__file__).parents[1] / ".venv" / "databento" / "bin" / "python"
DAY = date(2025, 8, 7)
MINUTES = 391
_TRIES = 3


def run(folder: Path, *, quick: bool) -> Outcome:
    """Decode a session, then stage it; convert it with the vendor's client where that is installed."""
    contracts = 512 if quick else 5120
    rows, file = contracts * MINUTES, folder / "opra-pillar-20250807.cbbo-1m.dbn.zst"
    apart("benchmarks.options:written", file=file, contracts=contracts)
    decoded = apart("benchmarks.options:decoded", file=file)
    staged = apart(
        "benchmarks.options:staged", file=file, lake={"lake_url": f"{folder}/lake"}, folder=folder / "scratch"
    )
    client = _converted(file, folder)
    peer = None if client is None else rows / min(client["cpu"])
    least = rows / min(staged["cpu"])
    lines = [
        Line("read and map each record to its contract, rows per CPU second", rows / min(decoded["cpu"]), digits=0),
        Line("the same, rules, sorted Parquet, rows per CPU second", least, peer, "≥ 1,500,000", digits=0, rate=True),
        Line("the same, s", min(staged["seconds"]), client and min(client["seconds"]), "≤ 2.5"),
        Line("peak memory, MB", staged["peak_mb"], client and client["peak_mb"], "≤ 700", digits=0),
    ]
    if peer is not None:
        lines.append(Line("rows per CPU second, times the vendor's own conversion", least / peer, aim="≥ 2.5"))
    return Outcome(
        f"Options: a session of {rows:,} minute quotes of {contracts:,} contracts; the peer is DBNStore.to_parquet",
        tuple(lines),
        {"rows": rows, "decoded": decoded["rows"], "staged": staged["rows"], "files": staged["files"]},
    )


def written(file: str, contracts: int) -> dict[str, Any]:
    """Write the invented session."""
    write_session(Path(file), "SPY", DAY, contracts=contracts, minutes=MINUTES)
    return {}


def decoded(file: str) -> dict[str, Any]:
    """Read the file in batches, and hold none of them."""
    results: dict[str, Any] = {"cpu": [], "seconds": []}
    for _ in range(_TRIES):
        with stretch() as whole, open_archive(Path(file)) as archive:
            archive.check(archive.members[0])
            with open_member(archive, archive.members[0]) as member:
                rows = sum(batch.rows.height for batch in member.batches())
        results["cpu"].append(whole.cpu)
        results["seconds"].append(whole.seconds)
    return {**results, "rows": rows}


def staged(file: str, lake: dict[str, str], folder: str) -> dict[str, Any]:
    """Check the file, decode it, judge its rows, and put them sorted into the lake."""
    settings = load_settings(**lake)
    location = open_location(settings.lake_url, settings)
    results: dict[str, Any] = {"cpu": [], "seconds": []}
    for _ in range(_TRIES):
        Path(folder).mkdir(exist_ok=True)
        with stretch() as whole, open_archive(Path(file)) as archive:
            archive.check(archive.members[0])
            with open_member(archive, archive.members[0]) as member:
                found = stage_member(member, Path(folder), location=location, raw=str(ULID()))
        results["cpu"].append(whole.cpu)
        results["seconds"].append(whole.seconds)
    return {**results, "rows": found.rows, "files": len(found.files)}


def _converted(file: Path, folder: Path) -> dict[str, Any] | None:
    if not CLIENT.exists():
        return None
    command = [str(CLIENT), str(Path(__file__).with_name("databento_peer.py")), str(file), str(folder), str(_TRIES)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, env=environment(PYTHONPATH=""))
    return dict(json.loads(done.stdout.splitlines()[-1]))
