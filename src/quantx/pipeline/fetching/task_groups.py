"""Tasks that one request serves, the pages of its reply, and the outcome of each task."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantx.core.model import FetchTask, Payload
from quantx.errors import MalformedPayload, ProviderError, RateLimited
from quantx.providers.protocol import Page, Provider, Request


@dataclass(frozen=True)
class FetchOutcome:
    """The outcome of one task: the pages of a reply, an error, or neither where no request was made for it."""

    task: FetchTask
    pages: tuple[Payload, ...] = ()
    error: ProviderError | None = None
    requests: int = 1  # that count for this task: a page that several tasks share was one request

    @property
    def pages_to_store(self) -> tuple[Payload, ...]:
        """Return the pages that belong in the raw zone: those of a good reply, or the malformed one."""
        if isinstance(self.error, MalformedPayload) and isinstance(self.error.payload, Payload):
            return (self.error.payload,)
        return self.pages


@dataclass(frozen=True)
class TaskGroup:
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


def group_tasks(tasks: Sequence[FetchTask], providers: Mapping[str, Provider]) -> list[TaskGroup]:
    """Return the tasks in groups: each as large as one request to their vendor can serve."""
    by_request: dict[tuple[object, ...], list[FetchTask]] = defaultdict(list)
    for task in tasks:
        series = task.series
        by_request[series.source, series.dataset, series.timeframe, task.window].append(task)
    groups = []
    for similar in by_request.values():
        series, provider = similar[0].series, providers.get(similar[0].series.source)
        width = provider.capabilities.symbols_at_once(series.timeframe) if provider else 1
        groups += [_group(tuple(similar[start : start + width])) for start in range(0, len(similar), width)]
    return groups


def _group(tasks: tuple[FetchTask, ...]) -> TaskGroup:
    series, window = tasks[0].series, tasks[0].window
    symbols = tuple(task.series.symbol for task in tasks)
    return TaskGroup(Request(series.dataset, series.timeframe, symbols, window), tasks)


class GroupReply:
    """The pages of a group's reply as they come, and the outcomes of the tasks that have ended."""

    def __init__(self, group: TaskGroup) -> None:
        self._open = {task.series.symbol: task for task in group.tasks}
        self._pages: dict[str, list[Payload]] = defaultdict(list)
        self._refusal: RateLimited | None = None  # of the last request
        self._uncounted = 0  # requests that no outcome counts yet
        self._outcomes: list[FetchOutcome] = []

    @property
    def open_group(self) -> TaskGroup | None:
        """Return the tasks that have neither all of their pages nor an error; None where there are none."""
        return _group(tuple(self._open.values())) if self._open else None

    def add(self, page: Page) -> None:
        """Add a page. The tasks that are complete with it have an outcome."""
        self._uncounted += 1
        self._refusal = None
        for symbol in page.symbols & self._open.keys():
            self._pages[symbol].append(page.payload)
        for symbol in sorted(page.complete & self._open.keys()):
            pages = self._pages.pop(symbol, None) or [page.payload]  # this page shows that the symbol has no rows
            self._end(symbol, pages=tuple(pages))

    def fail(self, error: ProviderError, symbols: frozenset[str] = frozenset()) -> None:
        """End the tasks of these symbols, or all open ones, with the error of a request."""
        self.restart()
        for symbol in sorted(symbols & self._open.keys() or self._open.keys()):
            self._end(symbol, error=error)

    def restart(self, refusal: RateLimited | None = None) -> None:
        """Count a request without an answer; the open tasks are fetched from their first page again."""
        self._uncounted += 1
        self._pages.clear()
        self._refusal = refusal

    def release(self) -> None:
        """End the open tasks without pages, with the last refusal if no answer came since: no further request is made.

        Without a refusal, they have had none.
        """
        for symbol in sorted(self._open):
            self._end(symbol, error=self._refusal)

    def take_outcomes(self) -> list[FetchOutcome]:
        """Return the outcomes that were not taken yet."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def _end(self, symbol: str, pages: tuple[Payload, ...] = (), error: ProviderError | None = None) -> None:
        self._outcomes.append(FetchOutcome(self._open.pop(symbol), pages, error, self._uncounted))
        self._uncounted = 0
