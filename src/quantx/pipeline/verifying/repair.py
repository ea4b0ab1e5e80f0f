"""Repairs: the log from what its other objects prove, and rows from the raw zone.

All work is done under the curator's role. A damaged data file leaves the table by a commit of its own. Then its symbols
are derived again, which is the curator's code over the raw replies: rows, revisions and quarantine become what today's
rules make of them. Before that, the lake records which symbols a repair is about to derive again: where it is killed,
verification reports it, and the next repair goes on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import polars as pl
import structlog

from quantx.core.table import DAYS, Table
from quantx.core.tables import DECISIONS, TABLES
from quantx.errors import DamagedObject, LakeError
from quantx.lake.digests import sha256, with_one_bit_back
from quantx.lake.files import decode
from quantx.lake.mend import mend_log, remove_files, restart_log, set_aside
from quantx.lake.protocol import CommitContext
from quantx.lake.raw import list_raw, parse_raw_path
from quantx.lake.replay import ASIDE, DataFile, read_log
from quantx.pipeline.curating.derive import curated_tables
from quantx.pipeline.reprocessing.inventory import Inventory, take_inventory
from quantx.pipeline.reprocessing.reprocess import Reprocessor
from quantx.pipeline.reprocessing.summary import ReprocessSummary
from quantx.pipeline.runtime.roles import RoleHolder
from quantx.pipeline.verifying.damage import COMPARED, WORK, Damage, Repair, is_rebuilt, is_rederived
from quantx.pipeline.verifying.doubled_keys import doubled_keys

log = structlog.get_logger()

_REBUILT = "`quantx features build` makes its rows again"
_BACKUP = "restore it from a backup: the raw zone does not have these rows"


class Repairer:
    """Repairs damages of a lake; `done` has the outcome of each."""

    def __init__(self, reprocessor: Reprocessor, tables: Mapping[str, Table] = TABLES) -> None:
        self._reprocessor = reprocessor
        self._location = reprocessor.curator.location
        self._tables = tables
        self._affected = defaultdict[str, set[str]](set)  # symbols to derive again, by source
        self._restarted: dict[str, list[str]] = {}  # tables whose log had lost an entry, with the damaged objects
        self.done: list[Repair] = []
        self._dropped: list[tuple[Table, DataFile]] = []
        self._lost_raw: set[str] = set()
        self._inventories: dict[str, Inventory] = {}  # by source
        self._resumed: list[str] = []  # records of interrupted repairs
        self._context = CommitContext()
        self.summaries: list[ReprocessSummary] = []

    def repair(self, role: RoleHolder | None, damages: Sequence[Damage]) -> list[Repair]:
        """Repair what can be repaired; return the outcome of each damage. Raises Busy where another process curates."""
        holder = self._reprocessor.begin(role, dry_run=True)  # no round is finished before the logs can be read
        self._context = CommitContext(by=holder)
        for damage in damages:
            if damage.kind == "repair":
                self._take_up_work(damage.path)
        self._lost_raw = {parse_raw_path(d.path)[2] for d in damages if d.kind == "raw"}
        self._repair_stored([damage for damage in damages if damage.table == DECISIONS.name])
        others = [damage for damage in damages if damage.table != DECISIONS.name]
        if not self._can_decide():
            for damage in others:
                self._note(damage.path, False, "restore the decisions first: they say which rows are right")
            return self.done
        self._repair_stored(others)
        self._reprocessor.begin(holder)
        for name in self._tables if "*" in self._restarted else self._restarted:
            self._reduce(name)
        for damage in damages:
            if damage.kind == "doubled":
                keys = self._reduce(damage.table)
                self._note(damage.path, True, f"one row of each key stays; {keys:,} keys had several")
            elif damage.kind == "raw":
                self._note(damage.path, False, "the vendor's reply is in no other object: restore it from a backup")
        self._derive_again(holder)
        return self.done

    def _repair_stored(self, damages: Sequence[Damage]) -> None:
        """Repair logs, and then the data files of tables."""
        logs = [damage for damage in damages if damage.kind in ("entry", "checkpoint", "hint")]
        for name in sorted({damage.table for damage in logs}):
            self._repair_log(name, [damage for damage in logs if damage.table == name])
        self._repair_files([damage for damage in damages if damage.kind == "file"])

    def _can_decide(self) -> bool:
        """Return whether all decisions about rows can be read."""
        if not all(repair.done for repair in self.done):
            return False
        try:
            self._reprocessor.curator.row_policy()
        except DamagedObject:
            return False
        return True

    def _note(self, path: str, done: bool, what: str) -> None:
        self.done.append(Repair(path, done, what))
        log.warning("repair.done" if done else "repair.failed", path=path, what=what)

    def _repair_log(self, name: str, damages: Sequence[Damage]) -> None:
        path = self._tables[name].path
        done = mend_log(self._location, path)
        left = [damage for damage in damages if damage.path not in done]
        for damage in damages:
            if damage.path in done:
                self._note(damage.path, True, done[damage.path])
        if not any(damage.needed for damage in left):
            return
        if is_rebuilt(name):
            restart_log(self._location, path, self._tables[name], self._context)
            mend_log(self._location, path)
            for damage in left:
                self._note(damage.path, True, _REBUILT)
            return
        if not is_rederived(name):
            for damage in left:
                self._note(damage.path, False, _BACKUP)
            return
        self._restarted[name] = [damage.path for damage in left]
        self._record_work()
        restart_log(self._location, path, self._tables[name], self._context)
        mend_log(self._location, path)  # the damaged objects are not needed any more, and put aside

    def _repair_files(self, damages: Sequence[Damage]) -> None:
        """Remove the files from their tables whose rows can be derived again; repair or leave the others."""
        drop: list[tuple[str, DataFile]] = []
        left: set[str] = set()  # sources with a file that stays: its rows can't be read, and not be compared
        for damage in damages:
            file = self._live_file(damage)
            if not damage.needed:
                set_aside(self._location, damage.path)
                self._note(damage.path, True, f"the newest version does not need it; it is in {ASIDE}")
            elif file is None:
                self._note(damage.path, True, "the table does not have it any more")
            elif not is_rederived(damage.table):
                if not self._flip_back(damage.path, file):
                    self._remove_compared(damage, file)
            elif missing := self._not_in_raw(damage.path, file):
                left.add(damage.source)
                what = f"its rows can't be derived again: the raw zone lacks {', '.join(missing[:3])}"
                self._note(damage.path, False, f"{what}; restore it from a backup")
            else:
                drop.append((damage.table, file))
        for name, file in drop:
            if (file.partition.get("source") or "") in left:
                self._note(
                    f"{self._tables[name].path}/{file.path}", False, "restore the other files of this vendor first"
                )
        self._drop([(name, file) for name, file in drop if (file.partition.get("source") or "") not in left])

    def _live_file(self, damage: Damage) -> DataFile | None:
        found = read_log(self._location, self._tables[damage.table].path)
        files = found.state.live_files() if found else []
        return next((f for f in files if f"{self._tables[damage.table].path}/{f.path}" == damage.path), None)

    def _drop(self, drop: Sequence[tuple[str, DataFile]]) -> None:
        for name, file in drop:
            path = f"{self._tables[name].path}/{file.path}"
            self._affected[file.partition.get("source") or ""] |= self._symbols(path, file)
        if drop:
            self._record_work()
        for name in sorted({name for name, _ in drop}):
            path, files = self._tables[name].path, [file for each, file in drop if each == name]
            found = read_log(self._location, path)
            assert found is not None
            remove_files(self._location, path, self._tables[name], found, files, self._context)
            self._dropped += [(self._tables[name], file) for file in files]
            for file in files:
                set_aside(self._location, f"{path}/{file.path}")

    def _record_work(self) -> None:
        """Record in the lake what is about to be derived again."""
        symbols = {source: sorted(names) for source, names in self._affected.items()}
        work = {"everything": bool(self._restarted), "symbols": symbols}
        self._location.put(WORK, json.dumps(work).encode())

    def _take_up_work(self, path: str) -> None:
        """Add what an interrupted repair was about to derive again; everything, where its record is damaged."""
        try:
            work = json.loads(self._location.get(WORK))
            everything = bool(work["everything"])
            for source, names in work["symbols"].items():
                self._affected[source] |= set(names)
        except (LakeError, ValueError, KeyError, TypeError, AttributeError):
            everything = True
        if everything:
            self._restarted["*"] = [path]
        else:
            self._resumed.append(path)

    def _flip_back(self, path: str, file: DataFile) -> bool:
        try:
            body = self._location.get(path)
        except DamagedObject:
            body = b""
        mended = with_one_bit_back(body, lambda tried: sha256(tried) == file.sha256) if file.sha256 else None
        if mended is None:
            return False
        self._location.put(path, mended)
        self._note(path, True, "one flipped bit was set back; its SHA-256 proves it")
        return True

    def _remove_compared(self, damage: Damage, file: DataFile) -> None:
        """Remove a file whose rows a comparison of vendors, or a build of features, writes; leave any other one."""
        if damage.table not in COMPARED and not is_rebuilt(damage.table):
            self._note(damage.path, False, _BACKUP)
            return
        path = self._tables[damage.table].path
        found = read_log(self._location, path)
        assert found is not None
        remove_files(self._location, path, self._tables[damage.table], found, [file], self._context)
        set_aside(self._location, damage.path)
        again = _REBUILT if is_rebuilt(damage.table) else "`quantx crossvalidate reconcile` writes its rows again"
        self._note(damage.path, True, f"it is in {ASIDE}; {again}")

    def _not_in_raw(self, path: str, file: DataFile) -> list[str]:
        """Return the raw objects that rows of a damaged file need, and that are missing or damaged.

        Where the file can't be read, its rows may need any reply about its symbols.
        """
        source, work = file.partition.get("source") or "", self._reprocessor
        inventory, symbols = self._inventory(source), self._symbols(path, file)
        replies = [*work.replies.curated(source, symbols)]
        replies += [reply for some in inventory.earlier.values() for reply in some]
        there = {parse_raw_path(each)[2] for each in list_raw(self._location, source)} - self._lost_raw
        known = {(x.series.symbol, parse_raw_path(x.path)[2]) for x in replies}
        rows = self._readable(path)
        if rows is not None and {"raw", "symbol"} <= set(rows.columns):
            needed = set(rows.select("symbol", "raw").unique().rows())
            return sorted({raw for symbol, raw in needed if (symbol, raw) not in known or raw not in there})
        if not symbols:
            return ["a reply about its symbols"]
        lost = {raw for symbol, raw in known if symbol in symbols and raw not in there}
        return sorted(lost | set(inventory.unlisted))

    def _inventory(self, source: str) -> Inventory:
        if source not in self._inventories:
            work = self._reprocessor
            self._inventories[source] = take_inventory(self._location, work.replies, work.runs, source, None)
        return self._inventories[source]

    def _symbols(self, path: str, file: DataFile) -> set[str]:
        """Return the symbols whose rows may be in a file: those between the first and the last in the log."""
        lowest, highest = (file.statistics.get(part, {}).get("symbol") for part in ("minValues", "maxValues"))
        held = {each.symbol for each in self._inventory(file.partition.get("source") or "").holdings}
        rows = self._readable(path)
        read = set() if rows is None or "symbol" not in rows.columns else set(rows["symbol"].drop_nulls())
        within = held if lowest is None or highest is None else {s for s in held if lowest <= s <= highest}
        return within | (read & held)

    def _readable(self, path: str) -> pl.DataFrame | None:
        try:
            return decode(self._location.get(path))
        except LakeError:
            return None

    def _reduce(self, name: str) -> int:
        """Leave one row of each doubled key, the newest, and return how many there were.

        The raw zone then decides which value it has.
        """
        stored, declared, path = self._reprocessor.curator.tables[name], self._tables[name], self._tables[name].path
        found = read_log(self._location, path)
        keys = doubled_keys(self._location, path, declared, found.state.live_files() if found else [])
        if keys.is_empty():
            return 0
        about = next((c for c in ("symbol", "instrument") if c in declared.key), None)
        where = None if about is None else pl.col(about).is_in(keys[about].unique().to_list())
        version = stored.version()
        rows = stored.read(where).join(keys, on=list(declared.key), how="semi", nulls_equal=True)
        order = [c for c in ("known_from", "known_to") if c in rows.columns]
        kept = rows.sort(order).unique(list(declared.key), keep="last", maintain_order=True)
        stored.commit(self._context, declared.empty(), kept, read_at=version)
        if is_rederived(name):
            for source, symbol in rows.select("source", "symbol").unique().rows():
                self._affected[source].add(symbol)
        return keys.height

    def _derive_again(self, holder: RoleHolder) -> None:
        """Derive the rows of the lost tables and files again from the raw zone, and count those of the files."""
        before = [self._rows_beside(table, file) for table, file in self._dropped]
        wanted: Sequence[tuple[str | None, Collection[str] | None]] = sorted(self._affected.items())
        if self._restarted:
            wanted = [(None, None)]
        for source, symbols in wanted:
            if symbols is None or symbols:
                self.summaries.append(self._reprocessor.reprocess_held(holder, symbols, source))
        self._location.delete([WORK])
        for path in self._resumed:
            self._note(path, True, "the interrupted repair was ended")
        kept = sum(len(each.left) for each in self.summaries)
        what = f"the rows are derived again from the raw zone; the damaged object is in {ASIDE}"
        what += f"; {kept:,} symbols whose replies are damaged keep the rows that other files have" if kept else ""
        for path in (path for paths in self._restarted.values() for path in paths):
            self._note(path, True, what)
        for (table, file), count in zip(self._dropped, before, strict=True):
            expected, came = file.statistics.get("numRecords") or 0, self._rows_beside(table, file) - count
            what = f"its rows are derived again from the raw zone: {min(came, expected):,} of {expected:,}"
            curated = table.name in {each.name for each in curated_tables()}  # others have rows of earlier rules, too
            if came < expected and curated:
                what += "; restore the others from a backup"
            self._note(f"{table.path}/{file.path}", came >= expected or not curated, what)

    def _rows_beside(self, table: Table, file: DataFile) -> int:
        """Return how many rows a table has in the partition of a file, between its symbols and days."""
        stored = self._reprocessor.curator.tables[table.name]
        lowest, highest = (file.statistics.get(part, {}) for part in ("minValues", "maxValues"))
        where = pl.lit(True)
        values = {c: (v, v) for c, v in file.partition.items()}
        values |= {c: (lowest[c], highest[c]) for c in ("symbol", *DAYS) if c in lowest and c in highest}
        for name, texts in values.items():
            column, kind = pl.Series(texts), table.schema[name]
            low, high = map(pl.lit, column.str.to_date() if kind == pl.Date else column.cast(kind))
            where &= pl.col(name).is_between(low, high) | pl.col(name).is_null()
        counted = stored.collect(stored.scan().filter(where).select(pl.len()))
        return int(counted.item())
