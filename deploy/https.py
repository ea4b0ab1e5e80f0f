"""One HTTPS request with the standard library: no redirect is followed, every answer is returned."""

from __future__ import annotations

import os
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, NoReturn

SECONDS = 300  # a package has 60 to 90 MB


@dataclass(frozen=True)
class Reply:
    """An answer. Status 0: there was none, and the text is the reason."""

    status: int = 0
    body: bytes = b""
    headers: Message = field(default_factory=Message)

    @property
    def text(self) -> str:
        """The beginning of the body, for a message."""
        return self.body.decode("utf-8", "replace").strip()[:500]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect to the caller: the token in a header belongs to the first host only."""

    def redirect_request(self, *_: object) -> None:
        """Follow none."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def send(method: str, url: str, body: bytes | IO[bytes] | None = None, **headers: str) -> Reply:
    """Send one request; the names of headers may be written with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, named, method=method)  # noqa: S310 - every caller writes https://
    try:
        with _OPENER.open(request, timeout=SECONDS) as reply:
            return Reply(reply.status, reply.read(), reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read(), error.headers)
    except OSError as error:  # no connection, a time-out, a certificate
        return Reply(body=str(getattr(error, "reason", error)).encode())


def wait() -> None:
    """Pause between two questions about the same thing."""
    time.sleep(float(os.environ.get("QUANTX_POLL_SECONDS", "10")))


def say(text: str) -> None:
    """Print to standard error, which is where the scripts print."""
    sys.stderr.write(f"{text}\n")


def fail(text: str, status: int = 1) -> NoReturn:
    """Print the reason and end with this status."""
    say(text)
    sys.exit(status)
