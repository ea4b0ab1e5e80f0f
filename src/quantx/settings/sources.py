"""Where settings come from besides arguments: the environment, the file `.env`, and the settings file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import AliasChoices
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource

from quantx.errors import ConfigError
from quantx.settings.earlier_form import without_sections
from quantx.settings.vendors import FLAT_NAMES, VENDOR_SETTINGS, nested, variables_of
from quantx.settings.yaml_document import YamlDocument, read_yaml

_NAMED_FILE = "QUANTX_SETTINGS_FILE"
_OF_LIBRARIES = "AWS_"  # variables of the libraries that reach S3: they read the environment themselves

_SIGN_IN = frozenset(
    f"AWS_{name}"
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "PROFILE", "DEFAULT_PROFILE", "ROLE_ARN")
)


class VariableSource(EnvSettingsSource):
    """The variables of the environment, those of vendors by their flat names."""

    def __call__(self) -> dict[str, Any]:
        """Return the values, those of vendors within their sub-models."""
        flat = {
            name: next((v for alias in variables_of(name) if (v := self.env_vars.get(alias.lower())) is not None), None)
            for name in FLAT_NAMES
        }
        return nested({**super().__call__(), **{name: value for name, value in flat.items() if value is not None}})


class DotEnvSource(VariableSource):
    """The variables in files named `.env`: what the environment does not set, by this or another name."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in dotenv_variables().items() if value}

    def __call__(self) -> dict[str, Any]:
        """Return the values that no source of higher precedence has."""
        return _without_replaced(super().__call__(), self.settings_cls, self.current_state)


class FileSource(PydanticBaseSettingsSource):
    """The values of the settings file."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        """Refuse; pydantic-settings needs the method."""
        raise AssertionError("all values are given at once by __call__")

    def __call__(self) -> dict[str, Any]:
        """Return the values that no source of higher precedence has, those of vendors within their sub-models."""
        path = settings_path()
        if not path.is_file():
            if named := os.environ.get(_NAMED_FILE):
                raise ConfigError(f"{_NAMED_FILE} names {named}, which is no file")
            return {}
        values = _read(path, self.settings_cls.model_fields)
        return _without_replaced(nested(values), self.settings_cls, self.current_state)


def settings_path() -> Path:
    """Return the path of the settings file, whether or not it exists."""
    return Path(os.environ.get(_NAMED_FILE) or Path("config/settings.yaml"))


def dotenv_variables() -> dict[str, str | None]:
    """Return the variables of `.env` beside the settings file, and of the one in the working folder below them.

    ConfigError, without any of its text, where a file can't be read.
    """
    variables: dict[str, str | None] = {}
    for path in (Path(".env"), settings_path().parent / ".env"):
        if path.is_file():
            _check_dotenv(path)
            variables |= dotenv_values(path, encoding="utf-8-sig")
    return variables


def export_library_variables() -> None:
    """Set the variables of S3's libraries that only `.env` has: those libraries read nothing but the environment.

    Keys are not mixed: none of them comes from `.env` where the environment has one.
    """
    signed_in = not _SIGN_IN.isdisjoint(os.environ)
    for name, value in dotenv_variables().items():
        if name.startswith(_OF_LIBRARIES) and value and not (signed_in and name in _SIGN_IN):
            os.environ.setdefault(name, value)


def _check_dotenv(path: Path) -> None:
    try:
        with path.open(encoding="utf-8-sig") as file:
            wrong = next((binding for binding in parse_stream(file) if binding.error), None)
    except OSError as error:
        raise ConfigError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} can't be read: byte {error.start} is not UTF-8") from None
    if wrong is not None:
        raise ConfigError(f"{path}, line {wrong.original.line}: write it as NAME=value, or # for a comment")


def _without_replaced(
    values: dict[str, Any], settings_cls: type[BaseSettings], state: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the values of fields that `state` does not have, by their names or by one of their variables."""

    def is_replaced(name: str) -> bool:
        field = settings_cls.model_fields.get(name) or _field_of_alias(name, settings_cls)
        if name in VENDOR_SETTINGS or field is None:  # a vendor's fields are merged one by one
            return False
        alias = field.validation_alias
        names = {name, *alias.choices} if isinstance(alias, AliasChoices) else {name}
        return not names.isdisjoint(state)

    return {name: value for name, value in values.items() if not is_replaced(name)}


def _field_of_alias(name: str, settings_cls: type[BaseSettings]) -> Any:
    """Return the field that a variable sets; None for another name."""
    for field in settings_cls.model_fields.values():
        alias = field.validation_alias
        if isinstance(alias, AliasChoices) and name in alias.choices:
            return field
    return None


def _read(path: Path, fields: Mapping[str, Any]) -> dict[Any, Any]:
    """Return the values of the settings file; ConfigError with file, line and reason where it is wrong."""
    read = read_yaml(path)
    document = YamlDocument(read.path, read.text, {} if read.values is None else read.values)
    if not isinstance(document.values, dict):
        raise ConfigError(f"{path} must hold names and values, as in `max_workers: 8`")
    values = without_sections(document)
    unknown = [str(name) for name in values if name not in fields and name not in FLAT_NAMES]
    if unknown:
        names = [name for name in fields if name not in VENDOR_SETTINGS]
        raise ConfigError(
            f"{document.at(unknown[:1])}: there is no setting {', '.join(unknown)}; the settings are"
            f" {', '.join([*names, *FLAT_NAMES])}"
        )
    return values
