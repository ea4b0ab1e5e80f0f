"""Secrets in texts that people read."""

from __future__ import annotations

import re


def without_secrets(text: str) -> str:
    """Return the text with the passwords and signatures of its URLs replaced by stars."""
    text = re.sub(r"(://[^:/?#]*):[^/?#]*@", r"\1:**********@", text)
    return re.sub(
        r"([?&](?:password|sslpassword|sig|token|key|secret)=)[^&#]*", r"\1**********", text, flags=re.IGNORECASE
    )
