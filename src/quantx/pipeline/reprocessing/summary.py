"""The summary of a reprocessing: counts and examples of the changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from quantx.core.prices import PRICES
from quantx.core.tables import QUARANTINE, TABLES
from quantx.pipeline.reprocessing.table_changes import QUOTED, Change

_EXAMPLES = 10
_SHOWN = (*PRICES, "volume", "value", "known_from")


@dataclass(kw_only=True)
class ReprocessSummary:
    """Counts over all batches, and some examples."""

    policy: int
    dry_run: bool = False
    symbols: int = 0
    replies: int = 0
    commits: int = 0
    tables: dict[str, dict[str, int]] = field(default_factory=dict)  # new, changed, gone by table
    rules: dict[str, dict[str, int]] = field(default_factory=dict)  # rows rejected, passed by rule
    examples: list[dict[str, Any]] = field(default_factory=list)
    derived: set[tuple[str, str]] = field(default_factory=set)  # sources and symbols
    touched: set[tuple[str, str]] = field(default_factory=set)  # sources and symbols with a change that readers see
    left: dict[tuple[str, str], str] = field(default_factory=dict)  # the reasons why a source's symbol stays unchanged
    mute: Mapping[str, str] = field(default_factory=dict)  # reasons, by raw object that does not list its replies

    @property
    def rows(self) -> int:
        """Return how many rows are new, changed or gone in the tables that readers see."""
        return sum(sum(counts.values()) for name, counts in self.tables.items() if name != QUARANTINE.name)

    def touch(self, changes: Mapping[str, Change]) -> None:
        """Note the symbols of changes before they are committed: a conflict may come between two tables."""
        for name, change in changes.items():
            if name != QUARANTINE.name and not name.endswith("_revisions"):
                self.touched |= {pair for rows in (change.new, change.changed, change.gone) for pair in _pairs(rows)}

    def count(self, source: str, symbols: Sequence[str], replies: int, changes: Mapping[str, Change]) -> None:
        """Add what one batch changes."""
        self.derived |= {(source, symbol) for symbol in symbols}
        self.symbols += len(symbols)
        self.replies += replies
        for name, change in changes.items():
            if name.endswith("_revisions"):
                continue
            counts = self.tables.setdefault(name, dict.fromkeys(("new", "changed", "gone"), 0))
            for what, rows in (("new", change.new), ("changed", change.changed), ("gone", change.gone)):
                counts[what] += rows.height
            if name == QUARANTINE.name:
                self._count_rules(change)
            else:
                self._show(name, change)

    def _count_rules(self, change: Change) -> None:
        """Count by rule: a row that breaks other rules than before counts for the rules that differ."""
        passes = pl.col("passed").is_not_null()
        rejected = _broken(pl.concat([change.new, change.changed.filter(~passes)]))
        passed = _broken(pl.concat([change.gone, change.changed.filter(passes)]))
        for what, pairs, others in (("rejected", rejected, passed), ("passed", passed, rejected)):
            fresh = pairs.join(others, on=pairs.columns, how="anti", nulls_equal=True)
            for rule, count in fresh["rules"].value_counts().sort("rules").rows():
                self.rules.setdefault(rule, {"rejected": 0, "passed": 0})[what] += count

    def _show(self, name: str, change: Change) -> None:
        key = list(TABLES[name].key)
        before, after = pl.concat([change.before, change.gone]), pl.concat([change.new, change.changed])
        kinds = {"new": change.new, "changed": change.changed, "gone": change.gone}
        for what, rows in kinds.items():
            for row in rows.sort(key).head(_EXAMPLES - len(self.examples)).select(key).iter_rows(named=True):
                place = pl.DataFrame([row], schema={c: rows.schema[c] for c in key})
                self.examples.append(
                    {
                        "table": name,
                        "what": what,
                        **row,
                        "before": _values(before, place),
                        "after": _values(after, place),
                    }
                )

    def as_facts(self) -> dict[str, Any]:
        """Return all of it as plain values."""
        return {
            "policy": self.policy,
            "dry_run": self.dry_run,
            "symbols": self.symbols,
            "replies": self.replies,
            "commits": self.commits,
            "tables": self.tables,
            "rules": self.rules,
            "examples": self.examples,
            "left": [{"source": s, "symbol": symbol, "reason": why} for (s, symbol), why in sorted(self.left.items())],
            "mute": dict(self.mute),
        }


def _values(rows: pl.DataFrame, place: pl.DataFrame) -> dict[str, Any] | None:
    matches = rows.join(place, on=place.columns, how="semi", nulls_equal=True)
    columns = [c for c in _SHOWN if c in matches.columns]
    return matches.select(columns).row(0, named=True) if matches.height else None


def _pairs(rows: pl.DataFrame) -> list[tuple[str, str]]:
    return [(source, symbol) for source, symbol in rows.select("source", "symbol").unique().iter_rows()]


def _broken(rows: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each rejected row and rule that it breaks."""
    return rows.select(*QUOTED, pl.col("rules").str.split(",")).explode("rules").unique()
