"""Who the program is in Azure: one identity for blobs, queues and PostgreSQL, instead of keys and passwords.

Microsoft's library finds it (the managed identity of a Function or a job, a workload's, or who is signed in with the Azure
CLI), remembers its tokens and asks for a new one five minutes before one ends. It is imported with the first question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from quantx.errors import QuantxError
from quantx.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

STORAGE = "https://storage.azure.com/.default"
DATABASE = "https://ossrdbms-aad.database.windows.net/.default"


@dataclass(frozen=True)
class Token:
    """Proof of the identity for one service, for a while."""

    text: str = field(repr=False)
    ends: datetime


class AzureIdentity:
    """The identity that the settings mean; threads may share it."""

    def __init__(self, client_id: str | None = None) -> None:
        self._client_id = client_id  # of a user-assigned identity; None: the one that there is
        self._lock = threading.Lock()
        self._credential: _Steady | None = None

    @classmethod
    def of(cls, settings: Settings) -> AzureIdentity:
        """Return the identity that the settings mean; nothing is asked yet."""
        return cls(settings.azure_client_id)

    @property
    def credential(self) -> TokenCredential:
        """Return what clients of Azure's SDK take; they ask it for a token whenever they need one."""
        with self._lock:
            if self._credential is None:
                from azure.identity import DefaultAzureCredential

                named = {"managed_identity_client_id": self._client_id} if self._client_id else {}
                self._credential = _Steady(DefaultAzureCredential(**named))
            return self._credential

    def close(self) -> None:
        """Close the credential's connections; the next use opens new ones."""
        with self._lock:
            credential, self._credential = self._credential, None
        if credential is not None:
            credential.close()

    def token(self, scope: str, failure: type[QuantxError]) -> Token:
        """Return a token that has not ended; raise `failure` with the reason where there is none to be had."""
        from azure.core.exceptions import AzureError

        try:
            given = self.credential.get_token(scope)
        except AzureError as error:
            lines = str(error).strip().splitlines()
            raise failure(
                f"no token of the identity for {scope.removesuffix('/.default')}: {lines[0] if lines else type(error).__name__};"
                " check AZURE_CLIENT_ID and that this machine has the identity, or sign in with the Azure CLI"
            ) from error
        return Token(given.token, datetime.fromtimestamp(given.expires_on, UTC))


class _Steady:
    """A credential whose failures are all Azure's: an endpoint that answers with no JSON makes the library raise ValueError."""

    def __init__(self, inner: TokenCredential) -> None:
        self._inner: Any = inner

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        given: AccessToken = self._ask(lambda: self._inner.get_token(*scopes, **options))
        return given

    def get_token_info(self, *scopes: str, options: Any = None) -> Any:
        return self._ask(lambda: self._inner.get_token_info(*scopes, options=options))

    def close(self) -> None:
        self._inner.close()

    def _ask(self, question: Callable[[], Any]) -> Any:
        from azure.core.exceptions import ClientAuthenticationError

        try:
            return question()
        except (ValueError, KeyError) as error:
            raise ClientAuthenticationError(message=f"the identity's answer is none ({error})") from error
