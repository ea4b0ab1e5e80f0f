"""Import files: plan what is new, store it in the raw zone, and curate it. Repeated imports cost nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from ulid import ULID

from quantx.core.model import Series, Window
from quantx.errors import ConfigError
from quantx.lake.tombstones import deleted_of
from quantx.pipeline.fetching.landing import Progress
from quantx.pipeline.fetching.worker import Worker
from quantx.pipeline.importing.batches import batches_of, splits_from
from quantx.pipeline.importing.known import known_pages
from quantx.pipeline.importing.scan import RefusedFile, Scan, Scanner
from quantx.pipeline.planning.deleted import LIFT
from quantx.pipeline.runtime.import_sources import check_basis, record_basis, recorded_basis
from quantx.pipeline.runtime.platform import Platform
from quantx.providers.importing.form import BASES
from quantx.providers.importing.found import FileReader
from quantx.providers.importing.options import ImportOptions
from quantx.providers.importing.provider import Batch, FileImports, FilePart
from quantx.state.tasks.port import NewTask
from quantx.state.values import NewRun
from quantx.tracing import run_span

log = structlog.get_logger()

DATASET = "bars"
_AT_ONCE = 2000  # tasks of a run: an interrupted import loses at most these leases
_LEASE = 120.0  # seconds for the first leases; the worker renews them
_SHOWN = 20  # paths in the record of a run

OpenWorker = Callable[[Platform], Worker]  # as wiring.worker_of


@dataclass
class Prepared:
    """The files of an import as they are understood, and what is new among them."""

    source: str
    scan: Scan
    basis: str | None = None  # of the source; None where no file can be imported
    new: list[Batch] = field(default_factory=list)
    known: int = 0  # parts that were imported before
    refused: list[RefusedFile] = field(default_factory=list)


@dataclass
class Imported:
    """The counts of an import."""

    runs: list[str] = field(default_factory=list)
    tasks: int = 0
    done: int = 0
    failed: int = 0
    rows_new: int = 0
    rows_changed: int = 0
    rows_rejected: int = 0
    unfinished: int = 0


@contextmanager
def prepared(
    platform: Platform,
    paths: Sequence[Path],
    source: str,
    options: ImportOptions,
    splits: str | None = None,
    *,
    on_file: Callable[[int], None] = lambda files: None,
    dry_run: bool = False,
    named: Callable[[str], str] = lambda address: address,
) -> Iterator[tuple[Prepared, FileReader]]:
    """Read the files below some paths, and find what is new among them; nothing is written.

    `named` turns the path of a copy into that of the original. Parts of files with several symbols lie in a temporary
    folder within the block. Raises ConfigError where the files have another price basis than the source.
    """
    reader = FileReader()
    with TemporaryDirectory(prefix="quantx-import-") as spool:
        try:
            known = known_pages(platform.location, platform.state, source, keep=not dry_run)
            scan = Scanner(options, reader, Path(spool), known, named).scan(paths, on_file)
            found = Prepared(source, scan, refused=list(scan.refused))
            found.basis = _basis_of(platform, found)
            new = [part for part in scan.parts if not known.has(part.key)]
            found.known = scan.known + len(scan.parts) - len(new)
            new, deleted = _without_deleted(platform, source, new)
            found.refused += deleted
            found.new, refused = batches_of(new, splits, splits_from(splits, platform.tables))
            found.refused += refused
            yield found, reader
        finally:
            reader.close()


def _without_deleted(
    platform: Platform, source: str, parts: Sequence[FilePart]
) -> tuple[list[FilePart], list[RefusedFile]]:
    """Return the parts without deleted days, and the others: their bytes must not come back."""
    tombstones, left, refused = deleted_of(platform.location), list[FilePart](), list[RefusedFile]()
    for part in parts:
        series = Series(source, DATASET, part.form.timeframe, part.symbol)
        stone = tombstones.of_series(series, Window(part.first, part.last))
        if stone is None:
            left.append(part)
        else:
            why = f"it has days that were deleted for good: {stone.describe()}; {LIFT.format(stone.id)}"
            refused.append(RefusedFile(part.address, why))
    return left, refused


def _basis_of(platform: Platform, found: Prepared) -> str | None:
    """Return the basis of the files' prices; ConfigError where they have several, or another one than the source."""
    by_basis: dict[str, FilePart] = {}
    for part in found.scan.parts:
        by_basis.setdefault(str(part.form.basis), part)
    if len(by_basis) > 1:
        shown = "; ".join(f"{part.address}: {basis}" for basis, part in sorted(by_basis.items()))
        raise ConfigError(
            f"the files have prices of several bases ({shown}): import each basis under a --source of its own"
        )
    if not by_basis:
        return None
    (basis,) = by_basis
    check_basis(found.source, recorded_basis(platform.location, found.source), basis)
    return basis


def carry_out_import(
    platform: Platform,
    found: Prepared,
    reader: FileReader,
    request: Mapping[str, object],
    open_worker: OpenWorker,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Imported:
    """Store and curate what is new, portion by portion; an interrupted import resumes where it ended."""
    done = Imported()
    if found.basis is None or not found.new:
        return done
    record_basis(platform.location, found.source, found.basis)
    by_task: dict[tuple[str, str, Window], Batch] = {
        (batch.parts[0].form.timeframe, batch.parts[0].symbol, batch.window): batch for batch in found.new
    }
    provider = FileImports(found.source, BASES[found.basis], platform.clock, by_task, reader)
    reading = replace(
        platform,
        providers={**platform.providers, found.source: provider},
        quotas={**platform.quotas, found.source: None},
    )
    total = Progress()
    keys = list(by_task)
    for start in range(0, len(keys), _AT_ONCE):
        if platform.runtime.stopping:
            done.unfinished += len(keys) - start
            break
        portion = keys[start : start + _AT_ONCE]
        worker = open_worker(reading)
        worker.on_progress = partial(_report, on_progress, total)
        _import_portion(reading, worker, found.source, portion, request, done)
        total = _sum(total, worker.progress)
    return done


def _series(source: str, batch: Batch) -> tuple[Series, Window]:
    part = batch.parts[0]
    return Series(source, DATASET, part.form.timeframe, part.symbol), batch.window


def _import_portion(
    platform: Platform,
    worker: Worker,
    source: str,
    keys: Sequence[tuple[str, str, Window]],
    request: Mapping[str, object],
    done: Imported,
) -> None:
    """Import a portion as a run of its own."""
    tasks = [NewTask(Series(source, DATASET, timeframe, symbol), window) for timeframe, symbol, window in keys]
    run = NewRun(str(ULID()), "manual", source, dict(request))
    with run_span("plan", run.id, kind=run.kind, source=source):
        held = platform.state.tasks.plan_held(run, tasks, f"{socket.gethostname()}:{os.getpid()}:{ULID()}", _LEASE)
    log.info("import.planned", run_id=run.id, source=source, tasks=len(held))
    worker.run_held(held)
    _add_outcomes(platform, done, [task.id for task in held], {task.run_id for task in held})
    done.unfinished += len(keys) - len(held)


def _report(on_progress: Callable[[Progress], None], before: Progress, now: Progress) -> None:
    on_progress(_sum(before, now))


def _sum(before: Progress, now: Progress) -> Progress:
    return Progress(
        landed=before.landed + now.landed,
        failed=before.failed + now.failed,
        rows=before.rows + now.rows,
        last_error=now.last_error,
    )


def _add_outcomes(platform: Platform, done: Imported, ids: Sequence[int], runs: set[str]) -> None:
    counts = platform.state.tasks.count(ids)
    done.tasks += len(ids)
    done.done += counts.get("done", 0)
    done.failed += counts.get("failed", 0)
    done.unfinished += sum(counts.get(state, 0) for state in ("pending", "leased", "landed"))
    for run_id in sorted(runs):
        done.runs.append(run_id)
        for row in platform.state.tasks.listed(None, run_id, None):
            done.rows_new += row["rows_new"]
            done.rows_changed += row["rows_changed"]
            done.rows_rejected += row["rows_rejected"]


def request_of(paths: Sequence[Path], source: str, options: Mapping[str, object]) -> dict[str, object]:
    """Return the request of an import as its run records it."""
    shown = [str(path) for path in paths[:_SHOWN]]
    return {"import": shown, "source": source, **{name: value for name, value in options.items() if value is not None}}
