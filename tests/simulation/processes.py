"""The simulator in processes of its own: a seed needs a fixed order of sets and a fixed number of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_MOST_SEEDS = 10_000_000  # seeds of commits lie below

# Troubles of the weather, and what they lead to: a storm in which one of them is rare tests little.
OFTEN = (  # once a seed or more
    *("kill", "refused", "unknown", "stall", "freeze", "stop", "outage", "jump", "slow_beat", "twice", "same_ulid"),
    *("server_error", "revised", "tasks done", "leases that passed on", "requests more than once"),
    *("rounds tried again", "joined plans"),
)
SELDOM = (  # in every seventh seed or more
    *(
        "role_lost",
        "suspended",
        "garbage_message",
        "limited",
        "garbage",
        "truncated",
        "empty",
        "unknown_symbol",
        "broken_adapter",
    ),
    *("tasks failed", "revised rows", "closures", "refused landings", "poison"),
)
RARE = ("retried tasks",)


@dataclass(frozen=True)
class Simulated:
    """What a process of the simulator printed."""

    output: str

    @property
    def violations(self) -> list[str]:
        """Return a line for each rule that a seed broke: `seed 7: I3: …`."""
        return [line for line in self.output.splitlines() if line.startswith("seed ")]

    @property
    def happened(self) -> Counter[str]:
        """Return how often each trouble and each consequence happened."""
        return Counter(json.loads(self.output.splitlines()[-1]))


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start the simulator."""
    environment = os.environ | {"PYTHONHASHSEED": "0", "POLARS_MAX_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str], seconds: float = 300) -> Simulated:
    """Wait for the simulator and return what it printed."""
    return Simulated(process.communicate(timeout=seconds)[0])


def assert_rules_hold(ranges: Sequence[str], seconds: float) -> Counter[str]:
    """Run each range of seeds in a process of its own; return how often each trouble happened."""
    happened = Counter[str]()
    for process in [start("--seeds", seeds) for seeds in ranges]:
        simulated = finish(process, seconds)
        broken = simulated.violations
        replay = f"python -m tests.simulation --seed {broken[0].split()[1].rstrip(':')} --trace" if broken else ""
        assert process.returncode == 0, f"replay with `{replay}`:\n{simulated.output[-4000:]}"
        assert broken == []
        happened += simulated.happened
    return happened


def assert_storm(happened: Counter[str], seeds: int) -> None:
    """Demand a fraction of what usually happens, so that no choice of seeds fails by chance."""
    least = dict.fromkeys(OFTEN, 0.15 * seeds) | dict.fromkeys(SELDOM, 1)
    if seeds >= 1000:
        least = dict.fromkeys((*OFTEN, *SELDOM, *RARE), 50)
    missing = {name: happened[name] for name, count in least.items() if happened[name] < count}
    assert not missing, f"a storm in which too little happens: {missing} in {happened}"


def shares(first: int, count: int, processes: int) -> list[str]:
    """Divide `count` seeds from `first` on into as many ranges."""
    each = count // processes
    return [f"{first + n * each}-{first + (n + 1) * each - 1}" for n in range(processes)]


def first_seed_of_commit() -> int:
    """Return the first seed for the commit that is checked out: each commit tries others. 0 where git names none."""
    try:
        commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=_ROOT, stderr=subprocess.DEVNULL, text=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    return int(commit[:12], 16) % _MOST_SEEDS
