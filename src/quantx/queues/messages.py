"""The one codec of messages: versioned JSON in base64, as Azure Functions expects it.

A message names its task; PostgreSQL holds the truth about it. The other fields are for people and other programs.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quantx.errors import QueueError

VERSION = 1
_LARGEST_ID = 2**63 - 1
_LONGEST_BODY = 64 * 1024  # Azure's limit; the queue in PostgreSQL takes more
_MOST_QUOTED = 200  # characters of a message in the reason why it is refused


@dataclass(frozen=True, kw_only=True)
class TaskMessage:
    """The content of a message."""

    task_id: int
    run_id: str
    source: str
    symbol: str
    timeframe: str
    start: str  # ISO dates of the window
    end: str


def encode(row: Mapping[str, Any]) -> str:
    """Return the body of a task's message, from a row with task_id, run_id, source, symbol, timeframe and window."""
    fields = {
        "v": VERSION,
        "task_id": row["task_id"],
        "run_id": row["run_id"],
        "source": row["source"],
        "symbol": row["symbol"],
        "timeframe": row["timeframe"],
        "start": str(row["window_start"]),
        "end": str(row["window_end"]),
    }
    return base64.b64encode(json.dumps(fields, separators=(",", ":")).encode()).decode()


def decode(body: str) -> TaskMessage:
    """Return the content of a message; raise QueueError with the reason where it is not ours.

    >>> decode(
    ...     encode(
    ...         {
    ...             "task_id": 1,
    ...             "run_id": "r",
    ...             "source": "yahoo",
    ...             "symbol": "AAPL",
    ...             "timeframe": "1d",
    ...             "window_start": "2024-01-02",
    ...             "window_end": "2024-01-05",
    ...         }
    ...     )
    ... ).symbol
    'AAPL'
    """
    if len(body) > _LONGEST_BODY:
        raise QueueError(f"a message has {len(body):,} characters; ours have {_LONGEST_BODY:,} at most")
    try:
        fields = json.loads(base64.b64decode(body, validate=True))
    except (ValueError, RecursionError) as error:  # binascii.Error is a ValueError
        raise QueueError("a message is not base64 JSON") from error
    version = fields.pop("v", None) if isinstance(fields, dict) else None
    if type(version) is not int or version != VERSION:  # True and 1.0 are equal to 1
        raise QueueError(f"a message is not of version {VERSION}")
    try:
        message = TaskMessage(**fields)
    except TypeError as error:
        names = ", ".join(sorted(fields))[:_MOST_QUOTED]
        shown = names.encode("ascii", "backslashreplace").decode()  # names may be half a character
        raise QueueError(f"a message has other fields than a task's: {shown}") from error
    if type(message.task_id) is not int or not 0 < message.task_id <= _LARGEST_ID:
        raise QueueError("a message's task_id is not the id of a task")
    texts = (message.run_id, message.source, message.symbol, message.timeframe, message.start, message.end)
    if not all(isinstance(text, str) for text in texts):
        raise QueueError("a message has a number or a structure in place of a text")
    return message
