"""The settings of one installation as a frozen object, and how it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import AliasChoices, ByteSize, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from quantx.calendar_files import keep_calendars
from quantx.core.foreign_errors import value_fact
from quantx.core.schedule import parse_schedule
from quantx.core.symbols import MARKETS as _MARKETS
from quantx.errors import ConfigError
from quantx.settings.alerts import AlertSettings
from quantx.settings.azure_storage import StorageKey, parse_connection_string
from quantx.settings.concepts import OWN_CONCEPTS
from quantx.settings.dashboard import DashboardSettings
from quantx.settings.imports import OWN_IMPORTS
from quantx.settings.option_archives import OptionArchiveSettings
from quantx.settings.redaction import without_secrets
from quantx.settings.sources import DotEnvSource, FileSource, VariableSource, export_library_variables
from quantx.settings.user_cache import user_cache
from quantx.settings.vendors import FLAT_NAMES, VENDOR_SETTINGS, Vendors, checked_contact, flat_name, nested, source_of

DECLARATION = Path("config/universes.yaml")
TIMEFRAMES, MARKETS = ("1d", "1m"), (*_MARKETS, "any")


def _names(field: str, *earlier: str) -> AliasChoices:
    """Return the variable of a field and its earlier names; the first one that is set wins."""
    return AliasChoices(f"QUANTX_{field.upper()}", *earlier)


def _sources_of(names: Any) -> Any:
    """Return the vendors of a list by their own names."""
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return names
    return list(dict.fromkeys(map(source_of, names)))


def is_symbol_list(path: Path | str) -> bool:
    """Return whether a path means a file of symbols, and not a universe or its declaration: .csv or .txt."""
    return str(path).lower().endswith((".csv", ".txt"))


def preferred_vendors(
    sources: Mapping[str, Mapping[str, tuple[str, ...]]], timeframe: str, market: str
) -> tuple[str, ...]:
    """Return the vendors of a market's bars by the setting `sources`, in order of preference."""
    by_market = sources.get(timeframe, {})
    return by_market.get(market, by_market.get("any", ()))


class Settings(Vendors, AlertSettings, DashboardSettings, OptionArchiveSettings, BaseSettings):
    """The configuration of one installation; read it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="QUANTX_", frozen=True, extra="forbid", populate_by_name=True, env_ignore_empty=True
    )

    lake_url: str = Field("./data/lake", description="the URL of the lake: file:///…, az://container/prefix, s3://…")
    raw_url: str | None = Field(
        None,
        description="the URL of the raw objects where they have a place of their own, as in az://raw; by default they"
        " lie in the lake, below raw/",
    )
    raw_retention_days: int = Field(
        0,
        ge=0,
        description="for how many days the store of the raw objects refuses to delete one, as rawRetentionDays of the"
        " deployment; 0: it has no such policy. `quantx delete` shows the dates",
    )
    state_url: str = Field(
        "./data/state", description="postgresql://…, or a folder for the embedded PostgreSQL (the default)"
    )
    queue_url: str = Field(
        "postgresql",
        description="postgresql (the queue in the state database), az://name or"
        " https://account.queue.core.windows.net/name (an Azure Storage queue)",
    )
    universe_path: Path = Field(
        DECLARATION,
        validation_alias=_names("universe_path", "UNIVERSE_PATH"),
        description="the file that declares the universes; or a CSV of symbols, on disk or in the lake, which updates"
        " without a scope then fetch",
    )
    concepts_path: Path = Field(
        OWN_CONCEPTS,
        description="a file of own standard concepts of fundamentals, which add to the shipped ones or replace them;"
        " the default need not exist",
    )
    imports_path: Path = Field(
        OWN_IMPORTS,
        description="the file that declares the forms of imported files by source (`quantx import`); the default need"
        " not exist",
    )
    max_workers: int = Field(
        8,
        ge=1,
        le=64,
        validation_alias=_names("max_workers", "MAX_WORKERS"),
        description="concurrent requests per worker",
    )
    chunk_size: int = Field(
        256,
        ge=1,
        le=10_000,
        description="the most tasks that a worker claims and stores together; a batch begins with 32, a page of the"
        " queue, and doubles while batches end within 1.5 seconds",
    )
    batch_bytes: ByteSize = Field(
        ByteSize(16_000_000),
        ge=1,
        description="bytes of fetched replies, as in 16MB, beyond which a batch is stored before it is complete",
    )
    held_bytes: ByteSize = Field(
        ByteSize(64_000_000),
        ge=1,
        description="bytes of replies that a worker holds at a time, fetched and not yet stored; beyond, requests wait",
    )
    round_bytes: ByteSize = Field(
        ByteSize(24_000_000),
        ge=1,
        description="bytes of stored replies that are turned into rows at once; a larger reply is a round of its own",
    )
    round_replies: int = Field(
        6000, ge=1, le=100_000, description="stored replies that are turned into rows at once, where they are small"
    )
    lookback_days: int = Field(
        5,
        ge=0,
        le=250,
        validation_alias=_names("lookback_days", "LOOKBACK_DAYS"),
        description="sessions that a daily update fetches again, for late corrections",
    )
    lease_seconds: float = Field(
        15,
        gt=1,
        le=3600,
        description="seconds after which other workers take a worker's tasks, unless it renews its leases",
    )
    max_attempts: int = Field(4, ge=1, description="failures after which a task has failed permanently")
    daily_schedule: str = Field(
        "0 0 6 * * 1-5",
        validation_alias=_names("daily_schedule", "DAILY_SCHEDULE"),
        description="when the daily update is planned, in UTC: second, minute, hour, day, month, day of the week (the"
        " timer's own setting; `quantx sweep` checks that it has fired)",
    )
    deadline_hours: float = Field(
        2, gt=0, le=72, description="hours after that time in which a session must have its run; later it is a finding"
    )
    fundamentals: bool = Field(
        False,
        description="let daily updates also fetch the filings and facts of the American members from the SEC (`quantx"
        " fundamentals update`); needs `contact`",
    )
    rates: bool = Field(
        False,
        description="let daily updates also fetch the US Treasury's par yields and the ECB's reference rates (`quantx"
        " rates update`)",
    )
    inspect: bool = Field(
        True,
        description="inspect series, minutes, dividends, vendors and gaps after each run, and write the coverage page",
    )
    features: tuple[str, ...] = Field(
        (),
        description="feature sets that are built after each run, as in [technical, alpha158]; `quantx features list`"
        " shows the sets",
    )
    studies: tuple[Path, ...] = Field(
        (),
        description="the YAML files of studies whose trained models predict each new session after a daily update"
        " (`quantx research predict`)",
    )
    studies_dir: Path = Field(
        Path("data/studies"), description="the folder of studies: each has its dataset, model and report below its name"
    )
    estimator_packages: tuple[str, ...] = Field(
        ("lightgbm", "sklearn"),
        description="the packages whose estimators a study may name: training imports them, which runs their code",
    )
    mlflow_tracking_uri: str | None = Field(
        None,
        validation_alias=_names("mlflow_tracking_uri", "MLFLOW_TRACKING_URI"),
        description="the MLflow server that records studies; by default files in mlruns below `studies_dir`",
    )
    sql_views: Path | None = Field(
        None,
        description="a DuckDB file of views of the lake, for other tools, which each run refreshes; `quantx db init`"
        " writes it (a lake in a local folder only)",
    )
    verify_megabytes: int = Field(
        100,
        ge=0,
        description="megabytes of the lake that each sweep verifies; a pass begins every two weeks (0: none)",
    )
    log_level: str = Field(
        "WARNING",
        validation_alias=_names("log_level", "FETCHER_LOG_LEVEL"),
        description="DEBUG, INFO, WARNING or ERROR",
    )
    cache_size: ByteSize = Field(
        ByteSize(5_000_000_000),
        description="the most bytes that decoded copies of the lake's files take on this machine, as in 5GB; they make"
        " reading faster, and the least recently used ones go first (0: no copies)",
    )
    cache_dir: Path | None = Field(
        None,
        description="the folder of these copies and of the exchanges' calendars; by default the user's cache folder:"
        " ~/.cache/quantx on Linux, ~/Library/Caches/quantx on macOS",
    )
    sources: dict[str, dict[str, tuple[str, ...]]] = Field(
        {"1d": {"any": ("yahoo",)}, "1m": {"us": ("alpaca",)}},
        description="the vendors to fetch from, in order of preference, by timeframe and market (any: all others);"
        " the next one is the fallback for symbols that one can't serve",
    )
    fallback_after: float = Field(
        300, ge=0, description="seconds that a vendor may be in back-off before its tasks go to the next vendor"
    )
    contact: str | None = Field(
        None,
        description="an e-mail address or a URL that is sent to the sources of universes and to the SEC, which requires"
        " one",
    )
    universe_base_url: str | None = Field(
        None, description="another host that serves the lists of universes under the same paths (tests, a mirror)"
    )
    universe_timeout: float = Field(60, gt=0, le=600, description="seconds within which a whole list must be read")
    s3_bucket: str | None = Field(
        None,
        validation_alias=_names("s3_bucket", "S3_BUCKET", "S3_BUCKET_NAME"),
        description="the bucket of the lake: means lake_url s3://<bucket>/<s3_prefix> where lake_url is not set",
    )
    s3_prefix: str | None = Field(
        None, validation_alias=_names("s3_prefix", "S3_PREFIX"), description="the path of the lake in s3_bucket"
    )
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
        description="the account's blob endpoint, if not https://account.blob.core.windows.net",
    )
    azure_container_name: str | None = Field(
        None,
        validation_alias=_names("azure_container_name", "AZURE_CONTAINER_NAME", "FETCHER_AZURE_CONTAINER_NAME"),
        description="the container of the lake: means lake_url az://<container> where lake_url is not set",
    )
    use_managed_identity: bool = Field(
        False,
        validation_alias=_names("use_managed_identity", "USE_MANAGED_IDENTITY"),
        description="sign in to Azure with the managed identity even where a connection string is given",
    )
    azure_client_id: str | None = Field(
        None,
        validation_alias=_names("azure_client_id", "AZURE_CLIENT_ID"),
        description="the client id of the user-assigned managed identity that signs in, where there are several",
    )
    spark_remote: str | None = Field(
        None,
        validation_alias=_names("spark_remote", "SPARK_REMOTE"),
        description="the address of the cluster that `--engine spark` uses, as in sc://host:15002; without it the"
        " session of the cluster on which the program runs",
    )
    state_identity: bool | None = Field(
        None,
        description="sign in to PostgreSQL with a token of the identity instead of a password; by default where"
        " state_url has no password and its host is in Azure (*.postgres.database.azure.com)",
    )

    applicationinsights_connection_string: SecretStr | None = Field(
        None,
        validation_alias=_names("applicationinsights_connection_string", "APPLICATIONINSIGHTS_CONNECTION_STRING"),
        description="where traces are sent (Application Insights); needs the extra `azure`. With"
        " APPLICATIONINSIGHTS_AUTHENTICATION_STRING=Authorization=AAD the identity signs in",
    )

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, value: dict[str, dict[str, tuple[str, ...]]]) -> dict[str, Any]:
        for timeframe, by_market in value.items():
            if timeframe not in TIMEFRAMES or not by_market.keys() <= set(MARKETS) or not all(by_market.values()):
                raise ValueError(
                    f"write it as in {{1d: {{us: [alpaca, yahoo], any: [yahoo]}}}}, with timeframes"
                    f" {', '.join(TIMEFRAMES)} and markets {', '.join(MARKETS)}"
                )
        return value

    def sources_of(self, timeframe: str, market: str) -> tuple[str, ...]:
        """Return the vendors of a market's bars in order of preference; none where none is declared."""
        return preferred_vendors(self.sources, timeframe, market)

    @field_validator("sources", mode="before")
    @classmethod
    def _canonical_sources(cls, value: Any) -> Any:
        """Turn other names of vendors into their own; a wrong form is refused with the other values."""
        if not isinstance(value, dict) or not all(isinstance(markets, dict) for markets in value.values()):
            return value
        return {
            timeframe: {market: _sources_of(names) for market, names in markets.items()}
            for timeframe, markets in value.items()
        }

    @field_validator("daily_schedule")
    @classmethod
    def _check_schedule(cls, value: str) -> str:
        """Return the schedule with the six fields of Azure: five, as of cron, begin with the minute."""
        parse_schedule(value)
        return value if len(value.split()) == 6 else f"0 {value}"

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, value: str) -> str:
        if value.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
            raise ValueError("use DEBUG, INFO, WARNING or ERROR")
        return value.upper()

    @model_validator(mode="after")
    def _lake_of_container(self) -> Self:
        """Name the lake by its container or its bucket where it has no URL."""
        container, bucket = self.azure_container_name, self.s3_bucket
        if "lake_url" in self.model_fields_set or (container is None and bucket is None):
            return self
        if container is not None and bucket is not None:
            raise ValueError(
                f"the container {container} in Azure and the bucket {bucket} in S3 are both set; set lake_url"
                " (QUANTX_LAKE_URL) to the one that is the lake"
            )
        prefix = (self.s3_prefix or "").strip("/")
        url = f"az://{container}" if bucket is None else f"s3://{bucket}/{prefix}".rstrip("/")
        object.__setattr__(self, "lake_url", url)  # frozen, but still under construction
        return self

    @field_validator("contact")
    @classmethod
    def _check_contact(cls, value: str | None) -> str | None:
        return checked_contact(value)

    @model_validator(mode="after")
    def _contact_of_sec(self) -> Self:
        """Send the contact to the SEC, too, where it has none of its own."""
        if self.contact is not None and self.sec.contact is None:
            object.__setattr__(self, "sec", self.sec.model_copy(update={"contact": self.contact}))
        return self

    @property
    def declaration_path(self) -> Path:
        """The file that declares the universes, also where `universe_path` is a list of symbols."""
        return DECLARATION if is_symbol_list(self.universe_path) else self.universe_path

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let arguments win over the environment, that over `.env`, and that over the settings file."""
        arguments = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        return (
            InitSettingsSource(settings_cls, nested(arguments)),
            VariableSource(settings_cls),
            DotEnvSource(settings_cls),
            FileSource(settings_cls),
        )

    if not TYPE_CHECKING:  # typed code uses the sub-models

        def __getattr__(self, name: str) -> Any:
            """Return a vendor's setting by its flat name, as in `settings.alpaca_feed`."""
            if name not in FLAT_NAMES:
                return super().__getattr__(name)
            source, field = FLAT_NAMES[name]
            return getattr(getattr(self, source), field)

    def storage_key(self) -> StorageKey | None:
        """Return the account of the connection string; None without one, or where the managed identity is wanted."""
        if self.azure_storage_connection_string is None or self.use_managed_identity:
            return None
        return parse_connection_string(self.azure_storage_connection_string.get_secret_value())

    def cache_folder(self) -> Path:
        """Return the folder of the caches on this machine; RuntimeError for a user without a home."""
        return (self.cache_dir or user_cache()).expanduser().absolute()

    def redacted(self) -> dict[str, str | None]:
        """Return all settings by their flat names as texts, with secrets and passwords hidden."""
        values = {name: value for name, value in self if name not in VENDOR_SETTINGS}
        for name, (source, field) in FLAT_NAMES.items():
            values[name] = getattr(getattr(self, source), field)
        return {name: None if value is None else without_secrets(str(value)) for name, value in values.items()}


def load_settings(**flags: Any) -> Settings:
    """Return the settings with `flags` above all else (None means: not given); ConfigError names the wrong values.

    The process keeps its calendars in the cache folder of the settings.
    The configured `raw_url` belongs to the configured lake: another one by a flag has its raw objects inside.
    """
    export_library_variables()
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(**given)
        keep_calendars(settings.cache_folder)
        if settings.raw_url and "lake_url" in given and "raw_url" not in given:
            configured = Settings(**{name: value for name, value in given.items() if name != "lake_url"})
            if configured.lake_url != settings.lake_url:  # the raw zone is that of the configured lake
                return Settings(**given, raw_url="")
        return settings
    except SettingsError as error:  # a variable that should hold JSON
        named = re.search(r'field "(\w+)"', str(error))
        raise ConfigError(
            f"wrong settings: {named[1] if named else 'a variable'} is not valid JSON; write it as in"
            ' \'{"1d": {"any": ["yahoo"]}}\''
        ) from None
    except ValidationError as error:
        wrong = "; ".join(f"{_name_of(e['loc'])}: {value_fact(e)}" for e in error.errors(include_input=False))
        raise ConfigError(f"wrong settings: {wrong}") from None


def _name_of(place: tuple[int | str, ...]) -> str:
    """Return the name of the setting in which an error lies: the flat one of a vendor's."""
    parts = [str(part) for part in place]
    if len(parts) > 1 and parts[0] in VENDOR_SETTINGS:
        parts[:2] = [flat_name(*parts[:2])]
    return ".".join(parts)
