"""OpenTelemetry traces from the trigger to the commit; without its SDK nothing is recorded.

The run's id is the trace's id: both have 128 bits. So every task and message that names its run carries the trace's
context, also between workers of different versions. Spans of one run (`plan`, `fetch`) are part of its trace. Spans of
several runs (`batch`, `land`, `round`, `commit`) have links to the traces of all of them. The span around a trigger
(Azure has one for each invocation) is linked, too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from importlib import metadata
from typing import Any

import structlog
from opentelemetry import context, trace
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, TraceFlags
from opentelemetry.util.types import AttributeValue
from ulid import ULID

from quantx.settings import Settings

log = structlog.get_logger()

_TRACER = trace.get_tracer("quantx")  # uses the SDK that is configured at that moment
_MOST_LINKS = 100  # an SDK keeps 128
_NOT_OURS = ("azure_sdk", "django", "fastapi", "flask", "httpx", "psycopg2", "requests", "urllib", "urllib3")


def run_context(run_id: str) -> SpanContext:
    """Return the root of a run's trace, which every process derives from the id."""
    digest = hashlib.sha256(run_id.encode()).digest()
    try:
        trace_id = int(ULID.from_str(run_id))
    except ValueError:  # not a ULID
        trace_id = int.from_bytes(digest[8:24])
    return SpanContext(trace_id or 1, int.from_bytes(digest[:8]) or 1, is_remote=True, trace_flags=TraceFlags(1))


@contextmanager
def run_span(name: str, run_id: str, **attributes: AttributeValue) -> Iterator[Span]:
    """Record a step of one run in its trace, linked to the span around it. Log lines of the block have the run's id."""
    around = trace.get_current_span().get_span_context()
    links = [Link(around)] if around.is_valid and around.trace_id != run_context(run_id).trace_id else []
    root = trace.set_span_in_context(NonRecordingSpan(run_context(run_id)), context.Context())
    with (
        structlog.contextvars.bound_contextvars(run_id=run_id),
        _TRACER.start_as_current_span(name, root, attributes={"run_id": run_id, **attributes}, links=links) as span,
    ):
        yield span


@contextmanager
def shared_span(name: str, run_ids: Iterable[str], **attributes: AttributeValue) -> Iterator[Span]:
    """Record a step that serves several runs, with a link to each. Log lines of the block have their ids."""
    runs = sorted(set(run_ids))
    bound: dict[str, Any] = {"run_id": runs[0]} if len(runs) == 1 else {"run_ids": runs}
    links = [Link(run_context(run_id)) for run_id in runs[:_MOST_LINKS]]
    with (
        structlog.contextvars.bound_contextvars(**bound),
        _TRACER.start_as_current_span(name, attributes={**bound, **attributes}, links=links) as span,
    ):
        yield span


def any_span(name: str, run_ids: Collection[str], **attributes: AttributeValue) -> AbstractContextManager[Span]:
    """Record a step of one run in its trace, or one that serves several with a link to each."""
    if len(run_ids) == 1:
        return run_span(name, next(iter(run_ids)), **attributes)
    return shared_span(name, run_ids, **attributes)


def add_trace(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the ids of the current trace and span into a log line; a processor of structlog."""
    current = trace.get_current_span()
    if current.is_recording():
        ids = current.get_span_context()
        event["trace_id"], event["span_id"] = f"{ids.trace_id:032x}", f"{ids.span_id:016x}"
    return event


def export_traces(settings: Settings) -> None:
    """Send the spans of this process to Application Insights, where the settings name one.

    An SDK that is already configured stays as it is.
    """
    target = settings.applicationinsights_connection_string
    if target is None or not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    try:
        from azure.monitor.opentelemetry import configure_azure_monitor
    except ImportError:
        log.warning("traces.not_exported", reason="install quantx-data-builder[azure], or unset the connection string")
        return
    from opentelemetry.sdk.resources import Resource

    # Record all spans: they are few, and a trace without its commit is worth little. The variable can reduce them.
    os.environ.setdefault("OTEL_TRACES_SAMPLER", "always_on")
    configure_azure_monitor(
        connection_string=target.get_secret_value(),
        resource=Resource.create(
            {"service.name": "quantx", "service.version": metadata.version("quantx-data-builder")}
        ),
        instrumentation_options={
            name: {"enabled": False} for name in _NOT_OURS
        },  # a span per request would be most of the cost
        enable_live_metrics=False,
        enable_performance_counters=False,
    )


def flush_traces() -> None:
    """Send the recorded spans now: for a process that ends without Python's exit handlers."""
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)
    if flush is not None:
        flush(5_000)
