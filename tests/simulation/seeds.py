"""Running one seed, and what came of it."""

from __future__ import annotations

import gc
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow
import structlog
from tests.simulation.fleet import Fleet, Parts
from tests.simulation.invariants import check
from tests.simulation.scheduler import Broken


@dataclass(frozen=True)
class Outcome:
    """What a seed has shown; `broken` are the rules that do not hold."""

    broken: tuple[str, ...]
    steps: int
    happened: Counter[str]  # troubles of the weather, and what came of them


def silence() -> None:
    """Switch the pipeline's log off (a seed's trace has more), and read small files with one thread."""
    pyarrow.set_cpu_count(1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def run_seed(seed: int, parts: Parts | None = None, trace: Callable[[str], None] | None = None) -> Outcome:
    """Run a seed to its end and check the rules."""
    fleet = Fleet(seed, parts, trace)
    gc.disable()  # when a greenlet is collected must not depend on what ran before
    try:
        fleet.run()
        broken = check(fleet)
    except Broken as error:
        broken = [*fleet.ledger.violations, f"ended: {error}"]
    finally:
        gc.enable()
    return Outcome(tuple(broken), fleet.scheduler.steps, fleet.world.happened + _came_of_it(fleet))


def _came_of_it(fleet: Fleet) -> Counter[str]:
    """Count what the troubles have led to: a storm that leads to nothing tests nothing."""
    records = fleet.state.records
    tasks = list(records.tasks.values())
    return Counter(
        {
            "tasks done": sum(task.state == "done" for task in tasks),
            "tasks failed": sum(task.state == "failed" for task in tasks),
            "leases that passed on": sum(task.lapses for task in tasks),
            "tasks claimed again": sum(task.fence > 1 for task in tasks),
            "requests": len(fleet.ledger.requests),
            "requests more than once": len(fleet.ledger.requests) - len(tasks),
            "rounds": len(records.rounds),
            "rounds tried again": fleet.ledger.rounds_begun - len(records.rounds),
            "revised rows": fleet.tables["bars_1d_revisions"].read().height,
            "closures": len(fleet.ledger.closures),
            "refused landings": fleet.ledger.refused,
            "joined plans": fleet.ledger.joined,
            "retried tasks": sum(task.retried_by is not None for task in tasks),
            "poison": fleet.queue.depth().poisoned,
        }
    )
