"""Epochs of the roles that commit to tables: in the lake, each take-over of a role is an object that is created once.

A lock in the state's database ends with its connection, and its holder may not notice: it was suspended, or the
database failed over. Another state on the same lake has locks of its own. So each holder of a role creates the next
epoch, and confirms before each commit that its epoch is the newest. Taking a role is: list the epochs, check that the
lake belongs to this state, create the next epoch. A state that takes the lake over writes its id first and creates an
epoch of each role after that: a holder of the earlier state that creates an epoch later fails to create it, or sees the
new id.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from quantx.errors import DamagedObject, Fenced
from quantx.lake.store import LakeLocation

STATE_ID = "meta/state_id"  # the state that may write
_KEPT = 10
_ENDED = ".ended"


@dataclass(frozen=True)
class Epoch:
    """An epoch of a role."""

    location: LakeLocation
    state_id: str
    role: str
    number: int

    @property
    def path(self) -> str:
        """Return the path of its object."""
        return epoch_path(self.role, self.number)

    def confirm(self) -> None:
        """Raise Fenced if there is a newer epoch."""
        newest, _ = newest_epoch(self.location, self.role)
        if newest != self.number:
            raise Fenced(
                f"another process has taken over the work of this one: the role {self.role} of the lake"
                f" {self.location.url} has the epoch {newest}, not {self.number}; start the command again"
            )

    def end(self, versions: Mapping[str, int]) -> None:
        """Record that no commit of this epoch is under way any more, and the versions of the role's tables, by path."""
        self.location.put(self.path + _ENDED, json.dumps(versions).encode())


def epoch_path(role: str, number: int) -> str:
    """Return the path of the object of an epoch."""
    return f"{_folder(role)}/{number:012}"


@dataclass(frozen=True)
class PastEpochs:
    """The epochs of a role by one listing; what else lies in their folder is ignored."""

    location: LakeLocation
    role: str
    names: frozenset[str]  # of the epochs and of their ends

    @classmethod
    def of(cls, location: LakeLocation, role: str) -> PastEpochs:
        """List the epochs of a role."""
        names = (path.rpartition("/")[2] for path in location.paths(_folder(role)))
        return cls(location, role, frozenset(name for name in names if name.removesuffix(_ENDED).isdecimal()))

    @property
    def newest(self) -> int:
        """Return the newest epoch, 0 before the first."""
        return max((int(name.removesuffix(_ENDED)) for name in self.names), default=0)

    @property
    def ended(self) -> bool:
        """Return whether the newest epoch has ended."""
        return self.newest == 0 or f"{self.newest:012}{_ENDED}" in self.names

    def versions(self) -> dict[str, int]:
        """Return the versions of the role's tables at the end of the last epoch that has ended, by path.

        A log with an earlier version has lost its newest entries. Empty where there is no record, or a damaged one.
        """
        numbers = [int(name.removesuffix(_ENDED)) for name in self.names if name.endswith(_ENDED)]
        try:
            record = json.loads(self.location.get(epoch_path(self.role, max(numbers)) + _ENDED))
            return {str(table): int(version) for table, version in record.items()}
        except (DamagedObject, ValueError, TypeError, AttributeError):
            return {}

    def forget(self) -> None:
        """Delete the epochs of long ago; the newest ones stay."""
        if len(self.names) > 4 * _KEPT:
            old = sorted(self.names)[: -2 * _KEPT]
            self.location.delete([f"{_folder(self.role)}/{name}" for name in old])


def newest_epoch(location: LakeLocation, role: str) -> tuple[int, bool]:
    """Return the newest epoch of a role, 0 before the first, and whether it has ended."""
    past = PastEpochs.of(location, role)
    return past.newest, past.ended


def recorded_versions(location: LakeLocation, role: str) -> dict[str, int]:
    """Return the versions of a role's tables at the end of its last epoch that has ended, as `PastEpochs.versions`."""
    return PastEpochs.of(location, role).versions()


def create_epoch(location: LakeLocation, state_id: str, role: str, number: int) -> Epoch | None:
    """Create an epoch; None if it exists: another process was faster."""
    epoch = Epoch(location, state_id, role, number)
    holder = {"state_id": state_id, "role": role, "host": socket.gethostname(), "pid": os.getpid()}
    body = json.dumps(holder | {"nonce": os.urandom(8).hex()}).encode()  # no two are equal
    return epoch if location.create(epoch.path, body) else None


def _folder(role: str) -> str:
    return f"meta/epochs/{role}"
