"""Slack: an incoming webhook, which takes one message per second (https://api.slack.com/docs/rate-limits)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from typing_extensions import override

from quantx.alerts.channels.channel import Channel
from quantx.alerts.channels.http import post
from quantx.alerts.channels.texts import plain
from quantx.core.alerts import AlertMessage

_MARKS = {"error": "🔴", "warn": "🟠", "info": "🔵"}
_LONGEST_HEADER, _LONGEST_TEXT = 150, 2900  # characters: https://api.slack.com/reference/block-kit/blocks


@dataclass(frozen=True, kw_only=True)
class Slack(Channel):
    """Posts plain texts, in which Slack finds no mention, no link and no format."""

    url: SecretStr
    installation: str
    link: str | None = None
    name: str = "slack"
    gap: float = 1.0

    @override
    def send(self, message: AlertMessage) -> None:
        mark = "✅" if message.transition == "resolved" else _MARKS[message.severity]
        title = f"{mark} {plain(message.title, _LONGEST_HEADER - 2)}"
        lines = _listed(message.lines)
        foot = f"{self.installation} · {message.made_at:%Y-%m-%d %H:%M} UTC · {message.id}"
        blocks: list[dict[str, Any]] = [{"type": "header", "text": _text(title)}]
        blocks += [{"type": "section", "text": _text(lines)}] if lines else []
        blocks.append({"type": "context", "elements": [_text(foot)]})
        if self.link:
            blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": f"<{self.link}|Open the dashboard>"}})
        post(self.url, json.dumps({"text": escaped(title), "blocks": blocks}).encode(), {})


def _listed(lines: Sequence[str]) -> str:
    """Return lines as one text; where it is too long, each is shortened: the last one has the next step."""
    text = "\n".join(f"• {plain(line)}" for line in lines)
    if len(text) <= _LONGEST_TEXT:
        return text
    return "\n".join(f"• {plain(line, _LONGEST_TEXT // len(lines) - 3)}" for line in lines)


def _text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def escaped(text: str) -> str:
    """Return a text for a notification, in which Slack finds no mention and no link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
