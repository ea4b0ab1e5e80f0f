"""An explanation of a feature's value, as the command, a notebook and JSON show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from quantx.reader.explain.facts import Fact
from quantx.reader.explain.screen import ScreenSection, html_of, instant, text_of


@dataclass(frozen=True, kw_only=True, repr=False)
class FeatureValue:
    """Why a feature has its value, or why there is none (`row` is None). Instants are UTC."""

    subject: str  # as in `AAPL 2024-06-10`
    feature: str  # as in technical.rsi_14
    value: float | None
    unit: str
    formula: str
    formula_source: str
    definition: str  # the hash of the set
    row: Fact | None  # the clocks of the row
    stored: bool  # false: computed for this explanation
    inputs: Mapping[str, Any]  # as traded, of the day
    window: Mapping[str, Any]  # the rows that the value depends on
    kernels: Mapping[str, str]  # the libraries that computed it
    versions: Mapping[str, int | None]  # of the input tables
    revisions: Sequence[Fact] = ()  # values that a build replaced
    day: date | None = None
    reply: None = None  # a feature has none of its own: `explain` of its inputs has theirs

    def as_facts(self) -> dict[str, Any]:
        """Return all parts as plain values for JSON."""
        return asdict(self)

    def headline(self) -> str:
        """Return the value in one line."""
        if self.row is None:
            return f"{self.subject}: no row of {self.feature}"
        value = "null (warm-up, or not defined)" if self.value is None else f"{self.value:.10g} ({self.unit})"
        public, known = instant(self.row["public_at"]), instant(self.row["known_from"])
        how = "stored" if self.stored else "computed now"
        return f"{self.subject}: {self.feature} {value}, {how}, public since {public}, known since {known}"

    def sections(self) -> list[ScreenSection]:
        """Return the sections of the explanation."""
        parts = {
            "Formula": [self.formula, f"source: {self.formula_source}; definition of the set {self.definition}"],
            "Inputs of the day, as traded": [f"{name}: {_shown(value)}" for name, value in self.inputs.items()],
            "Rows that it depends on": [f"{name}: {_shown(value)}" for name, value in self.window.items()],
            "Kernel": [", ".join(f"{name} {number}" for name, number in self.kernels.items())],
            "Versions of the input tables": [", ".join(f"{name} {number}" for name, number in self.versions.items())],
            "Earlier values": [_revision(each) for each in self.revisions],
        }
        return [ScreenSection(title, lines) for title, lines in parts.items() if any(lines)]

    def __repr__(self) -> str:
        """Return the explanation as the command shows it."""
        return text_of(self.headline(), self.sections())

    def _repr_html_(self) -> str:
        """Return the same for notebooks."""
        return html_of(self.headline(), self.sections())


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return instant(value)
    return f"{value:.10g}" if isinstance(value, float) else "none" if value is None else str(value)


def _revision(row: Fact) -> str:
    value = "null" if row["value"] is None else f"{row['value']:.10g}"
    return f"from {instant(row['known_from'])} until {instant(row['known_to'])}: {value}"
