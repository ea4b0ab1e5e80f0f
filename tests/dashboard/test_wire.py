"""Requests that no browser and no client library sends, on the wire of a real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from quantx.cli.dashboard import listening
from quantx.dashboard.app import create_app
from quantx.dashboard.context import Dashboard
from quantx.dashboard.sign_in import TokenSignIn
from quantx.errors import ConfigError
from quantx.settings import load_settings

from .conftest import TOKEN

FORM = "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a dashboard without a lake and without a state."""
    folder = tmp_path_factory.mktemp("wire")
    settings = load_settings(lake_url=str(folder / "lake"), state_url=str(folder / "state"))
    with listening("127.0.0.1", 0) as listener:
        number = listener.getsockname()[1]
        app = create_app(Dashboard(settings), TokenSignIn(number, TOKEN))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", proxy_headers=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield number
        server.should_exit = True
        thread.join()


def answer(port: int, line: str, headers: str, body: str = "") -> str:
    """Return the status line of the answer to a request; {host} and {cookie} in its headers are the right ones."""
    known = {"host": f"Host: 127.0.0.1:{port}\r\n", "cookie": f"Cookie: quantx_{port}={TOKEN}\r\n"}
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"{line}\r\n{headers.format(**known)}Connection: close\r\n\r\n{body}".encode("latin-1"))
        return connection.recv(4096).decode("latin-1").split("\r\n")[0].removeprefix("HTTP/1.1 ")


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        ("GET /audit HTTP/1.1", "{host}{cookie}", "200"),
        ("GET /audit HTTP/1.0", "{cookie}", "421"),
        ("GET /audit HTTP/1.1", "{host}Host: evil.example\r\n{cookie}", "421"),
        ("GET http://evil.example/audit HTTP/1.1", "Host: evil.example\r\n{cookie}", "421"),
        ("GET /static/../app.py HTTP/1.1", "{host}{cookie}", "404"),
        ("GET /static/..%2fapp.py HTTP/1.1", "{host}{cookie}", "404"),
        ("GET /static/..%5c..%5capp.py HTTP/1.1", "{host}{cookie}", "404"),
        ("GET /static//etc/passwd HTTP/1.1", "{host}{cookie}", "404"),
        ("GET /static/%00 HTTP/1.1", "{host}{cookie}", "404"),
        ("TRACE /audit HTTP/1.1", "{host}{cookie}", "405"),
        ("GET /audit HTTP/1.1", "{host}Cookie: quantx_1=\xff\xfe\r\n", "403"),
        ("GET /audit?did=%00&before=99999999999999999999 HTTP/1.1", "{host}{cookie}", "200"),
    ],
)
def test_an_odd_request_gets_a_plain_refusal(port: int, line: str, headers: str, status: str) -> None:
    assert answer(port, line, headers).startswith(status)


def test_a_form_with_two_lengths_is_refused(port: int) -> None:
    both = f"{{host}}{{cookie}}{FORM}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
    assert answer(port, "POST /actions/update.plan HTTP/1.1", both, "0\r\n\r\n").startswith("400")


def test_a_large_form_without_a_length_is_refused(port: int) -> None:
    chunk = f"{0x11000:x}\r\n{'a' * 0x11000}\r\n0\r\n\r\n"
    headers = f"{{host}}{{cookie}}{FORM}Transfer-Encoding: chunked\r\n"
    assert answer(port, "POST /actions/update.plan HTTP/1.1", headers, chunk).startswith("413")


def test_a_form_that_never_arrives_whole_is_no_error_of_the_program(
    port: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("quantx.dashboard.app._BODY_WAIT", 0.05)
    headers = f"{{host}}{{cookie}}{FORM}Content-Length: 100\r\n"
    assert answer(port, "POST /actions/update.plan HTTP/1.1", headers, "reason=").startswith("408")
    monkeypatch.undo()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        head = f"POST /actions/update.plan HTTP/1.1\r\n{headers}\r\nreason="
        connection.sendall(
            head.format(host=f"Host: 127.0.0.1:{port}\r\n", cookie=f"Cookie: quantx_{port}={TOKEN}\r\n").encode()
        )
    assert answer(port, "GET /audit HTTP/1.1", "{host}{cookie}").startswith("200")
    time.sleep(0.1)
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err + captured.out


def test_a_port_that_is_taken_is_named(port: int) -> None:
    with pytest.raises(ConfigError, match=rf"port {port} can't be used: .*; choose another with --port"):
        listening("127.0.0.1", port)
