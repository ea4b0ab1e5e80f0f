"""Run a benchmark at a tenth of its size and return its counts."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def outcome_of(name: str) -> dict[str, int]:
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(str(ROOT))
        patched.setattr(sys, "argv", ["benchmarks"])
        from benchmarks.__main__ import main

        (outcome,) = main([name, "--quick"])
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    return dict(outcome.counts)
