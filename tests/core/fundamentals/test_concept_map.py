"""The declaration of concepts: what the shipped one is, and what an own file adds or gets wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantx.core.fundamentals.concept_map import ConceptMap, parse_formula
from quantx.errors import ConfigError
from quantx.settings.concepts import read_concepts, shipped_concepts

ENTRY = "concepts:\n  b1: {title: B, statement: income"


def own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "concepts.yaml"
    path.write_text(text)
    return path


def test_one_entry_adds_a_concept(tmp_path: Path) -> None:
    path = own(tmp_path, "concepts:\n  backlog: {title: Backlog, statement: income, tags: {us-gaap: [Backlog]}}\n")
    read = read_concepts(path)
    assert read.concepts["backlog"].tags == {"us-gaap": ("Backlog",)}
    assert list(read.concepts) == [*shipped_concepts().concepts, "backlog"]


def test_an_entry_of_a_shipped_name_takes_its_place(tmp_path: Path) -> None:
    path = own(tmp_path, "concepts:\n  goodwill: {title: G, statement: balance, kind: instant, tags: {us-gaap: [G]}}\n")
    read = read_concepts(path)
    assert read.concepts["goodwill"].tags == {"us-gaap": ("G",)}
    assert list(read.concepts) == list(shipped_concepts().concepts)


def test_tags_of_the_shipped_map_are_named_once_per_concept() -> None:
    for name, concept in shipped_concepts().concepts.items():
        for tags in concept.tags.values():
            assert len(set(tags)) == len(tags), name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("revenue: 3", "must have the form"),
        ("concepts: {}\nmore: 1", "must have the form"),
        (f"{ENTRY}}}", "line 2: b1: a concept needs `tags` or `formulas`"),
        (f"{ENTRY},\n  kinds: x}}", "line 3: kinds is no field of a concept; the fields are title"),
        (f"{ENTRY},\n  kind: x, tags: {{us-gaap: [B]}}}}", "line 3: b1 kind: must be 'duration' or 'instant'"),
        (f"{ENTRY.replace('b1', 'B-1')}, tags: {{us-gaap: [B]}}}}", "the name 'B-1' has other characters than a-z"),
        (f"{ENTRY}, formulas: [nothing - revenue]}}", "needs nothing, which is not declared above it"),
        (f"{ENTRY}, formulas: [revenue - assets]}}", "needs assets, which has another kind or unit"),
        (f"{ENTRY}, formulas: [revenue * 2]}}", "must have the form `a + b - c?`"),
        ("concepts: [", "is not valid YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_problem(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_concepts(own(tmp_path, f"{text}\n"))
    assert problem in str(error.value)
    assert "concepts.yaml" in str(error.value)


def test_a_file_that_is_named_must_exist(tmp_path: Path) -> None:
    assert read_concepts(Path("config/concepts.yaml")) == shipped_concepts()
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        read_concepts(tmp_path / "mine.yaml")


def test_formulas_refer_to_concepts_above() -> None:
    assert [p.concept for p in parse_formula("a? + b - c2")] == ["a", "b", "c2"]
    with pytest.raises(ValueError, match="not declared above"):
        ConceptMap.model_validate({"concepts": {
            "one": {"title": "1", "statement": "income", "formulas": ["two"]},
            "two": {"title": "2", "statement": "income", "tags": {"us-gaap": ["T"]}},
        }})  # fmt: skip
