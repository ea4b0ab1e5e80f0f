"""Records of messages that can't be processed (dead letters): base64 JSON, like the messages, on a queue of their own.

Azure Storage Queue has no dead-letter queue. Azure Functions moves a message that failed too often to `<queue>-poison`,
unchanged. Our records are there, too; so a record that is not ours must be readable.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime

from quantx.errors import QueueError
from quantx.queues.protocol import Poisoned

VERSION = 1
_MOST_BYTES = 48 * 1024  # of JSON; in base64 they are 64 KiB, the limit of a message in Azure
_MOST_REASON = 1000  # characters


def poison_name(queue: str) -> str:
    """Return the name of a queue's poison queue."""
    return f"{queue}-poison"


def record_of(body: str, reason: str, at: datetime) -> str:
    """Return the record of a message; a huge body is cut, with a note at its end."""
    reason = reason[:_MOST_REASON]
    record = _packed(body, reason, at)
    kept = body[:_MOST_BYTES]
    while len(record) > _MOST_BYTES:
        kept = kept[: len(kept) * 9 // 10]  # step by step: JSON takes from one byte to twelve for a character
        record = _packed(f"{kept}… (cut: {len(body)} characters in all)", reason, at)
    return base64.b64encode(record).decode()


def read_record(record: str, put_at: datetime) -> Poisoned:
    """Return a record of a poison queue; one that is not ours is returned unchanged, with the time of its arrival."""
    try:
        fields = json.loads(base64.b64decode(record, validate=True))
        if fields["v"] != VERSION:
            raise QueueError(f"a record is not of version {VERSION}")
        return Poisoned(_text(fields["body"]), _text(fields["reason"]), datetime.fromisoformat(fields["at"]))
    except (QueueError, ValueError, TypeError, KeyError, RecursionError):  # binascii.Error is a ValueError
        return Poisoned(record, "another program put it here, without a reason", put_at)


def _text(value: object) -> str:
    """Return a text that can be shown: JSON may hold lone surrogates, which no terminal and no file takes."""
    return str(value).encode("utf-8", "backslashreplace").decode()


def _packed(body: str, reason: str, at: datetime) -> bytes:
    fields = {"v": VERSION, "reason": reason, "at": at.isoformat(), "body": body}
    return json.dumps(fields, separators=(",", ":")).encode()
