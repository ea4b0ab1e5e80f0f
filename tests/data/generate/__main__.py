"""`python -m tests.data.generate`: writes the sample into tests/data."""

from __future__ import annotations

from . import write

write()
