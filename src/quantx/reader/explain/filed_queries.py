"""The query that explains a fact or a concept: its filings, operands, replies, versions and revisions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from quantx.core.fact_tables import FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.fundamentals.newest import last_versions
from quantx.core.sought_facts import SoughtFact
from quantx.core.symbols import US
from quantx.core.table import Table
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, to_date, to_vendor
from quantx.reader.concept_panels import ConceptPanels
from quantx.reader.explain.dataset_queries import DatasetExplanations, dataset_of_field
from quantx.reader.explain.filed_value import FactOperand, FiledValue
from quantx.reader.explain.findings import findings_about
from quantx.reader.explain.rate_queries import RateExplanations
from quantx.reader.explain.rate_value import RateValue
from quantx.reader.explain.reply import find_reply
from quantx.reader.filers import FilerRequest
from quantx.reader.point_in_time import NOW, PointInTime
from quantx.reader.restatements import RestatementQueries
from quantx.reader.selection import Selection
from quantx.settings.concepts import shipped_concepts

_DATASETS = ("fundamentals",)  # of the raw objects with replies about filers
_NEAR = 3  # ends of other periods in a message
_VERSION = ("value", "form", "accession", "filed", "public_at", "revision", "tag", "reason", "source", "known_from")


class FiledExplanations(RateExplanations, DatasetExplanations, RestatementQueries, ConceptPanels):
    """Explanations of facts and concepts."""

    def _explain_filed(
        self, symbol: str, day: Day, field: str, source: str | None, as_of: Day | None, public_by: Day | None
    ) -> FiledValue | RateValue:
        """Explain a concept's value of the period that ends on a day, or a fact's: a field as in us-gaap:Assets."""
        if (dataset := dataset_of_field(field)) is not None:
            explain = self._explain_row if dataset.of_companies else self._explain_rate
            return explain(dataset, symbol, day, field, source, as_of, public_by)
        end = to_date(day)
        if end is None:
            raise ConfigError("an explanation needs a day, the last one of a period, as in 2024-09-28")
        moment = PointInTime.of_filings(as_of, public_by, self._sessions)
        (request,), vendor = self._filer_requests(symbol, end), to_vendor(source)
        table = FUNDAMENTALS_FACTS if ":" in field else FUNDAMENTALS
        item = self._item(table, field)
        every = self._filed_rows(table, [request], Selection().filtered(item & (pl.col("end") == end)), moment)
        rows = _of_one_period(every if vendor is None else every.filter(pl.col("source") == vendor))
        if rows.is_empty():
            self._check_source(table, vendor)
            why = self._why_no_value(table, request, item, end, moment)
            return _absent(table, request, end, field, why)
        last = last_versions(rows, ("symbol",)).row(0, named=True)
        of_source = rows.filter(pl.col("source") == last["source"], pl.col("filer") == last["filer"])
        return FiledValue(
            subject=f"{request.symbol} {end}",
            table=table.name,
            symbol=request.symbol,
            filer=last["filer"],
            day=end,
            field=field,
            value=last["value"],
            unit=last["unit"],
            source=last["source"],
            public_at=last["public_at"],
            known_from=last["known_from"],
            row={c: last[c] for c in table.schema} | {"symbol": last["filer"]},
            operands=self._operands(table, last, PointInTime(as_of=moment.as_of)),
            declaration=_declaration(last.get("concept")),
            versions=self._versions(table, of_source),
            revisions=self._replaced(table, last),
            others=_others(every, last),
            findings=findings_about(self._stored, [request.symbol, last["filer"]], US.calendar, end),
        )

    def _item(self, table: Table, field: str) -> pl.Expr:
        """Return the condition of the rows of a field; ConfigError for an unknown concept."""
        if table is FUNDAMENTALS_FACTS:
            taxonomy, _, tag = field.partition(":")
            return (pl.col("taxonomy") == taxonomy) & (pl.col("tag") == tag)
        concept = self._concept_fields([field])[field]
        return (pl.col("concept") == concept.concept) & (pl.col("period") == concept.period)

    def _operands(self, table: Table, row: Mapping[str, Any], moment: PointInTime) -> list[FactOperand]:
        """Return the facts that a row is made of, each with its reply; a fact is made of itself."""
        if table is FUNDAMENTALS_FACTS:
            return [self._operand({"sign": 1} | dict(row), row)]
        given = row["operands"]
        if given is None and row["value"] is None:
            return []
        parts = json.loads(given) if given else [{"sign": 1} | dict(row)]
        of_filer = Selection.of([row["filer"]], row["source"])
        accessions = pl.col("accession").is_in(list({each["accession"] for each in parts if each["accession"]}))
        facts = self._known(FUNDAMENTALS_FACTS, of_filer.filtered(accessions), moment).to_dicts()
        return [self._operand(each, _fact_of(each, facts, row["unit"])) for each in parts]

    def _operand(self, part: Mapping[str, Any], fact: Mapping[str, Any] | None) -> FactOperand:
        """Return a part of a value with the stored fact, which another source may lack."""
        known: Mapping[str, Any] = fact or {}
        reply = None
        if fact is not None:
            sought = SoughtFact.of_row(fact.get("filer") or fact["symbol"], fact)
            reply = find_reply(self._location, fact["source"], fact["raw"], sought, _DATASETS)
        return FactOperand(
            sign=part["sign"],
            taxonomy=known.get("taxonomy"),
            tag=part["tag"],
            unit=known.get("unit"),
            start=to_date(part["start"]),
            end=to_date(part["end"]) or date.min,
            value=part["value"],
            form=known.get("form"),
            accession=part["accession"],
            public_at=known.get("public_at"),
            public_how=known.get("public_how"),
            revision=known.get("revision"),
            reply=reply,
        )

    def _versions(self, table: Table, rows: pl.DataFrame) -> list[dict[str, Any]]:
        """Return all values of a period from one source, in the order in which they became public."""
        ordered = rows.sort("public_at", "accession", nulls_last=False)
        known = ordered if table is FUNDAMENTALS_FACTS else self._with_filings(ordered)
        return known.select([c for c in _VERSION if c in known.columns]).to_dicts()

    def _replaced(self, table: Table, row: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the earlier values of a row's key in our own clock, the oldest first."""
        where = Selection.of([row["filer"]], row["source"])
        for column in table.key:
            if column not in ("source", "symbol"):
                where = where.filtered(pl.col(column).eq_missing(pl.lit(row[column], table.schema[column])))
        return self._stored.rows(table.revisions, where).sort("known_from").to_dicts()

    def _why_no_value(
        self, table: Table, request: FilerRequest, item: pl.Expr, end: date, moment: PointInTime
    ) -> list[str]:
        """Return why there is no row of a period; raise NotInLake for a symbol that the lake does not know."""
        rows = self._filed_rows(table, [request], Selection().filtered(item), NOW)
        if rows.is_empty():
            self._check_filers([request])
            return [f"{request.symbol} has never reported it, or its filings were never fetched"]
        ends = rows["end"].unique().sort()
        of_day = rows.filter(pl.col("end") == end)
        if of_day.is_empty():
            near = sorted(sorted(ends, key=lambda day: abs((day - end).days))[:_NEAR])
            return [f"no period ends on {end}; the nearest ones end on {', '.join(map(str, near))}"]
        reasons = []
        for clock, column in ((moment.public_by, "public_at"), (moment.as_of, "known_from")):
            first = of_day[column].min()
            if clock is not None and isinstance(first, datetime) and first > clock:
                what = "public" if column == "public_at" else "known"
                reasons.append(f"it is {what} since {first:%Y-%m-%d %H:%M:%S} UTC")
        return reasons or ["another source has it"]


def _of_one_period(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the shortest period of those that end on one day."""
    if "concept" in rows.columns or rows["start"].null_count() == rows.height:
        return rows
    return rows.filter(pl.col("start") == pl.col("start").max())


def _fact_of(part: Mapping[str, Any], facts: Sequence[Mapping[str, Any]], unit: str | None) -> Mapping[str, Any] | None:
    """Return the stored fact of a part of a value; of facts in several units the one in the value's unit."""
    days = (to_date(part["start"]), to_date(part["end"]))
    found = [
        fact
        for fact in facts
        if fact["tag"] == part["tag"]
        and fact["accession"] == part["accession"]
        and (fact["start"], fact["end"]) == days
        and fact["value"] == part["value"]
    ]
    return next((fact for fact in found if fact["unit"] == unit), found[0] if found else None)


def _others(rows: pl.DataFrame, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    others = rows.filter(pl.col("source") != row["source"])
    last = others.sort("source", "public_at").unique("source", keep="last", maintain_order=True)
    return last.select("source", "value", "unit", "public_at", "accession", "known_from").to_dicts()


def _declaration(concept: str | None) -> dict[str, Any] | None:
    declared = None if concept is None else shipped_concepts().concepts.get(concept)
    return None if declared is None else {"name": concept, **declared.model_dump()}


def _absent(table: Table, request: FilerRequest, end: date, field: str, why: Sequence[str]) -> FiledValue:
    return FiledValue(
        subject=f"{request.symbol} {end}",
        table=table.name,
        symbol=request.symbol,
        filer=None,
        day=end,
        field=field,
        value=None,
        unit=None,
        source=None,
        public_at=None,
        known_from=None,
        row=None,
        absence=why,
    )
