"""Symbol history: a security keeps its permanent id while its symbol changes, and symbols are reused.

A `Naming` is the period in which an instrument carried a symbol. On one day a symbol belongs to at most one instrument,
and an instrument has at most one symbol. `SymbolHistory` holds namings that fulfil both rules.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise

import polars as pl

from quantx.core.symbols import venue_of
from quantx.core.tables import SYMBOL_HISTORY
from quantx.errors import ConfigError


@dataclass(frozen=True)
class Naming:
    """An instrument carried a symbol for some time; both days are inclusive."""

    instrument: str
    symbol: str
    first: date | None  # None: since before the record began
    last: date | None  # None: still

    @property
    def begins(self) -> date:
        """Return the first day, or the first day of the calendar."""
        return self.first or date.min

    @property
    def ends(self) -> date:
        """Return the last day, or the last day of the calendar."""
        return self.last or date.max

    def on(self, day: date) -> bool:
        """Return whether the instrument carried the symbol on a day."""
        return self.begins <= day <= self.ends

    def overlaps(self, first: date | None, last: date | None) -> bool:
        """Return whether the instrument carried the symbol on any day from `first` to `last`."""
        return self.begins <= (last or date.max) and self.ends >= (first or date.min)

    def describe(self) -> str:
        """Return the naming as a text for messages.

        >>> Naming("us.FB.20120518", "FB", date(2012, 5, 18), date(2022, 6, 8)).describe()
        'us.FB.20120518 (FB from 2012-05-18 to 2022-06-08)'
        """
        return f"{self.instrument} ({self.symbol} from {self.first or 'the beginning'} to {self.last or 'now'})"


@dataclass(frozen=True)
class SecurityHistory:
    """The symbol history of one security, as a source gives it."""

    namings: tuple[Naming, ...]  # all of its symbols, in order
    market: str
    evidence: str  # the source: a file and its SHA-256, or a person
    _: KW_ONLY
    name: str | None = None
    reason: str | None = None  # why it ended
    asset_class: str | None = None  # None: that which the form of its symbol shows


class SymbolHistory:
    """Namings that do not contradict one another."""

    def __init__(self, namings: Iterable[Naming] = ()) -> None:
        """Take the namings; raise ConfigError where two of them contradict each other."""
        self._by_symbol: dict[str, list[Naming]] = defaultdict(list)
        self._by_instrument: dict[str, list[Naming]] = defaultdict(list)
        for naming in sorted(set(namings), key=lambda n: (n.begins, n.instrument, n.symbol)):
            if naming.begins > naming.ends:
                raise ConfigError(f"{naming.describe()} ends before it begins")
            self._by_symbol[naming.symbol].append(naming)
            self._by_instrument[naming.instrument].append(naming)
        _check_overlaps(self._by_symbol.values(), "one symbol for two securities")
        _check_overlaps(self._by_instrument.values(), "two symbols for one security")

    def __bool__(self) -> bool:
        return bool(self._by_instrument)

    def __contains__(self, symbol: str) -> bool:
        """Return whether any instrument carried a symbol."""
        return symbol in self._by_symbol

    def is_of_none(self, symbols: Iterable[str]) -> bool:
        """Return whether no instrument carried any of these symbols."""
        return self._by_symbol.keys().isdisjoint(symbols)

    @property
    def namings(self) -> list[Naming]:
        """Return all namings, by instrument and first day."""
        return [naming for each in sorted(self._by_instrument) for naming in self._by_instrument[each]]

    def resolve(self, symbol: str, on: date) -> str | None:
        """Return the instrument that carried a symbol on a day; None where none is known."""
        return next((n.instrument for n in self._by_symbol.get(symbol, ()) if n.on(on)), None)

    def namings_of(self, symbol: str, first: date | None = None, last: date | None = None) -> list[Naming]:
        """Return the namings of a symbol on any day from `first` to `last`, the earliest first."""
        return [n for n in self._by_symbol.get(symbol, ()) if n.overlaps(first, last)]

    def symbols_of(self, instrument: str, first: date | None = None, last: date | None = None) -> list[Naming]:
        """Return the namings of an instrument on any day from `first` to `last`, the earliest first."""
        return [n for n in self._by_instrument.get(instrument, ()) if n.overlaps(first, last)]

    def find_instrument(self, symbol: str, first: date | None, last: date | None, on: date | None = None) -> str | None:
        """Return the instrument that a symbol means in a request for the days from `first` to `last`.

        With `on`, it is the instrument that carried the symbol on that day. Without a last day, it is the one that
        carries the symbol now. Otherwise it is the only one that carried it in that period. None: the symbol has no
        history. ConfigError where several instruments carried it: a guess would mix securities.
        """
        if on is not None:
            return self.resolve(symbol, on) or self._only_instrument(symbol)
        within = self.namings_of(symbol, first, last)
        if last is None and within and within[-1].last is None:
            return within[-1].instrument
        instruments = list(dict.fromkeys(n.instrument for n in within))
        if len(instruments) > 1:
            carried = ", ".join(n.describe() for n in within)
            raise ConfigError(
                f"{symbol} was the symbol of several securities in that time: {carried};"
                f" request days of one of them, or choose one with on='{within[-1].last or within[-1].first}'"
            )
        # Outside of that period an instrument may have carried the symbol before or after, as META in 2015.
        return instruments[0] if instruments else self._only_instrument(symbol)

    def _only_instrument(self, symbol: str) -> str | None:
        instruments = {n.instrument for n in self._by_symbol.get(symbol, ())}
        if len(instruments) > 1:
            raise ConfigError(
                f"no security carried {symbol} in that time, and several did at other times:"
                f" {', '.join(n.describe() for n in self._by_symbol[symbol])}; choose one with on= and a day"
            )
        return next(iter(instruments), None)

    def latest_symbol(self, symbol: str, on: date) -> str:
        """Return the last symbol of the instrument that carried `symbol` on a day; `symbol` itself if none is known."""
        instrument = self.resolve(symbol, on)
        return symbol if instrument is None else self._by_instrument[instrument][-1].symbol

    def life(self, instrument: str) -> tuple[date, date]:
        """Return the first and the last day of all namings of an instrument."""
        namings = self._by_instrument[instrument]
        return namings[0].begins, namings[-1].ends


def history_of(rows: pl.DataFrame) -> SymbolHistory:
    """Return the symbol history in the rows of the table `symbol_history`."""
    columns = ("instrument", "symbol", "symbol_from", "symbol_to")
    return SymbolHistory(Naming(*row) for row in rows.select(columns).iter_rows())


def history_rows(history: SymbolHistory, evidence: Mapping[str, str], known_from: datetime) -> pl.DataFrame:
    """Return a symbol history as rows of the table `symbol_history`; `evidence` is the source by instrument."""
    rows = [(n.instrument, n.symbol, n.first, n.last, evidence.get(n.instrument), known_from) for n in history.namings]
    return pl.DataFrame(rows, schema=dict(SYMBOL_HISTORY.schema), orient="row")


def merge_history(known: SymbolHistory, namings: Iterable[Naming]) -> tuple[SymbolHistory, dict[str, str]]:
    """Return the history with all namings of some instruments from a source, and the permanent ids by source id.

    A known instrument keeps its permanent id, whatever id the source uses: it is the one that carried one of the
    symbols on one of the days. ConfigError where the source and the known history contradict each other.
    """
    chains: dict[str, list[Naming]] = defaultdict(list)
    for naming in namings:
        chains[naming.instrument].append(naming)
    ids = {instrument: _permanent_id(known, instrument, chain) for instrument, chain in chains.items()}
    twice = next((i for i, count in Counter(ids.values()).items() if count > 1), None)
    if twice is not None:
        both = ", ".join(name for name, i in ids.items() if i == twice)
        raise ConfigError(f"{twice} is one security, but the source has several with its symbols: {both}")
    replaced = set(ids.values())
    kept = [n for n in known.namings if n.instrument not in replaced]
    fresh = [replace(n, instrument=ids[n.instrument]) for chain in chains.values() for n in chain]
    return SymbolHistory([*kept, *fresh]), ids


def _permanent_id(known: SymbolHistory, instrument: str, chain: Sequence[Naming]) -> str:
    if known.symbols_of(instrument):
        return instrument
    matches = {b.instrument: b for n in chain for b in known.namings_of(n.symbol, n.first, n.last)}
    if len(matches) > 1:
        raise ConfigError(
            f"{chain[-1].describe()} matches several known securities:"
            f" {', '.join(b.describe() for b in matches.values())}; correct the dates"
        )
    return next(iter(matches), instrument)


def with_end(known: SymbolHistory, symbol: str, last: date, new_id: str) -> tuple[SymbolHistory, str]:
    """Return the history with the last day of the security of a symbol, and its id (`new_id` for an unknown one).

    ConfigError where no security had the symbol by that day, or where it continued under another symbol.
    """
    namings = known.namings_of(symbol)
    if not namings:
        return SymbolHistory([*known.namings, Naming(new_id, symbol, None, last)]), new_id
    begun = [n for n in namings if n.begins <= last]
    if not begun or known.symbols_of(begun[-1].instrument)[-1] != begun[-1]:
        carried = ", ".join(n.describe() for n in namings)
        raise ConfigError(f"no security with the symbol {symbol} can have ended on {last}: {carried}")
    final = replace(begun[-1], last=last)
    return SymbolHistory([final if n == begun[-1] else n for n in known.namings]), final.instrument


def symbols_on(known: SymbolHistory, symbols: Iterable[str], on: date) -> list[str]:
    """Return the symbols under which the securities of `symbols` trade on a day.

    A renamed security has its new symbol, an ended one has none. An unknown symbol stays.
    """
    current: list[str] = []
    for symbol in symbols:
        namings = known.namings_of(symbol, None, on)
        latest = known.symbols_of(namings[-1].instrument, None, on)[-1] if namings else None
        if latest is None or known.resolve(symbol, on) is not None:
            current.append(symbol)
        elif latest.on(on):
            current.append(latest.symbol)
    return list(dict.fromkeys(current))


def naming_chain(
    instrument: str, changes: Sequence[tuple[date, str]], first: date | None, last: date | None
) -> list[Naming]:
    """Return namings from (last day, symbol) pairs in order; the last pair's day is replaced by `last`.

    >>> days = [(date(2014, 4, 2), "GOOG"), (date(2050, 12, 31), "GOOGL")]
    >>> [n.symbol for n in naming_chain("us.GOOG.20040819", days, date(2004, 8, 19), None)]
    ['GOOG', 'GOOGL']
    """
    ends: list[date | None] = [day for day, _ in changes[:-1]]
    starts = [first, *(end + timedelta(1) for end in ends if end is not None)]
    return [
        Naming(instrument, symbol, start, end)
        for (_, symbol), start, end in zip(changes, starts, [*ends, last], strict=True)
    ]


def _check_overlaps(groups: Iterable[Sequence[Naming]], problem: str) -> None:
    for group in groups:
        for earlier, later in pairwise(group):
            if earlier.ends >= later.begins:
                raise ConfigError(f"{problem} at one time: {earlier.describe()}, {later.describe()}")


def unnamed_instrument(symbol: str) -> str:
    """Return the id of a security whose symbol history is not known.

    >>> unnamed_instrument("BRK.B")
    'us.BRK.B'
    """
    return f"{venue_of(symbol).market}.{symbol}"
