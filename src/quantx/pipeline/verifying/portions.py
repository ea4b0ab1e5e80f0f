"""Verification in small portions: each sweep reads some megabytes, and goes on where the last one ended.

The place is an object of the lake, so that any machine goes on, and so does a new state. A pass over the lake begins
`PERIOD` after the one before. A lake that takes longer than that is read all the time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

import structlog

from quantx.core.quality.operational_rules import DAMAGED_OBJECT, DOUBLED_KEYS
from quantx.core.tables import TABLES
from quantx.errors import DamagedObject
from quantx.lake.diagnosis import data_files
from quantx.lake.replay import read_log
from quantx.lake.store import LakeLocation
from quantx.pipeline.runtime.context import Context
from quantx.pipeline.verifying.damage import Verified
from quantx.pipeline.verifying.doubled_keys import overlapping
from quantx.pipeline.verifying.verify import Verifier
from quantx.state.findings.port import Findings

log = structlog.get_logger()

PERIOD = timedelta(days=14)
_PLACE = "meta/verified.json"
_RAW = "raw"  # comes after all tables


@dataclass(frozen=True)
class ScrubPlace:
    """How far a pass has come."""

    began: str  # when the pass began, ISO 8601
    zone: str = ""  # the table that is being read, or raw; "": none yet
    after: str = ""  # the last object that was read there
    ended: bool = False


def verify_portion(
    context: Context, most_bytes: int, *, stopping: Callable[[], bool] = lambda: False
) -> Verified | None:
    """Verify the next objects of the lake, up to about `most_bytes`, and record the findings; return the result.

    None where the last pass has ended and the next is not due, or another process verifies. Raises LakeError where the
    store can't be reached: the next portion begins at the same place.
    """
    now = context.clock.now()
    place = _place_of(context.location, now)
    if place is not None and place.ended and now < datetime.fromisoformat(place.began) + PERIOD:
        return None
    if place is None or place.ended:
        place = ScrubPlace(now.isoformat())
    with context.state.exclusive("verifier") as role:
        if role is None:
            return None
        verifier = Verifier(context.location, TABLES, context.state.replies)
        if place.zone == "":
            verifier.unfinished_repair()
        place = _go_on(verifier, place, most_bytes, stopping)
        verifier.name_dependents()
        record(context.state.findings, verifier.found)
        context.location.put(_PLACE, json.dumps(asdict(place)).encode())
    found = verifier.found
    log.info("verify.portion", objects=found.objects, bytes=found.bytes, damaged=len(found.damages), ended=place.ended)
    return found


def record(findings: Findings, found: Verified, *, whole: bool = False) -> None:
    """Record the findings of a verification, and resolve those about objects that are not damaged (any more).

    `whole`: everything was verified, so that a finding about an object that is gone is resolved, too.
    """
    rules, mended = (DAMAGED_OBJECT, DOUBLED_KEYS), {repair.path: repair for repair in found.repairs if repair.done}
    findings.note([damage.finding() for damage in found.damages])
    for path, repair in mended.items():
        for rule in rules:
            findings.resolve(rule, [path], f"repaired: {repair.what}")
    damaged = {damage.path for damage in found.left}
    for rule in rules:
        recorded = {finding.subject for finding in findings.open(rule)}
        seen = recorded if whole else recorded & {*found.intact}
        if over := sorted(seen - damaged):
            findings.resolve(rule, over, "it was verified again, and is not damaged")


def _place_of(location: LakeLocation, now: datetime) -> ScrubPlace | None:
    """Return the recorded place; None before the first pass, and where the record is damaged: a pass begins."""
    try:
        place = ScrubPlace(**json.loads(location.get(_PLACE)))
        is_whole = datetime.fromisoformat(place.began) <= now and isinstance(place.after, str)
    except (DamagedObject, ValueError, TypeError):
        return None
    return place if is_whole else None


def _go_on(verifier: Verifier, place: ScrubPlace, most_bytes: int, stopping: Callable[[], bool]) -> ScrubPlace:
    """Verify objects after a place; return the new place."""
    zones = [*sorted(TABLES), _RAW]
    for zone in zones[zones.index(place.zone) if place.zone in zones else 0 :]:
        after = place.after if zone == place.zone else ""
        for path in _raws(verifier, after) if zone == _RAW else _files(verifier, zone, after):
            place = ScrubPlace(place.began, zone, path)
            if verifier.found.bytes >= most_bytes or stopping():
                return place
    return ScrubPlace(place.began, ended=True)


def _raws(verifier: Verifier, after: str) -> Iterator[str]:
    paths = [path for path in verifier.raw_paths() if path > after]
    return verifier.raws(paths)


def _files(verifier: Verifier, name: str, after: str) -> Iterator[str]:
    found = read_log(verifier.location, TABLES[name].path) if after else verifier.log(name)
    if found is None:
        return
    files = data_files(verifier.location, TABLES[name].path, found)
    beside = {group[0].path: group for group in overlapping([f for f in files if f.live], TABLES[name])}
    for file in verifier.files(name, [file for file in files if file.path > after]):
        if file.path in beside:
            verifier.doubled(name, beside[file.path])
        yield file.path
