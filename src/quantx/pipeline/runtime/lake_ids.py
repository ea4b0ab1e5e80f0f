"""The ids of a lake and of the state that owns it, which are written again where they are damaged.

The state has recorded both ids, and each epoch of a role names the state that created it. A lake of another state is
not damaged: two ids that were drawn at random differ in many characters, a damaged one in a few or in its form.
"""

from __future__ import annotations

import json
import re

import structlog

from quantx.errors import DamagedObject
from quantx.lake.epochs import STATE_ID, epoch_path, newest_epoch
from quantx.lake.store import LakeLocation
from quantx.state.values import Binding

log = structlog.get_logger()

LAKE_ID = "meta/lake_id"
RESTORING = "restoring:"  # before the id of a lake into which a backup is being restored
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_FEW = 2  # characters


def id_at(location: LakeLocation, path: str) -> str | None:
    """Return the id at a path; None where it is missing."""
    try:
        return location.get(path).decode(errors="replace")
    except DamagedObject:
        return None


def restore_ids(location: LakeLocation, binding: Binding | None) -> bool:
    """Write damaged or missing ids of the lake again as the state has recorded them; return whether there were any.

    Nothing is written where the lake may belong to another state, or the state to another lake.
    """
    if binding is None or not binding.took_over:
        return False
    found = {path: id_at(location, path) for path in (LAKE_ID, STATE_ID)}
    if (found[LAKE_ID] or "").startswith(RESTORING):
        return False
    right = {LAKE_ID: binding.lake_id, STATE_ID: binding.state_id}
    wrong = [path for path in right if found[path] != right[path]]
    if not all(_is_damaged(found[path], right[path]) or found[path] in right.values() for path in wrong):
        return False
    if STATE_ID in wrong and _last_owner(location) != binding.state_id:
        return False
    for path in wrong:
        log.warning("lake.id_restored", path=path, found=found[path], right=right[path])
        location.put(path, right[path].encode())
    return bool(wrong)


def _is_damaged(found: str | None, right: str) -> bool:
    """Return whether an id is a damaged copy of the right one, and not another id."""
    if found is None or _ULID.fullmatch(found) is None:
        return True
    return sum(a != b for a, b in zip(found, right, strict=True)) <= _FEW


def _last_owner(location: LakeLocation) -> str | None:
    """Return the state that took a role last, by the newest epoch of the curator; None where it can't be read."""
    number, _ = newest_epoch(location, "curator")
    try:
        return str(json.loads(location.get(epoch_path("curator", number)))["state_id"])
    except (DamagedObject, ValueError, KeyError, TypeError):
        return None
