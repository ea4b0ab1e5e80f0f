"""Open the lake: one URL gives the object store and the options with which Delta opens tables in it.

Raw objects lie below `raw/` in the lake, or in a place of their own (the setting `raw_url`). Their paths are the same
in both cases: `raw/source=…` is the object `source=…` there.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.store import AzureStore, LocalStore, MemoryStore, ObjectStore, from_url

from quantx.azure_sign_in import STORAGE, AzureIdentity
from quantx.errors import ConfigError, DamagedObject, LakeError, MissingLake, RawNotReadable
from quantx.lake.azure import NO_CONTAINER, REFUSED, AzureContainer, delete_blob, open_address, open_container
from quantx.lake.replies import reply_code, reply_reason
from quantx.lake.s3 import AwsProcess, open_bucket
from quantx.lake.zones import LAKE, RAW_ZONE, Zone
from quantx.settings import Settings, without_secrets

_RAW = "raw/"
_AZURE = ("az", "azure", "abfss")
_RAW_RIGHT = "tables need no right there; what reads raw objects needs Storage Blob Data Reader (or s3:GetObject)"


@dataclass(frozen=True)
class ListedObject:
    """An object as a listing has it."""

    size: int  # bytes
    e_tag: str | None  # changes with the object; None where the store has none
    modified: datetime | None = None  # UTC; of an object that is never replaced, its creation


@dataclass(frozen=True)
class LakeLocation:
    """The opened location of a lake."""

    url: str  # absolute, without a trailing slash
    store: ObjectStore = field(repr=False)
    options: dict[str, str] = field(repr=False)  # storage options of deltalake and Polars
    identity: AzureIdentity | None = field(default=None, repr=False)  # signs in if there is no key
    process: AwsProcess | None = field(default=None, repr=False)  # a profile's source of keys
    raw_opener: Callable[[], LakeLocation] | None = field(default=None, repr=False)  # of raw's own place

    @cached_property
    def raw(self) -> LakeLocation:
        """The location of the raw objects, opened by the first use: readers of tables have no rights there."""
        return self if self.raw_opener is None else self.raw_opener()

    def close(self) -> None:
        """Close the connections of the identities that sign in."""
        for location in {id(x): x for x in (self, self.__dict__.get("raw", self))}.values():
            if location.identity is not None:
                location.identity.close()

    def address(self, path: str) -> str:
        """Return the URL of an object."""
        place, key = self._at(path)
        return f"{place.url}/{key}"

    def _at(self, path: str) -> tuple[LakeLocation, str]:
        """Return the location of an object, and its path there."""
        if self.raw_opener is None or not f"{path}/".startswith(_RAW):
            return self, path
        return self.raw, path.removeprefix("raw").removeprefix("/")

    @property
    def delta_options(self) -> dict[str, str]:
        """Return the current storage options of Delta and Polars; some have a token or keys that expire."""
        if self.process is not None:
            return {**self.options, **self.process.options()}
        if self.identity is None:
            return self.options
        return {**self.options, "azure_storage_token": self.identity.token(STORAGE, LakeError).text}

    def table_url(self, path: str) -> str:
        """Return the address of the table at `path` for Delta readers."""
        if self.url.startswith("file://"):
            return str(_local_path(self.url) / path)
        return f"{self.url}/{path}"

    def put_new(self, path: str, body: bytes) -> None:
        """Create an object; a reader sees all bytes or nothing.

        An existing object with the same bytes is a success: an earlier try stored it and its reply was lost. With other
        bytes it is a LakeError.
        """
        if not self.create(path, body):
            raise LakeError(f"{self.address(path)} exists with other bytes; raw objects are never replaced")

    def create(self, path: str, body: bytes) -> bool:
        """Create an object as `put_new` does; return False if it exists with other bytes."""
        place, key = self._at(path)
        try:
            obstore.put(place.store, key, body, mode="create")
        except obstore.exceptions.AlreadyExistsError:
            return self.get(path) == body
        except REFUSED as error:  # of a role that only creates objects, also where the object exists
            if not self.has(path):
                raise self._failure("write", path, error) from error
            return self.get(path) == body
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("write", path, error) from error
        return True

    def has(self, path: str) -> bool:
        """Return whether an object exists; LakeError if its container is missing or can't be reached."""
        place, key = self._at(path)
        try:
            obstore.get(place.store, key)  # without its body; the reply to a HEAD has no error code
        except (obstore.exceptions.BaseError, OSError) as error:
            failure = self._failure("read", path, error)
            if isinstance(failure, DamagedObject):
                return False
            raise failure from error
        return True

    def get_or_put(self, path: str, body: bytes) -> bytes:
        """Return the bytes of an object; create it with `body` if it is missing."""
        try:
            return self.get(path)  # the usual case; a read-only role never tries to write
        except DamagedObject:
            pass
        try:
            self.put_new(path, body)
        except LakeError:
            return self.get(path)
        return body

    def put(self, path: str, body: bytes) -> None:
        """Create or replace an object that can be made again: a listing or a report."""
        place, key = self._at(path)
        try:
            obstore.put(place.store, key, body)
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("write", path, error) from error

    def delete(self, paths: list[str]) -> None:
        """Delete objects; a missing one is no error."""
        by_place = defaultdict[bool, list[str]](list)
        for path in paths:
            by_place[self._at(path)[0] is self].append(path)
        for some in by_place.values():
            try:
                obstore.delete(self._at(some[0])[0].store, [self._at(path)[1] for path in some])
            except FileNotFoundError:
                pass
            except (obstore.exceptions.BaseError, OSError) as error:
                raise self._failure("delete", some[0], error) from error

    def remove(self, path: str) -> None:
        """Delete one object by a request of its own: in Azure a batch needs the right to write, too."""
        place, key = self._at(path)
        if isinstance(place.store, AzureStore):
            delete_blob(place.url, place.options, place.identity, key)
        else:
            self.delete([path])

    def get(self, path: str) -> bytes:
        """Return the bytes of an object; DamagedObject if it is missing, LakeError if the store can't be reached."""
        place, key = self._at(path)
        try:
            return bytes(obstore.get(place.store, key).bytes())
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("read", path, error) from error

    def size_of(self, path: str) -> int:
        """Return the size of an object in bytes; raises as `get`."""
        place, key = self._at(path)
        try:
            return int(obstore.get(place.store, key).meta["size"])  # without its body, as `has`
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("read", path, error) from error

    def get_range(self, path: str, start: int, end: int) -> bytes:
        """Return the bytes of an object from `start` to `end` (exclusive); raises as `get`."""
        place, key = self._at(path)
        try:
            return bytes(obstore.get_range(place.store, key, start=start, end=end))
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("read", path, error) from error

    def folders(self, within: str = "") -> list[str]:
        """Return the paths of the folders in a folder of tables, or at the top of the location; raises as `paths`."""
        try:
            return list(obstore.list_with_delimiter(self.store, within or None)["common_prefixes"])
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("list", within, error) from error

    def paths(self, prefix: str) -> list[str]:
        """Return the paths of all objects in a folder, unordered; LakeError if the store can't be reached."""
        return list(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the paths of all objects in a folder with their sizes in bytes, unordered; raises as `paths`."""
        return {path: found.size for path, found in self.objects(prefix).items()}

    def objects(self, prefix: str) -> dict[str, ListedObject]:
        """Return all objects in a folder by path, unordered; raises as `paths`.

        The folder "" is the whole lake, with its raw objects.
        """
        place, key = self._at(prefix)
        before = prefix.removesuffix(key) if place is not self else ""
        before = f"{before.rstrip('/')}/" if before else ""
        try:
            found = {
                before + entry["path"]: ListedObject(entry["size"], entry["e_tag"], entry["last_modified"])
                for page in obstore.list(place.store, key)
                for entry in page
            }
        except (obstore.exceptions.BaseError, OSError) as error:
            raise self._failure("list", prefix, error) from error
        if prefix or self.raw_opener is None:
            return found
        return {path: each for path, each in found.items() if not path.startswith(_RAW)} | self.objects("raw")

    def _failure(self, verb: str, path: str, error: Exception) -> LakeError:
        """Return the error to raise: DamagedObject for one missing object, LakeError for an unreachable store."""
        address = self.address(path)
        what = f"cannot {verb} {address}"
        if (kind := NO_CONTAINER.get(reply_code(error))) is not None:
            return LakeError(f"{what}: there is no {kind} {urlsplit(address).netloc}")
        if verb == "read" and isinstance(error, FileNotFoundError):
            return DamagedObject(f"{what}: it is missing")
        if verb != "write" and isinstance(error, REFUSED) and f"{path}/".startswith(_RAW):
            return RawNotReadable(f"{what}: {reply_reason(error)}; {_RAW_RIGHT}")
        return LakeError(f"{what}: {reply_reason(error)}")


def open_location(url: str, settings: Settings | None = None, *, create: bool = True) -> LakeLocation:
    """Open a lake by its URL or local path; raise ConfigError or LakeError with the reason of a failure.

    A missing local folder or Azure container is created; with `create=False` it must exist. The place of raw objects
    that the settings name is opened by its first use.
    """
    lake = _open(url, settings, LAKE, create=create)
    raw_url = settings.raw_url if settings else None
    if not raw_url or normalized_url(raw_url) == f"{lake.url.rstrip('/')}/raw":
        return lake
    inner, outer = f"{normalized_url(raw_url)}/", f"{lake.url.rstrip('/')}/"
    if outer != "memory:/" and (inner.startswith(outer) or outer.startswith(inner)):
        raise ConfigError(
            f"the raw zone {without_secrets(raw_url)!r} and the lake {lake.url} contain one another; set QUANTX_RAW_URL"
            " to a place of its own, or remove it: then raw objects lie in the lake"
        )
    return replace(lake, raw_opener=partial(_open, raw_url, settings, RAW_ZONE, create=create))


def _open(url: str, settings: Settings | None, zone: Zone, *, create: bool) -> LakeLocation:
    scheme = _scheme(url)
    if scheme == "file":
        return _open_local(url, zone, create=create)
    if scheme == "memory":
        return LakeLocation("memory://", MemoryStore(), {})
    if scheme in _AZURE:
        return _in_azure(open_container(url, settings, zone, create=create))
    if scheme == "s3":
        bucket = open_bucket(url, zone)
        return LakeLocation(bucket.url, bucket.store, bucket.options, process=bucket.process)
    if scheme == "gs":
        return LakeLocation(url.rstrip("/"), from_url(url), {})
    raise ConfigError(
        f"the {zone.name}'s URL {url!r} starts with {scheme}://; use file://, az://, s3://, gs:// or a path"
    )


def open_other_account(url: str, settings: Settings, *, create: bool = True) -> LakeLocation:
    """Open a container of any account by its address https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX.

    The location is for objects: Delta can't open tables by this address. Raises as `open_location`.
    """
    return _in_azure(open_address(url, settings, create=create))


def _in_azure(container: AzureContainer) -> LakeLocation:
    return LakeLocation(container.url, container.store, container.options, container.identity)


def _scheme(url: str) -> str:
    return urlsplit(url).scheme if "://" in url else "file"


def normalized_url(url: str) -> str:
    """Return a URL as `LakeLocation.url` has it."""
    if _scheme(url) == "file":
        return _folder(url).as_uri()
    if _scheme(url) in _AZURE:
        url = f"az://{url.partition('://')[2]}"
    return url.rstrip("/")


def _folder(url: str) -> Path:
    return (_local_path(url) if "://" in url else Path(url)).expanduser().absolute()


def _open_local(url: str, zone: Zone, *, create: bool) -> LakeLocation:
    if "://" in url and urlsplit(url).netloc not in ("", "localhost"):
        raise ConfigError(f"the {zone.name}'s URL {url!r} has a host; a local path has three slashes: file:///…")
    folder = _folder(url)
    if not create:
        if not folder.is_dir():
            raise MissingLake(
                f"there is no {zone.name} in {folder}; `quantx backfill` creates one, {zone.setting} sets another"
            )
        return LakeLocation(folder.as_uri(), LocalStore(folder), {})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".writable-{os.getpid()}-{threading.get_ident()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise LakeError(
            f"the {zone.name}'s folder {folder} can't be written: {error.strerror}; choose another with {zone.setting}"
        ) from None
    return LakeLocation(folder.as_uri(), LocalStore(folder), {})


def _local_path(url: str) -> Path:
    """Return the path of a file:// URL; decode %20 and the like."""
    return Path(unquote(url.removeprefix("file://").removeprefix("localhost")))
