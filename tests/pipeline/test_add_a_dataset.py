"""docs/how-to/add-a-dataset.md, followed for the emissions of companies: nothing else is needed in the program."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
import pytest

from quantx.core.fact_datasets import FactDataset, declared, fact_table
from quantx.core.model import Payload
from quantx.core.quality.fact_rules import FACT_ROW_RULES
from quantx.core.quality.rule import Rule
from quantx.errors import ConfigError, MalformedPayload
from quantx.pipeline.planning.facts import plan_facts
from quantx.pipeline.planning.scope import Scope
from quantx.pipeline.reporting.coverage_items import item_coverage
from quantx.pipeline.reprocessing.quarantine import accept, rejected_rows, show
from quantx.pipeline.runtime.platform import Platform
from quantx.pipeline.wiring import reprocessor_of
from quantx.providers.drift import FieldChange, Shape
from quantx.providers.protocol import Capabilities, FactFrames, Page, Request, VendorFrames
from quantx.providers.reply_values import FORM_ERRORS, form_problem, parsed_json
from quantx.reader.lake import Lake, lake_of
from quantx.state.database import Database

# 1. The declaration.
CARBON = FactDataset(
    name="carbon",
    table=fact_table("carbon_facts", {"scope": pl.String, "verified": pl.Boolean}, key=["scope"], values=["verified"]),
    item="scope",
    rules=(
        *FACT_ROW_RULES,
        Rule(
            "emission_not_negative",
            "reject",
            "carbon_facts",
            meaning="the emission is negative",
            why="removals are reported apart; a negative emission hides what was emitted",
            reference="GHG Protocol, corporate standard, chapter 9",
            broken=pl.col("value") < 0,
        ),
    ),
)


# 2. The provider: a reply is a list of emissions.
@dataclass
class EmissionRegistry:
    """A vendor in memory: `shows` are its rows by symbol."""

    now: Callable[[], datetime]
    shows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    capabilities: ClassVar = Capabilities(
        source="registry",
        timeframes=("1d",),
        markets=("us",),
        symbols_per_request=1,
        price_basis="as_traded",
        needs_key=False,
        quota="10/s",
        datasets=("carbon",),
    )
    shape: ClassVar = Shape("carbon", [{"scope": "text", "year": "whole", "tonnes": "number", "published": "text"}])

    def prepare(self) -> None:
        """Nothing has to be loaded."""

    def fetch(self, request: Request) -> Iterator[Page]:
        (symbol,) = request.symbols
        body = json.dumps(self.shows.get(symbol, [])).encode()
        yield Page.whole(
            Payload(symbol, f"registry:{symbol}", 200, self.now(), content_type="application/json", body=body), [symbol]
        )

    def normalize(self, payload: Payload) -> VendorFrames:
        raise MalformedPayload("the registry has no bars", payload)

    def normalize_facts(self, payload: Payload) -> FactFrames:
        try:
            rows = [
                {
                    "scope": row["scope"],
                    "verified": False,
                    "unit": "tCO2e",
                    "start": date(row["year"], 1, 1),
                    "end": date(row["year"], 12, 31),
                    "value": float(row["tonnes"]),
                    "filed": date.fromisoformat(row["published"]),
                }
                for row in json.loads(payload.body)
            ]
        except FORM_ERRORS as error:
            raise MalformedPayload(f"the registry's reply can't be read: {form_problem(error)}", payload) from error
        return FactFrames(rows=pl.DataFrame(rows), drift=self.drift(payload))

    def drift(self, payload: Payload) -> tuple[FieldChange, ...]:
        return self.shape.changes(parsed_json(payload), every_value=True)


@pytest.fixture
def desk(open_desk: Callable[[Database, Path], Any], database: Database, tmp_path: Path) -> Iterator[Any]:
    with declared(CARBON):
        yield open_desk(database, tmp_path / "lake")


@pytest.fixture
def registry(desk: Any) -> EmissionRegistry:
    return EmissionRegistry(desk.clock.now)


def emission(
    tonnes: float, *, year: int = 2022, scope: str = "scope_1", published: str = "2023-06-01"
) -> dict[str, Any]:
    return {"scope": scope, "year": year, "tonnes": tonnes, "published": published}


def update(desk: Any, registry: EmissionRegistry, *symbols: str) -> Platform:
    platform: Platform = desk.with_(providers={"registry": registry})
    desk.work(plan_facts(platform, Scope(symbols), "carbon", "registry"), platform)
    return platform


def lake(platform: Platform) -> Lake:
    return lake_of(platform.settings)


def values(rows: pl.DataFrame) -> list[tuple[str, date, float]]:
    return list(rows.select("symbol", "end", "value").iter_rows())


def test_a_dataset_goes_from_the_wire_to_the_reader(desk: Any, registry: EmissionRegistry) -> None:
    registry.shows["AAA"] = [emission(100), emission(40, scope="scope_2")]
    platform = update(desk, registry, "AAA", "BBB")
    assert [path.split("/")[1:3] for path in platform.location.paths("raw/source=registry")] == [
        ["source=registry", "dataset=carbon"]
    ]
    assert {row["error_class"] for row in desk.sql("select error_class from tasks")} == {None}
    found = lake(platform).dataset_rows("carbon", "AAA", "scope_1")
    assert values(found) == [("AAA", date(2022, 12, 31), 100.0)]
    assert found["public_at"].to_list() == [datetime(2023, 6, 2, 4, tzinfo=UTC)]  # the end of the day in New York
    counted = lake(platform).sql("select scope, sum(value) as tonnes from carbon_facts group by scope order by scope")
    assert counted.rows() == [("scope_1", 100.0), ("scope_2", 40.0)]
    assert item_coverage(platform.tables).rows() == [
        ("carbon", "registry", "scope_1", 2022, 1, 1),
        ("carbon", "registry", "scope_2", 2022, 1, 1),
    ]


def test_a_correction_is_a_revision_and_a_later_publication_a_version(desk: Any, registry: EmissionRegistry) -> None:
    registry.shows["AAA"] = [emission(100)]
    update(desk, registry, "AAA")
    before = desk.clock.at
    desk.clock.goes_to(date(2024, 1, 16))
    registry.shows["AAA"] = [emission(110), emission(120, published="2024-01-10")]
    platform = update(desk, registry, "AAA")
    read = lake(platform)
    day = date(2022, 12, 31)
    assert values(read.dataset_rows("carbon", "AAA")) == [("AAA", day, 120.0)]
    assert values(read.dataset_rows("carbon", "AAA", public_by="2023-12-31")) == [("AAA", day, 110.0)]
    assert values(read.dataset_rows("carbon", "AAA", as_of=before)) == [("AAA", day, 100.0)]
    assert read.dataset_rows("carbon", "AAA", history=True)["value"].to_list() == [110.0, 120.0]
    assert desk.rows("carbon_facts_revisions")["value"].to_list() == [100.0]
    why = read.explain("AAA", "2022-12-31", field="carbon:scope_1")
    assert (why.value, why.unit, why.source) == (120.0, "tCO2e", "registry")
    assert why.reply is not None
    assert json.loads(why.reply.text or "") == emission(120, published="2024-01-10")
    assert [row["value"] for row in (*why.versions, *why.revisions)] == [110.0, 120.0, 100.0]
    assert "no carbon:scope_1" in read.explain("AAA", "2021-12-31", field="carbon:scope_1").headline()


def test_a_rejected_fact_waits_in_quarantine_until_a_decision_accepts_it(desk: Any, registry: EmissionRegistry) -> None:
    registry.shows["AAA"] = [emission(100), emission(-5, year=2021)]
    platform = update(desk, registry, "AAA")
    (row,) = rejected_rows(platform.tables).to_dicts()
    assert (row["dataset"], row["rules"], row["date"]) == ("carbon_facts", "emission_not_negative", date(2021, 12, 31))
    assert values(lake(platform).dataset_rows("carbon", "AAA")) == [("AAA", date(2022, 12, 31), 100.0)]
    place = show(platform.tables, platform.location, row["id"])
    assert json.loads(place["payload"]["excerpt"]) == emission(-5, year=2021)
    accept(reprocessor_of(platform), row["id"], "a removal, reported as such", "ada")
    assert lake(platform).dataset_rows("carbon", "AAA")["value"].to_list() == [-5.0, 100.0]
    assert rejected_rows(platform.tables)["state"].to_list() == ["accepted"]


def test_an_incomplete_fact_is_not_acceptable(desk: Any, registry: EmissionRegistry) -> None:
    registry.shows["AAA"] = [emission(float("nan"))]
    platform = update(desk, registry, "AAA")
    (row,) = rejected_rows(platform.tables).to_dicts()
    with pytest.raises(ConfigError, match="has no value: it can't be a fact"):
        accept(reprocessor_of(platform), row["id"], "really", "ada")


def test_the_table_is_derived_again_from_raw_replies(desk: Any, registry: EmissionRegistry) -> None:
    registry.shows["AAA"] = [emission(100), emission(-5, year=2021)]
    platform = update(desk, registry, "AAA")
    before = desk.rows("carbon_facts")
    summary = reprocessor_of(platform).reprocess()
    assert not summary.left
    assert desk.rows("carbon_facts").equals(before)


def test_a_reply_of_another_form_fails_its_task_and_changes_nothing(desk: Any, registry: EmissionRegistry) -> None:
    registry.shows["AAA"] = [{"scope": "scope_1"}]
    platform = update(desk, registry, "AAA")
    task = desk.task("AAA")
    assert (task["state"], task["error_class"]) == ("failed", "MalformedPayload")
    assert "it has no field 'year'" in task["last_error"]
    assert rejected_rows(platform.tables)["rules"].to_list() == ["payload_readable"]


def test_a_vendor_without_the_dataset_is_refused_and_names_are_unique(desk: Any) -> None:
    with pytest.raises(ConfigError, match="tape has no carbon"):
        plan_facts(desk.platform, Scope(("AAA",)), "carbon", "tape")
    with pytest.raises(ValueError, match="exists already"), declared(CARBON):
        pass
