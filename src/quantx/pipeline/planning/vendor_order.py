"""Which vendors serve a symbol, in which order, and which of them are worth a request today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from quantx.core.model import Finding, Series, Window
from quantx.core.symbols import venue_of
from quantx.errors import ConfigError
from quantx.settings import TIMEFRAMES, Settings
from quantx.state.series.port import SeriesBook, SeriesProgress
from quantx.state.tasks.port import UnservedSymbol

if TYPE_CHECKING:
    from quantx.providers.protocol import Capabilities, Provider

_RESTING_AFTER = timedelta(days=30)  # without a bar
_RETRY_RESTING_AFTER = timedelta(days=7)  # a daily update requests again what has no bars or was refused
_EVENTS_BACK = timedelta(days=60)  # from the ex-date to the payment it is a month, seldom two

Providers = Mapping[str, "Provider"]  # by source
VendorOrders = Mapping[str, tuple[str, ...]]  # by symbol: the preferred vendor, then its fallbacks
ProgressByVendor = Mapping[str, Mapping[str, SeriesProgress]]  # by vendor and symbol


def vendor_orders(
    settings: Settings, providers: Providers, symbols: Sequence[str], timeframe: str, source: str | None
) -> VendorOrders:
    """Return each symbol's vendors: the requested one, or those that the settings declare for its market."""
    if timeframe not in TIMEFRAMES:
        raise ConfigError(f"there is no timeframe {timeframe!r}; there is {', '.join(TIMEFRAMES)}")
    by_market: dict[str, tuple[str, ...]] = {}
    for symbol in symbols:
        market = venue_of(symbol).market
        if market not in by_market:
            by_market[market] = _market_order(settings, providers, market, timeframe, source)
    return {symbol: by_market[venue_of(symbol).market] for symbol in symbols}


def _market_order(
    settings: Settings, providers: Providers, market: str, timeframe: str, source: str | None
) -> tuple[str, ...]:
    if source is not None:
        _check_vendor(settings, providers, source, market, timeframe)
        return (source,)
    available = available_vendors(settings, providers, market, timeframe)
    if available:
        return available
    declared = settings.sources_of(timeframe, market)
    if not declared:
        raise ConfigError(
            f"no source is declared for {timeframe} bars of the market {market}; see the setting `sources`"
        )
    for name in declared:
        _check_vendor(settings, providers, name, market, timeframe)
    raise AssertionError("one of the checks raises the reason")


def available_vendors(settings: Settings, providers: Providers, market: str, timeframe: str) -> tuple[str, ...]:
    """Return the vendors that are declared for a market and usable here, in order of preference."""
    declared = settings.sources_of(timeframe, market)
    return tuple(source for source in declared if source in providers and _serves(providers[source], market, timeframe))


def _serves(provider: Provider, market: str, timeframe: str) -> bool:
    return timeframe in provider.capabilities.timeframes and market in provider.capabilities.markets


def _check_vendor(settings: Settings, providers: Providers, source: str, market: str, timeframe: str) -> None:
    """Raise ConfigError with the reason where a vendor is absent or does not serve a market or timeframe."""
    if source not in providers:
        from quantx.providers.registry import why_absent  # imported late: it loads libraries for frames

        raise ConfigError(why_absent(source, settings, providers))
    capabilities = providers[source].capabilities
    checks = ((timeframe, capabilities.timeframes, "timeframe"), (market, capabilities.markets, "market"))
    for wanted, offered, what in checks:
        if wanted not in offered:
            raise ConfigError(f"{source} does not have the {what} {wanted!r}; it has {', '.join(offered) or 'none'}")


def events_window(providers: Providers, series: Series, window: Window, newest: date) -> Window | None:
    """Return the days whose events to fetch beside the bars of a series; None where they come with the bars.

    Prices are adjusted for all later events, and some vendors report a dividend only when it is paid.
    """
    if series.timeframe != "1d" or "actions" not in _datasets(providers, series.source):
        return None
    return Window(window.start - _EVENTS_BACK, max(newest, window.end))


def capabilities_of(providers: Providers, source: str) -> Capabilities | None:
    """Return the capabilities of a vendor, also where its key is missing here; None for an unknown vendor."""
    if source in providers:
        return providers[source].capabilities
    from quantx.providers.registry import VENDORS  # imported late: it loads libraries for frames

    return VENDORS[source].capabilities if source in VENDORS else None


def _datasets(providers: Providers, source: str) -> Sequence[str]:
    can = capabilities_of(providers, source)
    return can.datasets if can is not None else ()


def progress_by_vendor(series: SeriesBook, orders: VendorOrders, timeframe: str) -> ProgressByVendor:
    """Return the progress of each symbol at each of its vendors."""
    by_source: dict[str, list[str]] = {}
    for symbol, order in orders.items():
        for source in order:
            by_source.setdefault(source, []).append(symbol)
    return {source: series.progress(source, "bars", timeframe, symbols) for source, symbols in by_source.items()}


def active_vendors(order: Sequence[str], symbol: str, progress: ProgressByVendor, now: datetime) -> tuple[str, ...]:
    """Return the vendors that are worth a request: none that refused the symbol lately or has no new bars of it."""
    return tuple(source for source in order if (at := progress[source].get(symbol)) is None or not _is_resting(at, now))


def unserved_symbol(order: Sequence[str], symbol: str, progress: ProgressByVendor) -> UnservedSymbol:
    """Return why none of a symbol's vendors is active, and when the first of them is requested again."""
    known = {source: at for source in order if (at := progress[source].get(symbol)) is not None}
    marks = [at.watermark for at in known.values() if at.watermark is not None]
    asked = [at.asked_at for at in known.values() if at.asked_at is not None]
    fact = f"no new bars since {max(marks)}" if marks else "no bars"
    reasons = "; ".join(_why_resting(source, at) for source, at in known.items())
    again = min(asked) + _RETRY_RESTING_AFTER if asked else None
    following = "" if again is None else f"; the next request is due on {again:%Y-%m-%d}"
    return UnservedSymbol(symbol, bool(marks), f"{fact}: {reasons}{following}; `quantx backfill` requests it now")


def _why_resting(source: str, progress: SeriesProgress) -> str:
    day = f" on {progress.asked_at:%Y-%m-%d}" if progress.asked_at is not None else ""
    if progress.refused:
        return f"{source} refused it{day} ({progress.last_error or 'without a reason'})"
    return f"{source} had nothing newer{day}"


def _is_resting(progress: SeriesProgress, now: datetime) -> bool:
    """Return whether a daily request is useless: the vendor had no bar for a month, or refused the symbol."""
    if progress.asked_at is None or progress.asked_at <= now - _RETRY_RESTING_AFTER:
        return False
    if progress.refused:
        return True
    asked_through, watermark = progress.asked_through, progress.watermark
    return asked_through is not None and watermark is not None and asked_through - watermark > _RESTING_AFTER


def takeover_findings(orders: VendorOrders, progress: ProgressByVendor) -> list[Finding]:
    """Return a finding where the preferred vendor is fetched again for sessions that a fallback has delivered."""
    findings = []
    for symbol, order in orders.items():
        preferred = progress[order[0]].get(symbol) if order else None
        if preferred is None or preferred.watermark is None:
            continue
        since = preferred.watermark + timedelta(days=1)
        for fallback in order[1:]:
            other = progress[fallback].get(symbol)
            if other is not None and other.watermark is not None and other.watermark >= since:
                findings.append(_takeover(symbol, order[0], fallback, Window(since, other.watermark)))
    return findings


def _takeover(symbol: str, preferred: str, fallback: str, sessions: Window) -> Finding:
    return Finding(
        "source_taken_over",
        "info",
        symbol,
        f"{preferred} is fetched for the sessions from {sessions.start} to {sessions.end}, which {fallback} has"
        f" delivered; readers get {preferred}'s values once they are stored, and {fallback}'s with --source {fallback}",
        source=preferred,
        dataset="bars",
        first_day=sessions.start,
        last_day=sessions.end,
        facts={"stood_in": fallback},
    )
