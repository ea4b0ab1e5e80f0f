"""Damages of a lake, and the findings about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

from quantx.core.features.tables import FEATURE_TABLES
from quantx.core.model import Finding
from quantx.core.option_tables import is_of_options
from quantx.core.quality.operational_rules import DAMAGED_OBJECT, DOUBLED_KEYS
from quantx.core.tables import ACTION_VERDICTS, AGREEMENTS, VERDICTS
from quantx.pipeline.curating.derive import derived_tables

DamageKind = Literal["raw", "file", "entry", "checkpoint", "hint", "doubled", "repair"]
WORK = "meta/repair.json"  # what a repair is deriving again; it is there only while one is under way
COMPARED = frozenset(table.name for table in (AGREEMENTS, VERDICTS, ACTION_VERDICTS))  # by comparing vendors


def is_rederived(table: str) -> bool:
    """Return whether the rows of a table can be derived from the raw zone."""
    return any(table == each.name for each in derived_tables())


def is_rebuilt(table: str) -> bool:
    """Return whether `quantx features build` makes the rows of a table."""
    return any(table == each.name for each in FEATURE_TABLES)


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One damaged object, or the duplicate keys of a table, with the rows that depend on it."""

    kind: DamageKind
    path: str  # of the object; of duplicate keys: of the table
    what: str  # the fact, as the end of a sentence about the object
    table: str = ""  # "": a raw object
    source: str = ""
    symbols: tuple[str, ...] = ()  # all of them where `kind` is raw or doubled, else the first and the last
    first_day: date | None = None
    last_day: date | None = None
    rows: int | None = None
    needed: bool = True  # false: no reader of the newest version needs it
    parts: Sequence[Mapping[str, Any]] = ()  # of a raw object: its replies and rows, by table and symbol

    @property
    def message(self) -> str:
        """Return the fact, what depends on it, and the next step."""
        return f"{self.path} {self.what}{self._dependents()}; {self._next_step()}"

    def _dependents(self) -> str:
        if self.rows is None:
            return ""
        about = " to ".join(dict.fromkeys(self.symbols[:1] + self.symbols[-1:])) or "no symbol"
        if self.kind in ("raw", "doubled"):
            about = ", ".join(self.symbols[:5]) + (f" and {len(self.symbols) - 5} more" if self.symbols[5:] else "")
        days = "" if self.first_day is None else f", {self.first_day} to {self.last_day}"
        return f": {self.rows:,} rows of {self.source or self.table} depend on it ({about or 'no symbol'}{days})"

    def _next_step(self) -> str:
        if self.kind == "raw":
            return "restore it from a backup; curated rows from it stay"
        derived = is_rederived(self.table) or is_rebuilt(self.table) or (self.table in COMPARED and self.kind == "file")
        if derived or self.kind in ("checkpoint", "hint", "repair") or not self.needed:
            return "`quantx verify --repair` repairs it"
        if self.kind == "doubled":
            return "`quantx verify --repair` keeps the newest row of each key"
        if is_of_options(self.table):
            return "restore it from a backup, options are not derived again (`quantx verify --repair` mends one bit)"
        return "`quantx verify --repair` tries to, and a backup restores it: the raw zone does not have these rows"

    def finding(self) -> Finding:
        """Return the finding to record."""
        return Finding(
            DOUBLED_KEYS if self.kind == "doubled" else DAMAGED_OBJECT,
            "error" if self.needed else "warn",
            self.path,
            self.message,
            source=self.source,
            dataset=self.table,
            facts=self.as_facts(),
        )

    def as_facts(self) -> dict[str, Any]:
        """Return the damage as plain values."""
        return {
            "kind": self.kind,
            "path": self.path,
            "what": self.what,
            "table": self.table,
            "source": self.source,
            "symbols": list(self.symbols),
            "first_day": self.first_day,
            "last_day": self.last_day,
            "rows": self.rows,
            "needed": self.needed,
            "parts": [dict(part) for part in self.parts],
        }


@dataclass(frozen=True)
class Repair:
    """The outcome of the repair of one damage."""

    path: str
    done: bool
    what: str


@dataclass(kw_only=True)
class Verified:
    """The result of a verification."""

    damages: list[Damage] = field(default_factory=list)
    repairs: list[Repair] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    undigested: int = 0  # objects of earlier programs, which could only be decoded and compared
    intact: list[str] = field(default_factory=list)  # the objects that were read and are not damaged

    @property
    def left(self) -> list[Damage]:
        """Return the damages that no repair has mended."""
        mended = {repair.path for repair in self.repairs if repair.done}
        return [damage for damage in self.damages if damage.path not in mended]

    def as_facts(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "undigested": self.undigested,
            "damaged": [damage.as_facts() for damage in self.damages],
            "repairs": [vars(repair) for repair in self.repairs],
            "left": len(self.left),
        }
