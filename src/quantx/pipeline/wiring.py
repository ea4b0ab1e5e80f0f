"""Build the stages from the parts of an open platform: for entry points, which hold the platform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cache, partial

from quantx.core.model import FetchTask
from quantx.core.tables import BARS_1M, TABLES
from quantx.core.tombstones import Tombstone
from quantx.pipeline.curating.curator import Curator
from quantx.pipeline.curating.normalize import Normalize, normalize_round
from quantx.pipeline.deleting.delete import Deleter, OnStep
from quantx.pipeline.fetching.landing import Progress
from quantx.pipeline.fetching.own_work import OwnResult
from quantx.pipeline.fetching.worker import Worker
from quantx.pipeline.reporting.run_report import report_ended_runs
from quantx.pipeline.reprocessing.reprocess import Reprocessor
from quantx.pipeline.reprocessing.summary import ReprocessSummary
from quantx.pipeline.runtime.import_sources import reader_of_imports
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.runtime.roles import RoleHolder, take_role
from quantx.pipeline.verifying.damage import Verified
from quantx.pipeline.verifying.verify import Verifier
from quantx.providers.protocol import Provider
from quantx.providers.registry import VENDORS, vendor_to_read
from quantx.settings.concepts import read_concepts
from quantx.state.option_members.port import MEMBER_TASKS


def worker_of(
    platform: Platform,
    *,
    curator: Curator | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Worker:
    """Return a worker, by default with a new curator."""
    state = platform.state
    return Worker(
        settings=platform.settings,
        clock=platform.clock,
        location=platform.location,
        queue=platform.queue,
        tasks=state.tasks,
        quotas=state.quotas,
        findings=state.findings,
        state_now=state.now,
        providers=platform.providers,
        limits=platform.quotas,
        runtime=platform.runtime,
        curator=curator or curator_of(platform),
        report_ended_runs=partial(report_ended_runs, state, platform.location, platform.clock),
        own_work={MEMBER_TASKS: partial(_import_member, platform)},
        on_progress=on_progress,
    )


def _import_member(platform: Platform, task: FetchTask) -> OwnResult | None:
    from quantx.pipeline.options.inbox import import_task  # loads libraries that only archives of options need

    return import_task(platform, task)


def curator_of(platform: Platform, *, normalize: Normalize = normalize_round) -> Curator:
    """Return a curator; `normalize` turns the replies of one source, dataset and timeframe into rows."""
    state = platform.state
    return Curator(
        clock=platform.clock,
        location=platform.location,
        tables=platform.tables,
        role=partial(take_role, platform.location, platform.tables, state, "curator"),
        rounds=state.rounds,
        series=state.series,
        findings=state.findings,
        policy=platform.policy,
        concepts=read_concepts(platform.settings.concepts_path),
        reader_of=cache(partial(_reader_of, platform)),
        few_left=state.tasks.few_left,
        max_attempts=platform.settings.max_attempts,
        round_bytes=platform.settings.round_bytes,
        round_replies=platform.settings.round_replies,
        normalize=normalize,
        reads_ahead=normalize is normalize_round,
    )


def reprocessor_of(platform: Platform) -> Reprocessor:
    """Return a reprocessor, which derives the tables again as the curator does."""
    state = platform.state
    return Reprocessor(curator=curator_of(platform), runs=state.runs, replies=state.replies, series=state.series)


def inspect_reprocessed(platform: Platform, done: Sequence[ReprocessSummary]) -> list[str]:
    """Inspect the symbols that were derived again, as after updates; return the names of the failed inspections."""
    # Imported late: workers need no rules of inspections.
    from quantx.pipeline.inspecting.inspection import ALL_DAYS, inspect_symbols

    changed = [each for each in done if not each.dry_run]
    touched = sorted({symbol for each in changed for _, symbol in each.touched})
    if not touched or not platform.settings.inspect:
        return []
    with_minutes = any(any(each.tables.get(BARS_1M.name, {}).values()) for each in changed)
    minutes = dict.fromkeys(touched, ALL_DAYS) if with_minutes else {}
    return inspect_symbols(platform, platform.tables, touched, minutes=minutes)


def verifier_of(platform: Platform) -> Verifier:
    """Return a verifier of the lake."""
    return Verifier(platform.location, TABLES, platform.state.replies)


def deleter_of(
    platform: Platform,
    *,
    on_step: OnStep = lambda step, done, of: None,
    on_written: Callable[[Tombstone], object] = lambda stone: None,
) -> Deleter:
    """Return what deletes data for good."""
    return Deleter(platform=platform, curator=curator_of(platform), on_step=on_step, on_written=on_written)


def repairing(platform: Platform, found: Verified) -> AbstractContextManager[RoleHolder | None]:
    """Take the curator's role to repair what was found.

    A table with a damaged log can't be sealed; the commit that repairs its log stops other commits as a seal does.
    """
    broken = {damage.table for damage in found.damages if damage.kind in ("entry", "checkpoint")}
    tables = {name: table for name, table in platform.tables.items() if name not in broken}
    return take_role(platform.location, tables, platform.state, "curator")


def _reader_of(platform: Platform, source: str) -> Provider:
    """Return the adapter that reads a source's stored replies: of a vendor also without its key, or of files."""
    if source in platform.providers or source in VENDORS:
        return platform.providers.get(source) or vendor_to_read(source, platform.settings, platform.clock)
    files = reader_of_imports(platform.location, source, platform.clock)
    return files or vendor_to_read(source, platform.settings, platform.clock)
