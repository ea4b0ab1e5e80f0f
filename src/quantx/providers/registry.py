"""All vendors by their source's name: the entries are the sub-models of `quantx.settings.vendors`.

An adapter is imported when it is used first, and a vendor's own package with the first fetch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pkgutil import resolve_name

from quantx.core.model import Clock, Quota
from quantx.errors import ConfigError
from quantx.providers.protocol import Adapter, Capabilities, Provider
from quantx.settings import Settings, parse_quota
from quantx.settings.vendors import VENDOR_SETTINGS, VendorSettings, flat_name


@dataclass(frozen=True)
class Vendor:
    """One entry: a source's name and what its settings declare."""

    source: str
    settings_type: type[VendorSettings]

    @cached_property
    def adapter(self) -> Adapter:
        """The class that fetches and normalizes."""
        adapter: Adapter = resolve_name(self.settings_type.adapter)
        return adapter

    @property
    def capabilities(self) -> Capabilities:
        """The declaration of the adapter."""
        return self.adapter.capabilities

    @property
    def keys(self) -> tuple[str, ...]:
        """The settings without which no request can be sent, by their flat names."""
        return tuple(flat_name(self.source, key) for key in self.settings_type.keys)

    def missing_keys(self, settings: Settings) -> tuple[str, ...]:
        """Return those of `keys` that have no value."""
        return tuple(flat_name(self.source, key) for key in self.settings_in(settings).missing_keys)

    def open(self, settings: Settings, clock: Clock) -> Provider:
        """Return the vendor's provider; it connects with the first fetch."""
        return self.adapter.open(self.settings_in(settings), clock)

    def settings_in(self, settings: Settings) -> VendorSettings:
        """Return the vendor's part of the settings."""
        part: VendorSettings = getattr(settings, self.source)
        return part


VENDORS: Mapping[str, Vendor] = {source: Vendor(source, kind) for source, kind in VENDOR_SETTINGS.items()}


def open_providers(settings: Settings, clock: Clock) -> Mapping[str, Provider]:
    """Return the providers of all vendors whose keys are given.

    No vendor's package is imported and no connection is opened before the first fetch.
    """
    usable = {source: vendor for source, vendor in VENDORS.items() if not vendor.missing_keys(settings)}
    return {source: vendor.open(settings, clock) for source, vendor in usable.items()}


def vendor_to_read(source: str, settings: Settings, clock: Clock) -> Provider:
    """Return the provider that normalizes a source's stored replies, which needs no key; ConfigError for others."""
    if source not in VENDORS:
        raise ConfigError(f"replies of the source {source!r} are stored, which this program does not have; update it")
    return VENDORS[source].open(settings, clock)


def why_absent(source: str, settings: Settings, usable: Mapping[str, Provider]) -> str:
    """Return why a source can't be fetched from, and the next step."""
    if source in VENDORS and (missing := VENDORS[source].missing_keys(settings)):
        needed = " and ".join(f"QUANTX_{name.upper()}" for name in missing)
        return f"the source {source} needs {VENDORS[source].settings_type.needs or f'a key: set {needed}'}"
    without = [name for name in VENDORS if name not in usable]
    hint = f" ({', '.join(without)} need a key; files become a source by `quantx import`)" if without else ""
    return f"no source {source!r}; there is {', '.join(usable) or 'none'}{hint}"


def quotas_of(settings: Settings) -> Mapping[str, Quota | None]:
    """Return the quota of each source: the setting's, or the vendor's default."""
    parts = {source: vendor.settings_in(settings) for source, vendor in VENDORS.items()}
    return {source: parse_quota(part.quota or part.default_quota) for source, part in parts.items()}
