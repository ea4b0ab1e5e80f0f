"""Open the lake: one URL gives the object store and the options with which Delta opens tables in it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import AzureStore, LocalStore, MemoryStore, ObjectStore, from_url

from quantx.azure_sign_in import STORAGE, AzureIdentity
from quantx.errors import ConfigError, DamagedObject, LakeError
from quantx.extras import extra
from quantx.lake.replies import reply_code, reply_reason
from quantx.lake.s3 import AwsProcess, open_bucket
from quantx.settings import Settings, without_secrets

if TYPE_CHECKING:
    from obstore.store import AzureConfig, AzureCredential, ClientConfig, RetryConfig

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NO_CONTAINER = {"ContainerNotFound": "container", "NoSuchBucket": "bucket"}
_REFUSED = (obstore.exceptions.UnauthenticatedError, obstore.exceptions.PermissionDeniedError)
_ROLE = "check AZURE_STORAGE_CONNECTION_STRING, or give the identity the role Storage Blob Data Contributor"
_EMULATOR = "azure_storage_use_emulator"
_NO_KEYS = "KeyBasedAuthenticationNotPermitted"
# Opening an unreachable lake fails soon; the callers decide how long to retry.
_RETRIES = 3
_CONNECT, _READ = 2, 15  # seconds
_PROBE_RETRIES: RetryConfig = {
    "max_retries": _RETRIES,
    "retry_timeout": timedelta(seconds=_READ),
    "backoff": {"init_backoff": timedelta(seconds=0.2), "max_backoff": timedelta(seconds=1), "base": 2},
}
_PROBE_CLIENT: ClientConfig = {"connect_timeout": timedelta(seconds=_CONNECT), "timeout": timedelta(seconds=_READ)}


@dataclass(frozen=True)
class LakeLocation:
    """The opened location of a lake."""

    url: str  # absolute, without a trailing slash
    store: ObjectStore = field(repr=False)
    options: dict[str, str] = field(repr=False)  # storage options of deltalake and Polars
    identity: AzureIdentity | None = field(default=None, repr=False)  # signs in if there is no key
    process: AwsProcess | None = field(default=None, repr=False)  # a profile's source of keys

    @property
    def delta_options(self) -> dict[str, str]:
        """Return the current storage options of Delta and Polars; some have a token or keys that expire."""
        if self.process is not None:
            return {**self.options, **self.process.options()}
        if self.identity is None:
            return self.options
        return {**self.options, "azure_storage_token": self.identity.token(STORAGE, LakeError).text}

    def table_url(self, path: str) -> str:
        """Return the address of the table at `path` for Delta readers."""
        if self.url.startswith("file://"):
            return str(_local_path(self.url) / path)
        return f"{self.url}/{path}"

    def put_new(self, path: str, body: bytes) -> None:
        """Create an object; a reader sees all bytes or nothing.

        An existing object with the same bytes is a success: an earlier try stored it and its reply was lost. With other
        bytes it is a LakeError.
        """
        if not self.create(path, body):
            raise LakeError(f"{self.url}/{path} exists with other bytes; raw objects are never replaced")

    def create(self, path: str, body: bytes) -> bool:
        """Create an object as `put_new` does; return False if it exists with other bytes."""
        try:
            obstore.put(self.store, path, body, mode="create")
        except obstore.exceptions.AlreadyExistsError:
            return self.get(path) == body
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("write", path, error) from error
        return True

    def has(self, path: str) -> bool:
        """Return whether an object exists; LakeError if its container is missing or can't be reached."""
        try:
            obstore.get(self.store, path)  # without its body; the reply to a HEAD has no error code
        except (obstore.exceptions.BaseError, OSError) as error:
            failure = self._failure("read", path, error)
            if isinstance(failure, DamagedObject):
                return False
            raise failure from error
        return True

    def get_or_put(self, path: str, body: bytes) -> bytes:
        """Return the bytes of an object; create it with `body` if it is missing."""
        try:
            return self.get(path)  # the usual case; a read-only role never tries to write
        except DamagedObject:
            pass
        try:
            self.put_new(path, body)
        except LakeError:
            return self.get(path)
        return body

    def put(self, path: str, body: bytes) -> None:
        """Create or replace an object that can be made again: a listing or a report."""
        try:
            obstore.put(self.store, path, body)
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("write", path, error) from error

    def delete(self, paths: list[str]) -> None:
        """Delete objects; a missing one is no error."""
        if not paths:
            return
        try:
            obstore.delete(self.store, paths)
        except FileNotFoundError:
            pass
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("delete", paths[0], error) from error

    def get(self, path: str) -> bytes:
        """Return the bytes of an object; DamagedObject if it is missing, LakeError if the store can't be reached."""
        try:
            return bytes(obstore.get(self.store, path).bytes())
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("read", path, error) from error

    def get_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes of an object from `start` to `end` (exclusive); raises as `get`."""
        try:
            return bytes(obstore.get_range(self.store, path, start=start, end=end))
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("read", path, error) from error

    def paths(self, prefix: str) -> list[str]:
        """Return the paths of all objects in a folder, unordered; LakeError if the store can't be reached."""
        return list(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the paths of all objects in a folder with their sizes in bytes, unordered; raises as `paths`."""
        try:
            return {entry["path"]: entry["size"] for page in obstore.list(self.store, prefix) for entry in page}
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("list", prefix, error) from error

    def _failure(self, verb: str, path: str, error: Exception) -> LakeError:
        """Return the error to raise: DamagedObject for one missing object, LakeError for an unreachable store."""
        what = f"cannot {verb} {self.url}/{path}"
        if (kind := _NO_CONTAINER.get(reply_code(error))) is not None:
            return LakeError(f"{what}: there is no {kind} {urlsplit(self.url).netloc}")
        if verb == "read" and isinstance(error, FileNotFoundError):
            return DamagedObject(f"{what}: it is missing")
        return LakeError(f"{what}: {reply_reason(error)}")


def open_location(url: str, settings: Settings | None = None, *, create: bool = True) -> LakeLocation:
    """Open a lake by its URL or local path; raise ConfigError or LakeError with the reason of a failure.

    A missing local folder or Azure container is created; with `create=False` it must exist.
    """
    scheme = urlsplit(url).scheme if "://" in url else "file"
    if scheme == "file":
        return _open_local(url, create=create)
    if scheme == "memory":
        return LakeLocation("memory://", MemoryStore(), {})
    if scheme in ("az", "azure", "abfss"):
        return _open_azure(url, settings, create=create)
    if scheme == "s3":
        bucket = open_bucket(url)
        return LakeLocation(bucket.url, bucket.store, bucket.options, process=bucket.process)
    if scheme == "gs":
        return LakeLocation(url.rstrip("/"), from_url(url), {})
    raise ConfigError(f"the lake's URL {url!r} starts with {scheme}://; use file://, az://, s3://, gs:// or a path")


def _open_local(url: str, *, create: bool) -> LakeLocation:
    if "://" in url and urlsplit(url).netloc not in ("", "localhost"):
        raise ConfigError(f"the lake's URL {url!r} has a host; a local path has three slashes: file:///…")
    folder = (_local_path(url) if "://" in url else Path(url)).expanduser().absolute()
    if not create:
        if not folder.is_dir():
            raise ConfigError(
                f"there is no lake in {folder}; `quantx backfill` creates one, QUANTX_LAKE_URL sets another"
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
    """Return the path of a file:// URL; decode %20 and the like."""
    return Path(unquote(url.removeprefix("file://").removeprefix("localhost")))


@dataclass(frozen=True)
class _Account:
    """A storage account with its credentials."""

    name: str
    endpoint: str | None  # of its blobs; None: the default
    key: str | None = field(repr=False)
    identity: AzureIdentity | None = None  # used without a key

    @property
    def address(self) -> str:
        return self.endpoint or f"https://{self.name}.blob.core.windows.net"

    @property
    def is_emulator(self) -> bool:
        return urlsplit(self.address).hostname in _LOOPBACK

    def store(self, container: str, prefix: str, **how: Any) -> AzureStore:
        """Return the object store of a container below a prefix."""
        config = _azure_options(self)
        if self.identity is not None:
            config.pop(_EMULATOR, None)  # the emulator switch would disable tokens
            how["credential_provider"] = self._provide
        return AzureStore(container, prefix=prefix or None, config=cast("AzureConfig", config), **how)

    def _provide(self) -> AzureCredential:
        """Return a token for obstore, which calls this whenever the last one is about to expire."""
        assert self.identity is not None
        token = self.identity.token(STORAGE, LakeError)
        return {"token": token.text, "expires_at": token.ends}


def _open_azure(url: str, settings: Settings | None, *, create: bool) -> LakeLocation:
    parts = urlsplit(url)
    container, prefix = parts.netloc, parts.path.strip("/")
    if "@" in container or not container:
        raise ConfigError(f"the lake's URL {without_secrets(url)!r} must have the form az://container/prefix")
    account = _account(settings)
    location = LakeLocation(
        f"az://{container}/{prefix}".rstrip("/"),
        account.store(container, prefix),
        _azure_options(account),
        account.identity,
    )
    if not _has_container(account, container, prefix):
        if not create:
            raise ConfigError(
                f"there is no lake in {location.url}: the account {account.name} has no container {container};"
                " `quantx backfill` creates one, QUANTX_LAKE_URL sets another"
            )
        _create_container(account, container)
    return location


def _account(settings: Settings | None) -> _Account:
    key = settings.storage_key() if settings else None
    if key is not None:
        return _Account(key.account, key.blob_endpoint and key.blob_endpoint.rstrip("/"), key.key)
    if settings is None or settings.azure_storage_account is None:
        raise ConfigError(
            "an az:// lake needs AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT for the managed identity"
        )
    endpoint = (settings.azure_storage_blob_endpoint or "").rstrip("/") or None
    if endpoint and not endpoint.startswith("https://"):
        raise ConfigError(
            f"AZURE_STORAGE_BLOB_ENDPOINT {endpoint!r} is not encrypted, and an identity needs encryption; use https://,"
            " or set AZURE_STORAGE_CONNECTION_STRING"
        )
    return _Account(settings.azure_storage_account, endpoint, None, AzureIdentity.of(settings))


def _azure_options(account: _Account) -> dict[str, str]:
    """Return the storage options of Delta and Polars, without the token of an identity."""
    options = {"azure_storage_account_name": account.name}
    if account.key:
        options["azure_storage_account_key"] = account.key
    if account.is_emulator:
        # Azurite lacks `startFrom`, with which Delta lists its log (Azurite#2619). The emulator switch of object_store
        # does not use it, and takes its address only from the environment.
        origin = urlsplit(account.address)
        os.environ["AZURITE_BLOB_STORAGE_URL"] = f"{origin.scheme}://{origin.netloc}"
        options[_EMULATOR] = "true"
    if account.endpoint:
        options["azure_storage_endpoint"] = account.endpoint
    return options


def _has_container(account: _Account, container: str, prefix: str) -> bool:
    """Return whether the container exists, by one request for an object: it needs only the right to read.

    LakeError if the account can't be reached or refuses.
    """
    if account.identity is not None:
        account.identity.token(STORAGE, LakeError)  # raises with the reason, which the store would hide
    probe = account.store(container, prefix, client_options=_PROBE_CLIENT, retry_config=_PROBE_RETRIES)
    try:
        obstore.get(probe, "meta/lake_id")  # most lakes have it, so that their logs show few failures
    except FileNotFoundError as error:
        return reply_code(error) not in _NO_CONTAINER
    except (obstore.exceptions.BaseError, OSError) as error:
        if reply_code(error) == "InvalidResourceName":
            raise ConfigError(
                f"the lake's URL has the invalid container name {container!r}; use 3 to 63 lower-case letters, digits"
                " and single hyphens between them"
            ) from error
        step = _ROLE if isinstance(error, _REFUSED) else "check the address and the network"
        if reply_code(error) == _NO_KEYS:
            step = "the account accepts no keys: set USE_MANAGED_IDENTITY=true and AZURE_STORAGE_ACCOUNT"
        raise LakeError(f"the lake's container {account.address}/{container}: {reply_reason(error)}; {step}") from error
    return True


def _create_container(account: _Account, container: str) -> None:
    """Create a container unless another process does; ConfigError if the user must create it."""
    with extra("azure", "a new container"):
        from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError
        from azure.storage.blob import ContainerClient, LinearRetry

    key = {"account_name": account.name, "account_key": account.key or ""}
    client = ContainerClient(
        account.address,
        container,
        credential=account.identity.credential if account.identity else key,
        retry_policy=LinearRetry(backoff=1, retry_total=_RETRIES, random_jitter_range=1),
        connection_timeout=_CONNECT,
        read_timeout=_READ,
    )
    missing = f"there is no container {container} in the account {account.name}, and it can't be created"
    try:
        with client:
            client.create_container()
    except ResourceExistsError as error:
        if reply_code(error) != "ContainerAlreadyExists":  # it is being deleted, which takes half a minute
            raise LakeError(f"{missing}: {reply_reason(error)}") from error
    except HttpResponseError as error:
        if error.status_code in (401, 403):
            raise ConfigError(f"{missing}: {reply_reason(error)}; create it, or {_ROLE}") from error
        raise LakeError(f"{missing}: {reply_reason(error)}") from error
    except AzureError as error:
        raise LakeError(f"{missing}: {reply_reason(error)}") from error
