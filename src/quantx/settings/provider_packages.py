"""Vendors that other packages add: the entry points of the group `quantx.providers`.

An entry point's name is the source, and its object the vendor's class of settings. A package with a mistake costs only
itself: it is left out, and the reason is kept for the messages that concern it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

from pydantic import ValidationError

from quantx.core.quotas import parse_quota
from quantx.vendor_settings import VendorSettings

GROUP = "quantx.providers"
_SOURCE = re.compile(r"[a-z][a-z0-9_]{0,31}")
_OBJECT = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_RESERVED = ("best", "any", "all", "none")


@dataclass(frozen=True)
class ProviderPackages:
    """The vendors of other packages by source, and why others are left out, by the entry point's name."""

    settings: Mapping[str, type[VendorSettings]] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)


def read_packages(built_in: Mapping[str, type[VendorSettings]], reserved: Sequence[str]) -> ProviderPackages:
    """Return the vendors of the installed packages; `reserved` are names of other settings."""
    settings: dict[str, type[VendorSettings]] = {}
    broken: dict[str, str] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, _package_of(point))):
        found = _load(point)
        others = {**built_in, **settings}
        why = found if isinstance(found, str) else _mistake(point, found, others, reserved)
        if isinstance(found, str) or why is not None:
            broken[point.name] = f"the package {_package_of(point)} is left out: {why}"
        else:
            settings[point.name] = found
    return ProviderPackages(settings, broken)


def _package_of(point: EntryPoint) -> str:
    return str(getattr(point.dist, "name", point.value))


def _load(point: EntryPoint) -> type[VendorSettings] | str:
    """Return the class of settings of an entry point, or why there is none."""
    try:
        found = point.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the code of others, which may raise anything
        return f"{point.value} of its entry point {point.name} can't be imported ({type(error).__name__}: {error})"
    if not isinstance(found, type) or not issubclass(found, VendorSettings):
        return f"{point.value} is no class of settings: derive it from quantx.vendor_settings.VendorSettings"
    return found


def _mistake(
    point: EntryPoint,
    kind: type[VendorSettings],
    others: Mapping[str, type[VendorSettings]],
    reserved: Sequence[str],
) -> str | None:
    """Return what is wrong with a class of settings, and the next step; None where nothing is."""
    source, name = point.name, kind.__name__
    if not _SOURCE.fullmatch(source) or source in _RESERVED:
        return f"{source!a} can't be the name of a source: use small letters, digits and _"
    for text in ("title", "adapter", "default_quota"):
        if not isinstance(getattr(kind, text, None), str):
            return f"{name} needs a class variable `{text}` with a text"
    for text in (kind.adapter, *([kind.wire] if kind.wire is not None else [])):
        if not _OBJECT.fullmatch(str(text)):
            return f"{name} names {text!a}, which must be written as in my_package.provider:Class"
    try:
        parse_quota(kind.default_quota)
    except ValueError as error:
        return f"default_quota of {name}: {error}"
    clash = _clash(source, kind, others, reserved)
    return clash if clash is not None else _default_mistake(kind)


def _clash(
    source: str, kind: type[VendorSettings], others: Mapping[str, type[VendorSettings]], reserved: Sequence[str]
) -> str | None:
    """Return which of a vendor's names another vendor or setting has."""
    taken = {each: owner for owner, other in others.items() for each in (owner, *other.names)}
    if clash := next((each for each in (source, *kind.names) if each in taken), None):
        return f"its name {clash} is that of the vendor {taken[clash]}: choose another one"
    prefix = kind.prefix or source
    if prefix in reserved:
        return f"other settings begin with its prefix {prefix}: choose another one"
    if owner := next((owner for owner, other in others.items() if (other.prefix or owner) == prefix), None):
        return f"its prefix {prefix} is that of the vendor {owner}: choose another one"
    return None


def _default_mistake(kind: type[VendorSettings]) -> str | None:
    """Return why the settings can't be made without values: nobody has to set what has a default."""
    try:
        kind()
    except ValidationError as error:
        names = ", ".join(str(part) for each in error.errors() for part in each["loc"][:1])
        return f"the fields {names} of {kind.__name__} need defaults, as None for a key"
    except Exception as error:  # noqa: BLE001 - it is the code of others, which may raise anything
        return f"{kind.__name__} can't be made ({type(error).__name__}: {error})"
    for name, each in kind.model_fields.items():
        try:
            (each.description or "").format(title=kind.title, default_quota=kind.default_quota)
        except (LookupError, ValueError, AttributeError):
            return f"the description of {name} of {kind.__name__} has other braces than {{title}} and {{default_quota}}"
    unknown = [name for name in kind.keys if name not in kind.model_fields]
    return f"{kind.__name__} names the key {unknown[0]}, which is no field of it" if unknown else None
