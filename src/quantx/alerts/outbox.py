"""Send the waiting messages: at least once, in order, with back-off.

One process sends at a time. A message that was sent in the moment of a crash is sent again with the same id. Where a
channel fails, its later messages wait behind the failed one.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from quantx.alerts.channels.channel import Channel, NotDelivered, PartlyDelivered
from quantx.core.model import Clock
from quantx.pipeline.runtime.threads import Runtime
from quantx.state.alerts.port import Alerts, Delivery
from quantx.state.port import State

log = structlog.get_logger()

LIMIT = 20.0  # seconds for one attempt, however slowly the receiver answers
_FIRST, _LONGEST = 30.0, 7200.0  # seconds of back-off; it doubles
_LONGEST_NAMED = 6 * 3600.0  # seconds: the most that a receiver's Retry-After delays
_REJECTED = 2  # attempts at a message that the receiver refuses for its content
_EXPIRED = timedelta(days=2)
_PAGE = 50
_AGAIN = 0.5  # seconds until the role is tried again
_GRACE = 1.0  # seconds for an attempt under way when the process must stop


@dataclass(frozen=True)
class SentCounts:
    """What became of messages: one message to two channels counts twice."""

    sent: int = 0
    failed: int = 0  # attempts
    dead: int = 0  # messages that are not sent again

    def __add__(self, other: SentCounts) -> SentCounts:
        return SentCounts(self.sent + other.sent, self.failed + other.failed, self.dead + other.dead)


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Sends what waits in the outbox."""

    state: State
    channels: Mapping[str, Channel]
    clock: Clock
    runtime: Runtime
    attempts: int
    limit: float = LIMIT

    def send(self, seconds: float) -> SentCounts | None:
        """Send for at most about `seconds`; None where another process was sending for all of them.

        A message that may be sent again within that time is retried in it.
        """
        until = self.runtime.monotonic() + seconds
        while True:
            with self.state.exclusive("alerts") as role:
                if role is not None:
                    calls = [partial(self._drain, channel, until) for channel in self.channels.values()]
                    done = self.runtime.together(calls, max(1, len(calls)), _GRACE)
                    return sum((counts for counts in done if counts is not None), SentCounts())
            # The other process may have read the outbox before the messages of this one were in it.
            if self.runtime.monotonic() + _AGAIN > until or self.runtime.wait(_AGAIN):
                return None

    def _drain(self, channel: Channel, until: float) -> SentCounts:
        """Send the messages of one channel until none is left, or the next one is due too late: one at least."""
        alerts, total = self.state.alerts, SentCounts()
        while waiting := alerts.waiting(channel.name, _PAGE):
            for delivery in waiting:
                pause = max(0.0, (delivery.not_before - self.clock.now()).total_seconds())
                if pause > 2 * _LONGEST_NAMED:  # no attempt is put off so far: the clock was wrong
                    pause = 0.0
                too_late = self.runtime.monotonic() + pause > until and (pause > 0 or total != SentCounts())
                if too_late or self.runtime.wait(pause):
                    return total
                counts = self._attempt(channel, delivery)
                total += counts
                if self.runtime.wait(channel.gap):
                    return total
                if not counts.sent:
                    break  # read again when the next attempt is due
        return total

    def _attempt(self, channel: Channel, delivery: Delivery) -> SentCounts:
        alerts: Alerts = self.state.alerts
        try:
            within(self.limit, partial(channel.send, delivery.message))
        except NotDelivered as error:
            return self._failed(delivery, error)
        except PartlyDelivered as error:
            alerts.end_delivery(delivery, "sent", str(error))
            log.warning("alert.partly_sent", channel=channel.name, message=delivery.message.id, error=str(error))
            return SentCounts(sent=1)
        alerts.end_delivery(delivery, "sent")
        log.info("alert.sent", channel=channel.name, message=delivery.message.id, topic=delivery.message.topic)
        return SentCounts(sent=1)

    def _failed(self, delivery: Delivery, error: NotDelivered) -> SentCounts:
        names = {"channel": delivery.channel, "message": delivery.message.id, "error": str(error)}
        most = min(self.attempts, _REJECTED) if error.rejected else self.attempts
        counted = error.retry_after is None
        if delivery.attempts + counted >= most or self.clock.now() - delivery.message.made_at > _EXPIRED:
            self.state.alerts.end_delivery(delivery, "dead", str(error))
            log.error("alert.dead", **names)
            return SentCounts(failed=1, dead=1)
        seconds = min(_FIRST * 2**delivery.attempts, _LONGEST)
        if error.retry_after is not None:
            seconds = min(max(1.0, error.retry_after), _LONGEST_NAMED)
        self.state.alerts.delay_delivery(delivery, seconds, str(error), counted=counted)
        log.warning("alert.not_delivered", retry_seconds=seconds, **names)
        return SentCounts(failed=1)


def within(seconds: float, call: Callable[[], None]) -> None:
    """Make a call in a thread of its own; raise NotDelivered where it does not end in time.

    A receiver that sends a byte now and then never reaches a time-out of the connection.
    """
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            call()
            ended.put(None)
        except BaseException as error:  # noqa: BLE001 — raised below, in the caller's thread
            ended.put(error)

    threading.Thread(target=run, name="alert", daemon=True).start()
    try:
        failure = ended.get(timeout=seconds)
    except queue.Empty:
        raise NotDelivered("it does not answer in time") from None
    if failure is not None:
        raise failure
