"""Archives of options in the lake's inbox: each member is a task of the queue, which any worker of the fleet takes.

Archives lie below `inbox/options/` and stay there: their members are recorded, so that nothing is imported twice. A
member of a zip is read by ranges; nothing else of the archive is copied to the worker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import PurePosixPath

import structlog
from ulid import ULID

from quantx.core.model import FetchTask, Finding, Series, Window
from quantx.errors import ConfigError, MalformedPayload
from quantx.lake.remote_file import copy_object, open_object
from quantx.lake.store import LakeLocation, ListedObject
from quantx.pipeline.fetching.own_work import OwnResult
from quantx.pipeline.options.archive_plan import FormOf, PlannedArchive, planned, record
from quantx.pipeline.options.importing import ImportedMembers, MemberImporter
from quantx.pipeline.options.scratch import scratch_folder
from quantx.pipeline.options.storing import store_of
from quantx.pipeline.planning.plan import send_outbox
from quantx.pipeline.runtime.import_sources import checked_source
from quantx.pipeline.runtime.platform import Platform
from quantx.providers.options.archives import OptionArchive, open_archive, open_zip
from quantx.providers.options.batch_lists import DESCRIPTIONS
from quantx.providers.options.forms import form_of
from quantx.state.option_members.port import MEMBER_TASKS, ArchiveKey
from quantx.state.tasks.port import NewTask
from quantx.state.values import NewRun

log = structlog.get_logger()

INBOX = "inbox/options"
SOURCE = "option_archives"  # of the tasks
REFUSED = "import_refused"  # declared in core/quality/operational_rules.py


def plan_inbox(platform: Platform) -> int:
    """Plan a task for each member in the inbox that is not imported yet, and send them; return their number.

    An archive that can't be opened is a finding.
    """
    objects = platform.location.objects(INBOX)
    wanted = list[NewTask]()
    for path, listed in sorted(objects.items()):
        if PurePosixPath(path).name.startswith(".") or PurePosixPath(path).name in DESCRIPTIONS:
            continue
        try:
            wanted += _tasks_of(platform, path, listed, objects)
        except (ConfigError, MalformedPayload) as error:
            _note_refused(platform, path, listed, str(error))
    if not wanted:
        return 0
    run = NewRun(str(ULID()), "manual", SOURCE, {"import": sorted({task.series.symbol for task in wanted})[:20]})
    plan = platform.state.tasks.plan(run, wanted)
    send_outbox(platform.state.tasks, platform.queue, platform.runtime)
    log.info("option_members.planned", run_id=plan.run_id, members=len(plan.task_ids))
    return len(plan.task_ids)


def _tasks_of(
    platform: Platform, path: str, listed: ListedObject, objects: Mapping[str, ListedObject]
) -> list[NewTask]:
    members, key = platform.state.option_members, _key(path, listed)
    recorded = members.of_archive(key)
    if not recorded:
        with _opened(platform.location, path, objects) as archive:
            record(_plan(key, archive), members)
        recorded = members.of_archive(key)
    today = platform.clock.now().date()
    return [
        NewTask(Series(SOURCE, MEMBER_TASKS, "", f"{each.name}#{each.id}"), Window(today, today))
        for each in recorded
        if each.state == "pending"
    ]


def import_task(platform: Platform, task: FetchTask) -> OwnResult | None:
    """Import the member of a task; None where another process holds it.

    Raises MalformedPayload with the reason where the member can't be imported.
    """
    members = platform.state.option_members
    found = members.read(int(task.series.symbol.rpartition("#")[2]))
    objects = platform.location.objects(found.archive.rpartition("/")[0])
    listed, done = objects.get(found.archive), ImportedMembers()
    if listed is None or _key(found.archive, listed).stamp != found.stamp:
        raise MalformedPayload(f"{found.archive} was replaced or removed; the next sweep plans what is there now")
    with _opened(platform.location, found.archive, objects) as archive, scratch_folder() as folder:
        importer = MemberImporter(
            location=platform.location,
            state=platform.state,
            form_of=_form_of(found.archive),
            source=_source_of(found.archive),
            store=store_of(platform),
            folder=folder,
            keep=platform.settings.options_keep,
        )
        member = next(each for each in archive.members if each.name == found.name)
        importer.import_member(archive, member, found, done)
    if done.elsewhere:
        return None
    if done.failures:
        raise MalformedPayload(done.failures[0]["error"])
    return OwnResult(done.rows - done.rows_changed, done.rows_changed, done.rows_rejected)


def _plan(key: ArchiveKey, archive: OptionArchive) -> PlannedArchive:
    return planned(key, archive, _form_of(key.archive))


def _form_of(path: str) -> FormOf:
    return partial(form_of, source=_source_of(path))


def _source_of(path: str) -> str | None:
    """Return the source that the folder of an archive names, for members that state none."""
    folder = path.removeprefix(f"{INBOX}/").rpartition("/")[0].partition("/")[0]
    try:
        return checked_source(folder)
    except ConfigError:
        return None


def _key(path: str, listed: ListedObject) -> ArchiveKey:
    return ArchiveKey(path, listed.e_tag or f"{listed.size}:{listed.modified}")


@contextmanager
def _opened(location: LakeLocation, path: str, objects: Mapping[str, ListedObject]) -> Iterator[OptionArchive]:
    """Open an archive in the lake: a zip in place, a single file as a copy with the lists beside it."""
    name = PurePosixPath(path).name
    if name.lower().endswith(".zip"):
        with open_object(location, path, objects[path].size) as file:
            found = open_zip(file, name)
            if found is not None:
                with found:
                    yield found
                return
    with scratch_folder() as folder:
        for each in (path, *(f"{path.rpartition('/')[0]}/{listed}" for listed in DESCRIPTIONS)):
            if each in objects:
                copy_object(location, each, objects[each].size, folder / PurePosixPath(each).name)
        with open_archive(folder / name) as archive:
            yield archive


def _note_refused(platform: Platform, path: str, listed: ListedObject, why: str) -> None:
    message = f"{path} is not imported: {why}; replace the archive"
    finding = Finding(REFUSED, "warn", path, message, facts={"etag": listed.e_tag or "-"})
    platform.state.findings.note([finding])
