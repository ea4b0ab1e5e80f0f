"""The settings of alerts: channels, rules, and the digest. Addresses of webhooks are secrets, too."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time
from typing import Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from quantx.core.alert_rules import ALERT_RULES, Send

CHANNELS = ("webhook", "slack", "teams", "email")
_ADDRESS = re.compile(r"[^@\s,<>\"]+@[^@\s,<>\"]+")


class AlertRuleSettings(BaseModel):
    """What an installation changes of one rule."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    send: Send | None = Field(default=None, description="at_once, digest (only in the daily digest) or never")
    limit: float | None = Field(default=None, ge=0, description="the rule's limit, in its unit")
    channels: tuple[str, ...] | None = Field(
        default=None, description="of webhook, slack, teams, email; by default all"
    )
    leave_out: tuple[str, ...] = Field(default=(), description="subjects, or rules of findings, that make no alert")

    @field_validator("channels")
    @classmethod
    def _check_channels(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if unknown := set(value or ()) - set(CHANNELS):
            raise ValueError(f"{min(unknown)!a} is no channel; use {', '.join(CHANNELS)}")
        return value


class AlertSettings(BaseModel):
    """The part of `Settings` about alerts; a channel without an address is not used."""

    alerts_rules: dict[str, AlertRuleSettings] = Field(
        {},
        description="changes of the rules of alerts by rule: send, limit, channels, leave_out;"
        " docs/how-to/send-alerts.md has an example, docs/reference/alerts.md lists the rules",
    )
    alerts_digest: str | None = Field(
        None,
        description="when a digest of all alerts is sent each day, as in 06:30 (UTC) or 07:30 Europe/Berlin; it is sent"
        " on quiet days, too",
    )
    alerts_attempts: int = Field(
        12, ge=1, le=100, description="failed attempts after which a message is not sent again"
    )
    alerts_name: str = Field("quantx", max_length=40, description="the name of this installation in messages")
    alerts_link: str | None = Field(None, description="the address of the dashboard, for messages")
    alerts_webhook_url: SecretStr | None = Field(None, description="an address that gets messages as signed JSON")
    alerts_webhook_secret: SecretStr | None = Field(
        None, description="the key of the signature (HMAC-SHA256) of these messages; required with their address"
    )
    alerts_slack_url: SecretStr | None = Field(None, description="the address of an incoming webhook of Slack")
    alerts_teams_url: SecretStr | None = Field(
        None, description="the address of a workflow of Teams, `When a Teams webhook request is received`"
    )
    alerts_smtp_url: SecretStr | None = Field(
        None,
        description="the mail server: smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465;"
        " special characters of user and password as in a URL (%40 for @)",
    )
    alerts_email_from: str | None = Field(None, description="the sender of mails")
    alerts_email_to: str | None = Field(None, description="the recipients of mails, separated by commas")

    @field_validator("alerts_rules")
    @classmethod
    def _check_rules(cls, value: dict[str, AlertRuleSettings]) -> dict[str, AlertRuleSettings]:
        if unknown := value.keys() - ALERT_RULES.keys():
            raise ValueError(f"{min(unknown)!a} is no rule of alerts; the rules are {', '.join(ALERT_RULES)}")
        return value

    @field_validator("alerts_digest")
    @classmethod
    def _check_digest(cls, value: str | None) -> str | None:
        if value is not None:
            digest_time(value)
        return value

    @field_validator("alerts_webhook_url", "alerts_slack_url", "alerts_teams_url")
    @classmethod
    def _check_url(cls, value: SecretStr | None) -> SecretStr | None:
        _check_address(value, ("http", "https"), "use an address that begins with https://")
        return value

    @field_validator("alerts_smtp_url")
    @classmethod
    def _check_smtp(cls, value: SecretStr | None) -> SecretStr | None:
        _check_address(value, ("smtp", "smtps"), "write it as smtp://user:password@host:587 or smtps://…@host:465")
        return value

    @field_validator("alerts_email_from", "alerts_email_to")
    @classmethod
    def _check_mail(cls, value: str | None) -> str | None:
        if value is not None and not all(_ADDRESS.fullmatch(each) for each in mail_addresses(value)):
            raise ValueError("use e-mail addresses, separated by commas")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Refuse a channel of which a part is missing: it would fail at its first alert."""
        if self.alerts_webhook_url is not None and self.alerts_webhook_secret is None:
            raise ValueError("alerts_webhook_url needs alerts_webhook_secret, which signs the messages")
        if self.alerts_smtp_url is not None and not (self.alerts_email_from and self.alerts_email_to):
            raise ValueError("alerts_smtp_url needs alerts_email_from and alerts_email_to")
        return self

    def alert_channels(self) -> tuple[str, ...]:
        """Return the channels that are configured."""
        addresses: Mapping[str, SecretStr | None] = {
            "webhook": self.alerts_webhook_url,
            "slack": self.alerts_slack_url,
            "teams": self.alerts_teams_url,
            "email": self.alerts_smtp_url,
        }
        return tuple(name for name, address in addresses.items() if address is not None)

    def alert_limit(self, rule: str) -> float | None:
        """Return the limit of a rule of alerts."""
        given = self.alerts_rules.get(rule)
        return ALERT_RULES[rule].limit if given is None or given.limit is None else given.limit


def mail_addresses(text: str) -> list[str]:
    """Return the addresses in a list with commas."""
    return [each.strip() for each in text.split(",") if each.strip()] or [""]


def digest_time(text: str) -> tuple[time, ZoneInfo]:
    """Return the time of day and the zone of a digest; ValueError for another form.

    >>> digest_time("06:30")[0].isoformat()
    '06:30:00'
    """
    clock, _, zone = text.strip().partition(" ")
    try:
        return datetime.strptime(clock, "%H:%M").time(), ZoneInfo(zone.strip() or "UTC")  # noqa: DTZ007 — a time of day
    except (ValueError, LookupError, OSError):
        raise ValueError("write it as in 06:30 (UTC), or 07:30 Europe/Berlin") from None


def _check_address(value: SecretStr | None, schemes: tuple[str, ...], form: str) -> None:
    """Refuse an address of another form, without repeating it."""
    if value is None:
        return
    try:
        parts = urlsplit(value.get_secret_value())
        valid = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or not value.get_secret_value().isprintable():
        raise ValueError(form)
