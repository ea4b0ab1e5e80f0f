"""Names of features in a query: a set, a feature of a set as in "technical.rsi_14", or a feature by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from quantx.core.features.feature import Feature, FeatureSet
from quantx.core.features.sets import SETS
from quantx.errors import ConfigError
from quantx.reader.arguments import did_you_mean, to_texts


@dataclass(frozen=True)
class ChosenFeatures:
    """Some features of one set, with the columns in which a query shows them."""

    feature_set: FeatureSet
    features: tuple[Feature, ...]
    columns: dict[str, str]  # by name of the feature


def chosen_features(names: str | Sequence[str], timeframe: str = "1d") -> list[ChosenFeatures]:
    """Return the features that some names mean, by set; ConfigError for an unknown or an ambiguous name.

    A name without a set means a feature of the timeframe.

    A column has the name of the feature, and that of the set before it where two sets have features of one name.
    """
    wanted: dict[str, dict[str, Feature]] = {}
    for name in to_texts(names, "names"):
        for owner, feature in _parse(name, timeframe):
            wanted.setdefault(owner, {})[feature.name] = feature
    counts = Counter(name for of_set in wanted.values() for name in of_set)
    return [
        ChosenFeatures(
            SETS[owner],
            tuple(of_set.values()),
            {name: name if counts[name] == 1 else f"{owner}.{name}" for name in of_set},
        )
        for owner, of_set in wanted.items()
    ]


def _parse(name: str, timeframe: str) -> list[tuple[str, Feature]]:
    if name in SETS:
        return [(name, each) for each in SETS[name].features]
    owner, _, short = name.rpartition(".")
    owners = [owner] if owner else [each for each, known in SETS.items() if known.timeframe == timeframe]
    found = [(each, f) for each in owners if each in SETS for f in SETS[each].features if f.name == short]
    if len(found) == 1:
        return found
    if found:
        ways = ", ".join(f"{each}.{short}" for each, _ in found)
        raise ConfigError(f"several sets have the feature {name!r}; use one of {ways}")
    known = [*SETS, *(f.name for s in SETS.values() for f in s.features)]
    known += [f"{s.name}.{f.name}" for s in SETS.values() for f in s.features] if owner else []
    raise ConfigError(
        f"unknown feature {name!r}{did_you_mean(name, known)}; use a set ({', '.join(SETS)}) or a feature, as in"
        f" {_example()}; `quantx features list` shows all"
    )


def _example() -> str:
    first = next(iter(SETS.values()))
    return f"{first.name}.{first.names[0]}"
