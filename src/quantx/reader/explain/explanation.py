"""An explanation of a stored value, as the command, a notebook and JSON show it."""

from __future__ import annotations

from dataclasses import dataclass

from quantx.reader.explain.facts import ExplanationFacts
from quantx.reader.explain.screen import as_html, as_text


@dataclass(frozen=True, kw_only=True, repr=False)
class Explanation(ExplanationFacts):
    """The facts of an explanation; its repr is what the command shows."""

    def __repr__(self) -> str:
        """Return the explanation as the command shows it."""
        return as_text(self)

    def _repr_html_(self) -> str:
        """Return the same for notebooks."""
        return as_html(self)
