"""Open the queue of QUANTX_QUEUE_URL: the one in the state database, or one in Azure Storage."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from quantx.azure_sign_in import AzureIdentity
from quantx.errors import ConfigError
from quantx.queues.postgres import PostgresQueue
from quantx.queues.protocol import TaskQueue
from quantx.settings import Settings, without_secrets
from quantx.state.database import Database

# https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata; shorter, to leave room for `-poison`
_NAME = re.compile(r"(?=.{3,56}$)[a-z0-9]+(-[a-z0-9]+)*")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FORMS = "use postgresql, az://<name>, or https://<account>.queue.core.windows.net/<name>"


def open_queue(settings: Settings, database: Database) -> TaskQueue:
    """Return the queue that the settings name; raise ConfigError with the reason where they are wrong."""
    return PostgresQueue(database) if settings.queue_url == "postgresql" else open_storage_queue(settings)


def open_storage_queue(settings: Settings, *, create: bool = True) -> TaskQueue:
    """Return the queue in Azure Storage that the settings name; with `create=False` it must exist.

    It is not contacted yet: its first operation fails where it can't be reached.
    """
    url = settings.queue_url
    if "?" in url or "#" in url or "@" in url:
        raise ConfigError(
            f"QUANTX_QUEUE_URL {without_secrets(url)!r} has more than an address in it; signatures (SAS) are not used:"
            " set AZURE_STORAGE_CONNECTION_STRING, or nothing for the managed identity"
        )
    scheme, separator, rest = url.rstrip("/").partition("://")
    if not separator:
        scheme, rest = "az", scheme
    if scheme == "az":
        return _open_azure(*_of_the_account(settings), rest, settings, create=create)
    if scheme not in ("http", "https"):
        raise ConfigError(f"QUANTX_QUEUE_URL starts with {scheme}://; {_FORMS}")
    return _open_azure(*_of_the_url(url), settings, create=create)


def _of_the_account(settings: Settings) -> tuple[str, str]:
    """Return the address and the name of the account that the settings name."""
    key = settings.storage_key()
    account = key.account if key else settings.azure_storage_account
    if account is None:
        raise ConfigError(
            f"QUANTX_QUEUE_URL is {settings.queue_url!r}, a queue of an Azure account, and none is named; set"
            f" AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT for the managed identity; or {_FORMS}"
        )
    endpoint = (key.queue_endpoint if key else None) or f"{account}.queue.core.windows.net"
    return endpoint if "://" in endpoint else f"https://{endpoint}", account


def _of_the_url(url: str) -> tuple[str, str, str]:
    """Return the address of the account, its name, and the name of the queue."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", parts.path.strip("/").split("/")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise ConfigError(f"QUANTX_QUEUE_URL {url!r} is not encrypted; use https://")
    origin = f"{parts.scheme}://{parts.netloc}"
    if len(path) == 2:  # Azurite
        return f"{origin}/{path[0]}", path[0], path[1]
    account, dot, _ = host.partition(".queue.")
    if path != [""] and len(path) == 1 and dot:
        return origin, account, path[0]
    raise ConfigError(f"QUANTX_QUEUE_URL {url!r} names no queue of an account; {_FORMS}")


def _open_azure(address: str, account: str, name: str, settings: Settings, *, create: bool) -> TaskQueue:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"QUANTX_QUEUE_URL names the queue {name!r}; Azure wants 3 to 56 lower-case letters, digits and single"
            f" hyphens between them; {_FORMS}"
        )
    from quantx.queues.azure import AzureQueue

    key = settings.storage_key()
    if key is not None:
        if key.account != account:
            raise ConfigError(
                f"QUANTX_QUEUE_URL is of the account {account}, AZURE_STORAGE_CONNECTION_STRING of {key.account};"
                " name one account, or set USE_MANAGED_IDENTITY=true"
            )
        return AzureQueue(address, name, key, create=create)
    if address.startswith("http://"):
        raise ConfigError(
            f"QUANTX_QUEUE_URL {settings.queue_url!r} is not encrypted, so that only a key can be used, no identity;"
            " set AZURE_STORAGE_CONNECTION_STRING"
        )
    return AzureQueue(address, name, AzureIdentity.of(settings), create=create)
