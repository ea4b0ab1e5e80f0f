"""Compare the splits and dividends of all pairs of vendors in the lake, where both could have sent them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import combinations

import polars as pl

from quantx.core.coverage import LATE
from quantx.core.model import Series, Window
from quantx.core.quality.action_comparison import EVENT, comparable_events, compare_actions
from quantx.core.quality.action_verdicts import EventWitness, decide_events, lacking, price_steps
from quantx.core.quality.adjustments import AGREEING
from quantx.core.quality.vendor_comparison import comparable
from quantx.core.tables import ACTIONS, ADJUSTMENT_PROOFS, BARS_1D
from quantx.lake.protocol import Tables
from quantx.pipeline.planning.vendor_order import Providers, capabilities_of
from quantx.state.series.port import SeriesBook

_SYMBOLS_AT_ONCE = 500
_PAID = timedelta(days=60)  # a vendor that files dividends by their payment may have one only after so long
_UNCLEAR = "unexplained"  # of an adjusted close: it contradicts no event in particular


@dataclass(frozen=True, kw_only=True)
class ActionPair:
    """Two vendors' events of some symbols: the numbers that both have, and those in which they differ, decided."""

    a: str
    b: str
    both: pl.DataFrame  # symbol, events: of the days that both vendors cover
    judged: pl.DataFrame  # as of `decide_events`


@dataclass(frozen=True)
class EventDays:
    """The days on which vendors could have sent events: between their first and last bar, and requested."""

    series: SeriesBook
    providers: Providers
    now: datetime
    spans: Mapping[tuple[str, str], tuple[date, date]]  # first and last session, by vendor and symbol

    def covered(self, events: pl.DataFrame, source: str) -> pl.DataFrame:
        """Return the events (with symbol and ex_date) of other vendors that this one should have, if they are real."""
        if events.is_empty():
            return events
        can = capabilities_of(self.providers, source)
        apart = can is not None and "actions" in can.datasets
        known = self.now.date() - (_PAID if apart else LATE)
        rows = [(s, *self.spans[source, s]) for s in events["symbol"].unique() if (source, s) in self.spans]
        spans = pl.DataFrame(rows, schema={"symbol": pl.String, "first": pl.Date, "last": pl.Date}, orient="row")
        inside = events.join(spans, on="symbol").filter(
            pl.col("ex_date") > pl.col("first"), pl.col("ex_date") <= pl.col("last"), pl.col("ex_date") <= known
        )
        dataset = "actions" if apart else "bars"
        windows = [
            (Series(source, dataset, "1d", symbol), Window(first, last))
            for symbol, first, last in inside.group_by("symbol")
            .agg(first=pl.col("ex_date").min(), last=pl.col("ex_date").max())
            .iter_rows()
        ]
        gaps = self.series.uncovered(windows, self.now, 0) if windows else {}
        parts = [(symbol, w.start, w.end) for symbol, some in gaps.items() for w in some]
        uncovered = pl.DataFrame(parts, schema={"symbol": pl.String, "from": pl.Date, "to": pl.Date}, orient="row")
        never = inside.join(uncovered, on="symbol").filter(pl.col("ex_date").is_between("from", "to"))
        return inside.join(never, on=["symbol", "ex_date"], how="anti").select(events.columns)


def event_days(series: SeriesBook, providers: Providers, now: datetime) -> EventDays:
    """Return the days of events of all vendors with daily bars."""
    spans = {
        (row["source"], row["symbol"]): (row["first_session"], row["watermark"])
        for row in series.manifest()
        if (row["dataset"], row["timeframe"]) == ("bars", "1d") and row["first_session"] is not None
    }
    return EventDays(series, providers, now, spans)


def compare_vendor_actions(
    tables: Tables, days: EventDays, symbols: Sequence[str], start: date | None = None, end: date | None = None
) -> Iterator[ActionPair]:
    """Yield the comparison of each pair of vendors over these symbols; the other vendors act as witnesses."""
    for at in range(0, len(symbols), _SYMBOLS_AT_ONCE):
        some = symbols[at : at + _SYMBOLS_AT_ONCE]
        wanted = pl.col("symbol").is_in(some) & (pl.col("ex_date") >= start if start else pl.lit(True))
        rows = tables[ACTIONS.name].read(wanted & (pl.col("ex_date") <= end if end else pl.lit(True)))
        by_source = {str(source): comparable_events(part) for (source,), part in rows.group_by("source")}
        vendors = sorted({source for source, symbol in days.spans if symbol in set(some)})
        for a, b in combinations([v for v in vendors if v in by_source or _lists_events(days.providers, v)], 2):
            yield _pair(tables, days, by_source, a, b)


def _lists_events(providers: Providers, source: str) -> bool:
    """Return whether a vendor's replies have events: those with fully adjusted prices only have none."""
    can = capabilities_of(providers, source)
    return can is not None and can.price_basis != "fully_adjusted"


def _pair(tables: Tables, days: EventDays, events: Mapping[str, pl.DataFrame], a: str, b: str) -> ActionPair:
    none = comparable_events(ACTIONS.empty())
    here, there = events.get(a, none), events.get(b, none)
    both = here.join(there, on=EVENT, how="semi").group_by("symbol").agg(pl.len().alias("events"))
    odd = compare_actions(here, there)
    uncovered = [_never_sent(lacking(odd, side), days, name) for side, name in (("a", a), ("b", b))]
    odd = odd.join(pl.concat(uncovered), on=EVENT, how="anti")
    if odd.is_empty():
        return ActionPair(a=a, b=b, both=both, judged=decide_events(odd, [], (odd, odd), (_NO_STEPS, _NO_STEPS)))
    others = [EventWitness(name, rows, days.covered(odd, name)) for name, rows in events.items() if name not in (a, b)]
    judged = decide_events(odd, others, _contradicted(tables, odd, a, b), _steps(tables, days.providers, odd))
    return ActionPair(a=a, b=b, both=both, judged=judged)


_NO_STEPS = price_steps(BARS_1D.empty())


def _never_sent(events: pl.DataFrame, days: EventDays, source: str) -> pl.DataFrame:
    """Return the events that a vendor lacks because it was not requested for them, or has no bars then."""
    return events.join(days.covered(events, source), on=EVENT, how="anti").select(EVENT)


def _contradicted(tables: Tables, odd: pl.DataFrame, a: str, b: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the days (symbol, ex_date) on which adjusted closes contradict the events of `a`, and those of `b`."""
    wanted = pl.col("symbol").is_in(odd["symbol"].unique().to_list()) & pl.col("source").is_in([a, b])
    proofs = tables[ADJUSTMENT_PROOFS.name].read(wanted)
    proofs = proofs.filter(~pl.col("verdict").is_in([*AGREEING, _UNCLEAR]))
    days = [proofs.filter(pl.col("source") == name).select("symbol", "ex_date") for name in (a, b)]
    return days[0], days[1]


def _steps(tables: Tables, providers: Providers, odd: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the steps of the price that show splits, and those that show dividends.

    A vendor with split-adjusted prices shows the splits that it lists, whether they are real or not.
    """
    wanted = pl.col("symbol").is_in(odd["symbol"].unique().to_list())
    bars = tables[BARS_1D.name].read(wanted)
    whole = [
        comparable(part).with_columns(pl.lit(str(name)).alias("source")) for (name,), part in bars.group_by("source")
    ]
    if not whole:
        return _NO_STEPS, _NO_STEPS
    traded = pl.concat(whole).select("source", "symbol", "date", "close")
    as_sent = [name for name in traded["source"].unique() if _is_as_traded(providers, name)]
    return price_steps(traded.filter(pl.col("source").is_in(as_sent))), price_steps(traded)


def _is_as_traded(providers: Providers, source: str) -> bool:
    can = capabilities_of(providers, source)
    return can is not None and can.price_basis == "as_traded"
