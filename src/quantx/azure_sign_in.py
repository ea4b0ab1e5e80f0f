"""The Azure sign-in: one identity for blobs, queues and PostgreSQL, instead of keys and passwords.

Microsoft's library finds the identity: the managed identity of a Function or a job, a workload identity, or the account
of the Azure CLI. It caches tokens and renews each five minutes before its end. It is imported with the first request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from quantx.errors import QuantxError
from quantx.extras import extra
from quantx.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

STORAGE = "https://storage.azure.com/.default"
DATABASE = "https://ossrdbms-aad.database.windows.net/.default"


@dataclass(frozen=True)
class Token:
    """A token of the identity for one service, with its end."""

    text: str = field(repr=False)
    ends: datetime


class AzureIdentity:
    """The identity of the settings; safe for several threads."""

    def __init__(self, client_id: str | None = None) -> None:
        self._client_id = client_id  # of a user-assigned identity; None: the default one
        self._lock = threading.Lock()
        self._credential: _AzureErrorsOnly | None = None

    @classmethod
    def of(cls, settings: Settings) -> AzureIdentity:
        """Return the identity of the settings; no token is requested yet."""
        return cls(settings.azure_client_id)

    @property
    def credential(self) -> TokenCredential:
        """Return the credential for clients of Azure's SDK, which request tokens from it."""
        with self._lock:
            if self._credential is None:
                with extra("azure-storage", "the Azure sign-in"):
                    from azure.identity import DefaultAzureCredential

                named = {"managed_identity_client_id": self._client_id} if self._client_id else {}
                self._credential = _AzureErrorsOnly(DefaultAzureCredential(**named))
            return self._credential

    def close(self) -> None:
        """Close the credential's connections; the next use opens new ones."""
        with self._lock:
            credential, self._credential = self._credential, None
        if credential is not None:
            credential.close()

    def token(self, scope: str, failure: type[QuantxError]) -> Token:
        """Return a valid token; raise `failure` with the reason where no token is available."""
        with extra("azure-storage", "the Azure sign-in"):
            from azure.core.exceptions import AzureError

        try:
            issued = self.credential.get_token(scope)
        except AzureError as error:
            status = getattr(error, "status_code", None)
            reason = "" if status is None else f" (HTTP {status})"
            raise failure(
                f"no token of the identity for {scope.removesuffix('/.default')}{reason};"
                " check AZURE_CLIENT_ID and that this machine has the identity, or sign in with the Azure CLI"
            ) from error
        return Token(issued.token, datetime.fromtimestamp(issued.expires_on, UTC))


class _AzureErrorsOnly:
    """A credential that raises Azure's errors only; the library raises ValueError where an endpoint sends no JSON."""

    def __init__(self, inner: TokenCredential) -> None:
        self._inner: Any = inner

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        issued: AccessToken = self._ask(lambda: self._inner.get_token(*scopes, **options))
        return issued

    def get_token_info(self, *scopes: str, options: Any = None) -> Any:
        return self._ask(lambda: self._inner.get_token_info(*scopes, options=options))

    def close(self) -> None:
        self._inner.close()

    def _ask(self, request: Callable[[], Any]) -> Any:
        from azure.core.exceptions import ClientAuthenticationError

        try:
            return request()
        except (ValueError, KeyError) as error:
            raise ClientAuthenticationError(message="the identity's endpoint sent no valid response") from error
