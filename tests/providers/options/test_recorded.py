"""Every recorded DBN file is read right, or refused with a reason; the vendor's own client reads the same records."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import databento_dbn
import numpy as np
import polars as pl
import pytest

from quantx.errors import MalformedPayload
from quantx.providers.options.archives import open_archive
from quantx.providers.options.dbn_header import read_header
from quantx.providers.options.dbn_layouts import LAYOUTS
from quantx.providers.options.dbn_records import blocks, plain_stream
from quantx.providers.options.forms import open_member

from ...market_data import FOLDER
from .opened import all_rows, opened

RECORDED = FOLDER / "databento"
FILES = sorted(path.relative_to(RECORDED).as_posix() for path in RECORDED.rglob("*.dbn*"))
CLIENT = Path(__file__).parents[3] / ".venv" / "databento" / "bin" / "python"
OPRA = "databento-python/OPRA.PILLAR/test_data"
pytestmark = pytest.mark.skipif(not FILES, reason="needs the recorded DBN files")

# All values that our tables take of the recorded options, by hand from the vendor's client.
ROWS = {
    f"{OPRA}.cbbo-1m.dbn.zst": [
        (None, None, 0, 0, None, None),
        (0.32, 0.34, 104, 132, 0.34, 1),
        (0.43, 0.45, 1, 135, 0.45, 1),
        (0.34, 0.36, 62, 79, 0.34, 1),
    ],
    f"{OPRA}.trades.dbn.zst": [
        (713382, 23, 0.24, 1),
        (882595, 26, 0.2, 2),
        (887133, 26, 0.19, 1),
        (921205, 37, 0.19, 4),
    ],
    f"{OPRA}.ohlcv-1d.dbn.zst": [(0.19, 0.49, 0.1, 0.11, 15861)],
    f"{OPRA}.statistics.dbn.zst": [(57924,)],
    f"{OPRA}.definition.dbn.zst": [(100.0, "100 AAPL", "PM")],
    "nautilus/definition-opra.dbn.zst": [(100.0, "100 SPY", "PM")] * 2,
}
# Bars of a part of the day.
REJECTED = {f"{OPRA}.ohlcv-{each}.dbn.zst" for each in ("1s", "1m", "1h")}


@pytest.mark.parametrize("file", FILES)
def test_a_recorded_file_is_read_or_refused_with_a_reason(file: str) -> None:
    with open_archive(RECORDED / file) as archive:
        (member,) = archive.members
        archive.check(member)
        if ".frag" in file:
            with pytest.raises(MalformedPayload, match="it has no header of DBN"), open_member(archive, member):
                pass
            return
        with open_member(archive, member) as read:
            if file in ROWS:
                rows = all_rows(read).drop("date", "contract", pl.selectors.temporal(), strict=False)
                assert rows.rows() == ROWS[file]
            elif file in REJECTED:
                (batch,) = read.batches()
                assert (len(batch.rows), batch.rejected is None) == (0, False)
            else:
                assert (read.facts.kind, bool(read.facts.skipped), list(read.batches())) == (None, True, [])


@pytest.mark.slow
@pytest.mark.skipif(not CLIENT.is_file(), reason="needs the vendor's client in .venv/databento (make .venv/.databento)")
def test_the_vendors_client_reads_the_same_records() -> None:
    script = Path(__file__).with_name("databento_rows.py")
    ran = subprocess.run([CLIENT, script, RECORDED], capture_output=True, text=True, check=True)
    compared = 0
    for theirs in map(json.loads, ran.stdout.splitlines()):
        ours = _records((RECORDED / theirs["name"]).read_bytes(), theirs["name"])
        if ours is None:
            continue
        assert len(ours) == len(theirs["records"]), theirs["name"]
        for mine, other in zip(ours, theirs["records"], strict=True):
            shared = mine.keys() & other.keys()
            assert {name: mine[name] for name in shared} == {name: other[name] for name in shared}, theirs["name"]
            compared += 1
    assert compared > 250


def _records(content: bytes, name: str) -> list[dict[str, Any]] | None:
    """Return the records of a schema that we read, of any dataset; None for another file."""
    stream = plain_stream(io.BytesIO(content))
    try:
        header = read_header(stream, name)
    except MalformedPayload:
        return None
    if header.schema not in LAYOUTS:
        return None
    return [
        {name: _plain(row[name]) for name in block.dtype.names or () if not name.startswith("_")}
        for block in blocks(stream, name, header, LAYOUTS[header.schema], len(content))
        for row in block
    ]


def _plain(value: Any) -> Any:
    found = value.item() if isinstance(value, np.generic) else value
    return found.decode() if isinstance(found, bytes) else found


def test_the_mappings_are_those_of_the_package() -> None:
    compared = 0
    for file in FILES:
        content = plain_stream(io.BytesIO((RECORDED / file).read_bytes())).read()
        if not content.startswith(b"DBN"):
            continue
        ours = read_header(io.BytesIO(content), file).intervals
        names = (ours.symbols[each] for each in ours.symbol.tolist())
        days = (each.astype("M8[D]").tolist() for each in (ours.start, ours.end))
        theirs = [
            (symbol, int(each["symbol"]), each["start_date"], each["end_date"])
            for symbol, intervals in databento_dbn.Metadata.decode(content).mappings.items()
            for each in intervals
        ]
        assert sorted(zip(names, ours.instrument.tolist(), *days, strict=True)) == sorted(theirs), file
        compared += len(theirs)
    assert compared > 190_000


def test_a_cut_recording_is_refused_at_every_tenth() -> None:
    for file in ROWS:
        whole = (RECORDED / file).read_bytes()
        for tenth in range(10):
            with pytest.raises(MalformedPayload):
                list(opened(whole[: len(whole) * tenth // 10], file).batches())
