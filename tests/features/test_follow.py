"""Features that follow the data by themselves, and explanations of their values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from quantx.core.tables import ACTIONS, BARS_1D
from quantx.features.follow import follow

from .site import DAYS, FeatureSite, action, bars_of


@pytest.fixture
def site(tmp_path: Path) -> FeatureSite:
    site = FeatureSite(tmp_path / "lake")
    site.commit(BARS_1D, bars_of("AAA", 1, DAYS[:300]))
    return site


def followed(site: FeatureSite, *names: str) -> list[str]:
    return follow(replace(site.platform, settings=site.settings.model_copy(update={"features": names})))


def test_enabled_sets_are_built_after_a_run(site: FeatureSite) -> None:
    assert followed(site, "labels", "technical") == []
    assert site.lake().feature_sets().filter(pl.col("state") == "stored")["set"].to_list() == ["technical", "labels"]
    version = site.platform.tables["technical_1d"].version()
    assert followed(site, "technical") == []
    assert site.platform.tables["technical_1d"].version() == version
    assert followed(site) == []


def test_a_failure_is_a_finding_until_it_succeeds(site: FeatureSite) -> None:
    assert followed(site, "technicals", "technical") == ["technicals"]
    findings = site.platform.state.findings
    [finding] = findings.open("features_failed")
    assert finding.subject == "technicals"
    assert "there is no feature set technicals; the sets are technical" in finding.message
    site.build()
    [entry] = (site.folder / "features/technical_1d/_delta_log").glob("*1.json")
    entry.write_text("no log")
    assert followed(site, "technical") == ["technical"]
    assert [each.subject for each in findings.open("features_failed")] == ["technical", "technicals"]


def test_a_value_is_explained_by_its_inputs_and_rows(site: FeatureSite) -> None:
    site.commit(ACTIONS, action("AAA", DAYS[250], "split", 2.0))
    site.build()
    found = site.lake().explain_feature("AAA", DAYS[280], "technical.sma_20")
    assert found.stored
    assert found.value == pytest.approx(
        site.lake().features("sma_20", "AAA", start=DAYS[280], end=DAYS[280])["sma_20"][0]
    )
    assert found.inputs["total_factor"] == 2.0
    assert (found.window["first row"], found.window["rows"]) == (DAYS[261], 20)
    assert found.versions["bars_1d"] == 1
    text = repr(found)
    assert "mean of 20 closes" in text
    assert "polars-talib" in text
    changed = site.bars("AAA")[270:271].with_columns(pl.col("close") * 2)
    site.commit(BARS_1D, BARS_1D.empty(), changed)
    assert not site.lake().explain_feature("AAA", DAYS[280], "technical.sma_20").stored
    site.build()
    [earlier] = site.lake().explain_feature("AAA", DAYS[280], "technical.sma_20").revisions
    assert earlier["value"] == pytest.approx(found.value)
    assert site.lake().explain_feature("AAA", "2019-01-05", "technical.sma_20").row is None  # a Saturday
