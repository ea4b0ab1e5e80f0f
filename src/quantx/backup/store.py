"""The place of backups: objects named by their SHA-256, and a manifest for each backup.

    objects/3f/3f2a90d4…                       each content once, whatever paths and backups have it
    backups/20261130T171500.000Z-9c1e….json.gz one manifest, with the first digits of its own SHA-256
    progress/20261130T171500.000Z-000001.json  digests of what an unfinished backup has copied

Nothing is ever replaced, so the right to create and read is enough. Only retention deletes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from quantx.backup.manifest import Manifest, ObjectCopy, decode, encode
from quantx.errors import ConfigError, DamagedObject, LakeError, MissingLake
from quantx.lake.digests import sha256
from quantx.lake.store import LakeLocation, open_location, open_other_account
from quantx.settings import Settings, without_secrets

_NAMED = 16  # hex digits of a manifest's SHA-256 in its name
_SCHEMES = ("file", "az", "https", "s3", "gs")
_MANIFEST = re.compile(r"backups/(\d{8}T\d{6}\.\d{3}Z)-([0-9a-f]{16})\.json\.gz")
_PROGRESS = re.compile(r"progress/(\d{8}T\d{6}\.\d{3}Z)-\d+\.json")


@dataclass(frozen=True)
class BackupStore:
    """The opened place of backups."""

    location: LakeLocation

    @property
    def url(self) -> str:
        """Return the address."""
        return self.location.url

    def sizes(self) -> dict[str, int]:
        """Return the sizes in bytes of all stored objects, by SHA-256."""
        return {path.rpartition("/")[2]: size for path, size in self.location.sizes("objects").items()}

    def put(self, body: bytes) -> ObjectCopy:
        """Store an object unless it is stored; LakeError where other bytes have its name."""
        copy = ObjectCopy(len(body), sha256(body))
        path = object_path(copy.sha256)
        if not self.location.create(path, body):
            raise LakeError(f"the object {self.url}/{path} is damaged; delete it, and run the command again")
        return copy

    def get(self, copy: ObjectCopy) -> bytes:
        """Return the bytes of an object; DamagedObject where they are missing, or differ from the SHA-256."""
        path = object_path(copy.sha256)
        body = self.location.get(path)
        if sha256(body) != copy.sha256:
            raise DamagedObject(f"the object {self.url}/{path} does not match its SHA-256")
        return body

    def manifests(self) -> dict[str, str]:
        """Return the paths of all manifests by the ids of their backups, the oldest first."""
        found = (_MANIFEST.fullmatch(path) for path in sorted(self.location.paths("backups")))
        return {match[1]: match[0] for match in found if match}

    def manifest(self, backup_id: str | None = None) -> Manifest:
        """Return a backup, the newest by default; ConfigError where there is none, DamagedObject where it differs."""
        paths = self.manifests()
        if not paths:
            raise ConfigError(f"there is no backup in {self.url}; `quantx backup create {self.url}` makes one")
        path = paths.get(backup_id or max(paths))
        if path is None:
            raise ConfigError(f"there is no backup {backup_id!a} in {self.url}; `quantx backup list` shows them")
        return self._read(path)

    def newest(self) -> Manifest | None:
        """Return the newest backup whose manifest is intact; None where there is none."""
        for path in reversed(self.manifests().values()):
            try:
                return self._read(path)
            except DamagedObject:
                continue
        return None

    def _read(self, path: str) -> Manifest:
        body = self.location.get(path)
        match = _MANIFEST.fullmatch(path)
        if match is None or not sha256(body).startswith(match[2]):
            raise DamagedObject(
                f"the manifest {self.url}/{path} does not match its SHA-256; choose another backup with --backup"
            )
        try:
            return decode(body)
        except DamagedObject as error:
            raise DamagedObject(f"the manifest {self.url}/{path} {error}") from None

    def add(self, manifest: Manifest) -> None:
        """Store the manifest of a backup, which makes it one."""
        body = encode(manifest)
        self.location.put_new(f"backups/{manifest.id}-{sha256(body)[:_NAMED]}.json.gz", body)

    def note(self, backup_id: str, number: int, copies: Mapping[str, ObjectCopy]) -> None:
        """Record what an unfinished backup has copied, by path in the lake."""
        body = json.dumps({path: asdict(copy) for path, copy in copies.items()}, separators=(",", ":")).encode()
        self.location.put_new(f"progress/{backup_id}-{number:06}.json", body)

    def noted(self) -> dict[str, ObjectCopy]:
        """Return what backups since the last finished one have copied, by path in the lake."""
        last = max(self.manifests(), default="")
        copies: dict[str, ObjectCopy] = {}
        for path in sorted(self.location.paths("progress")):
            match = _PROGRESS.fullmatch(path)
            if match and match[1] > last:
                try:
                    copies |= {key: ObjectCopy(**fields) for key, fields in json.loads(self.location.get(path)).items()}
                except (DamagedObject, ValueError, TypeError, AttributeError):
                    continue  # these objects are read again
        return copies

    def forget_progress(self) -> None:
        """Delete the records of unfinished backups."""
        self.location.delete(self.location.paths("progress"))


def object_path(digest: str) -> str:
    """Return the path of an object with this SHA-256."""
    return f"objects/{digest[:2]}/{digest}"


def open_backups(url: str, settings: Settings, *, create: bool) -> BackupStore:
    """Open the place of backups by its URL: a folder, az://, https://ACCOUNT.blob.core.windows.net/…, s3:// or gs://.

    `create` also creates a missing folder or container. Raises ConfigError or LakeError.
    """
    scheme = urlsplit(url).scheme if "://" in url else "file"
    if scheme not in _SCHEMES:
        raise ConfigError(
            f"the place of backups {without_secrets(url)!r} must be a folder, or begin with {', '.join(_SCHEMES)}"
        )
    opener = open_other_account if scheme == "https" else open_location
    try:
        location = opener(url, settings, create=create)
    except MissingLake as error:
        raise ConfigError(f"there is no backup in {url}; `quantx backup create {url}` makes one") from error
    if location.has("meta/lake_id"):
        raise ConfigError(f"{location.url} is a lake; choose another place for backups")
    return BackupStore(location)
