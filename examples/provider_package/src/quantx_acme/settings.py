"""Acme's settings: QUANTX_ACME_API_KEY, QUANTX_ACME_FEED and so on. It imports nothing but the base class."""

from __future__ import annotations

from pydantic import Field

from quantx.vendor_settings import KeyedVendorSettings


class AcmeSettings(KeyedVendorSettings):
    """A key, and a choice of feeds."""

    title = "Acme"
    adapter = "quantx_acme.provider:Acme"
    wire = "quantx_acme.wire:AcmeWire"
    default_quota = "10/s"

    feed: str = Field(default="consolidated", description="consolidated or primary: the trades in Acme's bars")
