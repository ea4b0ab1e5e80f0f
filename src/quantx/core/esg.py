"""ESG metrics: their declarations, and the rows of `esg_facts` that facts of filers make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl
import yaml

from quantx.core.fact_tables import ESG_FACTS
from quantx.errors import ConfigError

METHODS = ("reported", "estimated", "target")
GROUPS = ("environment", "social", "governance")


@dataclass(frozen=True, kw_only=True)
class EsgMetric:
    """One metric, and the tags of the facts that it is made of."""

    id: str
    title: str
    group: str
    unit: str
    meaning: str
    tags: Mapping[str, tuple[str, ...]]  # by taxonomy, the preferred tag first
    method: str
    licence: str


def read_metrics(text: str) -> dict[str, EsgMetric]:
    """Return the metrics of a declaration (YAML); ConfigError with the entry that can't be read."""
    document = yaml.safe_load(text)
    return {name: _metric(name, entry) for name, entry in document["metrics"].items()}


def _metric(name: str, entry: Mapping[str, Any]) -> EsgMetric:
    missing = [field for field in EsgMetric.__dataclass_fields__ if field != "id" and field not in entry]
    if missing:
        raise ConfigError(f"the metric {name} of esg.yaml has no {', '.join(missing)}")
    for field, words in (("method", METHODS), ("group", GROUPS)):
        if entry[field] not in words:
            raise ConfigError(f"the {field} of the metric {name} of esg.yaml must be one of {', '.join(words)}")
    tags = {taxonomy: tuple(tags) for taxonomy, tags in entry["tags"].items()}
    return EsgMetric(id=name, **{**entry, "tags": tags})


def esg_values(facts: pl.DataFrame, metrics: Mapping[str, EsgMetric]) -> pl.DataFrame:
    """Return the rows of ESG_FACTS that facts (columns of FUNDAMENTALS_FACTS) make.

    Where a filing has several tags of a metric for one period, the preferred one is taken.
    """
    rows = [
        (taxonomy, tag, metric.id, metric.method, metric.licence, place)
        for metric in metrics.values()
        for taxonomy, tags in metric.tags.items()
        for place, tag in enumerate(tags)
    ]
    columns = ("taxonomy", "tag", "metric", "method", "licence")
    schema = dict.fromkeys(columns, pl.String) | {"place": pl.Int64}
    declared = pl.DataFrame(rows, schema=schema, orient="row")
    wanted = facts.filter(pl.col("taxonomy").is_in(declared["taxonomy"].unique().implode()))
    made = wanted.join(declared, on=["taxonomy", "tag"], how="inner", maintain_order="left").sort(
        "place", maintain_order=True
    )
    return made.unique(list(ESG_FACTS.key), keep="first", maintain_order=True).select(list(ESG_FACTS.schema))
