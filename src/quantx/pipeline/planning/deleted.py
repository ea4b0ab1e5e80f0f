"""Deleted data in planning: no vendor is requested for what a tombstone has deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from quantx.core.tombstones import Deleted, Tombstone
from quantx.errors import ConfigError
from quantx.pipeline.planning.vendor_order import VendorOrders
from quantx.state.tasks.port import NewTask, UnservedSymbol

LIFT = "`quantx delete --lift {} --reason …` allows it again"


def orders_left(deleted: Deleted, orders: VendorOrders) -> tuple[dict[str, tuple[str, ...]], dict[str, Tombstone]]:
    """Return the orders without vendors whose bars of the symbol are deleted, and the symbols without a vendor left."""
    left, refused = dict[str, tuple[str, ...]](orders), dict[str, Tombstone]()
    for symbol, order in orders.items() if deleted else ():
        stones = {source: deleted.whole(source, "bars", symbol) for source in order}
        left[symbol] = tuple(source for source in order if stones[source] is None)
        found = [stone for stone in stones.values() if stone is not None]
        if found and not left[symbol]:
            refused[symbol] = found[0]
    return left, refused


def refuse_all_deleted(refused: Mapping[str, Tombstone], requested: Sequence[str]) -> None:
    """Raise ConfigError where each of the requested symbols is deleted."""
    if requested and refused.keys() >= set(requested):
        stone = refused[requested[0]]
        raise ConfigError(f"{stone.describe()} was deleted for good, and is not fetched; {LIFT.format(stone.id)}")


def unserved_deleted(refused: Mapping[str, Tombstone]) -> list[UnservedSymbol]:
    """Return the symbols that are not requested, with the tombstone of each."""
    return [
        UnservedSymbol(symbol, True, f"no vendor left: {stone.describe()}; {LIFT.format(stone.id)}")
        for symbol, stone in refused.items()
    ]


def tasks_left(deleted: Deleted, tasks: Sequence[NewTask]) -> list[NewTask]:
    """Return the tasks without deleted days, and without vendors whose data is deleted as fallbacks."""
    if not deleted:
        return list(tasks)
    windows = ((task, deleted.left(task.series, task.window)) for task in tasks)
    return [
        replace(
            task,
            window=window,
            fallback=tuple(
                name for name in task.fallback if deleted.left(replace(task.series, source=name), window) == window
            ),
        )
        for task, window in windows
        if window is not None
    ]
