"""Checks that no query is silently empty: which requested names the lake knows, and why they have no rows."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from quantx.core.fact_tables import FILINGS, FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.table import Table
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, QUARANTINE, SYMBOL_HISTORY, UNIVERSE_MEMBERS
from quantx.errors import IncompleteData, NotInLake
from quantx.lake.table_version import TableVersion, day_of
from quantx.reader.arguments import did_you_mean
from quantx.reader.handle import LakeHandle
from quantx.reader.point_in_time import NOW, PointInTime
from quantx.reader.selection import Selection
from quantx.reader.symbol_history import SymbolRequest

_SHOWN = 5  # names in a message
_ROWS = {
    BARS_1D.name: "daily bars",
    BARS_1M.name: "minute bars",
    ACTIONS.name: "actions",
    FUNDAMENTALS_FACTS.name: "facts",
    FUNDAMENTALS.name: "fundamentals",
    FILINGS.name: "filings",
}
_OTHERS = {
    BARS_1D.name: "bars of other days",
    BARS_1M.name: "minutes of other days, or outside of the regular session,",
}


@dataclass(frozen=True)
class StoredSpan:
    """The first and the last day of a symbol's stored rows, and since when the first of them is known."""

    first: date
    last: date
    known_from: datetime

    def __or__(self, other: StoredSpan) -> StoredSpan:
        return StoredSpan(
            min(self.first, other.first), max(self.last, other.last), min(self.known_from, other.known_from)
        )


# By table and vendor: the version of the table, and the span of each symbol at it; None: the symbol has no rows.
_Spans = dict[tuple[str, str | None], tuple[TableVersion | None, dict[str, StoredSpan | None]]]


class KnownNames(LakeHandle):
    """Symbols, vendors and universes that the lake knows."""

    def _check_bars(
        self,
        table: Table,
        requests: Sequence[SymbolRequest],
        present: Collection[str],
        *,
        source: str | None = None,
        moment: PointInTime = NOW,
    ) -> None:
        """Warn of requested symbols without rows; raise NotInLake for those that the lake does not know at all.

        It reads nothing if each symbol has rows.
        """
        absent = [each for each in requests if each.symbol not in present]
        if not absent:
            return
        kind = _ROWS[table.name]
        names = [each.symbol for each in absent]
        if self._stored.version(table) is None:
            step = f"`quantx backfill` fetches them{' with --timeframe 1m' if table is BARS_1M else ''}"
            warn_user(f"no {kind}: the lake {self.url} has no table {table.name} yet; {step}", names)
            return
        self._check_source(table, source)
        spans = self._spans_of(table, absent, source, moment)
        never = [each for each in absent if each.symbol not in spans]
        self._check_known(never)
        warn_user(self._absence(table, requests, absent, spans, source, moment), names)

    def _check_symbols(self, requests: Sequence[SymbolRequest], present: Collection[str], moment: PointInTime) -> None:
        """Check symbols without actions: it is usual, if they have bars that were known then."""
        absent = [each for each in requests if each.symbol not in present]
        if not absent or self._stored.version(BARS_1D) is None:
            return
        spans = self._spans_of(BARS_1D, absent, None, moment)
        never = [each for each in absent if each.symbol not in spans]
        self._check_known(never)
        late = {
            name: span for name, span in spans.items() if moment.as_of is not None and span.known_from > moment.as_of
        }
        if late:
            since = _instant(min(span.known_from for span in late.values()))
            warn_user(f"no actions of {names_in(list(late))}: nothing of it was known before {since}", list(late))
        elif never:
            names = [each.symbol for each in never]
            warn_user(f"no actions of {names_in(names)}: never fetched; {_step(names)}", names)

    def _check_carried(self, symbols: Sequence[str], present: Iterable[str]) -> None:
        """Raise NotInLake for symbols that are not in a result and that the lake does not know."""
        absent = set(symbols).difference(present)
        if absent and self._stored.version(BARS_1D) is not None:
            self._check_known([SymbolRequest(symbol, None) for symbol in symbols if symbol in absent])

    def _check_source(self, table: Table, source: str | None) -> None:
        """Raise NotInLake for a vendor without rows in a table."""
        if source is None:
            return
        known = self._sources_in(table)
        if known and source not in known:
            raise NotInLake(
                f"the lake has no {_ROWS[table.name]} of the source {source!r}{did_you_mean(source, known)};"
                f" it has some of {', '.join(known)}",
                [source],
            )

    def _check_known(self, requests: Sequence[SymbolRequest]) -> None:
        """Raise NotInLake for symbols without rows in any table, universe or symbol history."""
        if not requests:
            return
        known = self._declared_symbols()
        unknown = [each.symbol for each in requests if each.symbol not in known]
        for table in (BARS_1D, BARS_1M, BARS_1D_ADJUSTED, ACTIONS, QUARANTINE):
            if unknown:
                found = set(self._stored.rows(table, Selection.of(unknown), ["symbol"])["symbol"])
                unknown = [name for name in unknown if name not in found]
        if unknown:
            known = known.union(self._symbols_in(BARS_1D))
            alike = did_you_mean(unknown[0], known) if len(unknown) == 1 else ""
            raise NotInLake(
                f"the lake knows no symbol {names_in(unknown, 'or')}{alike}; `quantx show-manifest`"
                f" and lake.symbols() list the known ones, {_step(unknown)}",
                unknown,
            )

    def _sources_in(self, table: Table) -> list[str]:
        files = self._stored[table.name].files()
        column = "partition.source"
        return files[column].unique().sort().to_list() if column in files.columns else []

    def _declared_symbols(self) -> set[str]:
        """Return the symbols that universes and the symbol history have."""
        tables = (UNIVERSE_MEMBERS, SYMBOL_HISTORY)
        return {symbol for table in tables for symbol in self._stored.rows(table)["symbol"]}

    def _spans_of(
        self, table: Table, requests: Sequence[SymbolRequest], source: str | None, moment: PointInTime
    ) -> dict[str, StoredSpan]:
        """Return the stored span of each requested symbol with rows, under any symbol of its security."""
        securities = self._securities()
        stored = {each.symbol: securities.stored_symbols([each]) for each in requests}
        every = list(dict.fromkeys(symbol for symbols in stored.values() for symbol in symbols))
        by_symbol = self._spans(table, every, source)
        if moment.as_of is not None:  # the first known values may have been replaced since
            earlier = self._spans(table.revisions, every, source)
            by_symbol = {name: _either(by_symbol[name], earlier[name]) for name in every}
        spans: dict[str, StoredSpan] = {}
        for symbol, names in stored.items():
            for span in (by_symbol[name] for name in names):
                if span is not None:
                    spans[symbol] = span if symbol not in spans else spans[symbol] | span
        return spans

    def _spans(self, table: Table, symbols: Sequence[str], source: str | None) -> Mapping[str, StoredSpan | None]:
        """Return the span of each stored symbol; repeated calls read a symbol once per version of the table."""
        version = self._stored.version(table)
        known = self._memo.get((table.name, source))
        if known is None or known[0] is not version:
            known = self._memo[table.name, source] = (version, {})
        spans = known[1]
        fresh = [symbol for symbol in symbols if symbol not in spans]
        if fresh:
            day = day_of(table)
            rows = self._stored.rows(table, Selection.of(fresh, source), ["symbol", day, "known_from"])
            found = rows.group_by("symbol").agg(
                pl.col(day).min().alias("first"), pl.col(day).max().alias("last"), pl.col("known_from").min()
            )
            spans |= dict.fromkeys(fresh) | {row[0]: StoredSpan(*row[1:]) for row in found.iter_rows()}
        return spans

    @property
    def _memo(self) -> _Spans:
        memo: _Spans = self.__dict__.setdefault("_spans_by_table", {})
        return memo

    def _absence(
        self,
        table: Table,
        requests: Sequence[SymbolRequest],
        absent: Sequence[SymbolRequest],
        spans: Mapping[str, StoredSpan],
        source: str | None,
        moment: PointInTime,
    ) -> str:
        """Return the text of a warning: how many symbols have no rows, which, and why."""
        names = [each.symbol for each in absent]
        of = (
            names_in(names) if len(requests) == 1 else f"{len(names):,} of {len(requests):,} symbols: {names_in(names)}"
        )
        who = f"no {_ROWS[table.name]}{'' if source is None else f' from {source}'} of {of}"
        as_of = moment.as_of
        late = [spans[name] for name in names if name in spans and as_of and spans[name].known_from > as_of]
        never = len(names) - len(spans)
        elsewhere = len(spans) - len(late)
        reasons = []
        if late:
            since = _instant(min(span.known_from for span in late))
            begin = self._known_since(table)
            if begin is not None and as_of is not None and begin > as_of:
                reasons.append(f"as_of is before the first ingestion; anything is known since {_instant(begin)}")
            else:
                reasons.append(f"{_share(len(late), names)}known since {since}, after as_of")
        if elsewhere:
            first, last = (
                f(getattr(span, end) for span in spans.values()) for f, end in ((min, "first"), (max, "last"))
            )
            reasons.append(f"{_share(elsewhere, names)}{_OTHERS[table.name]} only, from {first} to {last}")
        if never:
            fresh = [name for name in names if name not in spans]
            reasons.append(f"{_share(never, names)}never fetched; {_step(fresh)}")
        return f"{who} ({'; '.join(reasons)})"

    def _known_since(self, table: Table) -> datetime | None:
        """Return the time of the first ingestion into a table, from the statistics of its files."""
        firsts = []
        for name in (table.name, table.revisions.name):
            files = self._stored[name].files()
            if "min.known_from" in files.columns and (first := files["min.known_from"].min()) is not None:
                firsts.append(first)
        return min(firsts, default=None)  # type: ignore[return-value]


def names_in(names: Sequence[str], last: str = "and") -> str:
    """Return the first names for a message, and how many more there are."""
    if len(names) > _SHOWN + 1:
        return f"{', '.join(names[:_SHOWN])} {last} {len(names) - _SHOWN:,} more"
    return f" {last} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)


_COLLECTED: ContextVar[list[IncompleteData] | None] = ContextVar("collected_warnings", default=None)


@contextmanager
def collected_warnings() -> Iterator[list[IncompleteData]]:
    """Collect the warnings of the queries in the `with` block, in this thread, instead of warning.

    A server can't use `warnings.catch_warnings`: it changes the filters of all threads.
    """
    found: list[IncompleteData] = []
    token = _COLLECTED.set(found)
    try:
        yield found
    finally:
        _COLLECTED.reset(token)


def warn_user(message: str, names: Sequence[str] = ()) -> None:
    """Warn with IncompleteData at the line outside of this package that called it."""
    if (collected := _COLLECTED.get()) is not None:
        collected.append(IncompleteData(message, names))
        return
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith("quantx."):
        level, frame = level + 1, frame.f_back
    warnings.warn(IncompleteData(message, names), stacklevel=level)


def _either(a: StoredSpan | None, b: StoredSpan | None) -> StoredSpan | None:
    return a | b if a is not None and b is not None else a or b


def _instant(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _share(count: int, names: Sequence[str]) -> str:
    return "" if len(names) == 1 else f"{count:,} "


def _step(symbols: Sequence[str]) -> str:
    given = ",".join(symbols[:_SHOWN]) + (",…" if len(symbols) > _SHOWN else "")
    return f"`quantx backfill --symbols {given} --start 2000-01-01` fetches {'it' if len(symbols) == 1 else 'them'}"
