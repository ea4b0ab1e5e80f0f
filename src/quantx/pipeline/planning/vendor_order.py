"""Which vendors are asked for a symbol, and in which order they stand in for each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from quantx.core.model import Finding, Series, Window
from quantx.core.symbols import venue_of
from quantx.errors import ConfigError
from quantx.pipeline.runtime.context import Context
from quantx.settings import TIMEFRAMES
from quantx.state.series.port import SeriesProgress

_AT_REST = timedelta(days=30)  # without a bar
_EVENTS_BACK = timedelta(days=60)  # from the ex-date to the payment it is a month, seldom two
_REST = timedelta(days=7)  # before a daily update asks again what has no bars or was refused

Orders = Mapping[str, tuple[str, ...]]  # by symbol: the vendors, the first one first
Known = Mapping[str, Mapping[str, SeriesProgress]]  # by vendor and symbol


def orders_of(context: Context, symbols: Sequence[str], timeframe: str, source: str | None) -> Orders:
    """Return each symbol's vendors: the one that was asked for, or those that the settings declare for its market."""
    if timeframe not in TIMEFRAMES:
        raise ConfigError(f"there is no timeframe {timeframe!r}; there is {', '.join(TIMEFRAMES)}")
    by_market: dict[str, tuple[str, ...]] = {}
    for symbol in symbols:
        market = venue_of(symbol).market
        if market not in by_market:
            by_market[market] = _order(context, market, timeframe, source)
    return {symbol: by_market[venue_of(symbol).market] for symbol in symbols}


def _order(context: Context, market: str, timeframe: str, source: str | None) -> tuple[str, ...]:
    if source is not None:
        _check(context, source, market, timeframe)
        return (source,)
    declared = context.settings.sources_of(timeframe, market)
    able = able_sources(context, market, timeframe)
    if able:
        return able
    if not declared:
        raise ConfigError(
            f"no source is declared for {timeframe} bars of the market {market}; see the setting `sources`"
        )
    for name in declared:
        _check(context, name, market, timeframe)
    raise AssertionError("one of the checks has said why")


def able_sources(context: Context, market: str, timeframe: str) -> tuple[str, ...]:
    """Return the vendors that are declared for a market and can be asked here, the first one first."""
    declared = context.settings.sources_of(timeframe, market)
    return tuple(s for s in declared if s in context.providers and _can(context, s, market, timeframe))


def _can(context: Context, source: str, market: str, timeframe: str) -> bool:
    can = context.providers[source].capabilities
    return timeframe in can.timeframes and market in can.markets


def _check(context: Context, source: str, market: str, timeframe: str) -> None:
    if source not in context.providers:
        from quantx.providers.registry import why_absent  # reads vendors' frames, too

        raise ConfigError(why_absent(source, context.settings, context.providers))
    can = context.providers[source].capabilities
    for wanted, offered, what in ((timeframe, can.timeframes, "timeframe"), (market, can.markets, "market")):
        if wanted not in offered:
            raise ConfigError(f"{source} does not have the {what} {wanted!r}; it has {', '.join(offered)}")


def events_window(context: Context, series: Series, window: Window, newest: date) -> Window | None:
    """Return for which days the events are asked for beside the bars of a series, None where they come with the bars.

    Prices are adjusted for all later events, and some vendors tell of a dividend when it is paid.
    """
    if series.timeframe != "1d" or "actions" not in _datasets(context, series.source):
        return None
    return Window(window.start - _EVENTS_BACK, max(newest, window.end))


def _datasets(context: Context, source: str) -> Sequence[str]:
    """Return what a vendor has, also one whose key is missing here; nothing of a vendor that is not known."""
    if source in context.providers:
        return context.providers[source].capabilities.datasets
    from quantx.providers.registry import VENDORS  # reads vendors' frames, too

    return VENDORS[source].capabilities.datasets if source in VENDORS else ()


def progress_of(context: Context, orders: Orders, timeframe: str) -> Known:
    """Return how far each symbol is at each of its vendors."""
    by_source: dict[str, list[str]] = {}
    for symbol, order in orders.items():
        for source in order:
            by_source.setdefault(source, []).append(symbol)
    return {s: context.state.series.progress(s, "bars", timeframe, symbols) for s, symbols in by_source.items()}


def awake(order: Sequence[str], symbol: str, known: Known, now: datetime) -> tuple[str, ...]:
    """Return the vendors that are worth asking for a symbol: not those that refused it, or have had nothing for long."""
    return tuple(s for s in order if (p := known[s].get(symbol)) is None or not _rests(p, now))


def _rests(progress: SeriesProgress, now: datetime) -> bool:
    """Tell whether asking daily is useless: the vendor has had nothing for a month, or does not know the symbol."""
    if progress.asked_at is None or progress.asked_at <= now - _REST:
        return False
    if progress.refused:
        return True
    asked, last = progress.asked_through, progress.watermark
    return asked is not None and last is not None and asked - last > _AT_REST


def take_overs(orders: Orders, known: Known) -> list[Finding]:
    """Tell where a vendor is asked again for sessions in which another one has stood in for it."""
    found = []
    for symbol, order in orders.items():
        first = known[order[0]].get(symbol) if order else None
        if first is None or first.watermark is None:
            continue
        for other in order[1:]:
            stood_in = known[other].get(symbol)
            if stood_in is not None and stood_in.watermark is not None and stood_in.watermark > first.watermark:
                since = first.watermark + timedelta(days=1)
                found.append(
                    Finding(
                        "source_taken_over",
                        "info",
                        symbol,
                        f"{order[0]} is asked for the sessions from {since} to {stood_in.watermark} that {other} has"
                        f" given; readers see {order[0]}'s values once they are there, and {other}'s with --source {other}",
                        source=order[0],
                        dataset="bars",
                        first_day=since,
                        last_day=stood_in.watermark,
                        facts={"stood_in": other},
                    )
                )
    return found
