"""Verification: read objects of the lake, and compare them with their digests, with the log and with one another.

What a digest proves is not decoded: hashing is several times faster than reading the rows.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any, TypeVar

import polars as pl

from quantx.core.table import DAYS, Table
from quantx.errors import DamagedObject, LakeError
from quantx.lake.diagnosis import data_files, file_damage
from quantx.lake.epochs import recorded_versions
from quantx.lake.log import entry_path
from quantx.lake.raw import list_raw, parse_raw_path, raw_damage
from quantx.lake.replay import DataFile, TableLog, read_log
from quantx.lake.store import LakeLocation
from quantx.pipeline.runtime.roles import COMMITTING
from quantx.pipeline.verifying.damage import WORK, Damage, Verified
from quantx.pipeline.verifying.doubled_keys import doubled_keys
from quantx.state.replies.port import Replies

_THREADS = 4  # requests at once: a store far away answers in 15 ms
T = TypeVar("T")


class Verifier:
    """Checks objects, and collects the result in `found`."""

    def __init__(self, location: LakeLocation, tables: Mapping[str, Table], replies: Replies) -> None:
        self.location = location
        self.tables = tables
        self.found = Verified()
        self._replies = replies
        self._recorded: dict[str, int] | None = None  # the versions of tables, as holders of roles have left them
        self._damaged_raw: dict[str, str] = {}  # what is wrong, by path

    def verify(
        self,
        share: float = 1.0,
        rng: random.Random | None = None,
        on_object: Callable[[int, int], None] = lambda done, of: None,
    ) -> Verified:
        """Check all logs, and a random share of the data files and raw objects (1: all); return the result.

        `on_object` gets the number of checked objects, and their total.
        """
        rng = rng or random.Random()
        self.unfinished_repair()
        raws = _sample(self.raw_paths(), share, rng)
        logs = {name: self.log(name) for name in self.tables}
        files = {
            name: _sample(data_files(self.location, self.tables[name].path, log), share, rng)
            for name, log in logs.items()
            if log is not None
        }
        total, done = len(raws) + sum(map(len, files.values())), 0
        for name, some in files.items():
            for _ in self.files(name, some):
                done += 1
                on_object(done, total)
            self.doubled(name, [file for file in some if file.live], whole=share == 1)
        for _ in self.raws(raws):
            done += 1
            on_object(done, total)
        self.name_dependents()
        return self.found

    def unfinished_repair(self) -> None:
        """Note a repair that was interrupted before all rows were derived again."""
        if self.location.has(WORK):
            what = "records a repair that was interrupted: rows are not derived again yet"
            self._note(Damage(kind="repair", path=WORK, what=what))
        else:
            self.found.intact.append(WORK)

    def log(self, name: str) -> TableLog | None:
        """Check the log of a table; return it, None where the table does not exist."""
        path = self.tables[name].path
        recorded = self._recorded_version(path)  # before the log: others commit meanwhile
        log = read_log(self.location, path)
        if log is None:
            if recorded >= 0 or any(each.endswith(".parquet") for each in self.location.sizes(path)):
                self._note(Damage(kind="entry", path=f"{path}/_delta_log", what="is missing", table=name))
            return None
        again = read_log(self.location, path) if log.damages else log  # another process may have written meanwhile
        for damage in log.damages:
            if again is not None and damage in again.damages:
                self._note(
                    Damage(kind=damage.part, path=damage.path, what=damage.what, table=name, needed=damage.needed)
                )
        if log.version < recorded:
            missing = f"{path}/{entry_path(log.version + 1)}"
            self._note(Damage(kind="entry", path=missing, what="is missing", table=name))
        self.found.undigested += log.undigested
        self.found.objects += log.objects
        self.found.bytes += log.bytes
        if not log.damages:
            self.found.intact.append(f"{path}/_delta_log")
        return again

    def _recorded_version(self, path: str) -> int:
        """Return the version of a table that a holder of its role has left, or an earlier one; -1 where none has."""
        if self._recorded is None:
            self._recorded = {p: v for role in COMMITTING for p, v in recorded_versions(self.location, role).items()}
        return self._recorded.get(path, -1)

    def files(self, name: str, files: Sequence[DataFile]) -> Iterator[DataFile]:
        """Check data files of a table; yield each after its check."""
        path, table = self.tables[name].path, self.tables[name]
        for file, (problem, proven) in _in_parallel(lambda f: file_damage(self.location, path, table, f), files):
            self._count(f"{path}/{file.path}", file.size, proven, problem)
            if problem is not None and self._is_still(path, file):
                self._note(_of_file(name, path, file, problem))
            yield file

    def raw_paths(self) -> list[str]:
        """Return the paths of all raw objects in order: those in the lake, and those that have landed in the state."""
        return sorted({*list_raw(self.location), *self._replies.objects()})

    def raws(self, paths: Sequence[str]) -> Iterator[str]:
        """Check raw objects; yield each after its check."""
        for path, (problem, proven, size) in _in_parallel(self._raw, paths):
            self._count(path, size, proven, problem)
            if problem is not None:
                self._damaged_raw[path] = problem
            yield path

    def name_dependents(self) -> None:
        """Note the damaged raw objects with what depends on them: replies, and rows by table and symbol."""
        rows = self._rows_of_raw(self._damaged_raw) if self._damaged_raw else pl.DataFrame(schema=_DEPENDENTS)
        for path, problem in self._damaged_raw.items():
            self._note(self._of_raw(path, problem, rows.filter(pl.col("raw") == parse_raw_path(path)[2])))
        self._damaged_raw.clear()

    def doubled(self, name: str, files: Sequence[DataFile], *, whole: bool = False) -> None:
        """Check whether rows of these files, which may be the whole table, have the same key."""
        path, table = self.tables[name].path, self.tables[name]
        keys = doubled_keys(self.location, path, table, files)
        if keys.is_empty():
            self.found.intact += [path] if whole else []
            return
        days = next((keys[c] for c in DAYS if c in keys.columns), None)
        self._note(
            Damage(
                kind="doubled",
                path=path,
                what=f"has several rows for {keys.height:,} keys",
                table=name,
                symbols=tuple(keys["symbol"].unique().sort()) if "symbol" in keys.columns else (),
                first_day=None if days is None else _day(days.min()),
                last_day=None if days is None else _day(days.max()),
                rows=int(keys["len"].sum()),
            )
        )

    def _note(self, damage: Damage) -> None:
        self.found.damages.append(damage)

    def _count(self, path: str, size: int, proven: bool, problem: str | None) -> None:
        self.found.objects += 1
        self.found.bytes += size
        self.found.undigested += not proven
        if problem is None:
            self.found.intact.append(path)

    def _is_still(self, path: str, file: DataFile) -> bool:
        """Return whether a file is as live as it was: another process may have replaced or deleted it."""
        log = read_log(self.location, path)
        return log is None or any(file == each for each in data_files(self.location, path, log))

    def _raw(self, path: str) -> tuple[str | None, bool, int]:
        try:
            body = self.location.get(path)
        except DamagedObject:
            return "is missing", True, 0
        return *raw_damage(path, body), len(body)

    def _rows_of_raw(self, paths: Collection[str]) -> pl.DataFrame:
        """Return how many rows of which table, source and symbol the raw objects made, with their days."""
        frames = [pl.DataFrame(schema=_DEPENDENTS)]
        ulids = [parse_raw_path(path)[2] for path in paths]
        for name, table in self.tables.items():
            if "raw" not in table.schema:
                continue
            day = table.day
            log = read_log(self.location, self.tables[name].path)
            for file in log.state.live_files() if log else ():
                rows = self._columns(self.tables[name].path, file, ["raw", "symbol", *([day] if day else [])])
                if rows is None:
                    continue
                days = pl.col(day) if day else pl.lit(None, pl.Date)
                counted = rows.filter(pl.col("raw").is_in(ulids)).group_by("raw", "symbol").agg(
                    pl.lit(name).alias("table"), pl.len().alias("rows"), days.min().alias("first"),
                    days.max().alias("last"),
                )  # fmt: skip
                frames.append(counted.select(pl.col(c).cast(t) for c, t in _DEPENDENTS.items()))
        same = pl.concat(frames).group_by("raw", "table", "symbol").agg(
            pl.col("rows").sum(), pl.col("first").min(), pl.col("last").max()
        )  # fmt: skip
        return same.select(list(_DEPENDENTS)).sort("raw", "table", "symbol")

    def _columns(self, path: str, file: DataFile, columns: list[str]) -> pl.DataFrame | None:
        try:
            return pl.read_parquet(io.BytesIO(self.location.get(f"{path}/{file.path}")), columns=columns)
        except (LakeError, OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException):
            return None

    def _of_raw(self, path: str, problem: str, rows: pl.DataFrame) -> Damage:
        parts = rows.drop("raw").to_dicts()
        replies = self._replies.of_object(path)
        parts += [
            {"table": "", "symbol": x.series.symbol, "timeframe": x.series.timeframe, "task": x.task_id}
            | {"first": x.window.start, "last": x.window.end}
            for x in replies
        ]
        symbols = {*rows["symbol"], *(x.series.symbol for x in replies)}
        return Damage(
            kind="raw",
            path=path,
            what=problem,
            source=parse_raw_path(path)[0],
            symbols=tuple(sorted(symbols)),
            first_day=_day(rows["first"].min()),
            last_day=_day(rows["last"].max()),
            rows=int(rows["rows"].sum()),
            parts=parts,
        )


_DEPENDENTS = {
    "raw": pl.String,
    "table": pl.String,
    "symbol": pl.String,
    "rows": pl.Int64,
    "first": pl.Date,
    "last": pl.Date,
}


def _of_file(name: str, path: str, file: DataFile, problem: str) -> Damage:
    lowest, highest = (file.statistics.get(part, {}) for part in ("minValues", "maxValues"))
    day = next((c for c in DAYS if c in lowest), "")
    symbol = next((c for c in ("symbol", "instrument") if c in lowest), "")
    return Damage(
        kind="file",
        path=f"{path}/{file.path}",
        what=problem,
        table=name,
        needed=file.live,
        source=file.partition.get("source") or "",
        symbols=(lowest[symbol], highest[symbol]) if symbol else (),
        first_day=_day(lowest.get(day)),
        last_day=_day(highest.get(day)),
        rows=file.statistics.get("numRecords"),
    )


def _day(value: Any) -> date | None:
    """Return the day of a value of a frame or of a log's statistics."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date) or value is None:
        return value
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:  # a damaged log
        return None


def _sample(items: Sequence[T], share: float, rng: random.Random) -> list[T]:
    """Return a random share of some items, in their order; at least one of them."""
    count = min(len(items), math.ceil(len(items) * share))
    return list(items) if count == len(items) else [items[i] for i in sorted(rng.sample(range(len(items)), count))]


U = TypeVar("U")


def _in_parallel(check: Callable[[T], U], items: Sequence[T]) -> Iterator[tuple[T, U]]:
    with ThreadPoolExecutor(_THREADS) as pool:
        for at in range(0, len(items), 2 * _THREADS):  # a caller that stops waits for these only
            some = items[at : at + 2 * _THREADS]
            yield from zip(some, pool.map(check, some), strict=True)
