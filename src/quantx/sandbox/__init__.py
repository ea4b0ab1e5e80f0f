"""Mock servers of the vendors, in their wire formats over HTTP: for trials, tests and demonstrations offline."""

from __future__ import annotations

from quantx.sandbox.app import Sandbox
from quantx.sandbox.load import load_market
from quantx.sandbox.market import Correction, Dividend, Market, Split
from quantx.sandbox.server import running, serve

__all__ = ["Correction", "Dividend", "Market", "Sandbox", "Split", "load_market", "running", "serve"]
