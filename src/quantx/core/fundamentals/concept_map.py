"""The declaration of standard concepts: which tags make one, in which order, and what decides among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Rule = Literal["priority", "newest", "larger", "sizeable"]
_PART = re.compile(r"\s*([+-]?)\s*([a-z][a-z0-9_]*)(\??)")
MOST = 255  # concepts of one map: see quantx.core.fundamentals.periods


@dataclass(frozen=True)
class Part:
    """A part of a formula."""

    concept: str
    sign: int  # 1 or -1
    optional: bool  # zero where it is not reported


class Concept(BaseModel):
    """The declaration of one concept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    statement: Literal["income", "balance", "cash_flow", "per_share", "shares"]
    kind: Literal["duration", "instant"] = "duration"
    unit: Literal["money", "per_share", "shares"] = "money"
    sign: Literal["positive", "any"] = "any"
    rule: Rule = "priority"
    tags: dict[str, tuple[str, ...]] = {}  # by taxonomy
    formulas: tuple[str, ...] = ()
    expected: bool = False  # a balance sheet without it is a null with a reason
    any_day: bool = False  # instants of other days than period ends count, too
    dates_balance_sheet: bool = False  # a day with this item is the end of a period
    notes: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if not self.tags and not self.formulas:
            raise ValueError("a concept needs `tags` or `formulas`")
        for text in self.formulas:
            parse_formula(text)
        return self

    @property
    def adds_up(self) -> bool:
        """Return whether the values of two periods make that of both: a quarter may be a difference."""
        return self.kind == "duration" and self.unit == "money"


class ConceptMap(BaseModel):
    """All concepts by name, in the order in which they are made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concepts: dict[str, Concept] = Field(min_length=1, max_length=MOST)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        above = dict[str, Concept]()
        for name, concept in self.concepts.items():
            if not re.fullmatch(r"[a-z][a-z0-9_]{1,47}", name):
                raise ValueError(f"the name {name[:60]!a} has other characters than a-z, 0-9 and _")
            for part in (part for text in concept.formulas for part in parse_formula(text)):
                if part.concept not in above:
                    raise ValueError(f"the formula of {name} needs {part.concept}, which is not declared above it")
                other = above[part.concept]
                if (other.kind, other.unit) != (concept.kind, concept.unit):
                    raise ValueError(f"the formula of {name} needs {part.concept}, which has another kind or unit")
            above[name] = concept
        return self

    def extended(self, own: Mapping[str, Any]) -> ConceptMap:
        """Return the map with more concepts; one of the same name is replaced in its place."""
        shipped = {name: concept.model_dump(exclude_unset=True) for name, concept in self.concepts.items()}
        return ConceptMap.model_validate({"concepts": {**shipped, **own}})


def parse_formula(text: str) -> tuple[Part, ...]:
    """Return the parts of a formula such as `assets - equity_total` or `a? + b?`; raise ValueError.

    >>> parse_formula("a - b?")
    (Part(concept='a', sign=1, optional=False), Part(concept='b', sign=-1, optional=True))
    """
    parts, place = list[Part](), 0
    while place < len(text.rstrip()):
        found = _PART.match(text, place)
        if found is None or (parts and not found[1]):
            raise ValueError(f"the formula {text[:80]!a} must have the form `a + b - c?`")
        parts.append(Part(found[2], -1 if found[1] == "-" else 1, bool(found[3])))
        place = found.end()
    if not parts:
        raise ValueError("a formula is empty")
    return tuple(parts)
