"""Signing in to PostgreSQL with a token of the identity instead of a password, anew for each connection.

A server in Azure asks for the token when a connection begins and never again: it does not end with the token.
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
_UNENCRYPTED = ("disable", "allow", "prefer")  # would do without encryption
_LONGEST = 45 * 60.0  # seconds that a connection is used; tokens last an hour or longer
_SHARE = 0.75  # of a token's life


def identity_of_state(settings: Settings) -> AzureIdentity | None:
    """Return the identity that signs in to the state; None where a password does, or nothing has to."""
    url, wanted = settings.state_url, settings.state_identity
    if wanted is False or not url.startswith(("postgresql://", "postgres://")):
        return None
    parts = conninfo_to_dict(url)
    if wanted is None and (parts.get("password") or not str(parts.get("host") or "").endswith(_AZURE)):
        return None
    return AzureIdentity.of(settings)


class SignIn:
    """What a new connection needs beside its URL."""

    def __init__(self, url: str, identity: AzureIdentity) -> None:
        parts = conninfo_to_dict(url)
        host = str(parts.get("host") or "")
        local = host in _HERE or host.startswith("/") or not host
        if not parts.get("user"):
            raise ConfigError(
                "the state's URL names no user; where an identity signs in, write its name: postgresql://NAME@HOST/DATABASE"
            )
        if not local and str(parts.get("sslmode") or "require") in _UNENCRYPTED:
            raise ConfigError(
                f"the state's URL has sslmode={parts['sslmode']}, and a token must not travel unencrypted; leave it out, or"
                " use sslmode=verify-full"
            )
        self._identity = identity
        self._encryption = {} if local or parts.get("sslmode") else _verified()

    def __call__(self) -> dict[str, Any]:
        """Return the arguments of the next connection; StateError where there is no token to be had."""
        return {"password": self._identity.token(DATABASE, StateError).text, **self._encryption}

    def longest_use(self) -> float:
        """Return for how many seconds a connection is kept, so that it is replaced before its token ends."""
        left = (self._identity.token(DATABASE, StateError).ends - datetime.now(UTC)).total_seconds()
        return max(1.0, min(_LONGEST, _SHARE * left))


def _verified() -> dict[str, str]:
    """Return how the server is known: the authorities of Azure's certificates are in the list that Azure's SDK brings."""
    import certifi

    return {"sslmode": "verify-full", "sslrootcert": certifi.where()}
