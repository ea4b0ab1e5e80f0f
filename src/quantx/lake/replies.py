"""Read the error replies of object stores: their codes and reasons."""

from __future__ import annotations

import re


def reply_code(error: BaseException) -> str:
    """Return the store's error code, as in NoSuchBucket; obstore has it only in the text of the reply."""
    code = getattr(error, "error_code", None)
    if code:
        return str(getattr(code, "value", code))
    match = re.search(r"<Code>(\w+)</Code>", str(error))
    return match[1] if match else ""


def reply_reason(error: BaseException) -> str:
    """Return the reason of a failure in one line, with the store's error code."""
    code, lines = reply_code(error), str(error).strip().splitlines()
    fact = lines[0].partition("<?xml")[0].rstrip(" :.\ufeff") if lines else type(error).__name__
    return f"{fact} ({code})" if code else fact
