"""The query that explains a published rate: its document, its place there, earlier values and findings."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import polars as pl

from quantx.core.tables import FINDINGS, QUARANTINE
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, to_date, to_vendor
from quantx.reader.explain.rate_value import RateValue
from quantx.reader.explain.reply import find_reply
from quantx.reader.known_names import KnownNames
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection

if TYPE_CHECKING:
    from quantx.core.fact_datasets import FactDataset

_NEAR = 3  # days in a message


class RateExplanations(KnownNames):
    """Explanations of published rates."""

    def _explain_rate(
        self,
        dataset: FactDataset,
        symbol: str,
        day: Day,
        field: str,
        source: str | None,
        as_of: Day | None,
        public_by: Day | None,
    ) -> RateValue:
        """Explain the rate of a tenor or a currency, named as in `rates:10y` or `fx_rates:USD`, on a day."""
        on, table, item = to_date(day), dataset.table, field.partition(":")[2]
        if on is None:
            raise ConfigError("an explanation needs the day of a rate, as in 2024-09-27")
        name, moment = symbol.strip().upper(), PointInTime.parse(as_of, public_by)
        of_item = Selection.of([name], to_vendor(source)).filtered(
            pl.col(dataset.item).str.to_uppercase() == item.upper()
        )
        rows = self._known(table, of_item.between(on, on), moment).sort("source")
        findings = self._stored.rows(FINDINGS).filter(
            pl.col("subject") == name, pl.col("dataset").str.split(",").list.contains(table.name)
        )
        quarantined = self._stored.rows(QUARANTINE, Selection.of([name]).between(on, on))
        common = {
            "subject": f"{name} {on}",
            "table": table.name,
            "symbol": name,
            "day": on,
            "field": field,
            "rejected": quarantined.filter(pl.col("dataset") == table.name).to_dicts(),
            "findings": findings.to_dicts(),
        }
        if rows.is_empty():
            absent = dict.fromkeys(("value", "unit", "source", "public_at", "known_from", "row"))
            absence = [self._why_no_rate(dataset, of_item, moment, on)]
            return RateValue(**common, **absent, absence=absence)  # type: ignore[arg-type]
        row = rows.row(0, named=True)
        same = of_item.between(on, on)
        return RateValue(
            **common,  # type: ignore[arg-type]
            value=row[dataset.value],
            unit=row.get("unit") or f"{row.get('quote')} per {row.get('base')}",
            source=row["source"],
            public_at=row["public_at"],
            known_from=row["known_from"],
            row=row,
            reply=find_reply(self._location, row["source"], row["raw"], dataset.sought(name, row), (dataset.name,)),
            revisions=self._stored.rows(table.revisions, same).sort("known_from").to_dicts(),
        )

    def _why_no_rate(self, dataset: FactDataset, of_item: Selection, moment: PointInTime, on: date) -> str:
        days = self._known(dataset.table, of_item, moment, ["date"])["date"].unique().sort()
        if days.is_empty():
            return f"the lake has no such {dataset.item}; `quantx rates update` fetches rates"
        near = sorted(days, key=lambda day: abs(day - on))[:_NEAR]
        return f"its rates of {days.len():,} days are known, the nearest ones {', '.join(map(str, sorted(near)))}"
