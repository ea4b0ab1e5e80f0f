"""Teams: a workflow that starts "When a Teams webhook request is received", with an Adaptive Card.

https://learn.microsoft.com/connectors/teams/#microsoft-teams-webhook. The connectors of Office 365 ended in May 2026.
Texts are runs of a RichTextBlock: a TextBlock would read marks of Markdown in them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from typing_extensions import override

from quantx.alerts.channels.channel import Channel
from quantx.alerts.channels.http import post
from quantx.alerts.channels.texts import plain
from quantx.core.alerts import AlertMessage

_COLORS = {"error": "Attention", "warn": "Warning", "info": "Default"}
_LONGEST = 250  # characters of a text: a request has 28 kB at most, a digest some twenty texts
_GAP = 1.0  # seconds; a workflow takes four requests per second


@dataclass(frozen=True, kw_only=True)
class Teams(Channel):
    """Posts a card with the title, the lines and the message's id."""

    url: SecretStr
    installation: str
    link: str | None = None
    name: str = "teams"
    gap: float = _GAP

    @override
    def send(self, message: AlertMessage) -> None:
        post(self.url, json.dumps(self._document(message), ensure_ascii=False).encode(), {})

    def _document(self, message: AlertMessage) -> dict[str, Any]:
        color = "Good" if message.transition == "resolved" else _COLORS[message.severity]
        foot = f"{self.installation} · {message.made_at:%Y-%m-%d %H:%M} UTC · {message.id}"
        body = [
            _block(message.title, weight="Bolder", size="Medium", color=color),
            *(_block(line) for line in message.lines),
            _block(foot, isSubtle=True, size="Small"),
        ]
        card: dict[str, Any] = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": body,
        }
        if self.link:
            card["actions"] = [{"type": "Action.OpenUrl", "title": "Open the dashboard", "url": self.link}]
        kind = "application/vnd.microsoft.card.adaptive"
        return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def _block(text: str, **look: Any) -> dict[str, Any]:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": plain(text, _LONGEST), **look}]}
