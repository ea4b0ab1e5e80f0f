"""The map of standard concepts: the shipped one, and the entries of an own `config/concepts.yaml`."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

import yaml

from quantx.core.fundamentals.concept_map import ConceptMap


@lru_cache(maxsize=1)
def shipped_concepts() -> ConceptMap:
    """Return the map that this version ships."""
    text = resources.files("quantx.settings").joinpath("concepts.yaml").read_text("utf-8")
    return ConceptMap.model_validate(yaml.safe_load(text))
