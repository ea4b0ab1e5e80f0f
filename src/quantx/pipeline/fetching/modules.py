"""The modules that a process which fetches uses next, to be loaded while it opens its state."""

from __future__ import annotations

from quantx.settings import Settings
from quantx.settings.vendors import VENDOR_SETTINGS


def modules_to_fetch(settings: Settings) -> tuple[str, ...]:
    """Return the names of the modules: the stages, and the client of the first vendor of American daily bars."""
    declared = [s for s in settings.sources_of("1d", "us") if s in VENDOR_SETTINGS]  # others are of imported files
    vendors = [s for s in declared if not getattr(settings, s).missing_keys]
    return (*(VENDOR_SETTINGS[source].client for source in vendors[:1]), "quantx.pipeline.wiring")
