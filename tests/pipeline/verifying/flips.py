"""A small real lake, bits that are flipped in its objects, and what verification makes of them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from quantx.core.tables import TABLES
from quantx.errors import LakeError
from quantx.lake.mend import write_checkpoint
from quantx.lake.protocol import CommitContext
from quantx.lake.store import open_location
from quantx.lake.table import open_tables
from quantx.pipeline.curating.derive import derived_tables
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.threads import Threads
from quantx.pipeline.verifying.damage import Verified
from quantx.pipeline.verifying.repair import Repairer
from quantx.pipeline.wiring import repairing, reprocessor_of, verifier_of

KINDS = ("raw", "file", "entry", "checkpoint", "hint")


def kind_of(path: str) -> str:
    """The kind of an object of a lake; "": none that is verified."""
    if path.startswith("raw/"):
        return "raw"
    if path.startswith(("meta/", "reports/")):
        return ""
    if path.endswith("_last_checkpoint"):
        return "hint"
    if "_delta_log" in path:
        return "checkpoint" if path.endswith(".parquet") else "entry"
    return "file"


class SmallLake:
    """A lake in a folder, of which each trial damages a copy; the state belongs to all copies."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self._platform = platform
        self._folder = Path(platform.location.url.removeprefix("file://"))
        self._copies = folder
        self.intact = self.contents(platform)
        paths = sorted(str(p.relative_to(self._folder)) for p in self._folder.rglob("*") if p.is_file())
        self.objects = {kind: [path for path in paths if kind_of(path) == kind] for kind in KINDS}

    def damaged(self, damage: Callable[[Path], object]) -> Platform:
        """A platform on a copy of the lake that was damaged so."""
        copy = self._copies / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self._folder, copy)
        damage(copy)
        location = open_location(str(copy))
        return replace(self._platform, location=location, tables=open_tables(location, TABLES), runtime=Threads())

    def size(self, path: str) -> int:
        """The bytes of an object."""
        return (self._folder / path).stat().st_size

    def flip(self, rng: random.Random) -> tuple[str, int]:
        """An object and a bit in it; kinds are drawn first, so that each has its share."""
        path = rng.choice(self.objects[rng.choice(KINDS)])
        return path, rng.randrange(8 * self.size(path))

    @staticmethod
    def contents(platform: Platform) -> dict[str, Any]:
        """The rows of all tables."""
        tables = open_tables(platform.location, TABLES)
        return {name: sorted(table.read().rows(), key=repr) for name, table in tables.items()}


def flipped(path: str, bit: int) -> Callable[[Path], object]:
    """A damage: one bit of an object is flipped."""

    def damage(lake: Path) -> None:
        (lake / path).write_bytes(with_flipped_bit((lake / path).read_bytes(), bit))

    return damage


def with_flipped_bit(body: bytes, bit: int) -> bytes:
    """The bytes with one other bit."""
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def verified(platform: Platform) -> Verified:
    return verifier_of(platform).verify()


def repaired(platform: Platform) -> Verified:
    """Verify a lake, repair what is found, and return that."""
    found = verified(platform)
    with repairing(platform, found) as role:
        found.repairs = Repairer(reprocessor_of(platform)).repair(role, found.damages)
    return found


def broken_promises(
    lake: SmallLake, path: str, bit: int, verify: Callable[[Platform], Verified] = verified
) -> list[str]:
    """What verification and repair promise and do not keep about one flipped bit."""
    platform = lake.damaged(flipped(path, bit))
    broken = []
    if path not in {damage.path for damage in verify(platform).damages}:
        broken.append("not found")
    repaired(platform)
    left = {damage.path for damage in verified(platform).damages}
    if left - ({path} if kind_of(path) == "raw" else set()):
        broken.append(f"left: {left}")
    try:
        rows = lake.contents(platform)
    except LakeError as error:
        return [*broken, f"not readable: {error}"]
    return broken + [f"{name} differs" for name, expected in lake.intact.items() if rows[name] != expected]


def make_lake(desk: Any, folder: Path) -> SmallLake:
    """A lake with every kind of object: revised bars, events, a rejected row, folded files and checkpoints."""
    desk.tape.pays["AAA"] = [(desk.clock.at.date(), "dividend", 1.0, None)]
    desk.work(desk.backfill("AAA", "BBB", "CCC"))
    for day, (_, *prices) in list(desk.tape.shows["BBB"].items())[:3]:
        desk.tape.shows["BBB"][day] = (prices[0] * 9, *prices)  # rejected: the open is above the high
    for day in list(desk.tape.shows["AAA"])[4:8]:
        desk.tape.shows["AAA"][day] = (50.0, 51.0, 49.0, 50.5, 10.0)
    desk.clock.goes_to(desk.clock.at.date().replace(day=16))
    desk.work(desk.daily("AAA", "BBB", "CCC", lookback=9))
    platform = desk.platform
    for table in derived_tables():
        if platform.tables[table.name].version() is not None:
            platform.tables[table.name].fold(CommitContext(), most_files=1)
            write_checkpoint(platform.location, table.path)
    desk.clock.goes_to(desk.clock.at.date().replace(day=17))
    desk.work(desk.daily("AAA", "BBB", "CCC", lookback=9))
    return SmallLake(platform, folder)
