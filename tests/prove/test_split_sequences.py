"""No sequence of replies around a split leaves a wrong row: 300 random ones of each split-adjusted vendor."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from ..pipeline.curating.split_sequences import SPLIT_ADJUSTED, History, histories, prove


@pytest.mark.parametrize("source", SPLIT_ADJUSTED)
@settings(max_examples=300, derandomize=True, suppress_health_check=list(HealthCheck))
@given(histories())
def test_no_sequence_leaves_a_wrong_row(source: str, history: History) -> None:
    prove(source, history)
