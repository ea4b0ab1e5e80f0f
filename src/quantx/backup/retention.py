"""Retention: delete backups that are no longer kept, and the objects that no kept backup names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from quantx.backup.create import backup_id
from quantx.backup.store import BackupStore, object_path
from quantx.errors import Busy
from quantx.state.port import State

_BATCH = 500


@dataclass(frozen=True)
class Keep:
    """Which backups are kept: those that one of the rules names, and always the newest."""

    newest: int | None = None
    days: int | None = None

    def kept(self, ids: Sequence[str], now: datetime) -> list[str]:
        """Return the ids to keep of all ids; without a rule, all of them."""
        if self.newest is None and self.days is None:
            return list(ids)
        ordered = sorted(ids)
        kept = set(ordered[-max(1, self.newest or 1) :])
        if self.days is not None:
            since = backup_id(now - timedelta(days=self.days))
            kept |= {each for each in ordered if each >= since}
        return sorted(kept)


def delete_old_backups(store: BackupStore, state: State, keep: Keep) -> tuple[list[str], int]:
    """Delete what `keep` does not keep; return the ids of the deleted backups, and the number of deleted objects.

    First the manifests, then the objects that none of the others names: a kill in between leaves objects without a
    backup, which the next call deletes. DamagedObject, before anything is deleted, where a kept manifest can't be
    read; Busy where another backup of this state is under way.
    """
    if keep == Keep():
        return [], 0
    with state.exclusive("backup") as hold:
        if hold is None:
            raise Busy("another backup of this state is under way; no old backup was deleted")
        manifests = store.manifests()
        kept = keep.kept(list(manifests), state.now())
        named = {object_path(copy.sha256) for each in kept for copy in store.manifest(each).copies()}
        old = [each for each in manifests if each not in kept]
        store.location.delete([manifests[each] for each in old])
        unnamed = sorted(set(store.location.paths("objects")) - named)
        for start in range(0, len(unnamed), _BATCH):
            hold.confirm()
            store.location.delete(unnamed[start : start + _BATCH])
        store.forget_progress()
    return old, len(unnamed)
