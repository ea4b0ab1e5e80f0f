"""The name under which the actions of this process go on record."""

from __future__ import annotations

import getpass


def login_name() -> str:
    """Return the login of this process; `local` for a user without a name, as in some containers."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "local"
