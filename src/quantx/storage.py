"""Where the programming interface of ingestion keeps its lake: a local folder, or a container in Azure.

>>> from quantx.storage import LocalStorage
>>> storage = LocalStorage(root_path="./data")
>>> storage.lake_url
'data/lake'

Besides tables, a storage holds files of its user: `save_dataframe` and `load_dataframe`. Importing this module
loads no library for frames.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from quantx.errors import ConfigError
from quantx.settings import Settings, load_settings

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from quantx.lake.store import LakeLocation

_ZONES = ("raw", "curated", "quarantine", "features", "_delta_log")  # written by the pipeline alone
_IDENTITIES = ("meta/lake_id", "meta/state_id")


class LakeStorage:
    """A lake as a storage of files. `flags` are the settings that name the lake, its state and its queue."""

    def __init__(self, flags: Mapping[str, Any]) -> None:
        self._flags = dict(flags)
        self._location: LakeLocation | None = None

    @property
    def lake_url(self) -> str:
        """The URL or the path of the lake."""
        return self.settings().lake_url

    def settings(self, **flags: Any) -> Settings:
        """Return the settings of a pipeline on this storage, with other `flags` above them."""
        return load_settings(**{**self._flags, **flags})

    def save_dataframe(self, frame: pl.DataFrame | pd.DataFrame, path: str) -> None:
        """Write a frame to a file below the lake's root: `path` ends in .parquet or .csv. It replaces an earlier file.

        ConfigError for another ending, and for a path in the zones that the pipeline writes.
        """
        import polars as pl

        place = _place(path)
        if place.parts[0] in _ZONES or str(place) in _IDENTITIES:
            raise ConfigError(f"{path} belongs to the pipeline; save a file elsewhere, as in files/{place.name}")
        table = frame if isinstance(frame, pl.DataFrame) else _from_pandas(frame)
        buffer = io.BytesIO()
        table.write_parquet(buffer) if place.suffix == ".parquet" else table.write_csv(buffer)
        self.location.put(str(place), buffer.getvalue())

    def load_dataframe(self, path: str) -> pl.DataFrame:
        """Return the frame in a .parquet or .csv file below the lake's root; LakeError if it is missing or no frame."""
        import polars as pl

        place = _place(path)
        body = self.location.get(str(place))
        try:
            if place.suffix == ".parquet":
                return pl.read_parquet(body)
            return pl.read_csv(body, try_parse_dates=True, infer_schema_length=None)
        except pl.exceptions.PolarsError:
            raise ConfigError(f"{self.location.url}/{place} is not a {place.suffix} file of rows") from None

    def load_universe(self, name: str) -> list[str]:
        """Return the symbols of a phase, as in phase_1, or of a CSV on disk or in the lake.

        A phase's list is `meta/universe_<phase>.csv`, which `refresh_universe` writes.
        """
        from quantx.pipeline.planning.symbols_of_list import symbols_of_list
        from quantx.settings import is_symbol_list

        path = name if is_symbol_list(name) else f"meta/universe_{name}.csv"
        return list(symbols_of_list(self.location, path))

    @property
    def location(self) -> LakeLocation:
        """The opened location of the lake; a missing folder or container is created."""
        if self._location is None:
            from quantx.lake.store import open_location

            settings = self.settings()
            self._location = open_location(settings.lake_url, settings)
        return self._location


class LocalStorage(LakeStorage):
    """A lake in `<root_path>/lake`, with its state in `<root_path>/state`: `./data` is that of `--use-local`.

    `state_url` names a PostgreSQL server instead of the embedded one. The environment is ignored for both.
    """

    def __init__(self, root_path: str | Path = "./data", state_url: str | None = None) -> None:
        self.root_path = Path(root_path)
        super().__init__(
            {
                "lake_url": str(self.root_path / "lake"),
                "raw_url": "",  # inside
                "state_url": state_url or str(self.root_path / "state"),
                "queue_url": "postgresql",
            }
        )


class AzureBlobStorage(LakeStorage):
    """A lake in a container of Azure Storage; the state and the queue are those of the settings.

    Without a connection string the identity of the process signs in. What is not given comes from the settings, as in
    AZURE_STORAGE_ACCOUNT and AZURE_CONTAINER_NAME.
    """

    def __init__(
        self,
        account_name: str | None = None,
        container_name: str | None = None,
        connection_string: str | None = None,
        use_managed_identity: bool | None = None,
    ) -> None:
        super().__init__(
            {
                "lake_url": None if container_name is None else f"az://{container_name}",
                "azure_storage_account": account_name,
                "azure_storage_connection_string": connection_string,
                "use_managed_identity": use_managed_identity,
            }
        )
        if not self.lake_url.startswith(("az://", "azure://", "abfss://")):
            raise ConfigError("AzureBlobStorage needs a container: give container_name, or set AZURE_CONTAINER_NAME")


def _place(path: str) -> PurePosixPath:
    """Return a relative path below the lake's root; ConfigError for another path or ending."""
    place = PurePosixPath(path)
    if place.is_absolute() or not place.parts or ".." in place.parts:
        raise ConfigError(f"{path!a} is not a path below the lake's root, as in files/prices.parquet")
    if place.suffix not in (".parquet", ".csv"):
        raise ConfigError(f"{path!a} must end in .parquet or .csv")
    return place


def _from_pandas(frame: Any) -> pl.DataFrame:
    """Return a frame of pandas with a named index as a column; ConfigError for another object."""
    import polars as pl

    if not hasattr(frame, "columns") or not hasattr(frame, "index"):
        raise ConfigError(f"a {type(frame).__name__} is not a frame; give a DataFrame of Polars or pandas")
    named = any(name is not None for name in frame.index.names)
    return pl.from_pandas(frame, include_index=named)
