"""The token of programs that read the data API: `Authorization: Bearer …`, compared in constant time."""

from __future__ import annotations

import hmac

from quantx.settings import Settings

_SCHEME = "bearer"


def has_api_token(authorization: str | None, settings: Settings) -> bool:
    """Return whether a header Authorization has the token of the settings; without one there, none is right."""
    expected = settings.data_api_token
    scheme, _, given = (authorization or "").partition(" ")
    if expected is None or scheme.lower() != _SCHEME:
        return False
    return hmac.compare_digest(given.strip().encode(), expected.get_secret_value().encode())
