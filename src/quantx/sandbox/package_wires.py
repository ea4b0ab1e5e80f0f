"""The wires that other authors' packages bring: imported and checked, so that a mistake in one costs only itself."""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

import structlog

from quantx.sandbox.wires import Wire
from quantx.vendor_settings import VendorSettings

log = structlog.get_logger()

_METHODS = ("handles", "symbols", "answer", "empty", "astray", "refusal")


def package_wires(settings: Mapping[str, type[VendorSettings]]) -> list[type[Wire]]:
    """Return the wires of packages' vendors; one that can't be used is logged and left out."""
    wires: list[type[Wire]] = []
    for source, kind in settings.items():
        if kind.wire is None:
            continue
        found = _load(kind.wire)
        why = found if isinstance(found, str) else _mistake(source, found)
        if why is not None:
            log.warning("sandbox.wire_left_out", source=source, wire=kind.wire, why=why)
        else:
            wires.append(found)
    return wires


def _load(place: str) -> Any:
    """Return a wire, or why it can't be imported."""
    try:
        return resolve_name(place)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the code of others, which may raise anything
        return f"it can't be imported ({type(error).__name__}: {error})"


def _mistake(source: str, wire: Any) -> str | None:
    missing = [name for name in _METHODS if not callable(getattr(wire, name, None))]
    if missing:
        return f"it has no method {', '.join(missing)}"
    if getattr(wire, "source", None) != source:
        return f"its source is {getattr(wire, 'source', None)!a}, not {source!a}"
    return None
