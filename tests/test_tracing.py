"""From the trigger to the commit: one run, its trace, and the links of all that was done for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from ulid import ULID

from quantx.cli import main
from quantx.core.tables import BARS_1D
from quantx.lake.store import open_location
from quantx.lake.table import LakeTable
from quantx.sandbox import Sandbox, load_market, running
from quantx.tracing import run_context, run_span, shared_span

from .fleet.market import SYMBOLS, write_market

SHARED = ("batch", "land", "round", "commit", "inspect")  # what serves several runs at once
OWN = ("plan", "fetch")


@pytest.fixture(scope="module")
def exporter() -> Iterator[InMemorySpanExporter]:
    """Keeps the spans of this process; an SDK can be set up only once in a process."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    trace.set_tracer_provider(provider)
    yield kept
    provider.shutdown()


@dataclass
class Traced:
    """What was recorded of a run, and what was logged."""

    run_ids: Sequence[str]
    spans: Sequence[ReadableSpan]
    lines: Sequence[dict[str, Any]]

    def named(self, *names: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name in names]


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = write_market(tmp_path_factory.mktemp("market"), SYMBOLS[:6])
    with running(Sandbox(load_market(folder), now=date(2016, 12, 30))) as url:
        yield url


@pytest.fixture
def traced(
    exporter: InMemorySpanExporter,
    vendor: str,
    migrated_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., Traced]:
    """Plans runs of some symbols, each below a span of its trigger, then works."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUANTX_LAKE_URL", str(tmp_path / "lake"))
    monkeypatch.setenv("QUANTX_STATE_URL", migrated_database_url)
    monkeypatch.setenv("QUANTX_YFINANCE_BASE_URL", vendor)
    monkeypatch.setenv("QUANTX_YFINANCE_QUOTA", "unlimited")
    monkeypatch.setenv("QUANTX_LOG_LEVEL", "INFO")

    def run(*scopes: Sequence[str]) -> Traced:
        exporter.clear()
        run_ids = []
        for symbols in scopes:
            with trace.get_tracer("azure").start_as_current_span("trigger"):
                wanted = ("--start", "2016-01-04", "--end", "2016-12-30", "--symbols", ",".join(symbols))
                assert main(["backfill", *wanted, "--enqueue-only", "--json"]) == 0
            run_ids.append(json.loads(capsys.readouterr().out)["run_id"])
        assert main(["work"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
        return Traced(run_ids, exporter.get_finished_spans(), lines)

    return run


def links(span: ReadableSpan) -> set[int]:
    return {link.context.trace_id for link in span.links}


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.trace_id


def said(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name)


def test_a_run_is_one_trace_and_what_serves_it_is_linked(traced: Callable[..., Traced], tmp_path: Path) -> None:
    done = traced(SYMBOLS[:4])
    (run_id,) = done.run_ids
    run = int(ULID.from_str(run_id))
    assert {span.name for span in done.spans} == {"trigger", *OWN, *SHARED}
    assert {trace_of(span) for span in done.named(*OWN)} == {run}
    assert {said(span, "run_id") for span in done.named(*OWN, *SHARED)} == {run_id}
    assert all(links(span) == {run} for span in done.named(*SHARED))
    (trigger,), (plan,) = done.named("trigger"), done.named("plan")
    assert links(plan) == {trace_of(trigger)}
    assert said(plan, "tasks") == 4
    fetches, batches = done.named("fetch"), done.named("batch")
    assert sorted(said(span, "symbol") for span in fetches) == sorted(SYMBOLS[:4])
    assert {(said(span, "source"), said(span, "symbols"), said(span, "status")) for span in fetches} == {
        ("yahoo", 1, 200)
    }
    assert set().union(*map(links, fetches)) <= {trace_of(span) for span in batches}
    assert all(links(span) for span in fetches)
    assert sum(said(span, "tasks") for span in batches) == 4
    parents = {span.context.span_id: span.name for span in done.spans if span.context}
    assert {parents[span.parent.span_id] for span in done.named("land") if span.parent} == {"batch"}
    assert {parents[span.parent.span_id] for span in done.named("commit") if span.parent} == {"round", "inspect"}
    bars = LakeTable(open_location(str(tmp_path / "lake")), BARS_1D)
    committed = [span for span in done.named("commit") if said(span, "table") == "bars_1d"]
    assert max(said(span, "version") for span in committed) == bars.version()
    assert sum(said(span, "rows") for span in committed) == bars.read().height


def test_what_is_done_for_two_runs_is_linked_to_both(traced: Callable[..., Traced]) -> None:
    done = traced(SYMBOLS[:3], SYMBOLS[3:6])
    runs = {int(ULID.from_str(run_id)) for run_id in done.run_ids}
    assert len(runs) == 2
    for name in SHARED:
        spans = done.named(name)
        assert set().union(*map(links, spans)) == runs, name
    (batch,) = done.named("batch")  # six messages are received together
    assert sorted(said(batch, "run_ids")) == sorted(done.run_ids)
    for run_id in done.run_ids:
        mine = [span for span in done.named("fetch") if said(span, "run_id") == run_id]
        assert [trace_of(span) for span in mine] == [int(ULID.from_str(run_id))] * 3


def test_log_lines_name_the_run_and_the_trace(traced: Callable[..., Traced]) -> None:
    done = traced(SYMBOLS[:2])
    by_event = {line["event"]: line for line in done.lines}
    assert {"batch.landed", "round.curated", "run.ended"} <= by_event.keys()
    assert {line["run_id"] for line in by_event.values() if "run_id" in line} == set(done.run_ids)
    for event in ("batch.landed", "round.curated"):
        assert by_event[event]["run_id"] == done.run_ids[0]
        spans = {
            (f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}") for span in done.spans if span.context
        }
        assert (by_event[event]["trace_id"], by_event[event]["span_id"]) in spans


def test_a_refused_fetch_is_an_error_of_its_span(exporter: InMemorySpanExporter) -> None:
    exporter.clear()
    with pytest.raises(ZeroDivisionError), run_span("fetch", "R1"):
        raise ZeroDivisionError
    (span,) = exporter.get_finished_spans()
    assert (span.status.is_ok, [event.name for event in span.events]) == (False, ["exception"])


def test_an_id_that_is_none_of_ours_has_a_trace_too() -> None:
    assert run_context("R1").is_valid
    assert run_context("R1").trace_id != run_context("R2").trace_id
    assert run_context("R1") == run_context("R1")


def test_of_very_many_runs_the_span_stays_small(exporter: InMemorySpanExporter) -> None:
    exporter.clear()
    with shared_span("round", [f"R{n}" for n in range(1000)]):
        pass
    (span,) = exporter.get_finished_spans()
    assert (len(span.links), span.dropped_links) == (100, 0)


PROGRAM = """
import sys
from quantx.cli import main
code = main(["work"])
print(code, [m for m in sys.modules if m.startswith("opentelemetry.sdk")])
"""


def work_elsewhere(tmp_path: Path, migrated_database_url: str, **more: str) -> tuple[str, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("QUANTX_", "AZURE", "APPLICATION"))}
    environment |= {"QUANTX_STATE_URL": migrated_database_url, "QUANTX_LAKE_URL": str(tmp_path / "lake"), **more}
    environment |= {"QUANTX_CACHE_DIR": os.environ["QUANTX_CACHE_DIR"]}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


def test_without_a_target_no_sdk_is_loaded(tmp_path: Path, migrated_database_url: str) -> None:
    out, _ = work_elsewhere(tmp_path, migrated_database_url)
    assert out.splitlines()[-1] == "0 []"


def test_a_target_without_the_exporter_is_logged_and_work_continues(tmp_path: Path, migrated_database_url: str) -> None:
    target = "InstrumentationKey=00000000-0000-0000-0000-00000c4n4ry0;IngestionEndpoint=https://127.0.0.1:1/"
    out, err = work_elsewhere(tmp_path, migrated_database_url, APPLICATIONINSIGHTS_CONNECTION_STRING=target)
    assert out.splitlines()[-1].startswith("0 ")
    if "traces.not_exported" not in err:
        pytest.skip("the exporter is installed here")
    assert "quantx-data-builder[azure]" in err
    assert "c4n4ry" not in out + err
