"""Check all conditions, record what began and ended, and send the messages about it: what entry points call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from ulid import ULID

from quantx.alerts.channels.channel import Channel, NotDelivered, PartlyDelivered
from quantx.alerts.channels.open import open_channels
from quantx.alerts.conditions import check_conditions
from quantx.alerts.outbox import LIMIT, Sender, SentCounts, within
from quantx.core.alert_rules import Send
from quantx.core.alerts import Alert, AlertMessage, AlertPolicy, make_digest, make_messages, observe
from quantx.settings import Settings
from quantx.settings.alerts import digest_time
from quantx.state.alerts.port import AlertBook, AlertChange

if TYPE_CHECKING:
    from quantx.pipeline.runtime.context import Context

_LATEST_DIGEST = timedelta(hours=6)  # after its time
_SECONDS = 20.0  # for sending, at the end of other work


@dataclass(frozen=True, kw_only=True)
class AlertRun:
    """What a check has found and sent."""

    alerts: tuple[Alert, ...]  # those that are present
    messages: tuple[AlertMessage, ...]  # new ones
    sent: SentCounts | None  # None: another process is sending


def check_and_send(
    context: Context,
    *,
    seconds: float = _SECONDS,
    channels: Mapping[str, Channel] | None = None,
    leave_out: Collection[str] = (),
) -> AlertRun:
    """Check all conditions, store the transitions with their messages in one transaction, and send what waits.

    Where a message failed for good meanwhile, that is checked and reported through the other channels, too. Kinds of
    conditions that are left out stay as they are.
    """
    channels = open_channels(context.settings) if channels is None else channels
    sender = Sender(
        state=context.state,
        channels=channels,
        clock=context.clock,
        runtime=context.runtime,
        attempts=context.settings.alerts_attempts,
    )
    messages = check(context, channels, leave_out)
    sent = sender.send(seconds)
    if sent is not None and sent.dead:
        messages += check(context, channels, leave_out)
        more = sender.send(seconds)
        sent = sent if more is None else sent + more
    present = tuple(alert for alert in context.state.alerts.listed() if alert.present)
    return AlertRun(alerts=present, messages=tuple(messages), sent=sent)


def check(context: Context, channels: Mapping[str, Channel], leave_out: Collection[str] = ()) -> list[AlertMessage]:
    """Check all conditions, and store the transitions with their messages; return the messages.

    Without a channel, alerts are recorded and none is announced: the first channel gets what is wrong then.
    """
    now = context.clock.now()
    found = check_conditions(context, now, leave_out)

    def decide(book: AlertBook) -> AlertChange:
        alerts = observe(book.alerts, found.conditions, found.checked, now, found.unchecked_topics)
        messages: list[AlertMessage] = []
        if channels:
            policy = AlertPolicy(send=_sends(context.settings))
            alerts, messages = make_messages(alerts, book.made, policy, now, _new_id(now))
            if digest_due(context.settings.alerts_digest, book.digest_at, now):
                messages.append(make_digest(list(alerts.values()), book.dead, now, _new_id(now)()))
        named = [(message, channels_of(message, context.settings, channels)) for message in messages]
        return AlertChange(alerts=alerts, messages=named)

    return context.state.alerts.change(decide, now)


def test_channels(channels: Mapping[str, Channel], now: datetime) -> dict[str, str | None]:
    """Send a test message through each channel at once; return why one did not accept it, by channel (None: it did).

    It needs no database, and is not repeated.
    """
    message = AlertMessage(
        id=_new_id(now)(),
        topic="test",
        transition="test",
        severity="info",
        title="Test: this channel works",
        lines=("`quantx alerts test` has sent this message. Nothing is wrong.",),
        made_at=now,
    )
    results: dict[str, str | None] = {}
    for name, channel in channels.items():
        try:
            within(LIMIT, partial(channel.send, message))
            results[name] = None
        except (NotDelivered, PartlyDelivered) as error:
            results[name] = str(error)
    return results


def channels_of(message: AlertMessage, settings: Settings, channels: Mapping[str, Channel]) -> list[str]:
    """Return the channels that get a message by the rules of the settings."""
    rule = settings.alerts_rules.get(message.kind)
    wanted = None if rule is None else rule.channels
    return [name for name in channels if wanted is None or name in wanted]


def digest_due(setting: str | None, last: datetime | None, now: datetime) -> bool:
    """Return whether the digest of the day is due: its time has come, less than six hours ago, and it was not made."""
    if setting is None:
        return False
    at, zone = digest_time(setting)
    local = now.astimezone(zone)
    due = local.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    if due > local:
        due = (local - timedelta(days=1)).replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return now - due < _LATEST_DIGEST and (last is None or last < due)


def _sends(settings: Settings) -> dict[str, Send]:
    return {name: rule.send for name, rule in settings.alerts_rules.items() if rule.send is not None}


def _new_id(now: datetime) -> Callable[[], str]:
    return lambda: str(ULID.from_datetime(now))
