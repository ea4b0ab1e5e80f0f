"""The service behind `quantx options import`: open the archives, check what they need, and import their members."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from quantx.core.model import Window
from quantx.errors import ConfigError
from quantx.pipeline.options.archive_plan import FormOf, PlannedArchive, key_of, planned, within
from quantx.pipeline.options.importing import ImportedMembers, ImportProgress, Keep, MemberImporter
from quantx.pipeline.options.preflight import check_library, check_rights, check_room, check_scratch
from quantx.pipeline.options.scratch import scratch_folder
from quantx.pipeline.options.storing import store_of
from quantx.pipeline.runtime.platform import Platform
from quantx.providers.options.archives import open_archive
from quantx.providers.options.forms import form_of


@contextmanager
def open_plans(
    paths: Sequence[Path], windows: Sequence[Window], source: str | None
) -> Iterator[tuple[list[PlannedArchive], FormOf]]:
    """Open the archives at some paths, and return what of them can be imported, with the form of a member."""
    known_form = partial(form_of, source=source)
    with ExitStack() as opened:
        plans = []
        for path in paths:
            archive = opened.enter_context(open_archive(path))
            check_library(member.name for member in archive.members)
            plans.append(within(planned(key_of(path), archive, known_form), known_form, windows))
        yield plans, known_form


def import_paths(
    platform: Platform,
    paths: Sequence[Path],
    windows: Sequence[Window],
    source: str | None,
    *,
    keep: Keep,
    on_progress: Callable[[ImportProgress], None] = lambda progress: None,
) -> ImportedMembers:
    """Check space and rights, then import the members of the archives that are not imported yet.

    Raises ConfigError or LakeError with the next step before anything is read.
    """
    check_scratch()
    check_rights(platform.location)
    with open_plans(paths, windows, source) as (plans, form_of), scratch_folder() as folder:
        _check_not_empty(plans, windows)
        check_room(platform.location, _left(plans, platform), keep=keep == "archive")
        importer = MemberImporter(
            location=platform.location,
            state=platform.state,
            form_of=form_of,
            store=store_of(platform),
            folder=folder,
            keep=keep,
            source=source,
            on_progress=on_progress,
        )
        return importer.import_archives(plans, lambda: platform.runtime.stopping)


def _check_not_empty(plans: Sequence[PlannedArchive], windows: Sequence[Window]) -> None:
    """Raise ConfigError where no member of any archive can be imported."""
    if any(plan.members or any(each.refused for each in plan.open.skipped) for plan in plans):
        return
    named = ", ".join(plan.key.archive for plan in plans)
    if windows:
        raise ConfigError(f"no member of {named} has a day of --dates; --dry-run shows the days of each")
    reasons = sorted({each.reason for plan in plans for each in plan.skipped if each.reason})
    raise ConfigError(f"nothing of {named} can be imported: {'; '.join(reasons) or 'it has no members'}")


def _left(plans: Sequence[PlannedArchive], platform: Platform) -> int:
    """Return the bytes of the members that were not imported before."""
    size = 0
    for plan in plans:
        ended = {each.name for each in platform.state.option_members.of_archive(plan.key) if each.state == "done"}
        size += sum(member.size for member in plan.members if member.name not in ended)
    return size
