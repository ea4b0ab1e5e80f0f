"""Every setting of the system, in one frozen object: the only place that reads the environment.

Order of strength: arguments (flags), environment (`QUANTX_…`), the settings file, defaults. The settings file is
`config/settings.yaml` under the working folder, or the file that `QUANTX_SETTINGS_FILE` names.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from quantx.core.model import Quota
from quantx.core.schedule import parse_schedule
from quantx.errors import ConfigError

_QUOTA = re.compile(r"(\d+(?:\.\d+)?)/(s|min|day)")
_SECONDS = {"s": 1.0, "min": 60.0, "day": 86400.0}
TIMEFRAMES, MARKETS = ("1d", "1m"), ("us", "hk", "jp", "eu", "any")


def _names(field: str, *earlier: str) -> AliasChoices:
    """Return the variable of a field and the earlier names that stand for it, the first to be found wins."""
    return AliasChoices(f"QUANTX_{field.upper()}", *earlier)


def _quota_field(vendor: str, quota: str) -> Any:
    return Field(
        None,
        description=f"requests to {vendor}, for all workers together: 2/s, 200/min, 25/day, unlimited; by default {quota}",
    )


@dataclass(frozen=True)
class StorageKey:
    """What a connection string of Azure Storage says: an account, its key, and where its services are."""

    account: str
    key: str = field(repr=False)
    blob_endpoint: str | None = None  # None: where all accounts are
    queue_endpoint: str | None = None


class Settings(BaseSettings):
    """The configuration of one installation; read it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="QUANTX_", frozen=True, extra="forbid", populate_by_name=True, env_ignore_empty=True
    )

    lake_url: str = Field("./data/lake", description="where the lake lies: file:///…, az://container/prefix, s3://…")
    state_url: str = Field(
        "./data/state", description="postgresql://…, or a folder for the embedded PostgreSQL (the default)"
    )
    queue_url: str = Field(
        "postgresql",
        description="postgresql (the queue in the state database), az://name or"
        " https://account.queue.core.windows.net/name (an Azure Storage queue)",
    )
    universe_path: Path = Field(
        Path("config/universes.yaml"),
        validation_alias=_names("universe_path", "UNIVERSE_PATH"),
        description="the file that declares the universes",
    )
    max_workers: int = Field(
        8,
        ge=1,
        le=64,
        validation_alias=_names("max_workers", "MAX_WORKERS"),
        description="concurrent requests per worker",
    )
    chunk_size: int = Field(32, ge=1, le=32, description="tasks that a worker takes and stores together")
    lookback_days: int = Field(
        5,
        ge=0,
        le=250,
        validation_alias=_names("lookback_days", "LOOKBACK_DAYS"),
        description="sessions that a daily update reads again, so that late corrections are seen",
    )
    lease_seconds: float = Field(
        15, gt=1, le=3600, description="how long a worker may be silent before its tasks pass on"
    )
    max_attempts: int = Field(4, ge=1, description="failures after which a task is given up")
    daily_schedule: str = Field(
        "0 0 6 * * 1-5",
        validation_alias=_names("daily_schedule", "DAILY_SCHEDULE"),
        description="when the daily update is planned, in UTC: second, minute, hour, day, month, day of the week (the"
        " timer's own setting; `quantx sweep` looks whether it has fired)",
    )
    deadline_hours: float = Field(
        2, gt=0, le=72, description="how long after that a session may be without a run, before it is a finding"
    )
    inspect: bool = Field(
        True,
        description="look at series, minutes, dividends, vendors and gaps when a run has ended, and write the coverage page",
    )
    log_level: str = Field(
        "WARNING",
        validation_alias=_names("log_level", "FETCHER_LOG_LEVEL"),
        description="DEBUG, INFO, WARNING or ERROR",
    )
    sources: dict[str, dict[str, tuple[str, ...]]] = Field(
        {"1d": {"any": ("yahoo",)}, "1m": {"us": ("alpaca",)}},
        description="which vendors are asked, the first one first, by timeframe and market (any: those not named);"
        " the next one stands in for symbols that one can't serve",
    )
    fallback_after: float = Field(
        300, ge=0, description="seconds that a vendor may be closed before the next one is asked in its place"
    )
    yfinance_base_url: str | None = Field(None, description="another host that speaks Yahoo's chart wire (the sandbox)")
    yfinance_quota: str | None = _quota_field("Yahoo", "2/s")
    alpaca_base_url: str | None = Field(None, description="another host that speaks Alpaca's wire (the sandbox)")
    alpaca_api_key: SecretStr | None = Field(None, description="the key id of an Alpaca account")
    alpaca_api_secret: SecretStr | None = Field(None, description="its secret")
    alpaca_feed: str = Field("iex", description="sip (paid), iex or another feed of Alpaca's")
    alpaca_quota: str | None = _quota_field("Alpaca", "200/min")
    stooq_base_url: str | None = Field(None, description="another host that speaks Stooq's wire (the sandbox)")
    stooq_api_key: SecretStr | None = Field(None, description="Stooq's key")
    stooq_quota: str | None = _quota_field("Stooq", "1/s")
    alphavantage_base_url: str | None = Field(
        None, description="another host that speaks Alpha Vantage's wire (the sandbox)"
    )
    alphavantage_api_key: SecretStr | None = Field(None, description="Alpha Vantage's key")
    alphavantage_quota: str | None = _quota_field("Alpha Vantage", "25/day")
    fmp_base_url: str | None = Field(
        None, description="another host that speaks Financial Modeling Prep's wire (the sandbox)"
    )
    fmp_api_key: SecretStr | None = Field(None, description="Financial Modeling Prep's key")
    fmp_quota: str | None = _quota_field("Financial Modeling Prep", "250/day")
    contact: str | None = Field(
        None, description="an e-mail or a URL that says to the sources of universes who is asking; the SEC wants one"
    )
    universe_base_url: str | None = Field(
        None, description="another host that serves the lists of universes under the same paths (tests, a mirror)"
    )
    universe_timeout: float = Field(60, gt=0, le=600, description="seconds in which a list must have been read whole")
    azure_storage_connection_string: SecretStr | None = Field(
        None,
        validation_alias=_names("azure_storage_connection_string", "AZURE_STORAGE_CONNECTION_STRING"),
        description="account key or Azurite; without it the managed identity is used",
    )
    azure_storage_account: str | None = Field(
        None,
        validation_alias=_names("azure_storage_account", "AZURE_STORAGE_ACCOUNT", "FETCHER_AZURE_STORAGE_ACCOUNT"),
        description="the storage account of an az:// lake or queue where no connection string is given",
    )
    azure_storage_blob_endpoint: str | None = Field(
        None,
        validation_alias=_names("azure_storage_blob_endpoint", "AZURE_STORAGE_BLOB_ENDPOINT"),
        description="where the account's blobs are, other than https://account.blob.core.windows.net",
    )
    azure_container_name: str | None = Field(
        None,
        validation_alias=_names("azure_container_name", "AZURE_CONTAINER_NAME", "FETCHER_AZURE_CONTAINER_NAME"),
        description="the container of the lake: stands for lake_url az://<container> where that is not given",
    )
    use_managed_identity: bool = Field(
        False,
        validation_alias=_names("use_managed_identity", "USE_MANAGED_IDENTITY"),
        description="sign in to Azure with the managed identity even where a connection string is given",
    )
    azure_client_id: str | None = Field(
        None,
        validation_alias=_names("azure_client_id", "AZURE_CLIENT_ID"),
        description="which user-assigned managed identity signs in, where the machine has several",
    )
    state_identity: bool | None = Field(
        None,
        description="sign in to PostgreSQL with a token of the identity instead of a password; without it: where state_url has"
        " no password and lies in Azure (*.postgres.database.azure.com)",
    )

    applicationinsights_connection_string: SecretStr | None = Field(
        None,
        validation_alias=_names("applicationinsights_connection_string", "APPLICATIONINSIGHTS_CONNECTION_STRING"),
        description="where traces go (Application Insights); needs the extra `azure`. With"
        " APPLICATIONINSIGHTS_AUTHENTICATION_STRING=Authorization=AAD the identity sends them",
    )

    @field_validator("yfinance_quota", "alpaca_quota", "stooq_quota", "alphavantage_quota", "fmp_quota")
    @classmethod
    def _quota_is_a_rate(cls, value: str | None) -> str | None:
        if value is not None:
            parse_quota(value)
        return value

    @field_validator("sources")
    @classmethod
    def _sources_are_of_markets(cls, value: dict[str, dict[str, tuple[str, ...]]]) -> dict[str, Any]:
        for timeframe, by_market in value.items():
            if timeframe not in TIMEFRAMES or not by_market.keys() <= set(MARKETS) or not all(by_market.values()):
                raise ValueError(
                    f"write it as in {{1d: {{us: [alpaca, yahoo], any: [yahoo]}}}}, with timeframes {', '.join(TIMEFRAMES)}"
                    f" and markets {', '.join(MARKETS)}"
                )
        return value

    def sources_of(self, timeframe: str, market: str) -> tuple[str, ...]:
        """Return the vendors for a market's bars, the first one first; none where none is declared."""
        by_market = self.sources.get(timeframe, {})
        return by_market.get(market, by_market.get("any", ()))

    @field_validator("daily_schedule")
    @classmethod
    def _schedule_is_one(cls, value: str) -> str:
        parse_schedule(value)
        return value

    @field_validator("log_level")
    @classmethod
    def _level_exists(cls, value: str) -> str:
        if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("use DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @model_validator(mode="after")
    def _container_is_a_lake(self) -> Self:
        if self.azure_container_name is not None and "lake_url" not in self.model_fields_set:
            object.__setattr__(self, "lake_url", f"az://{self.azure_container_name}")  # frozen, but not finished yet
        return self

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

    def storage_key(self) -> StorageKey | None:
        """Return what the connection string says; None where there is none or the managed identity is wanted."""
        if self.azure_storage_connection_string is None or self.use_managed_identity:
            return None
        text = self.azure_storage_connection_string.get_secret_value().strip()
        if text.rstrip(";") == "UseDevelopmentStorage=true":
            return _EMULATOR
        fields = dict(part.strip().partition("=")[::2] for part in text.split(";"))
        account, key = fields.get("AccountName"), fields.get("AccountKey")
        if not account or not key:
            raise ConfigError("AZURE_STORAGE_CONNECTION_STRING must have the form AccountName=…;AccountKey=…")
        suffix, scheme = fields.get("EndpointSuffix"), fields.get("DefaultEndpointsProtocol", "https")
        standard = {s: f"{scheme}://{account}.{s}.{suffix}" if suffix else None for s in ("blob", "queue")}
        return StorageKey(
            account,
            key,
            blob_endpoint=fields.get("BlobEndpoint") or standard["blob"],
            queue_endpoint=fields.get("QueueEndpoint") or standard["queue"],
        )

    def redacted(self) -> dict[str, Any]:
        """Return all settings with secrets and passwords hidden, fit to be shown."""
        shown = {name: (str(v) if v is not None else None) for name, v in self.model_dump().items()}
        return {name: without_secrets(text) if text is not None else None for name, text in shown.items()}


# Azurite's account and key, which are the same for all (https://learn.microsoft.com/azure/storage/common/storage-use-azurite).
_EMULATOR = StorageKey(
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    blob_endpoint="http://127.0.0.1:10000/devstoreaccount1",
    queue_endpoint="http://127.0.0.1:10001/devstoreaccount1",
)


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
        except OSError as error:
            raise ConfigError(f"{path} can't be read: {error.strerror}") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{path} must hold names and values, as in `max_workers: 8`")
        known = self.settings_cls.model_fields
        unknown = [str(name) for name in values if name not in known]
        if unknown:
            raise ConfigError(f"{path} has no setting {', '.join(unknown)}; the settings are {', '.join(known)}")
        # The stronger sources may have named the same field by one of its variables.
        return {name: value for name, value in values.items() if not self._is_given(name, known[name].validation_alias)}

    def _is_given(self, name: str, alias: object) -> bool:
        names = {name, *alias.choices} if isinstance(alias, AliasChoices) else {name}
        return not names.isdisjoint(self.current_state)


def without_secrets(text: str) -> str:
    """Hide the password and the signatures in a URL."""
    text = re.sub(r"(://[^:/?#]*):[^/?#]*@", r"\1:**********@", text)
    return re.sub(
        r"([?&](?:password|sslpassword|sig|token|key|secret)=)[^&#]*", r"\1**********", text, flags=re.IGNORECASE
    )


def load_settings(**flags: Any) -> Settings:
    """Return the settings with `flags` above all else (None means: not given); ConfigError names what is wrong."""
    try:
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except SettingsError as error:  # a variable that should hold JSON
        raise ConfigError(
            f'wrong settings: {error}; write it as JSON, as in \'{{"1d": {{"any": ["yahoo"]}}}}\''
        ) from None
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigError(f"wrong settings: {wrong}") from None


def parse_quota(text: str) -> Quota | None:
    """Return the quota that `2/s`, `200/min` or `25/day` means, None for `unlimited`; ValueError for other texts."""
    if text == "unlimited":
        return None
    match = _QUOTA.fullmatch(text.replace(" ", ""))
    if match is None or float(match[1]) <= 0:
        raise ValueError(f"{text!r} is no quota; write it as in 2/s, 200/min, 25/day or unlimited")
    rate = Fraction(match[1]).limit_denominator(1000)
    if rate == 0:
        raise ValueError(f"{text!r} is less than a request in 1000 {match[2]}")
    return Quota(rate.numerator, rate.denominator * _SECONDS[match[2]])
