"""Receivers of messages on real sockets: HTTP, with and without TLS, and SMTP with STARTTLS and login."""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Serve = Callable[[socket.socket], None]


@contextlib.contextmanager
def listening(serve: Serve) -> Iterator[int]:
    """Serve each connection in a thread of its own; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=handle, args=(connection,), daemon=True).start()

    def handle(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(10)
            serve(connection)

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()


@dataclass
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class HttpReceiver:
    """Answers with the statuses in order, the last one again and again; 0: it closes without an answer."""

    answers: Sequence[tuple[int, dict[str, str]]] = ((200, {}),)
    requests: list[Received] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    trickle: bool = False  # a byte of the status line every now and then

    def __call__(self, connection: socket.socket) -> None:
        connection = connection if self.tls is None else self.tls.wrap_socket(connection, server_side=True)
        with connection, connection.makefile("rb") as lines:
            self._answer(connection, lines)

    def _answer(self, connection: socket.socket, lines: Any) -> None:
        path = lines.readline().decode().split(" ")[1]
        headers = {}
        while line := lines.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        self.requests.append(Received(path, headers, lines.read(int(headers.get("content-length", 0)))))
        status, more = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if self.trickle:
            for letter in "HTTP/1.1 200 OK" + " " * 100:
                connection.sendall(letter.encode())
                time.sleep(0.05)
        if status:
            extra = "".join(f"{name}: {value}\r\n" for name, value in more.items())
            connection.sendall(f"HTTP/1.1 {status} X\r\n{extra}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())


@dataclass
class SmtpReceiver:
    """A mail server: EHLO, STARTTLS, AUTH PLAIN, MAIL, RCPT, DATA. `refuse` answers a command with a code."""

    tls: ssl.SSLContext | None = None
    implicit: bool = False
    user: tuple[str, str] | None = None
    refuse: dict[str, str] = field(default_factory=dict)
    mails: list[str] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)  # for each command

    def __call__(self, connection: socket.socket) -> None:
        if self.implicit and self.tls is not None:
            connection = self.tls.wrap_socket(connection, server_side=True)
        with connection:
            connection.sendall(b"220 test ESMTP\r\n")
            self._converse(connection, self.implicit)

    def _converse(self, connection: socket.socket, secure: bool) -> None:
        while line := _line(connection):
            verb = line.split(" ")[0].split(":")[0].upper()
            self.commands.append(verb)
            self.encrypted.append(secure)
            if verb in self.refuse:
                connection.sendall(f"{self.refuse[verb]} no\r\n".encode())
            elif verb == "STARTTLS" and self.tls is not None:
                connection.sendall(b"220 go\r\n")
                with self.tls.wrap_socket(connection, server_side=True) as encrypted:
                    self._converse(encrypted, True)
                return
            elif verb == "DATA":
                self._take(connection)
            elif verb == "QUIT":
                connection.sendall(b"221 bye\r\n")
                return
            else:
                connection.sendall(self._reply(verb, line, secure))

    def _reply(self, verb: str, line: str, secure: bool) -> bytes:
        if verb == "EHLO":
            offers = [
                *(["STARTTLS"] if self.tls and not secure else []),
                *(["AUTH PLAIN"] if self.user else []),
                "8BITMIME",
            ]
            return (
                "".join(f"250-{each}\r\n" for each in ["test", *offers[:-1]]).encode()
                + f"250 {offers[-1]}\r\n".encode()
            )
        if verb == "AUTH":
            given = tuple(base64.b64decode(line.split(" ")[2]).decode().split("\0")[1:])
            return b"235 welcome\r\n" if given == self.user else b"535 wrong\r\n"
        if verb == "RCPT":
            self.recipients.append(line.split(":")[1])
        return b"250 ok\r\n"

    def _take(self, connection: socket.socket) -> None:
        connection.sendall(b"354 go on\r\n")
        lines = []
        while (line := _line(connection)) not in (".", None):
            lines.append(line)
        self.mails.append("\n".join(map(str, lines)))
        connection.sendall(b"250 taken\r\n")


def _line(connection: socket.socket) -> str | None:
    """Read a line, a byte at a time: what follows STARTTLS must not be read before."""
    line = b""
    while not line.endswith(b"\n"):
        byte = connection.recv(1)
        if not byte:
            return None
        line += byte
    return line.decode().rstrip("\r\n")


def certificate(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate of 127.0.0.1 that signs itself; return its file, and the context of a server with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    import ipaddress

    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = made.public_bytes(serialization.Encoding.PEM)
    file.write_bytes(private + public)
    (folder / "ca.pem").write_bytes(public)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return folder / "ca.pem", context
