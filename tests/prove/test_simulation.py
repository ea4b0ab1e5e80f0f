"""A thousand histories of the fleet, always the same ones; the tests of each commit run a hundred others."""

from __future__ import annotations

from ..simulation.processes import assert_rules_hold, assert_storm, finish, shares, start

SEEDS = 1000
PROCESSES = 2


def test_the_rules_hold_after_a_thousand_histories() -> None:
    assert_storm(assert_rules_hold(shares(0, SEEDS, PROCESSES), seconds=1800), SEEDS)


def test_two_states_and_suspended_committers_lose_nothing() -> None:
    simulated = finish(start("--seeds", "0-999", "--mutant", "suspended"), seconds=1800)
    assert simulated.violations == [], simulated.output[-4000:]


def test_a_fleet_whose_successors_seal_no_table_is_detected() -> None:
    simulated = finish(start("--seeds", "0-2999", "--mutant", "unsealed", "--first"), seconds=1800)
    assert any(line.split(": ")[1] == "fenced" for line in simulated.violations), simulated.output[-2000:]
