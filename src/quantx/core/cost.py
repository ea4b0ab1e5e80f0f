"""The cost of a month: quantities times prices beyond the free quota, and the quantities of an update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass

_HOURS, _DAYS = 730, 30.4  # in a month, by Azure's convention
_YEAR = 252  # updates


@dataclass(frozen=True)
class Price:
    """The price of a unit, and the free units per month."""

    what: str
    unit: str
    usd: float
    _: KW_ONLY
    checked: str  # official, or quoted by third parties
    free: float = 0

    @property
    def size(self) -> int:
        """Return the number of things in a unit: some prices are for 10,000 or for a million."""
        return {"million": 1_000_000, "10,000": 10_000}.get(self.unit, 1)


@dataclass(frozen=True, kw_only=True)
class StageUsage:
    """The requests and statements of one stage of a daily run."""

    writes: int = 0  # of blobs, with lists
    reads: int = 0  # of blobs
    queue: int = 0  # operations
    statements: int = 0  # of PostgreSQL


@dataclass(frozen=True, kw_only=True)
class MeasuredRun:
    """A daily run whose requests and statements were counted, by stage."""

    symbols: int
    tasks: int
    reply_bytes: int  # of one stored reply
    stages: Mapping[str, StageUsage]

    def total(self, column: str) -> int:
        """Return the sum of a column of StageUsage over all stages."""
        return sum(getattr(stage, column) for stage in self.stages.values())


@dataclass(frozen=True, kw_only=True)
class Update:
    """The usage of one daily update."""

    tasks: float
    requests: float
    seconds: float  # from its plan to its report
    stored: float  # bytes of stored replies


@dataclass(frozen=True, kw_only=True)
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
    quoted: bool  # the price is not official


def counted(tasks: float, runs: Sequence[MeasuredRun], column: str) -> float:
    """Return a count (writes, reads, queue, statements) of a daily run: the line through the measured runs.

    `runs` are two, the smaller one first. A part of each count does not depend on the tasks.
    """
    few, many = runs[0], runs[-1]
    each = max(0.0, (many.total(column) - few.total(column)) / (many.tasks - few.tasks))
    return max(0.0, few.total(column) + each * (tasks - few.tasks))


def expected_update(symbols: int, reference: Mapping[str, float], runs: Sequence[MeasuredRun]) -> Update:
    """Return the usage of an update of this number of symbols, from the reference and the measured runs."""
    requests = symbols * reference["requests_per_task"]
    return Update(
        tasks=symbols,
        requests=requests,
        seconds=requests * reference["seconds_per_request"] + symbols * reference["curating_seconds_per_task"],
        stored=requests * runs[-1].reply_bytes,
    )


def scaled(update: Update, symbols: int) -> Update:
    """Return the usage scaled to this number of symbols: all of it grows with the tasks."""
    factor = symbols / update.tasks
    return Update(**{name: value * factor for name, value in vars(update).items()})


def month_of(
    update: Update,
    updates: int,
    server_hours: float | None,
    reference: Mapping[str, float],
    installation: Mapping[str, float],
    measured: Sequence[MeasuredRun],
) -> dict[str, float]:
    """Return the usage of a month of updates, by the names of the prices.

    `server_hours`: the hours that PostgreSQL runs, None: the whole month. The lake is at the end of its first year,
    with fifteen years of history.
    """
    seconds = updates * (update.seconds + installation["starting_seconds"])
    runs = installation["functions_runs_a_month"]
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
        "storage_writes": updates * counted(update.tasks, measured, "writes"),
        "storage_reads": updates * counted(update.tasks, measured, "reads"),
        "queue_operations": updates * counted(update.tasks, measured, "queue"),
        "logs": updates * logs / 1e9,
        "alert_rules": installation["alert_rules"],
        "alert_metrics": installation.get("alert_metrics", 0),  # a table of before has none
    }


def bill(used: Mapping[str, float], prices: Mapping[str, Price]) -> list[Line]:
    """Return the items of a month, in the order of the prices.

    >>> price = Price("logs", "GB", 2.30, checked="quoted", free=5)
    >>> [round(line.usd, 2) for line in bill({"logs": 6.0}, {"logs": price})]
    [2.3]
    """
    lines = []
    for name, price in prices.items():
        quantity = used[name] / price.size
        paid = max(0.0, quantity - price.free)
        lines.append(
            Line(
                name=name,
                what=price.what,
                quantity=quantity,
                unit=price.unit,
                free=price.free,
                price=price.usd,
                usd=paid * price.usd,
                usd_without_free=quantity * price.usd,
                quoted=price.checked != "official",
            )
        )
    return lines


def total(lines: Sequence[Line], *, free: bool = True) -> float:
    """Return the total of a bill, with or without the free quotas."""
    return sum(line.usd if free else line.usd_without_free for line in lines)
