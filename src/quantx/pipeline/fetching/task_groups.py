"""Asking vendors: tasks that one request serves, the pages of its answer, and what each task got of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantx.core.model import FetchTask, Payload
from quantx.errors import MalformedPayload, ProviderError
from quantx.providers.protocol import Dataset, Page, Provider, Request


@dataclass(frozen=True)
class FetchOutcome:
    """What came of one task: a reply on some pages, an error, or neither where the vendor was not asked."""

    task: FetchTask
    pages: tuple[Payload, ...] = ()
    error: ProviderError | None = None
    requests: int = 1  # those that count for this task: a page that several tasks share was one request

    @property
    def reply(self) -> tuple[Payload, ...]:
        """Return the pages that are to be kept: a good reply, or one that is malformed."""
        if isinstance(self.error, MalformedPayload) and isinstance(self.error.payload, Payload):
            return (self.error.payload,)
        return self.pages


@dataclass(frozen=True)
class Group:
    """Tasks that one request serves."""

    request: Request
    tasks: tuple[FetchTask, ...]  # one per symbol

    @property
    def source(self) -> str:
        """Return the vendor."""
        return self.tasks[0].series.source

    @property
    def run_ids(self) -> set[str]:
        """Return the runs that have the tasks."""
        return {task.run_id for task in self.tasks}


def grouped(tasks: Sequence[FetchTask], providers: Mapping[str, Provider]) -> list[Group]:
    """Make one request of tasks that their vendor answers together, as many as it takes at once."""
    alike: dict[tuple[object, ...], list[FetchTask]] = defaultdict(list)
    for task in tasks:
        series = task.series
        alike[series.source, series.dataset, series.timeframe, task.window].append(task)
    groups = []
    for similar in alike.values():
        series, provider = similar[0].series, providers.get(similar[0].series.source)
        width = provider.capabilities.symbols_at_once(series.timeframe) if provider else 1
        for start in range(0, len(similar), width):
            some = tuple(similar[start : start + width])
            groups.append(_group(some))
    return groups


def _group(tasks: tuple[FetchTask, ...]) -> Group:
    series, window = tasks[0].series, tasks[0].window
    dataset: Dataset = "actions" if series.dataset == "actions" else "bars"
    return Group(Request(dataset, series.timeframe, tuple(task.series.symbol for task in tasks), window), tasks)


class Answer:
    """The pages of a group's answer as they come, and the tasks that have all of theirs."""

    def __init__(self, group: Group) -> None:
        self._open = {task.series.symbol: task for task in group.tasks}
        self._pages: dict[str, list[Payload]] = defaultdict(list)
        self._unpaid = 0  # requests that no outcome accounts for yet
        self.done: list[FetchOutcome] = []  # not handed on yet

    @property
    def left(self) -> Group | None:
        """Return the tasks that have neither all of their pages nor an error; None where there are none."""
        return _group(tuple(self._open.values())) if self._open else None

    @property
    def size(self) -> int:
        """Return the bytes of the pages in `done`."""
        return sum(len(page.body) for page in {id(p): p for o in self.done for p in o.pages}.values())

    def add(self, page: Page) -> None:
        """Take a page; tasks that are complete with it go to `done`."""
        self._unpaid += 1
        for symbol in page.symbols & self._open.keys():
            self._pages[symbol].append(page.payload)
        for symbol in sorted(page.complete & self._open.keys()):
            pages = self._pages.pop(symbol, None) or [page.payload]  # that it has nothing is said by this page
            self._end(symbol, pages=tuple(pages))

    def fail(self, error: ProviderError, symbols: frozenset[str] = frozenset()) -> None:
        """Give the tasks of these symbols (or all that are open) an error for the request that brought none."""
        self._unpaid += 1
        for symbol in sorted(symbols & self._open.keys() or self._open.keys()):
            self._end(symbol, error=error)
        self._pages.clear()  # what is still open is asked for from the beginning

    def leave(self) -> None:
        """Give up what is still open: it was not asked for any more."""
        for symbol in sorted(self._open):
            self._end(symbol)

    def _end(self, symbol: str, **what: object) -> None:
        self.done.append(FetchOutcome(self._open.pop(symbol), requests=self._unpaid, **what))  # type: ignore[arg-type]
        self._unpaid = 0
