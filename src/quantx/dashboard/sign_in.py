"""The sender of a request: by the token of this process, or by the sign-in of Azure in front of it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from starlette.datastructures import Headers
from starlette.requests import Request

from quantx.state.audit.login import login_name

UserRole = Literal["reader", "operator"]
PRINCIPAL = "x-ms-client-principal"
_NAMES = (  # the claims that name a person, the best first
    "preferred_username",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
    "name",
    "http://schemas.microsoft.com/identity/claims/objectidentifier",
)
_MEMBERSHIPS = (
    "groups",
    "roles",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/groups",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
)
_LONGEST_NAME, _SHORTEST_SESSION = 200, 32


@dataclass(frozen=True)
class User:
    """The sender of a request."""

    name: str
    role: UserRole

    @property
    def may_act(self) -> bool:
        """Return whether the user may start actions."""
        return self.role == "operator"


@dataclass(frozen=True, kw_only=True)
class Site:
    """The address of a dashboard, and the cookie that has a browser's session."""

    scheme: Literal["http", "https"]
    hosts: tuple[str, ...]  # the values of the header Host that are answered, in small letters
    cookie: str
    same_site: Literal["Strict", "Lax"]

    @property
    def origins(self) -> tuple[str, ...]:
        """Return the origins of the dashboard's own pages."""
        return tuple(f"{self.scheme}://{host}" for host in self.hosts)


class Refused(Exception):
    """A request is refused; the text states why, and the next step."""

    def __init__(self, message: str, status: int = 403) -> None:
        super().__init__(message)
        self.status = status


class WebSignIn(Protocol):
    """The sign-in of one installation. The session is a secret of one browser, from which its form token is derived."""

    @property
    def site(self) -> Site:
        """The address of the dashboard, and its cookie."""
        ...

    def user_of(self, request: Request, session: str) -> User:
        """Return the sender; raise Refused where there is none."""
        ...

    def is_valid(self, session: str) -> bool:
        """Return whether a session is one of this sign-in."""
        ...

    def new_session(self) -> str | None:
        """Return a session for a browser that has none; None where the address with the token brings it."""
        ...


class TokenSignIn:
    """One user on this machine: the address with the token sets the cookie. `Authorization: Bearer` reads data."""

    def __init__(self, port: int, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(32)
        hosts = tuple(f"{name}:{port}" for name in ("127.0.0.1", "localhost"))
        # A cookie of a host belongs to all of its ports: the name keeps dashboards apart.
        self.site = Site(scheme="http", hosts=hosts, cookie=f"quantx_{port}", same_site="Strict")
        self._user = User(login_name(), "operator")

    def user_of(self, request: Request, session: str) -> User:
        """Return the user of this process, whose requests have the token. Headers that name a user count nothing."""
        if self.is_valid(session):
            return self._user
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and request.method in ("GET", "HEAD") and self.is_valid(token.strip()):
            return User(self._user.name, "reader")
        raise Refused(
            "This browser is not signed in. Open the address that `quantx dashboard` has printed, with its token; a"
            " program sends that token as `Authorization: Bearer …`."
        )

    def is_valid(self, session: str) -> bool:
        """Return whether a text is the token."""
        return hmac.compare_digest(session.encode(), self.token.encode())

    def new_session(self) -> str | None:
        """Return None: only the token makes a session."""
        return None


class EasyAuth:
    """The users that Azure's sign-in names in a header, with the roles of their groups.

    A request without the header is refused.
    """

    def __init__(self, hosts: Collection[str], readers: Collection[str], operators: Collection[str]) -> None:
        names = tuple(host.lower() for host in hosts)
        # Lax: a link in an alert opens a page with its session.
        self.site = Site(scheme="https", hosts=names, cookie="__Host-quantx", same_site="Lax")
        self._readers, self._operators = frozenset(readers), frozenset(operators)

    def user_of(self, request: Request, session: str) -> User:
        """Return the signed-in principal with the role of its groups."""
        principal = _principal(request.headers)
        found = {claim["val"] for claim in principal if claim["typ"] in _MEMBERSHIPS}
        names = {claim["typ"]: claim["val"] for claim in reversed(principal) if claim["val"].strip()}
        name = next((names[typ] for typ in _NAMES if typ in names), "")[:_LONGEST_NAME]
        if not name:
            raise Refused("The sign-in names no user. Sign out, sign in again, and load the page.")
        if found & self._operators:
            return User(name, "operator")
        if found & self._readers:
            return User(name, "reader")
        raise Refused(
            f"{name} is in none of the groups of this dashboard. An administrator adds the account to one, or names"
            " another group in the settings dashboard_readers or dashboard_operators."
        )

    def is_valid(self, session: str) -> bool:
        """Return whether a text may be a session."""
        return len(session) >= _SHORTEST_SESSION

    def new_session(self) -> str | None:
        """Return a new secret: a session ties forms to a browser, and signs in to nothing."""
        return secrets.token_urlsafe(32)


def form_token(session: str) -> str:
    """Return the token of all forms of a session; only a page of ours that this browser has loaded can know it."""
    return hmac.new(session.encode(), b"form", hashlib.sha256).hexdigest()


def _principal(headers: Headers) -> list[dict[str, str]]:
    """Return the claims of the principal; raise Refused where there is none, or more than one."""
    values = headers.getlist(PRINCIPAL)
    if len(values) != 1:
        raise Refused(
            "Azure's sign-in sent no principal with this request, so nothing is shown. Load the page again; if that"
            " does not help, restart the app's revision and check that its authentication requires a sign-in."
        )
    try:
        document: Any = json.loads(base64.b64decode(values[0], validate=True))
        if document["auth_typ"] != "aad":
            raise ValueError(document["auth_typ"])
        claims = [{"typ": claim["typ"], "val": claim["val"]} for claim in document["claims"]]
        if not all(isinstance(text, str) for claim in claims for text in claim.values()):
            raise TypeError
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise Refused(
            "The principal of Azure's sign-in can't be read. Check that the identity provider is Microsoft Entra."
        ) from None
    return claims


def cookies_of(request: Request) -> Mapping[str, str]:
    """Return the cookies of a request; one that is sent twice has no value: another site may have set one of them."""
    pairs = [pair.strip().partition("=") for line in request.headers.getlist("cookie") for pair in line.split(";")]
    names = [name for name, _, _ in pairs]
    return {name: value for name, _, value in pairs if names.count(name) == 1}
