"""Azure's authorization of blob requests, as Microsoft's pages describe it, between a client and Azurite.

Azurite knows no roles. `rights_of` reads them from the templates, and `Guard` is a proxy that refuses what they do not
grant and what a retention policy forbids. It proves what the roles and `BlobRequest.needs` say, not what Azure does.

Sources: "Permissions for Blob service operations" in
https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory; azure-docs,
storage/blobs/storage-auth-abac-attributes (add/action: "Create a blob or snapshot, or append data"; move/action:
"Rename a file or a directory") and storage/blobs/immutable-container-level-worm-policies ("Prohibited operations").
"""

from __future__ import annotations

import http.client
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from .azurite import ACCOUNT, Azurite
from .infra.bicep import read

MODULES = Path(__file__).parents[1] / "infra" / "modules"
BLOBS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
READ, WRITE, ADD, DELETE, MOVE = (
    f"{BLOBS}/{name}" for name in ("read", "write", "add/action", "delete", "move/action")
)
NEW_CONTAINER, NO_CONTAINER = (f"{BLOBS.removesuffix('/blobs')}/{verb}" for verb in ("write", "delete"))
ACCOUNT_WIDE = "Microsoft.Storage/storageAccounts/blobServices/containers/read"
BUILT_IN = {"blobReader": {READ}}  # azure-docs, built-in-roles/storage: Storage Blob Data Reader

Reply = tuple[int, list[tuple[str, str]], bytes]


@dataclass(frozen=True)
class BlobRequest:
    """One request, as far as its authorization depends on it."""

    method: str
    container: str
    path: str = ""  # of the blob; "": the container
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # names in lower case

    def needs(self, *, exists: bool) -> set[str]:
        """Return the data actions of which one is needed; an unknown request needs one that no role has."""
        comp = self.query.get("comp", "")
        creates = {WRITE} if exists else {WRITE, ADD}
        if not self.container:
            return {ACCOUNT_WIDE}
        if not self.path:
            if comp == "list" and self.method == "GET":
                return {READ}
            if comp == "batch":  # the outer request; each inner one needs its own right
                return {WRITE}
            return {{"PUT": NEW_CONTAINER, "DELETE": NO_CONTAINER}.get(self.method, ACCOUNT_WIDE)}
        if self.method in ("GET", "HEAD"):
            return {READ}
        if self.method == "DELETE":
            return {DELETE}
        if "x-ms-rename-source" in self.headers:
            return {MOVE}
        if self.method == "PUT":
            by_part = {"": creates, "blocklist": creates, "appendblock": {WRITE, ADD}, "snapshot": {WRITE, ADD}}
            return by_part.get(comp, {WRITE})
        return {WRITE} if self.method == "PATCH" else {"unknown"}

    def changes(self, *, exists: bool) -> bool:
        """Return whether it changes or removes an object that exists; its tier is no part of it."""
        reads = self.method in ("GET", "HEAD") or self.query.get("comp") in ("tier", "lease")
        return exists and bool(self.path) and not reads


@dataclass(frozen=True)
class Grant:
    """A role on a container, with its condition."""

    container: str
    actions: frozenset[str]
    condition: str = ""

    def allows(self, action: str, path: str) -> bool:
        if action not in self.actions:
            return False
        covered = action in re.findall(r"ActionMatches\{'([^']+)'\}", self.condition)
        return not covered or not (path == "raw" or path.startswith("raw/"))


def rights_of(who: str) -> list[Grant]:
    """Return what an identity may do with blobs: the assignments on `lake` and `raw` in roles.bicep."""
    template = read(MODULES / "roles.bicep")
    roles = _custom_roles()
    found = []
    for resource in template.resources:
        body = resource.body.get("properties", {})
        if re.sub(r"(PrincipalId|GroupId|Id)$", "", str(body.get("principalId"))) != who:
            continue
        scope, role = str(resource.body["scope"]), str(body["roleDefinitionId"]).split("/${")[1].rstrip("}'")
        if scope in ("lake", "raw"):
            kind, name = role.split(".")
            actions = BUILT_IN[name] if kind == "role" else roles[name]
            found.append(Grant(scope, frozenset(actions), _condition(template.path, body.get("condition"))))
    return found


def _custom_roles() -> dict[str, set[str]]:
    roles = {}
    for role in read(MODULES / "custom_roles.bicep").resources:
        (granted,) = role.body["properties"]["permissions"]
        assert granted["notDataActions"] == []
        roles[role.symbol] = {str(a).strip("'").replace("${blob}", BLOBS) for a in granted["dataActions"]}
    return roles


def _condition(path: Path, name: str | None) -> str:
    if name is None:
        return ""
    match = re.search(rf"var {name} = '''\n(.*?)'''", path.read_text("utf-8"), re.DOTALL)
    assert match is not None
    assert "StringNotLike 'raw/*'" in match[1]
    assert "StringNotEquals 'raw'" in match[1]
    return match[1]


def allows(grants: list[Grant], request: BlobRequest, *, exists: bool) -> bool:
    """Return whether the grants suffice for a request; `container` is the scope's name in the templates."""
    needed = request.needs(exists=exists)
    return any(g.container == request.container and any(g.allows(a, request.path) for a in needed) for g in grants)


class Guard:
    """A proxy before Azurite that acts as one identity, with retention on some containers."""

    def __init__(
        self, azurite: Azurite, grants: list[Grant], containers: Mapping[str, str], retained: tuple[str, ...] = ()
    ) -> None:
        self.passed: list[BlobRequest] = []
        self.refused: list[BlobRequest] = []
        self.grants, self._scopes, self._retained = (
            grants,
            {name: scope for scope, name in containers.items()},
            retained,
        )
        self._target = urlsplit(azurite.blob_endpoint).netloc
        self._blobs = azurite.blobs()
        guard = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, answer = guard.answer(self.command, self.path, dict(self.headers), body)
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("content-length", "connection", "transfer-encoding", "keep-alive"):
                        self.send_header(name, value)
                length = next((v for n, v in headers if n.lower() == "content-length"), str(len(answer)))
                self.send_header("Content-Length", length if self.command == "HEAD" else str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = do_PATCH = handle_any  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def connection_string(self) -> str:
        """The address of the proxy as an account; the key is Azurite's, and grants nothing here."""
        from .azurite import KEY

        blob = f"http://127.0.0.1:{self._server.server_port}/{ACCOUNT}"
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={blob}"

    def forget_retention(self) -> None:
        """Let the period of retention end."""
        self._retained = ()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        outer = self._request(method, target, headers)
        inner = re.findall(rb"^(DELETE|PUT) (\S+) HTTP/1.1", body, re.MULTILINE) if method == "POST" else []
        requests = [outer, *(self._request(verb.decode(), path.decode(), {}) for verb, path in inner)]
        for request in requests:
            if (refusal := self._refusal(request)) is not None:
                self.refused.append(request)
                return refusal
        self.passed += requests
        connection = http.client.HTTPConnection(self._target, timeout=30)
        try:
            connection.request(method, target, body, headers)
            reply = connection.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        finally:
            connection.close()

    def _request(self, method: str, target: str, headers: Mapping[str, str]) -> BlobRequest:
        parts = urlsplit(target)
        container, _, path = unquote(parts.path).removeprefix(f"/{ACCOUNT}").lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        scope = self._scopes.get(container, container)
        return BlobRequest(method, scope, path, query, {name.lower(): value for name, value in headers.items()})

    def _refusal(self, request: BlobRequest) -> Reply | None:
        new, old = (allows(self.grants, request, exists=exists) for exists in (False, True))
        exists = (new != old or request.container in self._retained) and self._exists(request)
        if not (old if exists else new):
            return _error(403, "AuthorizationPermissionMismatch")
        creates = request.headers.get("if-none-match") == "*"
        if request.container in self._retained and request.changes(exists=exists) and not creates:
            return _error(409, "BlobImmutableDueToPolicy")
        return None

    def _exists(self, request: BlobRequest) -> bool:
        if request.method in ("GET", "HEAD") or not request.path:
            return False
        container = next(name for name, scope in self._scopes.items() if scope == request.container)
        return bool(self._blobs.get_blob_client(container, request.path).exists())

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._blobs.close()


def _error(status: int, code: str) -> Reply:
    text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>refused</Message></Error>'
    return status, [("Content-Type", "application/xml"), ("x-ms-error-code", code)], text.encode()


@contextmanager
def guarded(
    azurite: Azurite, who: list[Grant], containers: Mapping[str, str], retained: tuple[str, ...] = ()
) -> Iterator[Guard]:
    guard = Guard(azurite, who, containers, retained)
    try:
        yield guard
    finally:
        guard.stop()
