"""Conformance tests for providers and their wires, those of other packages too; they need pytest.

A package's tests subclass `ProviderContract` and `WireContract`, and supply fixtures only:
docs/how-to/write-a-provider-package.md shows it.
"""

from __future__ import annotations

import pytest

# Before the import: their failing assertions then show the values.
pytest.register_assert_rewrite("quantx.testing.provider_contract", "quantx.testing.wire_contract")

from quantx.testing.provider_contract import ProviderContract, check_schema  # noqa: E402
from quantx.testing.stub_vendor import (  # noqa: E402
    Answer,
    NoClock,
    Question,
    StoppedClock,
    payload,
    replying_with,
    stub_vendor,
)
from quantx.testing.wire_contract import WireContract  # noqa: E402

__all__ = [
    "Answer",
    "NoClock",
    "ProviderContract",
    "Question",
    "StoppedClock",
    "WireContract",
    "check_schema",
    "payload",
    "replying_with",
    "stub_vendor",
]
