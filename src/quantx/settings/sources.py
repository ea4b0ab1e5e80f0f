"""Where settings come from besides arguments: variables of the environment, and the settings file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import AliasChoices
from pydantic_settings import EnvSettingsSource, PydanticBaseSettingsSource

from quantx.core.foreign_errors import yaml_fact
from quantx.errors import ConfigError
from quantx.settings.vendors import FLAT_NAMES, VENDOR_SETTINGS, nested


class VariableSource(EnvSettingsSource):
    """The variables of the environment, those of vendors by their flat names."""

    def __call__(self) -> dict[str, Any]:
        """Return the values, those of vendors within their sub-models."""
        prefix = self.env_prefix.lower()
        flat = {name: self.env_vars.get(f"{prefix}{name}") for name in FLAT_NAMES}
        return nested({**super().__call__(), **{name: value for name, value in flat.items() if value is not None}})


class FileSource(PydanticBaseSettingsSource):
    """The values of the settings file."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Refuse; pydantic-settings needs the method."""
        raise AssertionError("all values are given at once by __call__")

    def __call__(self) -> dict[str, Any]:
        """Return the values that no source of higher precedence has, those of vendors within their sub-models."""
        named = os.environ.get("QUANTX_SETTINGS_FILE")
        path = Path(named) if named else Path("config/settings.yaml")
        if not path.is_file():
            if named:
                raise ConfigError(f"QUANTX_SETTINGS_FILE names {named}, which is no file")
            return {}
        fields = self.settings_cls.model_fields
        values = _read(path)
        unknown = [str(name) for name in values if name not in fields and name not in FLAT_NAMES]
        if unknown:
            names = [name for name in fields if name not in VENDOR_SETTINGS]
            raise ConfigError(
                f"{path} has no setting {', '.join(unknown)}; the settings are {', '.join([*names, *FLAT_NAMES])}"
            )
        return {name: value for name, value in nested(values).items() if not self._is_replaced(name)}

    def _is_replaced(self, name: str) -> bool:
        """Return whether a source of higher precedence has the field, by its name or by one of its variables."""
        if name in VENDOR_SETTINGS:  # merged field by field
            return False
        alias = self.settings_cls.model_fields[name].validation_alias
        names = {name, *alias.choices} if isinstance(alias, AliasChoices) else {name}
        return not names.isdisjoint(self.current_state)


def _read(path: Path) -> dict[Any, Any]:
    try:
        values = yaml.safe_load(path.read_text("utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} {yaml_fact(error)}") from error
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold names and values, as in `max_workers: 8`")
    return values
