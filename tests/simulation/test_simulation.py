"""A thousand histories of the fleet, each with its own troubles; and three broken fleets that must be found out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEEDS = 1000
PROCESSES = 2


def simulate(*arguments: str) -> subprocess.Popen[str]:
    """Start the simulator in a process of its own: a seed needs a fixed order of sets and a fixed number of threads."""
    environment = os.environ | {"PYTHONHASHSEED": "0", "POLARS_MAX_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def broken(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith("seed ")]


def test_the_rules_hold_after_a_thousand_histories() -> None:
    each = SEEDS // PROCESSES
    running = [simulate("--seeds", f"{n * each}-{(n + 1) * each - 1}") for n in range(PROCESSES)]
    happened: dict[str, int] = {}
    for process in running:
        output, _ = process.communicate(timeout=900)
        found = broken(output)
        again = f"python -m tests.simulation --seed {found[0].split()[1].rstrip(':')} --trace" if found else ""
        assert process.returncode == 0, f"replay with `{again}`:\n{output[-4000:]}"
        assert found == []
        for what, count in json.loads(output.splitlines()[-1]).items():
            happened[what] = happened.get(what, 0) + count
    assert all(happened.get(what, 0) >= 50 for what in EXPECTED), f"a storm in which too little happens: {happened}"


EXPECTED = (
    *("kill", "refused", "unknown", "stall", "freeze", "stop", "outage", "role_lost", "jump", "slow_beat", "twice"),
    *("garbage_message", "same_ulid", "limited", "server_error", "garbage", "truncated", "empty", "revised"),
    *("unknown_symbol", "broken_adapter"),
    *("tasks done", "tasks failed", "leases that passed on", "requests more than once", "rounds tried again"),
    *("revised rows", "closures", "refused landings", "joined plans", "retried tasks", "poison"),
)


@pytest.mark.parametrize(
    ("mutant", "rule", "seeds"),
    [
        ("unfenced", "fence", "0-99"),
        ("unshared", "planned-once", "0-99"),
        ("overwriting", "I1", "0-99"),
        ("forgetful", "I3", "0-199"),
        ("overlapping", "I2", "0-399"),
    ],
)
def test_a_fleet_with_one_safeguard_less_is_found_out(mutant: str, rule: str, seeds: str) -> None:
    output, _ = simulate("--seeds", seeds, "--mutant", mutant, "--first").communicate(timeout=300)
    assert any(line.split(": ")[1] == rule for line in broken(output)), output[-2000:]


def test_a_seed_gives_one_history() -> None:
    first, second = (simulate("--seed", "7", "--trace").communicate(timeout=300)[0] for _ in range(2))
    histories = [text.splitlines()[:-2] for text in (first, second)]  # the last two lines tell how long it took
    assert len(histories[0]) > 100
    assert histories[0] == histories[1]
