"""The two places that are opened by a URL, as messages name them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Zone:
    """What lies at a URL, and the setting that names it."""

    name: str
    setting: str
    right: str  # the role in Azure that a process needs there


LAKE = Zone("lake", "QUANTX_LAKE_URL", "Storage Blob Data Contributor")
RAW_ZONE = Zone("raw zone", "QUANTX_RAW_URL", "Storage Blob Data Reader, or that of the worker")
