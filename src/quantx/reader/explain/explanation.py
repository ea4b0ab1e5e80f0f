"""An explanation of a stored value, as the command, a notebook and JSON show it."""

from __future__ import annotations

from dataclasses import dataclass

from quantx.reader.explain.facts import ExplanationFacts
from quantx.reader.explain.screen import ScreenSection, headline, html_of, sections, text_of


@dataclass(frozen=True, kw_only=True, repr=False)
class Explanation(ExplanationFacts):
    """The facts of an explanation; its repr is what the command shows."""

    def headline(self) -> str:
        """Return the value with its source in one line."""
        return headline(self)

    def sections(self) -> list[ScreenSection]:
        """Return the parts of the explanation, as lines in sections."""
        return sections(self)

    def __repr__(self) -> str:
        """Return the explanation as the command shows it."""
        return text_of(self.headline(), self.sections())

    def _repr_html_(self) -> str:
        """Return the same for notebooks."""
        return html_of(self.headline(), self.sections())
