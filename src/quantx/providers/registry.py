"""All vendors by their source's name. A new vendor is one module and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from quantx.core.model import Clock
from quantx.providers.protocol import Provider
from quantx.providers.yahoo import SOURCE as YAHOO
from quantx.providers.yahoo import ChartSession, Yahoo
from quantx.settings import Settings


def open_providers(settings: Settings, clock: Clock) -> Mapping[str, Provider]:
    """Return the providers; no vendor's package is imported and nothing is connected before the first fetch."""

    def yahoo_session() -> ChartSession:
        from quantx.providers.yahoo_session import YahooSession

        return YahooSession(settings.yfinance_base_url)

    return {YAHOO: Yahoo(yahoo_session, clock)}
