"""The channels of the settings."""

from __future__ import annotations

from collections.abc import Mapping

from quantx.alerts.channels.channel import Channel
from quantx.alerts.channels.mail import Mail
from quantx.alerts.channels.slack import Slack
from quantx.alerts.channels.teams import Teams
from quantx.alerts.channels.webhook import Webhook
from quantx.settings import Settings
from quantx.settings.alerts import mail_addresses


def open_channels(settings: Settings) -> Mapping[str, Channel]:
    """Return the configured channels by name; nothing connects before the first message."""
    channels: dict[str, Channel] = {}
    installation, link = settings.alerts_name, settings.alerts_link
    if settings.alerts_webhook_url is not None and settings.alerts_webhook_secret is not None:
        url, secret = settings.alerts_webhook_url, settings.alerts_webhook_secret
        channels["webhook"] = Webhook(url=url, secret=secret, installation=installation, link=link)
    if settings.alerts_slack_url is not None:
        channels["slack"] = Slack(url=settings.alerts_slack_url, installation=installation, link=link)
    if settings.alerts_teams_url is not None:
        channels["teams"] = Teams(url=settings.alerts_teams_url, installation=installation, link=link)
    if settings.alerts_smtp_url is not None and settings.alerts_email_from and settings.alerts_email_to:
        channels["email"] = Mail(
            url=settings.alerts_smtp_url,
            sender=settings.alerts_email_from,
            recipients=tuple(mail_addresses(settings.alerts_email_to)),
            installation=installation,
            link=link,
        )
    return channels
