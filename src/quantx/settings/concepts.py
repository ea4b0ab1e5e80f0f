"""The map of standard concepts: the shipped one, and the entries of an own `config/concepts.yaml`."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from quantx.core.foreign_errors import value_fact
from quantx.core.fundamentals.concept_map import Concept, ConceptMap
from quantx.errors import ConfigError
from quantx.settings.yaml_document import YamlDocument, read_yaml

OWN_CONCEPTS = Path("config/concepts.yaml")


@lru_cache(maxsize=1)
def shipped_concepts() -> ConceptMap:
    """Return the map that this version ships."""
    text = resources.files("quantx.settings").joinpath("concepts.yaml").read_text("utf-8")
    return ConceptMap.model_validate(yaml.safe_load(text))


def read_concepts(path: Path) -> ConceptMap:
    """Return the shipped map with the entries of a file: new concepts, and others in place of shipped ones.

    Only the default file may be missing. Raises ConfigError with the file, the line and the problem.
    """
    if not path.exists() and path == OWN_CONCEPTS:
        return shipped_concepts()
    return _extended_by(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=4)  # a file is parsed once, as long as it does not change
def _extended_by(path: Path, changed_at: int) -> ConceptMap:
    document = read_yaml(path)
    own = document.values.get("concepts") if isinstance(document.values, dict) else None
    if not isinstance(own, dict) or set(document.values) != {"concepts"}:
        raise ConfigError(f"{path} must have the form `concepts: {{name: {{title: …, statement: …, tags: {{…}}}}}}`")
    try:
        return shipped_concepts().extended(own)
    except ValidationError as error:
        unknown_first = sorted(error.errors(), key=lambda each: each["type"] != "extra_forbidden")
        raise ConfigError(_problem(document, unknown_first[0])) from error


def _problem(document: YamlDocument, first: ErrorDetails) -> str:
    """Return the file, the line and the problem of the first wrong entry."""
    place = first["loc"]
    where = document.at(place)
    if first["type"] == "extra_forbidden":
        return f"{where}: {place[-1]} is no field of a concept; the fields are {', '.join(Concept.model_fields)}"
    named = " ".join(str(part) for part in place[1:])
    fact = str(first["ctx"]["error"]) if first["type"] == "value_error" else value_fact(first)
    return f"{where}: {named}: {fact}" if named else f"{document.path}: {fact}"
