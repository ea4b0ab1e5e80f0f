"""What a channel is, and why a message was not delivered."""

from __future__ import annotations

from typing import Protocol

from quantx.core.alerts import AlertMessage
from quantx.errors import QuantxError


class NotDelivered(QuantxError):
    """A receiver did not accept a message. The text names no address and no secret.

    `retry_after` is in seconds, None where the receiver named no time. `rejected`: it refuses this message, and may
    accept others.
    """

    def __init__(self, message: str, *, retry_after: float | None = None, rejected: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.rejected = rejected


class PartlyDelivered(QuantxError):
    """A server took a message, but not for all its recipients. The text names none of them.

    The message is not sent again: those that have it would get it twice.
    """


class Channel(Protocol):
    """One receiver of messages."""

    name: str
    gap: float  # seconds between two messages

    def send(self, message: AlertMessage) -> None:
        """Send a message; return once the receiver has accepted it, raise NotDelivered where it has not.

        Raises PartlyDelivered where some of its recipients do not get it. A repeated call sends the same `id` again.
        """
        ...
