"""The features that the names in a study mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quantx.core.features.feature import Feature, definition_hash
from quantx.core.features.sets import SETS
from quantx.errors import ConfigError
from quantx.reader.feature_names import chosen_features


@dataclass(frozen=True)
class StudyFeatures:
    """The features of a study: by their full names, as in technical.rsi_14, and by the columns of its table."""

    names: tuple[str, ...]
    by_column: Mapping[str, Feature]

    @property
    def columns(self) -> list[str]:
        """Return the columns, in the order of the study."""
        return list(self.by_column)

    @property
    def hash(self) -> str:
        """Return the hash of their definitions."""
        return definition_hash(list(self.by_column.values()))


def study_features(names: Sequence[str]) -> StudyFeatures:
    """Return the features that names of sets and of features mean; ConfigError for unknown ones and for labels.

    A set means its ratios: prices and amounts of shares are levels of one security, in the units of their day. A name
    of a feature may mean them.
    """
    wanted: list[str] = []
    for name in names:
        ratios = [f"{name}.{each.name}" for each in SETS[name].features if each.unit == "ratio"] if name in SETS else []
        wanted += ratios or [name]
    by_column: dict[str, Feature] = {}
    full: list[str] = []
    for chosen in chosen_features(list(dict.fromkeys(wanted))):
        full += [f"{chosen.feature_set.name}.{each.name}" for each in chosen.features]
        by_column |= {chosen.columns[each.name]: each for each in chosen.features}
        if chosen.feature_set.timeframe != "1d":
            raise ConfigError(f"features: {chosen.feature_set.name} has minutes; a study has a row per session")
    labels = [name for name, each in zip(full, by_column.values(), strict=True) if each.kind == "label"]
    if labels:
        raise ConfigError(f"features: {labels[0]} is a label: it looks into the future; a label can't be an input")
    return StudyFeatures(tuple(full), by_column)
