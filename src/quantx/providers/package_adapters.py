"""The adapters of other authors' packages: imported and checked, so that a mistake in one is a clear error."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any, get_args

from quantx.core.fact_datasets import DATASETS
from quantx.core.model import Clock
from quantx.core.quotas import parse_quota
from quantx.core.symbols import MARKETS
from quantx.errors import ConfigError, QuantxError
from quantx.providers.protocol import Adapter, Capabilities, PriceBasis, Provider
from quantx.vendor_settings import VendorSettings

_METHODS = ("prepare", "fetch", "normalize", "drift")
_TIMEFRAMES = ("1d", "1m")


def package_adapter(source: str, kind: type[VendorSettings]) -> Adapter:
    """Return the adapter of a package's vendor; ConfigError with the package and the mistake where there is one."""
    where = f"the provider {source} of {kind.__module__.partition('.')[0]}"
    try:
        adapter: Any = resolve_name(kind.adapter)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where}: {kind.adapter} can't be imported ({type(error).__name__}: {error})") from error
    mistake = _mistake(source, kind, adapter)
    if mistake is not None:
        raise ConfigError(f"{where}: {kind.adapter} {mistake}; see docs/how-to/write-a-provider-package.md")
    checked: Adapter = adapter
    return checked


def open_package(adapter: Adapter, source: str, settings: VendorSettings, clock: Clock) -> Provider:
    """Return the opened provider of a package; ConfigError where it can't be opened or is none."""
    try:
        provider = adapter.open(settings, clock)
    except QuantxError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"the provider {source} can't be opened ({type(error).__name__}: {error})") from error
    missing = [name for name in _METHODS if not callable(getattr(provider, name, None))]
    if missing:
        raise ConfigError(f"the provider {source}: what `open` returns has no method {', '.join(missing)}")
    return provider


def _mistake(source: str, kind: type[VendorSettings], adapter: Any) -> str | None:
    """Return what is wrong with an adapter, to be read after its name; None where nothing is."""
    can = getattr(adapter, "capabilities", None)
    if not isinstance(can, Capabilities):
        return "has no `capabilities` of quantx.providers.protocol.Capabilities"
    missing = [name for name in ("open", *_METHODS) if not callable(getattr(adapter, name, None))]
    if missing:
        return f"has no method {', '.join(missing)}"
    if can.source != source:
        return f"declares the source {can.source!a}, and its entry point is named {source!a}: name both alike"
    return _wrong_capability(can, kind)


def _wrong_capability(can: Any, kind: type[VendorSettings]) -> str | None:
    lists = (
        ("timeframes", can.timeframes, _TIMEFRAMES),
        ("markets", can.markets, MARKETS),
        ("datasets", can.datasets, ("bars", "actions", *DATASETS)),
    )
    for name, values, known in lists:
        if not isinstance(values, tuple) or not all(value in known for value in values):
            return f"has the {name} {values!r}; write a tuple of {', '.join(known)}"
    if can.price_basis not in get_args(PriceBasis):
        return f"has the price basis {can.price_basis!a}; it is one of {', '.join(get_args(PriceBasis))}"
    if not isinstance(can.symbols_per_request, int) or can.symbols_per_request < 1:
        return f"has {can.symbols_per_request!r} symbols per request; it takes one at least"
    try:
        parse_quota(can.quota)
    except (AttributeError, TypeError, ValueError):  # as of None
        return f"has the quota {can.quota!r}; write it as in 2/s, 200/min, 25/day or unlimited"
    if can.needs_key != bool(kind.keys):
        return f"declares needs_key={can.needs_key}, and its settings have the keys {kind.keys!r}: they must agree"
    return None
