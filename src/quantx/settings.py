"""Every setting of the system, in one frozen object: the only place that reads the environment.

Order of strength: arguments (flags), environment (`QUANTX_…`), the settings file, defaults. The settings file is
`config/settings.yaml` under the working folder, or the file that `QUANTX_SETTINGS_FILE` names.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from quantx.errors import ConfigError

_QUOTA = re.compile(r"(\d+(?:\.\d+)?)/(s|min)")


def _names(field: str, *earlier: str) -> AliasChoices:
    """Return the variable of a field and the earlier names that stand for it."""
    return AliasChoices(field, f"QUANTX_{field.upper()}", *earlier)


class Settings(BaseSettings):
    """The configuration of one installation; read it with `load_settings`."""

    model_config = SettingsConfigDict(env_prefix="QUANTX_", frozen=True, extra="forbid", populate_by_name=True)

    lake_url: str = Field("./data/lake", description="where the lake lies: file:///…, az://container/prefix, s3://…")
    state_url: str = Field(
        "./data/state", description="postgresql://…, or a folder for the embedded PostgreSQL (the default)"
    )
    queue_url: str = Field("postgresql", description="postgresql: the queue in the state database")
    universe_path: Path = Field(
        Path("config/universes.yaml"),
        validation_alias=_names("universe_path", "UNIVERSE_PATH"),
        description="the file that declares the universes",
    )
    max_workers: int = Field(
        8, ge=1, le=64, validation_alias=_names("max_workers", "MAX_WORKERS"), description="concurrent requests per worker"
    )
    chunk_size: int = Field(32, ge=1, le=32, description="tasks that a worker takes and stores together")
    lookback_days: int = Field(
        5,
        ge=0,
        le=250,
        validation_alias=_names("lookback_days", "LOOKBACK_DAYS"),
        description="sessions that a daily update reads again, so that late corrections are seen",
    )
    lease_seconds: float = Field(15, gt=1, le=3600, description="how long a worker may be silent before its tasks pass on")
    max_attempts: int = Field(4, ge=1, description="failures after which a task is given up")
    log_level: str = Field(
        "WARNING", validation_alias=_names("log_level", "FETCHER_LOG_LEVEL"), description="DEBUG, INFO, WARNING or ERROR"
    )
    yfinance_base_url: str | None = Field(None, description="another host that speaks Yahoo's chart wire (the sandbox)")
    yfinance_quota: str = Field("2/s", description="requests to Yahoo, for all workers together: 2/s, 200/min, unlimited")
    azure_storage_connection_string: SecretStr | None = Field(
        None,
        validation_alias=_names("azure_storage_connection_string", "AZURE_STORAGE_CONNECTION_STRING"),
        description="account key or Azurite; without it the managed identity is used",
    )
    azure_storage_account: str | None = Field(
        None,
        validation_alias=_names("azure_storage_account", "AZURE_STORAGE_ACCOUNT", "FETCHER_AZURE_STORAGE_ACCOUNT"),
        description="the storage account of an az:// lake where no connection string is given",
    )

    @field_validator("yfinance_quota")
    @classmethod
    def _quota_is_a_rate(cls, value: str) -> str:
        requests_per_second(value)
        return value

    @field_validator("log_level")
    @classmethod
    def _level_exists(cls, value: str) -> str:
        if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("use DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let arguments win over the environment; the file's values come last (see `load_settings`)."""
        return init_settings, env_settings, _FileSource(settings_cls)

    def redacted(self) -> dict[str, Any]:
        """Return all settings with secrets and passwords hidden, fit to be shown."""
        shown = {name: (str(v) if v is not None else None) for name, v in self.model_dump().items()}
        shown["state_url"] = re.sub(r"(//[^:/@]*):[^@]*@", r"\1:**********@", self.state_url)
        return shown


class _FileSource(PydanticBaseSettingsSource):
    """The values of the settings file."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        raise AssertionError("all values are given at once by __call__")

    def __call__(self) -> dict[str, Any]:
        named = os.environ.get("QUANTX_SETTINGS_FILE")
        path = Path(named) if named else Path("config/settings.yaml")
        if not path.is_file():
            if named:
                raise ConfigError(f"QUANTX_SETTINGS_FILE names {named}, which is no file")
            return {}
        try:
            values = yaml.safe_load(path.read_text("utf-8")) or {}
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid YAML: {error}") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{path} must hold names and values, as in `max_workers: 8`")
        return values


def load_settings(**flags: Any) -> Settings:
    """Return the settings with `flags` above all else (None means: not given); ConfigError names what is wrong."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigError(f"wrong settings: {wrong}") from None


def requests_per_second(quota: str) -> float | None:
    """Return the rate that `2/s` or `200/min` means, None for `unlimited`; ValueError for other texts."""
    if quota == "unlimited":
        return None
    match = _QUOTA.fullmatch(quota.replace(" ", ""))
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"{quota!r} is no quota; write it as in 2/s, 200/min or unlimited")
    return float(match[1]) / (1 if match[2] == "s" else 60)
