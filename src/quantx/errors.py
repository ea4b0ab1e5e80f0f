"""The tree of errors: a class names who must act, a message states the fact and the next step.

    QuantxError
    ├── ConfigError               user: fix a setting, a flag or a file
    │   ├── InvalidSymbol         user: not a symbol of a supported market
    │   ├── NoProvenance          user: ask for the provenance of the frame that a query returned
    │   ├── NotInLake             user: the lake knows no such symbol, vendor, universe or table
    │   ├── MissingLake           user: there is no lake at the URL
    │   ├── RefusedList           user: a universe's list failed the plausibility checks; the last good list stays
    │   └── SqlError              user: correct the query, or narrow it; SqlMemoryError: it needs more memory
    ├── ProviderError             the vendor did not serve the request
    │   ├── RateLimited           no action: retried after a back-off, without counting an attempt
    │   ├── TransientProviderError    no action: retried
    │   └── TerminalProviderError     a retry would fail again
    │       ├── UnknownSymbol     the vendor does not know the symbol
    │       ├── NotEntitled       the account is not entitled to this data
    │       └── MalformedPayload  the reply does not fit the request
    ├── LakeError                 object store or table
    │   ├── DamagedObject         an object is missing, or differs from the stored one
    │   ├── RawNotReadable        administrator: grant reading of raw objects, where it is wanted
    │   └── CommitConflict        no action: the table has changed since it was read; the work is repeated
    │       └── Fenced            no action: another process has taken the role over; it is taken again
    ├── StateError                PostgreSQL is unavailable
    │   └── RefusedStatement      PostgreSQL refuses a statement: a bug in this program
    ├── QueueError                the queue
    └── Busy                      no action: another process has the role; try again later

Retries depend on the class, never on the text.

`IncompleteData` is a warning: a result lacks some of the requested data.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any


class QuantxError(Exception):
    """Base of all errors that this package raises on purpose."""


class ConfigError(QuantxError):
    """A setting, a flag or a file is wrong; the user must fix it."""


class InvalidSymbol(ConfigError):
    """The text is not a symbol of a supported market."""


class NotInLake(ConfigError):
    """The lake knows no symbol, vendor, universe or table of this name; `names` has all unknown ones."""

    def __init__(self, message: str, names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)


class MissingLake(ConfigError):
    """There is no lake at the URL."""


class NoProvenance(ConfigError):
    """The object is no frame that a query of a lake returned, or it was changed since."""


class RefusedList(ConfigError):
    """A universe's list failed the plausibility checks; the last good list stays until a user decides."""


class SqlError(ConfigError):
    """A query is not one SELECT over the tables, has an error, or needs more time or memory than it may use."""


class SqlMemoryError(SqlError):
    """A query needs more memory than it may use."""


class ProviderError(QuantxError):
    """A vendor did not serve a request."""


class RateLimited(ProviderError):
    """The vendor limits the rate; the task is delayed, and no attempt is counted.

    `retry_after` is in seconds, None where the vendor named no time.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TransientProviderError(ProviderError):
    """A temporary failure of the vendor: a time-out, a 5xx, an outage page."""


class TerminalProviderError(ProviderError):
    """A retry of the request would fail again.

    `symbols` are the affected symbols of the request; empty: all of them.
    """

    def __init__(self, message: str, symbols: Collection[str] = ()) -> None:
        super().__init__(message)
        self.symbols = frozenset(symbols)


class UnknownSymbol(TerminalProviderError):
    """The vendor does not know the symbol (which does not prove a delisting)."""


class NotEntitled(TerminalProviderError):
    """The account or the plan does not include the requested data."""


class MalformedPayload(TerminalProviderError):
    """The reply is not in the vendor's documented form, or does not fit the request.

    `payload` is the reply, where there is one: it is stored as evidence. The request is retried a few times, because a
    broken transfer looks the same.
    """

    def __init__(self, message: str, payload: Any = None) -> None:
        super().__init__(message)
        self.payload = payload


class LakeError(QuantxError):
    """The object store or a table could not be read or written."""


class DamagedObject(LakeError):
    """An object is missing, or its bytes differ from the stored ones; a retry would fail again."""


class RawNotReadable(LakeError):
    """The store refuses to read raw objects with the rights of this identity; tables need no such right."""


class CommitConflict(LakeError):
    """A table has changed since the rows were read on which a commit depends; nothing was committed.

    The caller takes its role, reads and derives again: the same rows may be stored now.
    """


class Fenced(CommitConflict):
    """Another process, or another state, has taken over the role under which this one commits."""


class StateError(QuantxError):
    """PostgreSQL is unavailable, or closed the connection."""


class RefusedStatement(StateError):
    """PostgreSQL refused the statement; a retry would fail again."""


class QueueError(QuantxError):
    """The queue is unavailable, or refused the message."""


class Busy(QuantxError):
    """Another process has the required role, and releases it at the end of its work."""


class IncompleteData(UserWarning):
    """A query's result lacks some of the requested data; the text states which, and why.

    `names` has all absent symbols. `warnings.simplefilter("error", quantx.IncompleteData)` turns it into an error.
    """

    def __init__(self, message: str, names: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.names = tuple(names)
