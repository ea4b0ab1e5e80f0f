"""The lake's inbox: files below `inbox/<source>/` are imported by the next sweep or worker, and then removed.

The raw zone has them from then on. A file that can't be imported stays, with a finding; it is read again when it has
changed, or when the finding is closed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from quantx.core.model import Finding
from quantx.errors import ConfigError, DamagedObject
from quantx.lake.store import ListedObject
from quantx.pipeline.importing.declared import declared_options
from quantx.pipeline.importing.importing import Imported, OpenWorker, Prepared, carry_out_import, prepared, request_of
from quantx.pipeline.importing.scan import RefusedFile
from quantx.pipeline.runtime.import_sources import checked_source
from quantx.pipeline.runtime.platform import Platform
from quantx.providers.importing.found import LeftOut

log = structlog.get_logger()

INBOX = "inbox"
OPTIONS = "options"  # below it lie archives of options, which quantx.pipeline.options.inbox imports
REFUSED = "import_refused"  # declared in core/quality/operational_rules.py
_MOST_BYTES = 2_000_000_000  # that are copied to this machine at a time


@dataclass
class InboxResult:
    """What was done with the files of the inbox."""

    imported: int = 0  # files that were removed
    refused: int = 0
    rows: int = 0
    by_source: dict[str, Imported] = field(default_factory=dict)


def import_inbox(platform: Platform, open_worker: OpenWorker) -> InboxResult:
    """Import the files that wait in the inbox of the lake."""
    result = InboxResult()
    waiting = _waiting(platform)
    for source, files in sorted(waiting.items()):
        try:
            if not source:
                raise ConfigError(f"it lies in no folder of a source, as {INBOX}/my_files/")
            checked_source(source)
            done = _import_source(platform, open_worker, source, files)
        except ConfigError as error:
            _note(platform, {path: str(error) for path in files}, files)
            result.refused += len(files)
            continue
        result.imported += done.removed
        result.refused += done.refused
        if done.outcome is not None:
            result.by_source[source] = done.outcome
            result.rows += done.outcome.rows_new + done.outcome.rows_changed
    if waiting:
        log.info("inbox.imported", files=result.imported, refused=result.refused, rows=result.rows)
    return result


def _waiting(platform: Platform) -> dict[str, dict[str, ListedObject]]:
    """Return the files by source, without those that were refused as they are."""
    refused = {finding.subject: finding.facts.get("etag") for finding in platform.state.findings.open(REFUSED)}
    waiting = defaultdict[str, dict[str, ListedObject]](dict)
    for path, found in platform.location.objects(INBOX).items():
        _, _, rest = path.partition("/")
        source, _, name = rest.partition("/")
        if source == OPTIONS:
            continue
        if path.rpartition("/")[2].startswith(".") or refused.get(path) == (found.e_tag or "-"):
            continue
        waiting[source if name else ""][path] = found
    return waiting


@dataclass
class _Done:
    removed: int = 0
    refused: int = 0
    outcome: Imported | None = None


def _import_source(
    platform: Platform, open_worker: OpenWorker, source: str, files: Mapping[str, ListedObject]
) -> _Done:
    """Copy the files of a source to this machine, import them, and remove those that are stored."""
    options, splits = declared_options(platform.settings.imports_path, source)
    some, size = list[str](), 0
    for path, listed in sorted(files.items()):
        size += listed.size
        if some and size > _MOST_BYTES:  # the next sweep takes the rest
            break
        some.append(path)
    with TemporaryDirectory(prefix="quantx-inbox-") as folder:
        for path in list(some):
            place = Path(folder, *path.split("/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                place.write_bytes(platform.location.get(path))
            except DamagedObject:  # it was taken back meanwhile
                some.remove(path)
        root = Path(folder, INBOX, source)

        def named(address: str) -> str:
            return f"{INBOX}/{source}/" + address.removeprefix(f"{root.absolute()}/")

        with prepared(platform, [root], source, options, splits, named=named) as (found, reader):
            request = request_of([Path(INBOX, source)], source, {})
            outcome = carry_out_import(platform, found, reader, request, open_worker)
            return _finish(platform, files, some, found, outcome)


def _finish(
    platform: Platform, files: Mapping[str, ListedObject], paths: Sequence[str], found: Prepared, outcome: Imported
) -> _Done:
    """Remove the files whose rows are stored, and note the others as findings."""
    why: dict[str, str] = {}
    left = [each for each in found.scan.left_out if "!" not in each.address]
    unread: list[RefusedFile | LeftOut] = [*found.refused, *left]
    for each in unread:
        own = each.address.partition("!")[0]
        # Files of a symbol that contradict each other are named in the reason.
        for path in [own] if own in files else [path for path in paths if path in each.why]:
            why.setdefault(path, each.why)
    if outcome.failed or outcome.unfinished:  # which files have landed is known to the next import: it removes them
        return _Done(0, len(why), outcome)
    now = platform.location.objects(INBOX)
    # A file that was written meanwhile has rows that are not stored yet: it stays for the next sweep.
    same = {path for path in paths if path in now and now[path].e_tag == files[path].e_tag}
    removed = [path for path in paths if path not in why and path in same]
    platform.location.delete(removed)
    platform.state.findings.resolve(REFUSED, removed, "the file was imported")
    _note(platform, why, files)
    return _Done(len(removed), len(why), outcome)


def _note(platform: Platform, why: Mapping[str, str], files: Mapping[str, ListedObject]) -> None:
    findings: Sequence[Finding] = [
        Finding(
            REFUSED,
            "warn",
            path,
            f"{path} is not imported: {reason}; declare its source in config/imports.yaml, or replace the file",
            facts={"etag": files[path].e_tag or "-"},
        )
        for path, reason in why.items()
    ]
    platform.state.findings.note(findings)
