"""Facts in vendors' replies."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from quantx.core.sought_facts import SoughtFact

COMPANYFACTS = b"""{"cik":1001,"entityName":"ACME","facts":{"dei":{},"us-gaap":{
 "Assets":{"label":"Total {of} [all]","units":{"EUR":[{"end":"2024-03-31","val":9,"accn":"b"}],
  "USD":[{"end":"2024-03-31","val":9,"accn":"a"},{"end":"2024-03-31","val":9,"accn":"b"}]}},
 "AssetsNet":{"units":{"USD/shares":[{"start":"2024-01-01","end":"2024-03-31","val":9.5,"accn":"b"}]}}}}}"""
STATEMENTS = b"""[{"date":"2024-06-30","symbol":"ACME","totalAssets":9,"totalDebt":9},
 {"date":"2024-03-31","symbol":"ACME","totalAssets":9,"totalDebt":null}]"""

ASSETS = SoughtFact(
    symbol="CIK0000001001",
    taxonomy="us-gaap",
    tag="Assets",
    unit="USD",
    start=None,
    end=date(2024, 3, 31),
    value=9.0,
    accession="b",
)


def place(fact: SoughtFact, body: bytes) -> tuple[str, str] | None:
    found = fact.place_in(body)[0]
    return None if found is None else (found.where, found.text)


def test_a_fact_has_its_tag_unit_period_and_filing() -> None:
    assert place(ASSETS, COMPANYFACTS) == (
        "/facts/us-gaap/Assets/units/USD/1",
        '{"end":"2024-03-31","val":9,"accn":"b"}',
    )
    per_share = replace(ASSETS, tag="AssetsNet", unit="USD/shares", start=date(2024, 1, 1), value=9.5)
    assert place(per_share, COMPANYFACTS) == (
        "/facts/us-gaap/AssetsNet/units/USD~1shares/0",
        '{"start":"2024-01-01","end":"2024-03-31","val":9.5,"accn":"b"}',
    )


def test_what_a_reply_does_not_have_has_no_place() -> None:
    for other in (
        replace(ASSETS, accession="c"),
        replace(ASSETS, value=10.0),
        replace(ASSETS, start=date(2024, 1, 1)),
        replace(ASSETS, taxonomy="ifrs-full"),
    ):
        assert place(other, COMPANYFACTS) is None
    assert place(ASSETS, b"<html>") is None


def test_an_item_of_a_statement_has_the_statement_of_its_day() -> None:
    item = replace(ASSETS, taxonomy="balance", tag="totalAssets", accession=None)
    assert place(item, STATEMENTS) == (
        "/1/totalAssets",
        '{"date":"2024-03-31","symbol":"ACME","totalAssets":9,"totalDebt":null}',
    )
