"""The forms of option archives: which one reads a member is decided by its name and by its first bytes."""

from __future__ import annotations

from quantx.providers.options.dbn import DbnForm
from quantx.providers.options.protocol import OptionForm

FORMS: tuple[OptionForm, ...] = (DbnForm(),)


def form_of(name: str, head: bytes) -> OptionForm | None:
    """Return the form of a member, None where no form reads it; `head` has its first 1,024 bytes."""
    return next((form for form in FORMS if form.recognizes(name, head)), None)
