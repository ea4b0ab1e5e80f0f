"""A hundred histories of the fleet, each with its own troubles; and broken fleets that the simulator must detect.

The seeds change with each commit, and the name of the test shows them. `make prove` runs a thousand fixed ones.
"""

from __future__ import annotations

import pytest

from .processes import assert_rules_hold, assert_storm, finish, first_seed_of_commit, shares, start

SEEDS = 100
PROCESSES = 2

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("first", [first_seed_of_commit()], ids=lambda first: f"seeds {first}-{first + SEEDS - 1}")
def test_the_rules_hold_after_a_hundred_histories(first: int) -> None:
    assert_storm(assert_rules_hold(shares(first, SEEDS, PROCESSES), seconds=300), SEEDS)


@pytest.mark.parametrize(
    ("mutant", "rule", "seeds"),
    [
        ("unfenced", "fence", "0-99"),
        ("unshared", "planned-once", "0-99"),
        ("overwriting", "I1", "0-99"),
        ("forgetful", "I2", "0-299"),
        ("unbound", "I3", "0-99"),
        ("unfenced-role", "fenced I4 I2", "0-199"),  # I2: rows of a later reply came first
        ("shared-rounds", "I5", "0-199"),
    ],
)
def test_a_fleet_without_one_of_its_safeguards_is_detected(mutant: str, rule: str, seeds: str) -> None:
    simulated = finish(start("--seeds", seeds, "--mutant", mutant, "--first"))
    assert any(line.split(": ")[1] in rule.split() for line in simulated.violations), simulated.output[-2000:]


def test_a_seed_gives_one_history() -> None:
    first, second = (finish(process) for process in [start("--seed", "7", "--trace") for _ in range(2)])
    histories = [simulated.output.splitlines()[:-2] for simulated in (first, second)]  # without the duration
    assert len(histories[0]) > 100
    assert histories[0] == histories[1]
