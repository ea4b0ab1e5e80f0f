"""All vendors by their source's name. A new vendor is one module and one entry here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from quantx.core.model import Clock, Quota
from quantx.errors import ConfigError
from quantx.providers import alphavantage, fmp, stooq
from quantx.providers.alpaca import Alpaca, MarketData
from quantx.providers.http import HttpSession
from quantx.providers.protocol import Capabilities, Provider
from quantx.providers.yahoo import ChartSession, Yahoo
from quantx.settings import Settings, parse_quota


@dataclass(frozen=True)
class Vendor:
    """What is known of a vendor before it is opened; opening it asks nobody and imports no vendor's package."""

    capabilities: Capabilities
    quota_setting: str
    open: Callable[[Settings, Clock], Provider]
    keys: tuple[str, ...] = ()  # settings without which it can't be asked

    def missing_keys(self, settings: Settings) -> tuple[str, ...]:
        """Return the settings that are needed to ask this vendor and are not given."""
        return tuple(name for name in self.keys if getattr(settings, name) is None)


def _yahoo(settings: Settings, clock: Clock) -> Provider:
    def session() -> ChartSession:
        from quantx.providers.yahoo_session import YahooSession

        return YahooSession(settings.yfinance_base_url)

    return Yahoo(session, clock)


def _alpaca(settings: Settings, clock: Clock) -> Provider:
    def session() -> MarketData:
        from quantx.providers.alpaca_session import AlpacaSession

        assert settings.alpaca_api_key is not None, "who misses a key is not opened"
        assert settings.alpaca_api_secret is not None, "who misses a key is not opened"
        return AlpacaSession(settings.alpaca_api_key, settings.alpaca_api_secret, settings.alpaca_base_url)

    return Alpaca(session, clock, settings.alpaca_feed)


def _session(vendor: str, base_url: str, key: SecretStr | None) -> HttpSession:
    return HttpSession(vendor, base_url, secret_params={} if key is None else {"apikey": key})


def _stooq(settings: Settings, clock: Clock) -> Provider:
    session = _session("Stooq", settings.stooq_base_url or stooq.HOST, settings.stooq_api_key)
    return stooq.Stooq(session, clock)


def _alphavantage(settings: Settings, clock: Clock) -> Provider:
    host = settings.alphavantage_base_url or alphavantage.HOST
    return alphavantage.AlphaVantage(_session("Alpha Vantage", host, settings.alphavantage_api_key), clock)


def _fmp(settings: Settings, clock: Clock) -> Provider:
    return fmp.Fmp(_session("FMP", settings.fmp_base_url or fmp.HOST, settings.fmp_api_key), clock)


VENDORS: Mapping[str, Vendor] = {
    vendor.capabilities.source: vendor
    for vendor in (
        Vendor(Yahoo.capabilities, "yfinance_quota", _yahoo),
        Vendor(Alpaca.capabilities, "alpaca_quota", _alpaca, ("alpaca_api_key", "alpaca_api_secret")),
        Vendor(stooq.Stooq.capabilities, "stooq_quota", _stooq, keys=("stooq_api_key",)),
        Vendor(
            alphavantage.AlphaVantage.capabilities,
            "alphavantage_quota",
            _alphavantage,
            keys=("alphavantage_api_key",),
        ),
        Vendor(fmp.Fmp.capabilities, "fmp_quota", _fmp, keys=("fmp_api_key",)),
    )
}


def open_providers(settings: Settings, clock: Clock) -> Mapping[str, Provider]:
    """Return the vendors that can be asked; no vendor's package is imported and nothing is connected before the first fetch.

    Who misses a key is absent.
    """
    found = {source: vendor for source, vendor in VENDORS.items() if not vendor.missing_keys(settings)}
    return {source: vendor.open(settings, clock) for source, vendor in found.items()}


def vendor_to_read(source: str, settings: Settings, clock: Clock) -> Provider:
    """Return a vendor whose stored replies are to be read, for which no key is needed; ConfigError for unknown ones."""
    if source not in VENDORS:
        raise ConfigError(f"replies of the source {source!r} have landed, which this program does not know; update it")
    return VENDORS[source].open(settings, clock)


def why_absent(source: str, settings: Settings, known: Mapping[str, Provider]) -> str:
    """Say why a source can't be asked, and what to do."""
    if source in VENDORS and (missing := VENDORS[source].missing_keys(settings)):
        needed = " and ".join(f"QUANTX_{name.upper()}" for name in missing)
        return f"the source {source} needs a key: set {needed}"
    without = [name for name in VENDORS if name not in known]
    lack = f" ({', '.join(without)} need a key)" if without else ""
    return f"no source {source!r}; there is {', '.join(known) or 'none'}{lack}"


def quotas_of(settings: Settings) -> Mapping[str, Quota | None]:
    """Return the quota of each source: the setting's, or what the vendor is known to bear."""
    given = {source: getattr(settings, vendor.quota_setting) for source, vendor in VENDORS.items()}
    return {source: parse_quota(given[source] or vendor.capabilities.quota) for source, vendor in VENDORS.items()}
