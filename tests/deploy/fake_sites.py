"""The hosts that the scripts call over HTTPS: the app, its deployment site, the registry and the registry's storage.

They refuse what the real ones refuse; the source is beside each refusal. Each has a port of its own, and a certificate
that the scripts trust by SSL_CERT_FILE.
"""

from __future__ import annotations

import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, bytes, dict[str, str]]
NOTHING: Answer = (404, b"", {})


class Sites:
    """The state of all hosts; tests read it and change how they answer."""

    def __init__(self, authority: Path) -> None:
        self.authority = authority
        self.hosts: dict[str, str] = {}
        self.seen: Callable[[str], None] = lambda _: None
        self.published: list[bytes] = []  # every package that the site took
        self.running = b""  # what the app runs
        self.broken: set[bytes] = set()  # packages with which the app is not ready
        self.without_ready: set[bytes] = set()  # packages of a release before /api/ready
        self.refusals: list[tuple[int, str]] = []  # the next answers of the deployment site to a package
        self.outcome: tuple[int, str] = (4, "")  # how a deployment ends: number and text
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self._asked = 0

    def scm(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        """Kudu of an app on Flex Consumption: no other way than /api/publish (there is no /api/zipdeploy)."""
        url = urlsplit(path)
        if headers.get("Authorization") != "Bearer arm-token":
            return 401, b"", {}
        if method == "POST" and url.path == "/api/publish":
            return self._publish(parse_qs(url.query), headers, body)
        if method == "GET" and url.path in ("/api/deployments/latest", "/api/deployments/d-1"):
            self._asked += 1
            status, text = self.outcome if self._asked % 2 == 0 else (1, "")
            if status == 4:
                self.running = self.published[-1]
            return 200, json.dumps({"id": "d-1", "status": status, "status_text": text}).encode(), {}
        return NOTHING

    def _publish(self, query: dict[str, list[str]], headers: Any, body: bytes) -> Answer:
        if self.refusals:
            status, text = self.refusals.pop(0)
            return status, text.encode(), {}
        if headers.get("Content-Type") != "application/zip":  # Azure/azure-cli#33688
            return 415, b"Unsupported Media Type", {}
        assert query["RemoteBuild"] == ["false"]
        self.published.append(body)
        self._asked = 0
        return 202, b'"d-1"', {}

    def app(self, method: str, path: str, headers: Any, _body: bytes) -> Answer:
        """Answer as the app with the running package: /api/ready with the key of the functions, /api/health without."""
        if not self.running or method != "GET":
            return NOTHING
        if path == "/api/health":
            return 200, b'{"status": "ok"}', {}
        if path != "/api/ready" or self.running in self.without_ready:
            return NOTHING
        if headers.get("x-functions-key") != "function-key":
            return 401, b"", {}
        if self.running in self.broken:
            return 503, b'{"detail": "the queue can not be reached"}', {}
        return 200, b'{"status": "ready"}', {}

    def registry(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        """Answer as a registry: the OCI distribution specification, and ACR's exchange of tokens."""
        url = urlsplit(path)
        if url.path == "/oauth2/token":
            form = parse_qs(body.decode())
            allowed = form["refresh_token"] == ["refresh-token"] and form["service"] == [self.hosts["registry"]]
            return (200, b'{"access_token": "repository-token"}', {}) if allowed else (401, b"", {})
        if headers.get("Authorization") != "Bearer repository-token":
            return 401, b"", {}
        _, _, name, kind, last = url.path.split("/", 4)
        match method, kind:
            case "POST", "blobs":
                return 202, b"", {"Location": f"/v2/{name}/blobs/uploads/1?_state=s"}
            case "PUT", "blobs":
                (digest,) = parse_qs(url.query)["digest"]
                assert digest == "sha256:" + hashlib.sha256(body).hexdigest()
                self.blobs[digest] = body
                return 201, b"", {}
            case "HEAD", "blobs":
                return (200 if last in self.blobs else 404), b"", {}
            case "GET", "blobs":  # as ACR does: to a signed address of a storage account
                return 307, b"", {"Location": f"https://{self.hosts['storage']}/{last}?sig=s"}
            case "PUT", "manifests":
                assert all(part["digest"] in self.blobs for part in json.loads(body)["layers"])
                self.manifests[f"{name}:{last}"] = body
                return 201, b"", {}
            case "GET", "manifests" if f"{name}:{last}" in self.manifests:
                return 200, self.manifests[f"{name}:{last}"], {}
        return NOTHING

    def keep(self, reference: str, package: bytes) -> None:
        """Have a package already."""
        digest = "sha256:" + hashlib.sha256(package).hexdigest()
        self.blobs[digest] = package
        self.manifests[reference] = json.dumps({"layers": [{"digest": digest}]}).encode()

    def storage(self, _method: str, path: str, headers: Any, _body: bytes) -> Answer:
        """Answer as a storage account: it refuses a token beside a signature."""
        if headers.get("Authorization"):
            return 400, b"InvalidAuthenticationInfo", {}
        return 200, self.blobs[urlsplit(path).path[1:]], {}


@contextmanager
def run_sites(certificates: tuple[Path, Path, Path]) -> Iterator[Sites]:
    """Start the hosts with these files of an authority, a certificate and its key; they end with the context."""
    authority, certificate, key = certificates
    sites = Sites(authority)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ExitStack() as stack:
        for role in ("app", "scm", "registry", "storage"):
            server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(sites, role))
            server.socket = context.wrap_socket(server.socket, server_side=True)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            sites.hosts[role] = f"localhost:{server.server_port}"
        yield sites


def _handler(sites: Sites, role: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sites.seen(f"{role} {self.command} {self.path.partition('?')[0]}")
            status, content, headers = getattr(sites, role)(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_HEAD = answer  # noqa: N815 - the names of the base class

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    return Handler
