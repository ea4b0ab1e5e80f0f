"""One tree of errors; a class says who must act, a message says the fact and the next step.

    QuantxError
    ├── ConfigError               the user: a setting, a flag or a file is wrong
    │   ├── InvalidSymbol         the user: not a symbol of a market that we know
    │   └── RefusedList           the user: a universe's source is not believed, the last good list stays
    ├── ProviderError             the vendor did not give what was asked
    │   ├── RateLimited           nobody: wait, then ask again (attempts are not counted)
    │   ├── TransientProviderError    nobody: ask again
    │   └── TerminalProviderError     asking again would not help
    │       ├── UnknownSymbol     the vendor does not know the symbol
    │       ├── NotEntitled       the account may not have this
    │       └── MalformedPayload  the vendor sent something that is not what was asked for
    ├── LakeError                 the object store or a table
    │   └── DamagedObject         an object is missing or is not what was stored
    ├── StateError                PostgreSQL can't be reached
    │   └── RefusedStatement      PostgreSQL refuses a statement: a mistake of ours
    ├── QueueError                the queue
    └── Busy                      nobody: another process has the role that is needed; try again later

Retries look at the class, never at the text.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any


class QuantxError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigError(QuantxError):
    """A setting, a flag or a file is wrong; the user mends it."""


class InvalidSymbol(ConfigError):
    """The text is not a symbol of a market that we know."""


class RefusedList(ConfigError):
    """What a universe's source gave is not believed; the last good list stays until somebody looks."""


class ProviderError(QuantxError):
    """A vendor did not give what was asked."""


class RateLimited(ProviderError):
    """The vendor wants us to slow down; the work is delayed and no attempt is counted.

    `retry_after` is in seconds, None where the vendor did not say.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TransientProviderError(ProviderError):
    """The vendor failed in a way that may pass: a time-out, a 5xx, an outage page."""


class TerminalProviderError(ProviderError):
    """Asking the same again would give the same answer.

    `symbols` are those of the request that it concerns; empty: all of them.
    """

    def __init__(self, message: str, symbols: Collection[str] = ()) -> None:
        super().__init__(message)
        self.symbols = frozenset(symbols)


class UnknownSymbol(TerminalProviderError):
    """The vendor does not know the symbol (which does not prove that it is delisted)."""


class NotEntitled(TerminalProviderError):
    """The account or the plan does not include what was asked."""


class MalformedPayload(TerminalProviderError):
    """The reply is not in the vendor's documented form, or is about something else.

    `payload` is the reply, where there is one: it is kept as evidence and the request is repeated a few times, since a
    broken transfer looks the same.
    """

    def __init__(self, message: str, payload: Any = None) -> None:
        super().__init__(message)
        self.payload = payload


class LakeError(QuantxError):
    """The object store or a table could not be read or written."""


class DamagedObject(LakeError):
    """An object is missing, or its bytes are not those that were stored: asking again gives the same."""


class StateError(QuantxError):
    """PostgreSQL could not be reached, or ended the connection."""


class RefusedStatement(StateError):
    """PostgreSQL refused the statement; asking again gives the same."""


class QueueError(QuantxError):
    """The queue could not be reached or refused the message."""


class Busy(QuantxError):
    """Another process has the role that is needed; it is free again when that process has ended its work."""
