"""The declared ESG metrics."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import resources

from quantx.core.esg import EsgMetric, read_metrics


@lru_cache(maxsize=1)
def shipped_metrics() -> Mapping[str, EsgMetric]:
    """Return the metrics that this version ships, by id."""
    return read_metrics(resources.files("quantx.settings").joinpath("esg.yaml").read_text("utf-8"))
