"""Where the lake lies: one URL gives the object store and what Delta needs to open tables in it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import AzureStore, LocalStore, MemoryStore, ObjectStore, from_url

from quantx.errors import ConfigError, DamagedObject, LakeError
from quantx.settings import Settings, StorageKey, without_secrets

if TYPE_CHECKING:
    from obstore.store import AzureConfig

_LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class LakeLocation:
    """An opened place for a lake."""

    url: str  # absolute, without a trailing slash
    store: ObjectStore = field(repr=False)
    delta_options: dict[str, str] = field(repr=False)  # what deltalake and Polars need to reach the same place

    def table_url(self, path: str) -> str:
        """Return the address of the table at `path`, as Delta readers take it."""
        if self.url.startswith("file://"):
            return str(_local_path(self.url) / path)
        return f"{self.url}/{path}"

    def put_new(self, path: str, body: bytes) -> None:
        """Create an object; a reader sees all bytes or nothing.

        An object that is there already with the same bytes is a success (an earlier try was stored although its
        answer was lost); with other bytes it is a LakeError.
        """
        try:
            obstore.put(self.store, path, body, mode="create")
        except obstore.exceptions.AlreadyExistsError:
            if self.get(path) != body:
                raise LakeError(f"{self.url}/{path} exists with other bytes; raw objects are never replaced") from None
        except (obstore.exceptions.BaseError, OSError) as error:
            raise LakeError(f"cannot write {self.url}/{path}: {_first_line(error)}") from error

    def has(self, path: str) -> bool:
        """Tell whether there is such an object; LakeError where the store can't be reached."""
        try:
            obstore.head(self.store, path)
        except FileNotFoundError:
            return False
        except (obstore.exceptions.BaseError, OSError) as error:
            raise LakeError(f"cannot read {self.url}/{path}: {_first_line(error)}") from error
        return True

    def get_or_put(self, path: str, body: bytes) -> bytes:
        """Return the bytes of an object, after creating it with `body` where it was missing."""
        try:
            self.put_new(path, body)
        except LakeError:
            return self.get(path)
        return body

    def put(self, path: str, body: bytes) -> None:
        """Create or replace an object that is not part of the truth: a listing or a report."""
        try:
            obstore.put(self.store, path, body)
        except (obstore.exceptions.BaseError, OSError) as error:
            raise LakeError(f"cannot write {self.url}/{path}: {_first_line(error)}") from error

    def get(self, path: str) -> bytes:
        """Return the bytes of an object; LakeError where it is missing or the store can't be reached."""
        try:
            return bytes(obstore.get(self.store, path).bytes())
        except FileNotFoundError as error:
            raise DamagedObject(f"cannot read {self.url}/{path}: it is missing") from error
        except (obstore.exceptions.BaseError, OSError) as error:
            raise LakeError(f"cannot read {self.url}/{path}: {_first_line(error)}") from error


def open_location(url: str, settings: Settings | None = None, *, create: bool = True) -> LakeLocation:
    """Open a lake by its URL or local path; ConfigError or LakeError say what is wrong.

    A local folder is created and must be writable, or with `create=False` must be there.
    """
    scheme = urlsplit(url).scheme if "://" in url else "file"
    if scheme == "file":
        return _open_local(url, create=create)
    if scheme == "memory":
        return LakeLocation("memory://", MemoryStore(), {})
    if scheme in ("az", "azure", "abfss"):
        return _open_azure(url, settings)
    if scheme in ("s3", "gs"):
        return LakeLocation(url.rstrip("/"), from_url(url), {})
    raise ConfigError(f"the lake's URL {url!r} starts with {scheme}://; use file://, az://, s3://, gs:// or a path")


def _open_local(url: str, *, create: bool) -> LakeLocation:
    if "://" in url and urlsplit(url).netloc not in ("", "localhost"):
        raise ConfigError(f"the lake's URL {url!r} names a host; a local path has three slashes: file:///…")
    folder = (_local_path(url) if "://" in url else Path(url)).expanduser().absolute()
    if not create:
        if not folder.is_dir():
            raise ConfigError(
                f"there is no lake in {folder}; `quantx backfill` makes one, QUANTX_LAKE_URL names another"
            )
        return LakeLocation(folder.as_uri(), LocalStore(folder), {})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise LakeError(
            f"the lake's folder {folder} can't be written: {error.strerror}; choose another with QUANTX_LAKE_URL"
        ) from None
    return LakeLocation(folder.as_uri(), LocalStore(folder), {})


def _local_path(url: str) -> Path:
    """Return the path of a file:// URL, in which some characters are written as %20."""
    return Path(unquote(url.removeprefix("file://").removeprefix("localhost")))


def _open_azure(url: str, settings: Settings | None) -> LakeLocation:
    parts = urlsplit(url)
    container, prefix = parts.netloc, parts.path.strip("/")
    if "@" in container or not container:
        raise ConfigError(f"the lake's URL {without_secrets(url)!r} must have the form az://container/prefix")
    key = settings.storage_key() if settings else None
    options = _key_options(key) if key else _identity_options(settings)
    store = AzureStore(container, prefix=prefix or None, config=cast("AzureConfig", options))
    return LakeLocation(f"az://{container}/{prefix}".rstrip("/"), store, options)


def _key_options(key: StorageKey) -> dict[str, str]:
    options = {"azure_storage_account_name": key.account, "azure_storage_account_key": key.key}
    if key.blob_endpoint and urlsplit(key.blob_endpoint).hostname in _LOOPBACK:
        # Azurite does not know `startFrom`, with which Delta lists its log (Azurite#2619). The emulator switch of
        # object_store does without, and takes its address from the environment alone.
        origin = urlsplit(key.blob_endpoint)
        os.environ["AZURITE_BLOB_STORAGE_URL"] = f"{origin.scheme}://{origin.netloc}"
        return options | {"azure_storage_use_emulator": "true"}
    return options | ({"azure_storage_endpoint": key.blob_endpoint} if key.blob_endpoint else {})


def _identity_options(settings: Settings | None) -> dict[str, str]:
    """Return how the objects and the tables are reached without a key.

    A worker may live longer than a token (an hour). So no token is handed over: obstore, Delta and Polars get to know
    where tokens come from, and each gets a new one five minutes before the old one ends.
    """
    if settings is None or settings.azure_storage_account is None:
        raise ConfigError(
            "an az:// lake needs AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT for the managed identity"
        )
    options = {"azure_storage_account_name": settings.azure_storage_account}
    if settings.azure_storage_blob_endpoint:
        options["azure_storage_endpoint"] = settings.azure_storage_blob_endpoint.rstrip("/")
    if settings.azure_identity_endpoint:
        # Functions and Container Apps have no 169.254.169.254, and deltalake does not read IDENTITY_ENDPOINT itself.
        options["azure_msi_endpoint"] = settings.azure_identity_endpoint
    return options


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
