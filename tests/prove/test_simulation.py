"""A thousand histories of the fleet, always the same ones; the tests of each commit run a hundred others."""

from __future__ import annotations

from ..simulation.processes import assert_rules_hold, assert_storm, shares

SEEDS = 1000
PROCESSES = 2


def test_the_rules_hold_after_a_thousand_histories() -> None:
    assert_storm(assert_rules_hold(shares(0, SEEDS, PROCESSES), seconds=1800), SEEDS)
