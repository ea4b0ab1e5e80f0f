"""Counts what each stage of a run costs: seconds and calls of the ports, statements of PostgreSQL, storage requests.

`observed(platform, stages)` returns the platform with its ports wrapped: a call of a port counts for a stage, and the
statements that it runs count with it. Storage requests are those that a recording proxy has seen (`benchmarks.proxy`).
A stage within another one is not counted twice: its seconds and statements are its own. Several threads may be in one
stage: its seconds are the sum of theirs.
"""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import psycopg

from quantx.lake.protocol import Tables
from quantx.pipeline.curating.curator import Curator
from quantx.pipeline.runtime.platform import Platform
from quantx.providers.protocol import Provider
from quantx.state import database

OTHER = "other"
CHECK = "check of the connection"  # by the pool, before each use
STAGES = (
    *("plan", "send", "receive", "claim", "fetch", "store", "record", "delete", "extend"),
    *("take the role", "read raw", "normalize", "read tables", "commit", "state of rounds", "inspect", "report"),
    OTHER,
)
_WHOLE = frozenset({"inspect"})  # stages that keep the calls within them
# The stages of the ports' calls: by method, or of all methods ("").
_QUEUE = {
    "send": "send",
    "depth": "send",
    "total": "send",
    "receive": "receive",
    "delete": "delete",
    "extend": "extend",
}
_TASKS = {
    "plan": "plan",
    "to_send": "send",
    "unsent": "send",
    "sent": "send",
    "resend_lost": "send",
    "claim": "claim",
    "extend": "extend",
    "land": "record",
    "release": "record",
    "pass_on": "record",
    "fail": "record",
}
_STATE = {
    "tasks": _TASKS,
    "rounds": {"": "state of rounds"},
    "findings": {"": "state of rounds"},
    "series": {"": "state of rounds"},
    "quotas": {"": "fetch"},
    "runs": {"": "report"},
}
_NORMALIZING = dict.fromkeys(("normalize", "normalize_many", "normalize_facts"), "normalize")
_TABLE = dict.fromkeys(("commit", "seal", "fold", "compact"), "commit") | {"": "read tables"}


@dataclass
class Cost:
    """What a stage has cost so far in this process."""

    calls: int = 0
    seconds: float = 0.0  # of all threads together
    cpu: float = 0.0  # seconds of the calling threads, without helper threads
    statements: int = 0


class Stages:
    """The costs of this process by stage; safe for many threads."""

    def __init__(self) -> None:
        self.costs: dict[str, Cost] = defaultdict(Cost)
        self.statements: Counter[tuple[str, str]] = Counter()  # by stage and name
        self._lock = threading.Lock()
        self._here = threading.local()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the `with` block for a stage; the stages within it count for themselves."""
        outer: list[_Block] = self._here.__dict__.setdefault("blocks", [])
        if outer and outer[-1].stage in _WHOLE:
            yield
            return
        block = _Block(name, time.perf_counter(), time.thread_time())
        outer.append(block)
        try:
            yield
        finally:
            outer.pop()
            seconds, cpu = time.perf_counter() - block.began, time.thread_time() - block.cpu_began
            with self._lock:
                cost = self.costs[name]
                cost.calls += 1
                cost.seconds += seconds - block.inner
                cost.cpu += cpu - block.cpu_inner
                cost.statements += block.statements
            if outer:
                outer[-1].inner += seconds
                outer[-1].cpu_inner += cpu

    def wrap(self, inner: Any, stage_of: Mapping[str, str]) -> Any:
        """Return an object whose methods do the same and count for a stage, by their name or all ("")."""
        return _Wrapped(inner, lambda name: stage_of.get(name, stage_of.get("")), self)

    def note_statement(self, text: str) -> None:
        """Count a statement for the stage that runs it."""
        blocks: list[_Block] = self._here.__dict__.get("blocks", [])
        stage = blocks[-1].stage if blocks else OTHER
        if blocks:
            blocks[-1].statements += 1
        with self._lock:
            self.statements[stage, _name_of(text)] += 1
            if not blocks:
                self.costs[OTHER].statements += 1

    @contextmanager
    def counted_statements(self) -> Iterator[None]:
        """Count the statements of this process within the `with` block."""
        execute = psycopg.Connection.execute

        @wraps(execute)
        def counting(connection: Any, query: Any, *values: Any, **options: Any) -> Any:
            self.note_statement(str(query))
            return execute(connection, query, *values, **options)

        psycopg.Connection.execute = counting  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            psycopg.Connection.execute = execute  # type: ignore[method-assign]

    def facts(self) -> dict[str, dict[str, float]]:
        """Return the costs by stage, in the order of the stages."""
        return {name: vars(self.costs[name]).copy() for name in STAGES if name in self.costs}


@dataclass
class _Block:
    stage: str
    began: float
    cpu_began: float
    inner: float = 0.0
    cpu_inner: float = 0.0
    statements: int = 0


class _Wrapped:
    def __init__(self, inner: Any, stage_of: Callable[[str], str | None], stages: Stages) -> None:
        self._inner, self._stage_of, self._stages = inner, stage_of, stages

    def __getattr__(self, name: str) -> Any:
        value, stage = getattr(self._inner, name), self._stage_of(name)
        if stage is None or not callable(value):
            return value

        def call(*values: Any, **named: Any) -> Any:
            with self._stages.stage(stage):
                return value(*values, **named)

        return call


class _State(_Wrapped):
    """A state whose nouns are wrapped."""

    def __init__(self, inner: Any, nouns: Mapping[str, Mapping[str, str]], stages: Stages) -> None:
        super().__init__(inner, lambda _: None, stages)
        for noun, methods in nouns.items():
            setattr(self, noun, stages.wrap(getattr(inner, noun), methods))


class _Location(_Wrapped):
    """A location whose requests count by their path."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        if name not in ("get", "put", "put_new", "create", "has", "get_or_put", "paths", "objects"):
            return value

        def call(path: str, *values: Any, **named: Any) -> Any:
            with self._stages.stage(stage_of_path(path, reads=name == "get")):
                return value(path, *values, **named)

        return call


class _Vendor(_Wrapped):
    """A provider whose requests count as they are made: `fetch` returns an iterator."""

    def fetch(self, request: Any) -> Iterator[Any]:
        pages = self._inner.fetch(request)
        while True:
            with self._stages.stage("fetch"):
                page = next(pages, None)
            if page is None:
                return
            yield page


def observed(platform: Platform, stages: Stages) -> Platform:
    """Return the platform with its ports wrapped."""
    vendors: dict[str, Provider] = {
        name: _Vendor(each, _NORMALIZING.get, stages)  # type: ignore[misc]
        for name, each in platform.providers.items()
    }
    tables: Tables = {name: stages.wrap(table, _TABLE) for name, table in platform.tables.items()}
    return replace(
        platform,
        state=_State(platform.state, _STATE, stages),  # type: ignore[arg-type]
        queue=stages.wrap(platform.queue, _QUEUE),
        location=_Location(platform.location, lambda _: None, stages),  # type: ignore[arg-type]
        tables=tables,
        providers=vendors,
    )


def observed_curator(curator: Curator, stages: Stages) -> Curator:
    """Return a curator of an observed platform; what it does beside the ports counts as normalizing: it computes."""
    observed_one: Any = stages.wrap(curator, {"curate": "normalize"})
    return cast("Curator", observed_one)


def stage_of_path(path: str, *, reads: bool) -> str:
    """Return the stage that reads or writes an object of the lake.

    >>> stage_of_path("raw/source=yahoo/dataset=bars/ingest_date=2026-01-05/01.parquet", reads=False)
    'store'
    """
    if path.startswith("raw/"):
        return "read raw" if reads else "store"
    if path.startswith("reports/"):
        return "report"
    if path.startswith(("curated/", "quarantine/")):
        return "read tables" if reads else "commit"
    return "take the role"


def requests_by_stage(recorded: Iterable[Sequence[Any]], container: str) -> Counter[str]:
    """Return the number of a proxy's recorded blob requests (method, target, status) by stage."""
    counted: Counter[str] = Counter()
    for method, target, _ in recorded:
        parts = urlsplit(target)
        path = parts.path.partition(f"/{container}/")[2]
        if "comp=list" in parts.query:
            path = next((v for k, _, v in (p.partition("=") for p in parts.query.split("&")) if k == "prefix"), "")
            path = path.replace("%2F", "/").replace("%2f", "/")
        counted[stage_of_path(path, reads=method in ("GET", "HEAD"))] += 1
    return counted


@lru_cache
def _names() -> dict[str, str]:
    """Return the names of the state's statements by their text."""
    names = {}
    for file in Path(database.__file__).parent.glob("*/statements.sql"):
        parts = re.split(r"^-- name: (\w+)$", file.read_text("utf-8"), flags=re.MULTILINE)
        names |= {text: f"{file.parent.name}.{name}" for name, text in zip(parts[1::2], parts[2::2], strict=True)}
    return names


def _name_of(text: str) -> str:
    """Return the name of a statement, or its first words."""
    return _names().get(text) or " ".join(text.split()[:4]) or CHECK
