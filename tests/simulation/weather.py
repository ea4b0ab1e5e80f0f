"""What goes wrong and how often: drawn for each seed, so that some seeds know one kind of trouble and others all."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Weather:
    """Probabilities per operation of a port (the first group), per request to the vendor, or per delivery."""

    kill: float = 0.0  # the worker dies here
    refused: float = 0.0  # the operation fails and has not happened
    unknown: float = 0.0  # the operation has happened and its answer is lost
    stall: float = 0.0  # the answer comes late
    freeze: float = 0.0  # the whole worker is suspended
    stop: float = 0.0  # the worker gets a signal to stop
    outage: float = 0.0  # a port can't be reached for a while
    role_lost: float = 0.0  # the connection that holds a role breaks
    suspended: float = 0.0  # a committer is suspended between its confirmation and its commit, and its session ends
    jump: float = 0.0  # the worker's clock jumps
    slow_beat: float = 0.0  # a heartbeat is blocked
    twice: float = 0.0  # a message is delivered to two workers at the same time, or sent twice
    garbage_message: float = 0.0
    same_ulid: float = 0.0  # two workers draw the same random number: machines that were cloned
    far: float = 0.0  # a worker has a long way to the state
    limited: float = 0.0
    server_error: float = 0.0
    garbage: float = 0.0
    truncated: float = 0.0
    empty: float = 0.0
    revised: float = 0.0
    unknown_symbol: float = 0.0
    broken_adapter: float = 0.0


_ROUGH = Weather(
    kill=0.004,
    refused=0.02,
    unknown=0.02,
    stall=0.01,
    freeze=0.003,
    stop=0.001,
    outage=0.002,
    role_lost=0.05,
    suspended=0.02,
    jump=0.003,
    slow_beat=0.1,
    twice=0.1,
    garbage_message=0.05,
    same_ulid=0.3,
    far=0.1,
    limited=0.08,
    server_error=0.1,
    garbage=0.06,
    truncated=0.04,
    empty=0.03,
    revised=0.3,
    unknown_symbol=0.02,
    broken_adapter=0.02,
)


# Curators that lose their role in the middle of a round, and go on.
CURATORS = Weather(freeze=0.03, stall=0.03, role_lost=0.5, suspended=0.05, unknown=0.02, revised=0.5)


def weather_of(rng: random.Random) -> Weather:
    """Draw the weather of a seed: each kind of trouble is absent, as usual, or three times as frequent."""
    if rng.random() < 0.1:
        return CURATORS
    return Weather(**{f.name: getattr(_ROUGH, f.name) * rng.choice((0, 0, 1, 1, 3)) for f in fields(Weather)})


CALM = Weather()
