"""A webhook of the user's: JSON, signed with HMAC-SHA256 over the time and the body."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr
from typing_extensions import override

from quantx.alerts.channels.channel import Channel
from quantx.alerts.channels.http import post
from quantx.alerts.channels.texts import plain
from quantx.core.alerts import AlertMessage

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Webhook(Channel):
    """Posts JSON; a receiver verifies the signature and refuses a time that is minutes old (a replay)."""

    url: SecretStr
    secret: SecretStr
    installation: str
    link: str | None = None
    clock: Callable[[], float] = time.time
    name: str = "webhook"
    gap: float = 0.0

    @override
    def send(self, message: AlertMessage) -> None:
        body = json.dumps(self._document(message), ensure_ascii=False, separators=(",", ":")).encode()
        stamp = str(int(self.clock()))
        headers = {
            "X-QuantX-Id": message.id,
            "X-QuantX-Timestamp": stamp,
            "X-QuantX-Signature": f"sha256={signature(self.secret, stamp, body)}",
        }
        post(self.url, body, headers)

    def _document(self, message: AlertMessage) -> dict[str, object]:
        return {
            "version": VERSION,
            "id": message.id,
            "installation": self.installation,
            "topic": message.topic,
            "transition": message.transition,
            "severity": message.severity,
            "title": plain(message.title),
            "lines": [plain(line) for line in message.lines],
            "made_at": message.made_at.isoformat(),
            "link": self.link,
        }


def signature(secret: SecretStr, stamp: str, body: bytes) -> str:
    """Return the hex HMAC-SHA256 of `<stamp>.<body>`."""
    signed = stamp.encode() + b"." + body
    return hmac.new(secret.get_secret_value().encode(), signed, hashlib.sha256).hexdigest()
