"""The forms of option archives: which one reads a member is decided by its name and by its first bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from quantx.errors import MalformedPayload
from quantx.providers.options.archives import ArchiveMember, OptionArchive
from quantx.providers.options.csv_form import CsvForm
from quantx.providers.options.dbn import DbnForm
from quantx.providers.options.lean import LeanForm
from quantx.providers.options.protocol import OptionForm, OptionMember


def forms(source: str | None) -> tuple[OptionForm, ...]:
    """Return all forms; `source` is the name of the source of members that state none."""
    return DbnForm(), LeanForm(), CsvForm(source)


def form_of(name: str, head: bytes, source: str | None = None) -> OptionForm | None:
    """Return the form of a member, None where no form reads it; `head` has its first 1,024 bytes."""
    return next((form for form in forms(source) if form.recognizes(name, head)), None)


@contextmanager
def open_member(archive: OptionArchive, member: ArchiveMember, source: str | None = None) -> Iterator[OptionMember]:
    """Open a member of an archive for this block; MalformedPayload where no form reads it, or its header is unreadable.

    Its size and hash are the caller's to check before: `archive.check(member)`.
    """
    form = form_of(member.name, archive.head(member), source)
    if form is None:
        raise MalformedPayload(f"{member.name} is in no form of options that can be read: {', '.join(FORM_NAMES)}")
    with archive.open(member) as stream:
        yield form.open(member.name, stream, member.size, partial(archive.symbology, member))


FORM_NAMES = tuple(each.name for each in forms(None))
