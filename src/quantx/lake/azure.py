"""Open a container of Azure Storage: store, storage options, the identity that signs in, and clear errors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import obstore
from obstore.store import AzureStore

from quantx.azure_sign_in import STORAGE, AzureIdentity
from quantx.errors import ConfigError, LakeError, MissingLake, RawNotReadable
from quantx.extras import extra
from quantx.lake.replies import reply_code, reply_reason
from quantx.lake.zones import LAKE, RAW_ZONE, Zone
from quantx.settings import Settings, without_secrets

if TYPE_CHECKING:
    from obstore.store import AzureConfig, AzureCredential, ClientConfig, RetryConfig

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
NO_CONTAINER = {"ContainerNotFound": "container", "NoSuchBucket": "bucket"}  # codes of replies
REFUSED = (obstore.exceptions.UnauthenticatedError, obstore.exceptions.PermissionDeniedError, PermissionError)
_ROLE = "check AZURE_STORAGE_CONNECTION_STRING, or give the identity the role {}"
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
class AzureContainer:
    """An opened container."""

    url: str  # without a trailing slash
    store: AzureStore = field(repr=False)
    options: dict[str, str] = field(repr=False)  # storage options of deltalake and Polars, without a token
    identity: AzureIdentity | None = field(default=None, repr=False)  # signs in if there is no key


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


def open_container(url: str, settings: Settings | None, zone: Zone, *, create: bool) -> AzureContainer:
    """Open the container of a URL az://CONTAINER/PREFIX in the account that the settings name.

    Raises ConfigError or LakeError with the reason of a failure, MissingLake where it is missing and not to be created.
    """
    parts = urlsplit(url)
    container, prefix = parts.netloc, parts.path.strip("/")
    if "@" in container or not container:
        raise ConfigError(f"the {zone.name}'s URL {without_secrets(url)!r} must have the form az://container/prefix")
    return _opened(_account(settings), f"az://{container}/{prefix}", container, prefix, zone, create=create)


def open_address(url: str, settings: Settings, *, create: bool) -> AzureContainer:
    """Open a container of any account by its address https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX.

    The connection string signs in where it is of this account, the managed identity elsewhere. Raises as
    `open_container`.
    """
    parts = urlsplit(url)
    name, _, domain = (parts.hostname or "").partition(".")
    container, _, prefix = parts.path.strip("/").partition("/")
    if not container or not domain.startswith("blob."):
        raise ConfigError(
            f"the URL {without_secrets(url)!r} must have the form https://ACCOUNT.blob.core.windows.net/CONTAINER"
        )
    key = settings.storage_key()
    own = key is not None and key.account == name
    account = _Account(
        name,
        f"https://{parts.netloc}",
        key.key if key is not None and own else None,
        None if own else AzureIdentity.of(settings),
    )
    return _opened(account, url, container, prefix, LAKE, create=create)


def _opened(account: _Account, url: str, container: str, prefix: str, zone: Zone, *, create: bool) -> AzureContainer:
    opened = AzureContainer(
        url.rstrip("/"), account.store(container, prefix), _azure_options(account), account.identity
    )
    if not _has_container(account, container, prefix, zone):
        if not create:
            raise MissingLake(
                f"there is no {zone.name} in {opened.url}: the account {account.name} has no container {container};"
                f" `quantx backfill` creates one, {zone.setting} sets another"
            )
        _create_container(account, container, zone)
    return opened


def delete_blob(url: str, options: Mapping[str, str], identity: AzureIdentity | None, key: str) -> None:
    """Delete one blob below the URL of a container by a request of its own; LakeError where it is refused.

    obstore deletes in batches only, and a batch needs the right to write in the container (learn.microsoft.com,
    rest/api/storageservices/blob-batch, "Authorization").
    """
    with extra("azure-storage", "to delete raw objects"):
        from azure.core.exceptions import AzureError, ResourceNotFoundError
        from azure.storage.blob import BlobClient

    name = options["azure_storage_account_name"]
    parts = urlsplit(url)
    blob = f"{parts.path.strip('/')}/{key}".lstrip("/")
    credential: Any = {"account_name": name, "account_key": options.get("azure_storage_account_key", "")}
    address = options.get("azure_storage_endpoint") or f"https://{name}.blob.core.windows.net"
    client = BlobClient(address, parts.netloc, blob, credential=identity.credential if identity else credential)
    try:
        with client:
            client.delete_blob()
    except ResourceNotFoundError:
        return
    except AzureError as error:
        raise LakeError(f"cannot delete {url}/{key}: {reply_reason(error)}") from error


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


def _has_container(account: _Account, container: str, prefix: str, zone: Zone) -> bool:
    """Return whether the container exists, by one request for an object: it needs only the right to read.

    LakeError if the account can't be reached or refuses.
    """
    if account.identity is not None:
        account.identity.token(STORAGE, LakeError)  # raises with the reason, which the store would hide
    probe = account.store(container, prefix, client_options=_PROBE_CLIENT, retry_config=_PROBE_RETRIES)
    try:
        obstore.get(probe, "meta/lake_id")  # most lakes have it, so that their logs show few failures
    except FileNotFoundError as error:
        return reply_code(error) not in NO_CONTAINER
    except (obstore.exceptions.BaseError, OSError) as error:
        if reply_code(error) == "InvalidResourceName":
            raise ConfigError(
                f"the {zone.name}'s URL has the invalid container name {container!r}; use 3 to 63 lower-case letters,"
                " digits and single hyphens between them"
            ) from error
        step = _ROLE.format(zone.right) if isinstance(error, REFUSED) else "check the address and the network"
        if reply_code(error) == _NO_KEYS:
            step = "the account accepts no keys: set USE_MANAGED_IDENTITY=true and AZURE_STORAGE_ACCOUNT"
        refusal = RawNotReadable if zone is RAW_ZONE and isinstance(error, REFUSED) else LakeError
        what = f"the {zone.name}'s container {account.address}/{container}"
        raise refusal(f"{what}: {reply_reason(error)}; {step}") from error
    return True


def _create_container(account: _Account, container: str, zone: Zone) -> None:
    """Create a container unless another process does; ConfigError if the user must create it."""
    with extra("azure-storage", "a new container"):
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
            raise ConfigError(f"{missing}: {reply_reason(error)}; create it, or {_ROLE.format(zone.right)}") from error
        raise LakeError(f"{missing}: {reply_reason(error)}") from error
    except AzureError as error:
        raise LakeError(f"{missing}: {reply_reason(error)}") from error
