"""Sources of files: their names, and the price basis that each has for good, recorded in the lake."""

from __future__ import annotations

import json
import re

from quantx.core.model import Clock
from quantx.errors import ConfigError, DamagedObject
from quantx.lake.store import LakeLocation
from quantx.providers.importing.form import BASES
from quantx.providers.importing.provider import FileImports
from quantx.providers.registry import VENDORS
from quantx.settings import source_of

_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_RESERVED = ("best", "any", "all", "none", "options")


def checked_source(name: str) -> str:
    """Return the name of a source of files; ConfigError where it is none, or a vendor's."""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ConfigError(
            f"--source {name!a} can't be the name of a source: use small letters, digits and _, as in my_files"
        )
    if source_of(name) in VENDORS:
        raise ConfigError(
            f"{name} is a vendor that this program fetches from, and its stored replies are read by its adapter: give"
            f" the files a name of their own, as in --source {source_of(name)}_files"
        )
    return name


def record_path(source: str) -> str:
    """Return the place of a source's record in the lake."""
    return f"meta/imports/{source}.json"


def recorded_basis(location: LakeLocation, source: str) -> str | None:
    """Return the price basis of a source of files; None for any other source."""
    if not _NAME.fullmatch(source):
        return None
    try:
        record = json.loads(location.get(record_path(source)))
    except DamagedObject:  # there is none
        return None
    basis = record.get("basis")
    return basis if basis in BASES else None


def has_options(location: LakeLocation, source: str) -> bool:
    """Return whether members of archives of options were imported from a source."""
    return bool(_NAME.fullmatch(source) and location.paths(f"raw/source={source}/dataset=options"))


def record_basis(location: LakeLocation, source: str, basis: str) -> None:
    """Record the basis of a new source; ConfigError where it has another one."""
    record = json.dumps({"source": source, "basis": basis}).encode()
    check_basis(source, json.loads(location.get_or_put(record_path(source), record))["basis"], basis)


def check_basis(source: str, recorded: str | None, basis: str) -> None:
    """Raise ConfigError where a source has prices of another basis."""
    if recorded is not None and recorded != basis:
        raise ConfigError(
            f"the prices of {source} are {recorded}, these are {basis}: a source has one price basis; import these"
            " under another --source"
        )


def reader_of_imports(location: LakeLocation, source: str, clock: Clock) -> FileImports | None:
    """Return the provider that reads the stored pages of a source of files; None for any other source."""
    basis = recorded_basis(location, source)
    return None if basis is None else FileImports(source, BASES[basis], clock)
