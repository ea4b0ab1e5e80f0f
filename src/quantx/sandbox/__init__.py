"""Stand-ins of the vendors that speak their wire formats over HTTP: for trying, testing and showing without a network."""

from __future__ import annotations

from quantx.sandbox.app import Sandbox
from quantx.sandbox.load import load_market
from quantx.sandbox.market import Correction, Dividend, Market, Split
from quantx.sandbox.server import running, serve

__all__ = ["Correction", "Dividend", "Market", "Sandbox", "Split", "load_market", "running", "serve"]
