"""All vendors by their source's name: the entries are the sub-models of `quantx.settings.vendors`.

An adapter is imported when it is used first, and a vendor's own package with the first fetch. Vendors of other packages
are checked then: a package with a mistake is left out, and costs no other vendor.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pkgutil import resolve_name

from quantx.core.model import Clock, Quota
from quantx.errors import ConfigError
from quantx.providers.package_adapters import open_package, package_adapter
from quantx.providers.protocol import Adapter, Capabilities, Provider
from quantx.settings import Settings, parse_quota
from quantx.settings.vendors import PACKAGES, VENDOR_SETTINGS, flat_name
from quantx.vendor_settings import VendorSettings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Vendor:
    """One entry: a source's name and what its settings declare."""

    source: str
    settings_type: type[VendorSettings]

    @cached_property
    def adapter(self) -> Adapter:
        """The class that fetches and normalizes."""
        if self.source in PACKAGES.settings:
            return package_adapter(self.source, self.settings_type)
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
        if self.source in PACKAGES.settings:
            return open_package(self.adapter, self.source, self.settings_in(settings), clock)
        return self.adapter.open(self.settings_in(settings), clock)

    def settings_in(self, settings: Settings) -> VendorSettings:
        """Return the vendor's part of the settings."""
        part: VendorSettings = getattr(settings, self.source)
        return part


VENDORS: Mapping[str, Vendor] = {source: Vendor(source, kind) for source, kind in VENDOR_SETTINGS.items()}


def open_providers(settings: Settings, clock: Clock) -> Mapping[str, Provider]:
    """Return the providers of all vendors whose keys are given.

    No vendor's package is imported and no connection is opened before the first fetch. A package of another author with
    a mistake is logged and left out.
    """
    for why in PACKAGES.broken.values():
        log.warning(why)
    usable = {source: vendor for source, vendor in VENDORS.items() if not vendor.missing_keys(settings)}
    opened = {}
    for source, vendor in usable.items():
        try:
            opened[source] = vendor.open(settings, clock)
        except ConfigError as error:
            if source not in PACKAGES.settings:
                raise
            log.warning(str(error))
    return opened


def vendor_to_read(source: str, settings: Settings, clock: Clock) -> Provider:
    """Return the provider that normalizes a source's stored replies, which needs no key; ConfigError for others."""
    if source in PACKAGES.broken:
        raise ConfigError(f"replies of the source {source!r} are stored: {PACKAGES.broken[source]}")
    if source not in VENDORS:
        raise ConfigError(f"replies of the source {source!r} are stored, which this program does not have; update it")
    return VENDORS[source].open(settings, clock)


def why_absent(source: str, settings: Settings, usable: Mapping[str, Provider]) -> str:
    """Return why a source can't be fetched from, and the next step."""
    if source in VENDORS and (missing := VENDORS[source].missing_keys(settings)):
        needed = " and ".join(f"QUANTX_{name.upper()}" for name in missing)
        return f"the source {source} needs {VENDORS[source].settings_type.needs or f'a key: set {needed}'}"
    if source in PACKAGES.broken:
        return f"there is no source {source}: {PACKAGES.broken[source]}"
    if source in PACKAGES.settings and source not in usable:
        return f"the source {source} can't be used: {mistake_of(source) or 'its package can not be opened'}"
    without = [name for name in VENDORS if name not in usable]
    hint = f" ({', '.join(without)} need a key; files become a source by `quantx import`)" if without else ""
    return f"no source {source!r}; there is {', '.join(usable) or 'none'}{hint}"


def mistake_of(source: str) -> str | None:
    """Return what is wrong with the adapter of a vendor; None where nothing is."""
    try:
        VENDORS[source].capabilities  # noqa: B018 - it imports and checks the adapter
    except ConfigError as error:
        return str(error)
    return None


def quotas_of(settings: Settings) -> Mapping[str, Quota | None]:
    """Return the quota of each source: the setting's, or the vendor's default."""
    parts = {source: vendor.settings_in(settings) for source, vendor in VENDORS.items()}
    return {source: parse_quota(part.quota or part.default_quota) for source, part in parts.items()}
