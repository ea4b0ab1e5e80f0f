"""Damaged archives of each form: whatever byte is wrong, the error is ours, and the next member can be read."""

from __future__ import annotations

import gzip
import json
import random
import zipfile
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pytest

from quantx.errors import MalformedPayload
from quantx.providers.options.archives import open_archive
from quantx.providers.options.forms import open_member
from quantx.sandbox.dbn_files import compress, dbn_file, header, nanoseconds, records

DAY = date(2025, 8, 4)
SYMBOLS = {"SPY   250815C00640000": [(DAY, DAY + timedelta(days=1), 7)]}
CSV = b"time,symbol,bid,ask\n" + b"2025-08-07T16:00:00Z,SPY250815C00640000,1,2\n" * 5
TIMES = 100


def dbn(schema: str, version: int) -> bytes:
    content = records(schema, version, instrument_id=[7] * 3, ts_event=nanoseconds(DAY, 900))
    return dbn_file(content, header(schema, SYMBOLS, first=DAY, version=version))


def zipped(path: Path, members: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path.read_bytes()


def whole(name: str, folder: Path) -> bytes:
    if name.endswith(".dbn"):
        return dbn(*{"a.dbn": ("ohlcv-1d", 1), "b.dbn": ("definition", 3), "c.dbn": ("statistics", 2)}[name])
    if name.endswith(".dbn.zst"):
        return compress(dbn("cbbo-1m", 3))
    if name == "batch.zip":
        condition = json.dumps([{"date": f"{DAY}", "condition": "available", "last_modified_date": None}]).encode()
        return zipped(folder / "made", {"a.dbn": dbn("trades", 2), "condition.json": condition, "manifest.json": b"{}"})
    if name.endswith(".zip"):
        row = b"20140606 00:00,1,1,1,1,1,1,1,1,1,1\n"
        return zipped(folder / "made", {"aapl_quote_american_call_6650000_20140719.csv": row * 9})
    return gzip.compress(CSV) if name.endswith(".gz") else CSV


def damaged(content: bytes, drawn: random.Random) -> bytes:
    found = bytearray(content)
    kind = drawn.random()
    if kind < 0.2:
        return content[: drawn.randrange(len(content))]
    if kind < 0.3:
        place = drawn.randrange(len(content))
        found[place:place] = drawn.randbytes(drawn.randrange(40))
    for _ in range(drawn.choice((1, 1, 2, 8))):
        found[drawn.randrange(len(found))] = drawn.randrange(256)
    return bytes(found)


NAMES = ("a.dbn", "b.dbn", "c.dbn", "d.dbn.zst", "batch.zip", "aapl_2014_quote_american.zip", "a.csv", "a.csv.gz")


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_an_error_of_ours_or_none(name: str, tmp_path: Path) -> None:
    content, drawn, path = whole(name, tmp_path), random.Random(21), tmp_path / name
    for _ in range(TIMES):
        path.write_bytes(damaged(content, drawn))
        with suppress(MalformedPayload), open_archive(path) as archive:
            for member in archive.members:
                with suppress(MalformedPayload):
                    archive.check(member)
                with suppress(MalformedPayload), open_member(archive, member, "mine") as read:
                    list(read.batches())
