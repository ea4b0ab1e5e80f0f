"""The fixtures of the fleets of real processes."""

from ..fleet.conftest import market, market_folder, server, vendors

__all__ = ["market", "market_folder", "server", "vendors"]
