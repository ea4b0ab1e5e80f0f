"""What a month costs: quantities times prices, after what is free; and the quantities that follow from an update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_HOURS, _DAYS = 730, 30.4  # in a month, as Azure reckons
_YEAR = 252  # updates


@dataclass(frozen=True)
class Price:
    """What one unit costs, and how many of them are free each month."""

    what: str
    unit: str
    usd: float
    checked: str  # official, or quoted by others
    free: float = 0

    @property
    def size(self) -> int:
        """Return how many things are a unit: some prices are for 10,000 or for a million of them."""
        return {"million": 1_000_000, "10,000": 10_000}.get(self.unit, 1)


@dataclass(frozen=True)
class Update:
    """What one daily update uses."""

    tasks: float
    requests: float
    seconds: float  # from its plan to its report
    batches: float  # raw objects
    stored: float  # bytes of replies, as they are kept


@dataclass(frozen=True)
class Line:
    """One item of the bill."""

    name: str
    what: str
    quantity: float  # in units
    unit: str
    free: float
    price: float
    usd: float
    usd_without_free: float
    quoted: bool  # the price was not read at Microsoft's


def expected_update(symbols: int, reference: Mapping[str, float]) -> Update:
    """Return what an update of so many symbols uses by the measured reference."""
    requests = symbols * reference["requests_per_task"]
    return Update(
        tasks=symbols,
        requests=requests,
        seconds=requests * reference["seconds_per_request"] + symbols * reference["curating_seconds_per_task"],
        batches=symbols / reference["tasks_per_batch"],
        stored=requests * reference["reply_bytes"],
    )


def scaled(update: Update, symbols: int) -> Update:
    """Return what the update would use for so many symbols: all of it grows with the tasks."""
    factor = symbols / update.tasks
    return Update(*(value * factor for value in vars(update).values()))


def month_of(
    update: Update,
    updates: int,
    server_hours: float | None,
    reference: Mapping[str, float],
    installation: Mapping[str, float],
) -> dict[str, float]:
    """Return what a month of updates uses, by the names of the prices.

    `server_hours`: how long PostgreSQL runs, None for all of the month. The lake is that of the end of its first year,
    with fifteen years of history.
    """
    seconds = updates * (update.seconds + installation["starting_seconds"])
    runs = installation["functions_runs_a_month"]
    writes = reference["blob_writes"] + update.batches * reference["blob_writes_per_batch"]
    reads = reference["blob_reads"] + update.batches * reference["blob_reads_per_batch"]
    queue = reference["queue_operations"] + update.tasks * reference["queue_operations_per_task"]
    logs = reference["log_bytes"] + update.tasks * reference["log_bytes_per_task"]
    stored = update.tasks * reference["history_bytes_per_symbol"] + _YEAR * update.stored
    return {
        "postgres_hour": _HOURS if server_hours is None else server_hours,
        "postgres_storage": installation["postgres_storage_gib"],
        "registry_day": _DAYS,
        "container_cpu": seconds * installation["worker_vcpu"],
        "container_memory": seconds * installation["worker_gib"],
        "functions_memory": runs * installation["functions_gb"],
        "functions_runs": runs,
        "storage_size": stored / 1e9,
        "storage_writes": updates * writes,
        "storage_reads": updates * reads,
        "queue_operations": updates * queue,
        "logs": updates * logs / 1e9,
        "alert_rules": installation["alert_rules"],
    }


def bill(used: Mapping[str, float], prices: Mapping[str, Price]) -> list[Line]:
    """Return the items of a month, in the order of the prices.

    >>> price = Price("logs", "GB", 2.30, "quoted", free=5)
    >>> [round(line.usd, 2) for line in bill({"logs": 6.0}, {"logs": price})]
    [2.3]
    """
    lines = []
    for name, price in prices.items():
        quantity = used[name] / price.size
        paid = max(0.0, quantity - price.free)
        lines.append(
            Line(
                name,
                price.what,
                quantity,
                price.unit,
                price.free,
                price.usd,
                usd=paid * price.usd,
                usd_without_free=quantity * price.usd,
                quoted=price.checked != "official",
            )
        )
    return lines


def total(lines: Sequence[Line], *, free: bool = True) -> float:
    """Return the sum of a bill, or what it would be if nothing were free any more."""
    return sum(line.usd if free else line.usd_without_free for line in lines)
