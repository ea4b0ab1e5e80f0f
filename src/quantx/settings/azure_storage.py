"""An account of Azure Storage as its connection string describes it."""

from __future__ import annotations

from dataclasses import dataclass, field

from quantx.errors import ConfigError


@dataclass(frozen=True)
class StorageKey:
    """The content of a connection string of Azure Storage: an account, its key, and the addresses of its services."""

    account: str
    key: str = field(repr=False)
    blob_endpoint: str | None = None  # None: Azure's own host of the account
    queue_endpoint: str | None = None


# Azurite's account and key, the same everywhere:
# https://learn.microsoft.com/azure/storage/common/storage-use-azurite
_EMULATOR = StorageKey(
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
    blob_endpoint="http://127.0.0.1:10000/devstoreaccount1",
    queue_endpoint="http://127.0.0.1:10001/devstoreaccount1",
)


def parse_connection_string(text: str) -> StorageKey:
    """Return the account in a connection string; ConfigError, without the text, where account or key is missing."""
    text = text.strip()
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
