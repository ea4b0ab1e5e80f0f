"""Sign in to PostgreSQL with a token of the Azure identity instead of a password; each connection gets a new token.

A server in Azure checks the token only when a connection begins: the connection does not end with the token.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from quantx.azure_sign_in import DATABASE, AzureIdentity
from quantx.errors import ConfigError, StateError
from quantx.settings import Settings

_AZURE = ".postgres.database.azure.com"
_HERE = ("localhost", "127.0.0.1", "::1")
_UNENCRYPTED = ("disable", "allow", "prefer")  # sslmodes that allow an unencrypted connection
_LONGEST = 45 * 60.0  # seconds of use of a connection; tokens last an hour or longer
_SHARE = 0.75  # of a token's life


def identity_of_state(settings: Settings) -> AzureIdentity | None:
    """Return the identity that signs in to the state; None if a password or nothing does."""
    url, setting = settings.state_url, settings.state_identity
    if setting is False or not url.startswith(("postgresql://", "postgres://")):
        return None
    parts = conninfo_to_dict(url)
    if setting is None and (parts.get("password") or not str(parts.get("host") or "").endswith(_AZURE)):
        return None
    return AzureIdentity.of(settings)


class SignIn:
    """The credentials and the encryption of a new connection."""

    def __init__(self, url: str, identity: AzureIdentity) -> None:
        parts = conninfo_to_dict(url)
        host = str(parts.get("host") or "")
        local = host in _HERE or host.startswith("/") or not host
        if not parts.get("user"):
            raise ConfigError(
                "the state's URL has no user; an identity needs its name in the URL: postgresql://NAME@HOST/DATABASE"
            )
        if not local and str(parts.get("sslmode") or "require") in _UNENCRYPTED:
            raise ConfigError(
                f"the state's URL has sslmode={parts['sslmode']}, but a token needs encryption; remove it, or use"
                " sslmode=verify-full"
            )
        self._identity = identity
        self._encryption = {} if local or parts.get("sslmode") else _verified()

    def __call__(self) -> dict[str, Any]:
        """Return the arguments of the next connection; raise StateError if there is no token."""
        return {"password": self._identity.token(DATABASE, StateError).text, **self._encryption}

    def longest_use(self) -> float:
        """Return the longest use of a connection in seconds, so that it is replaced before its token expires."""
        left = (self._identity.token(DATABASE, StateError).ends - datetime.now(UTC)).total_seconds()
        return max(1.0, min(_LONGEST, _SHARE * left))


def _verified() -> dict[str, str]:
    """Return the verification of the server: the SDK's list of authorities includes those of Azure."""
    import certifi

    return {"sslmode": "verify-full", "sslrootcert": certifi.where()}
