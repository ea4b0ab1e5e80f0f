"""POST a message over HTTP: redirects are not followed, the reply is not read, and no error names the address."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import SecretStr

from quantx.alerts.channels.channel import NotDelivered
from quantx.core.foreign_errors import network_fact
from quantx.providers.http import http_date, retry_after

_TIMEOUT = 10.0  # seconds to connect, and to answer
_REJECTS = (400, 413, 415, 422)  # this message, not the channel


def post(url: SecretStr, body: bytes, headers: Mapping[str, str]) -> None:
    """Send a body as JSON; raise NotDelivered for every answer but 2xx."""
    import httpx

    for name in ("httpx", "httpcore"):  # at INFO and DEBUG they log the address
        logging.getLogger(name).setLevel(logging.WARNING)
    failure = ""
    sent = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "quantx-alerts", **headers}
    try:
        with (
            httpx.Client(timeout=_TIMEOUT) as client,
            client.stream("POST", url.get_secret_value(), content=body, headers=sent) as response,
        ):
            status, answer = response.status_code, response.headers
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # OSError: the file of certificates
        failure = _fact(error)
    except ValueError:  # a host name that no name server can have, or a proxy of an unknown kind
        failure = "its address, or that of the proxy, is not valid"
    if failure:  # raised here and not above: the caught error contains the address
        raise NotDelivered(failure)
    if 200 <= status < 300:
        return
    now = http_date(answer.get("Date")) or datetime.now(UTC)
    raise NotDelivered(
        f"it answers HTTP {status}",
        retry_after=retry_after(answer.get("Retry-After"), now) if status in (429, 503) else None,
        rejected=status in _REJECTS,
    )


def _fact(error: Exception) -> str:
    """Return why there is no answer; a failure of TLS is the cause of a failed connection."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and len(causes) < 6:
        causes.append(cause)
    tls = next((cause for cause in causes if "SSL" in type(cause).__name__), None)
    return network_fact(tls or error)
