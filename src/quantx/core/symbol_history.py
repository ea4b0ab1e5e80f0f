"""Who carried which symbol when: a security keeps its permanent id while its symbol changes, and symbols are reused.

A `Naming` says that an instrument carried a symbol from its first to its last day. On one day a symbol belongs to one
instrument at most, and an instrument has one symbol at most; an `SymbolHistory` holds namings for which that is true.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise

import polars as pl

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
        """Tell whether the symbol was carried on a day."""
        return self.begins <= day <= self.ends

    def overlaps(self, first: date | None, last: date | None) -> bool:
        """Tell whether the symbol was carried on some day from `first` to `last`."""
        return self.begins <= (last or date.max) and self.ends >= (first or date.min)

    def describe(self) -> str:
        """Return the naming for people.

        >>> Naming("us.FB.20120518", "FB", date(2012, 5, 18), date(2022, 6, 8)).describe()
        'us.FB.20120518 (FB from 2012-05-18 to 2022-06-08)'
        """
        return f"{self.instrument} ({self.symbol} from {self.first or 'the beginning'} to {self.last or 'now'})"


@dataclass(frozen=True)
class SecurityHistory:
    """What a source tells about a security."""

    namings: tuple[Naming, ...]  # all of its symbols, in order
    market: str
    evidence: str  # where that was learnt: a file and its SHA-256, a person
    name: str | None = None
    reason: str | None = None  # why it ended


class SymbolHistory:
    """Namings that do not contradict one another."""

    def __init__(self, namings: Iterable[Naming] = ()) -> None:
        """Take the namings; ConfigError where two of them can't both be true."""
        self._by_symbol: dict[str, list[Naming]] = defaultdict(list)
        self._by_instrument: dict[str, list[Naming]] = defaultdict(list)
        for naming in sorted(set(namings), key=lambda n: (n.begins, n.instrument, n.symbol)):
            if naming.begins > naming.ends:
                raise ConfigError(f"{naming.describe()} ends before it begins")
            self._by_symbol[naming.symbol].append(naming)
            self._by_instrument[naming.instrument].append(naming)
        _one_at_a_time(self._by_symbol.values(), "one symbol for two securities")
        _one_at_a_time(self._by_instrument.values(), "two symbols for one security")

    def __bool__(self) -> bool:
        return bool(self._by_instrument)

    @property
    def namings(self) -> list[Naming]:
        """Return all namings, by instrument and first day."""
        return [naming for each in sorted(self._by_instrument) for naming in self._by_instrument[each]]

    def resolve(self, symbol: str, on: date) -> str | None:
        """Return the instrument that carried a symbol on a day; None where none is known."""
        return next((n.instrument for n in self._by_symbol.get(symbol, ()) if n.on(on)), None)

    def namings_of(self, symbol: str, first: date | None = None, last: date | None = None) -> list[Naming]:
        """Return who carried a symbol on some day from `first` to `last`, the earliest first."""
        return [n for n in self._by_symbol.get(symbol, ()) if n.overlaps(first, last)]

    def symbols_of(self, instrument: str, first: date | None = None, last: date | None = None) -> list[Naming]:
        """Return the symbols that an instrument carried on some day from `first` to `last`, the earliest first."""
        return [n for n in self._by_instrument.get(instrument, ()) if n.overlaps(first, last)]

    def find_instrument(self, symbol: str, first: date | None, last: date | None, on: date | None = None) -> str | None:
        """Return the instrument that somebody means by a symbol and the days from `first` to `last`.

        It is the one that carried the symbol `on` a day, where one is given. Otherwise it is who carries it now, if no
        last day was asked for, or else the only one that carried it in that time. None: the symbol has no history.
        ConfigError where several did: a guess would mix securities.
        """
        if on is not None:
            return self.resolve(symbol, on) or self._only_bearer(symbol)
        within = self.namings_of(symbol, first, last)
        if last is None and within and within[-1].last is None:
            return within[-1].instrument
        who = list(dict.fromkeys(n.instrument for n in within))
        if len(who) > 1:
            raise ConfigError(
                f"{symbol} was the symbol of several securities in that time: {', '.join(n.describe() for n in within)};"
                f" ask for days of one of them, or say which by on='{within[-1].last or within[-1].first}'"
            )
        # Who did not carry the symbol in that time may have done so before or after, as META in 2015.
        return who[0] if who else self._only_bearer(symbol)

    def _only_bearer(self, symbol: str) -> str | None:
        who = {n.instrument for n in self._by_symbol.get(symbol, ())}
        if len(who) > 1:
            raise ConfigError(
                f"nobody carried {symbol} in that time, and several securities did at others:"
                f" {', '.join(n.describe() for n in self._by_symbol[symbol])}; say which by on=, with a day"
            )
        return next(iter(who), None)

    def latest_symbol(self, symbol: str, on: date) -> str:
        """Return the last symbol of who carried `symbol` on a day; `symbol` itself where nobody is known."""
        instrument = self.resolve(symbol, on)
        return symbol if instrument is None else self._by_instrument[instrument][-1].symbol

    def life(self, instrument: str) -> tuple[date, date]:
        """Return the first and the last day on which an instrument carried a symbol."""
        namings = self._by_instrument[instrument]
        return namings[0].begins, namings[-1].ends


def history_of(history: pl.DataFrame) -> SymbolHistory:
    """Return what the rows of `symbol_history` say."""
    columns = ("instrument", "symbol", "symbol_from", "symbol_to")
    return SymbolHistory(Naming(*row) for row in history.select(columns).iter_rows())


def history_rows(history: SymbolHistory, evidence: Mapping[str, str], known_from: datetime) -> pl.DataFrame:
    """Return the rows of `symbol_history` that say it; `evidence` tells by instrument where it was learnt."""
    rows = [(n.instrument, n.symbol, n.first, n.last, evidence.get(n.instrument), known_from) for n in history.namings]
    return pl.DataFrame(rows, schema=dict(SYMBOL_HISTORY.schema), orient="row")


def merge_history(known: SymbolHistory, told: Iterable[Naming]) -> tuple[SymbolHistory, dict[str, str]]:
    """Return what is known after a source has told all about some instruments, and what their ids are here.

    An instrument that is known already keeps its permanent id, whatever the source calls it: it is the one that carries
    one of the symbols on one of the days. ConfigError where the source and the record contradict each other.
    """
    chains: dict[str, list[Naming]] = defaultdict(list)
    for naming in told:
        chains[naming.instrument].append(naming)
    names = {instrument: _known_as(known, instrument, chain) for instrument, chain in chains.items()}
    twice = next((i for i, count in Counter(names.values()).items() if count > 1), None)
    if twice is not None:
        both = ", ".join(name for name, i in names.items() if i == twice)
        raise ConfigError(f"{twice} is one security, and the source tells of several that carried its symbols: {both}")
    here = set(names.values())
    kept = [n for n in known.namings if n.instrument not in here]
    fresh = [replace(n, instrument=names[n.instrument]) for chain in chains.values() for n in chain]
    return SymbolHistory([*kept, *fresh]), names


def _known_as(known: SymbolHistory, instrument: str, chain: Sequence[Naming]) -> str:
    if known.symbols_of(instrument):
        return instrument
    met = {b.instrument: b for n in chain for b in known.namings_of(n.symbol, n.first, n.last)}
    if len(met) > 1:
        raise ConfigError(
            f"{chain[-1].describe()} would be several securities that are known:"
            f" {', '.join(b.describe() for b in met.values())}; correct the dates"
        )
    return next(iter(met), instrument)


def with_end(known: SymbolHistory, symbol: str, last: date, new_id: str) -> tuple[SymbolHistory, str]:
    """Return what is known once the security with this symbol had its last day, and its id (`new_id` for an unknown one).

    ConfigError where nobody had the symbol by then, or who had it went on under another one.
    """
    bearers = known.namings_of(symbol)
    if not bearers:
        return SymbolHistory([*known.namings, Naming(new_id, symbol, None, last)]), new_id
    begun = [n for n in bearers if n.begins <= last]
    if not begun or known.symbols_of(begun[-1].instrument)[-1] != begun[-1]:
        carried = ", ".join(n.describe() for n in bearers)
        raise ConfigError(f"on {last} no security with the symbol {symbol} can have ended: {carried}")
    ended = replace(begun[-1], last=last)
    return SymbolHistory([ended if n == begun[-1] else n for n in known.namings]), ended.instrument


def symbols_on(known: SymbolHistory, symbols: Iterable[str], on: date) -> list[str]:
    """Return under which symbols the securities of `symbols` trade on a day: renamed ones under the new one, ended ones not.

    What is not known trades as it is called.
    """
    found: list[str] = []
    for symbol in symbols:
        bearers = known.namings_of(symbol, None, on)
        latest = known.symbols_of(bearers[-1].instrument, None, on)[-1] if bearers else None
        if latest is None or known.resolve(symbol, on) is not None:
            found.append(symbol)
        elif latest.on(on):
            found.append(latest.symbol)
    return list(dict.fromkeys(found))


def naming_chain(
    instrument: str, changes: Sequence[tuple[date, str]], first: date | None, last: date | None
) -> list[Naming]:
    """Return namings from (last day, symbol) pairs in order; the last pair's day is replaced by `last`.

    >>> days = [(date(2014, 4, 2), "GOOG"), (date(2050, 12, 31), "GOOGL")]
    >>> [n.symbol for n in chain("us.GOOG.20040819", days, date(2004, 8, 19), None)]
    ['GOOG', 'GOOGL']
    """
    ends: list[date | None] = [day for day, _ in changes[:-1]]
    starts = [first, *(end + timedelta(1) for end in ends if end is not None)]
    return [
        Naming(instrument, symbol, start, end)
        for (_, symbol), start, end in zip(changes, starts, [*ends, last], strict=True)
    ]


def _one_at_a_time(groups: Iterable[Sequence[Naming]], wrong: str) -> None:
    for group in groups:
        for earlier, later in pairwise(group):
            if earlier.ends >= later.begins:
                raise ConfigError(f"{wrong} at one time: {earlier.describe()}, {later.describe()}")
