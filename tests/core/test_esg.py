"""ESG facts are the reported values of declared tags; the declaration is checked."""

from __future__ import annotations

from datetime import date

import polars as pl
import pytest

from quantx.core.esg import esg_values, read_metrics
from quantx.core.fact_tables import FUNDAMENTALS_FACTS
from quantx.errors import ConfigError
from quantx.settings.esg import shipped_metrics

from .fundamentals.recorded import RECORDED, recorded_facts

METRIC = """
metrics:
  pay:
    title: Pay
    group: governance
    unit: currency
    meaning: Pay of the year.
    tags: {ecd: [Second, First]}
    method: reported
    licence: public
"""


def facts(*tags: str) -> pl.DataFrame:
    rows = [
        {
            "source": "sec",
            "symbol": "A",
            "taxonomy": "ecd",
            "tag": tag,
            "unit": "USD",
            "end": date(2024, 12, 31),
            "value": n,
        }
        for n, tag in enumerate(tags, start=1)
    ]
    return pl.DataFrame(rows, schema=dict(FUNDAMENTALS_FACTS.schema))


def test_the_preferred_tag_of_a_filing_makes_the_metric() -> None:
    made = esg_values(facts("First", "Second", "Third"), read_metrics(METRIC))
    assert made.select("metric", "value", "method", "licence").rows() == [("pay", 2.0, "reported", "public")]


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("    unit: currency\n", "", "the metric pay of esg.yaml has no unit"),
        ("method: reported", "method: guessed", "must be one of reported, estimated, target"),
        ("group: governance", "group: money", "must be one of environment, social, governance"),
    ],
)
def test_an_entry_that_lacks_something_is_named(before: str, after: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        read_metrics(METRIC.replace(before, after))


@pytest.mark.skipif(not RECORDED["NVDA"].is_file(), reason="the recordings of the SEC are not in this folder")
def test_pay_versus_performance_of_a_recorded_proxy_statement() -> None:
    made = esg_values(recorded_facts("NVDA"), shipped_metrics())
    assert made["metric"].n_unique() == len(shipped_metrics())
    paid = made.filter(metric="ceo_pay_actually_paid").sort("end")
    assert paid["value"].to_list() == [105543768, -4118947, 234132305, 344188027, 162180936]
    assert set(paid["form"]) == {"DEF 14A"}
