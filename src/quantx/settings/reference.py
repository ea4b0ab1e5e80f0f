"""All settings by their flat names, with variables, meaning and default: for the help and the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import AliasChoices

from quantx.settings.model import Settings
from quantx.settings.vendors import FLAT_NAMES, VENDOR_SETTINGS, variables_of


@dataclass(frozen=True)
class SettingReference:
    """One setting."""

    variables: tuple[str, ...]  # of the environment; the first one wins
    description: str
    default: Any


def setting_references() -> Mapping[str, SettingReference]:
    """Return each setting by its name in the settings file."""
    references = {}
    for name, field in sorted(Settings.model_fields.items(), key=lambda entry: entry[0].startswith("alerts_")):
        if name not in VENDOR_SETTINGS:
            alias = field.validation_alias
            variables = tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (_variable(name),)
            references[name] = SettingReference(variables, field.description or "", field.default)
    for name, (source, field_name) in FLAT_NAMES.items():
        kind = VENDOR_SETTINGS[source]
        field = kind.model_fields[field_name]
        text = (field.description or "").format(title=kind.title, default_quota=kind.default_quota)
        references[name] = SettingReference(variables_of(name), text, field.default)
    return references


def _variable(name: str) -> str:
    return f"QUANTX_{name.upper()}"
