"""The guard before all pages: host, sign-in, origin and size of each request, and the headers of each response."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quantx.dashboard.sign_in import Refused, TokenSignIn, WebSignIn, cookies_of, form_token

MOST_BODY = 64 * 1024  # bytes of a form
_FORM = "application/x-www-form-urlencoded"
_METHODS = ("GET", "HEAD", "POST")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; font-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",  # `no-referrer` would also hide the origin of our own forms
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_TRANSPORT = {"https": {"strict-transport-security": "max-age=31536000"}}
Answer = Callable[[Request, Refused], Response]


class Guard:
    """Middleware that lets through only requests of signed-in users from our own pages, or from the address bar."""

    def __init__(self, app: ASGIApp, sign_in: WebSignIn, answer: Answer) -> None:
        self._app = app
        self._sign_in = sign_in
        self._site = sign_in.site
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on with `state.user` and `state.form_token`."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, added = Request(scope), {**HEADERS, **_TRANSPORT.get(self._site.scheme, {})}
        app: ASGIApp = self._app
        try:
            self._check_host(request)
            entered = self._entered(request)
            if entered is not None:
                app = entered
            else:
                self._admit(request, added)
        except Refused as refused:
            app = self._answer(request, refused)
        await app(scope, _limited(receive), _with_headers(send, added))

    def _check_host(self, request: Request) -> None:
        hosts = [host.lower() for host in request.headers.getlist("host")]
        if len(hosts) != 1 or hosts[0] not in self._site.hosts:
            raise Refused(f"Use the address of this dashboard: {self._site.origins[0]}", 421)
        if request.method not in _METHODS:
            raise Refused("This address has no such method.", 405)

    def _entered(self, request: Request) -> Response | None:
        """Return the answer to the address with the token: the same address without it, and the cookie."""
        token = request.query_params.get("token")
        if token is None or not isinstance(self._sign_in, TokenSignIn) or not self._sign_in.is_valid(token):
            return None
        rest = [(name, text) for name, text in parse_qsl(request.url.query) if name != "token"]
        path = "/" + request.url.path.lstrip("/\\")
        response = RedirectResponse(f"{path}?{urlencode(rest)}" if rest else path, 303)
        self._set_cookie(response.headers, token)
        return response

    def _admit(self, request: Request, added: MutableMapping[str, str]) -> None:
        """Raise Refused for a request that no page of ours, and no user, has sent."""
        self._check_origin(request)
        if request.url.path.startswith("/static/"):
            return
        session = cookies_of(request).get(self._site.cookie, "")
        request.state.user = self._sign_in.user_of(request, session)
        made = None if self._sign_in.is_valid(session) or not _is_page(request) else self._sign_in.new_session()
        if made is not None:
            session, cookie = made, MutableHeaders()
            self._set_cookie(cookie, session)
            added["set-cookie"] = cookie["set-cookie"]
        request.state.form_token = form_token(session)

    def _check_origin(self, request: Request) -> None:
        headers, site = request.headers, request.headers.get("sec-fetch-site")
        if request.method == "POST":
            same = site == "same-origin" if site is not None else headers.get("origin") in self._site.origins
            if not same:
                raise Refused("Actions are accepted from the pages of this dashboard only.")
            if headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
                raise Refused("Actions are accepted as forms only.", 415)
            size = headers.get("content-length", "0")
            if not size.isdecimal() or int(size) > MOST_BODY:
                raise Refused(f"A form has at most {MOST_BODY // 1024} kB.", 413)
        elif site in ("cross-site", "same-site") and headers.get("sec-fetch-mode") != "navigate":
            raise Refused("Another site may link to this dashboard, but not load parts of it.")

    def _set_cookie(self, headers: MutableHeaders, session: str) -> None:
        secure = "; Secure" if self._site.scheme == "https" else ""
        headers["set-cookie"] = (
            f"{self._site.cookie}={session}; Path=/; HttpOnly; SameSite={self._site.same_site}{secure}"
        )


def _is_page(request: Request) -> bool:
    """Return whether a request loads a page, and not a part of one: parts must not replace the page's session."""
    return request.method == "GET" and request.headers.get("sec-fetch-mode", "navigate") == "navigate"


def _limited(receive: Receive) -> Receive:
    """Limit the bytes of a body, also of one that names no length."""
    left = MOST_BODY

    async def limited() -> Message:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise HTTPException(413, f"A form has at most {MOST_BODY // 1024} kB.")
        return message

    return limited


def _with_headers(send: Send, added: MutableMapping[str, str]) -> Send:
    async def with_headers(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in added.items():
                headers[name] = value
            headers.setdefault("cache-control", "private, no-cache")
        await send(message)

    return with_headers
