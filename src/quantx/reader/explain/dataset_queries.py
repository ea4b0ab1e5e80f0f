"""The query that explains a row of a dataset of facts: its reply, versions and revisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import polars as pl

from quantx.core.fundamentals.newest import RANK
from quantx.core.symbols import US
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, to_date, to_vendor
from quantx.reader.explain.filed_value import FactOperand, FiledValue
from quantx.reader.explain.findings import findings_about
from quantx.reader.explain.reply import find_reply
from quantx.reader.fact_rows import FactRowQueries
from quantx.reader.filers import FILER
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection

if TYPE_CHECKING:
    from quantx.core.fact_datasets import FactDataset


class DatasetExplanations(FactRowQueries):
    """Explanations of rows of datasets of facts."""

    def _explain_row(
        self,
        dataset: FactDataset,
        symbol: str,
        day: Day,
        field: str,
        source: str | None,
        as_of: Day | None,
        public_by: Day | None,
    ) -> FiledValue:
        """Explain the value of an item, named as in `esg:ceo_pay_total`, of the period that ends on a day."""
        end = to_date(day)
        if end is None:
            raise ConfigError("an explanation needs a day, the last one of a period, as in 2024-09-28")
        moment, vendor = PointInTime.of_filings(as_of, public_by, self._sessions), to_vendor(source)
        (request,), table, item = self._filer_requests(symbol, end), dataset.table, field.partition(":")[2]
        wanted = Selection(source=vendor).filtered(pl.col(dataset.item_column) == item)
        every = self._filed_rows(table, [request], wanted, moment)
        of_day = every.filter(pl.col("end") == end).sort(RANK, "public_at", "filed", descending=[True, False, False])
        common: dict[str, Any] = {
            "subject": f"{request.symbol} {end}",
            "table": table.name,
            "symbol": request.symbol,
            "day": end,
            "field": field,
        }
        if of_day.is_empty():
            self._check_filed(table, [request], every, wanted, moment)
            ends = ", ".join(map(str, every["end"].unique().sort().tail(3)))
            why = f"the periods of {item} that are known end on {ends}" if ends else f"it has no {item}"
            absent: dict[str, Any] = dict.fromkeys(
                ("filer", "value", "unit", "source", "public_at", "known_from", "row")
            )
            return FiledValue(**common, **absent, absence=[why])
        last = of_day.row(-1, named=True)
        own = of_day.filter(pl.col("source") == last["source"], pl.col(FILER) == last[FILER])
        same = Selection.of([last[FILER]], last["source"])
        for name in dataset.identity:
            same = same.filtered(pl.col(name).eq_missing(pl.lit(last[name], table.schema[name])))
        others = of_day.filter(pl.col("source") != last["source"])
        return FiledValue(
            **common,
            filer=last[FILER],
            **{name: last[name] for name in ("value", "unit", "source", "public_at", "known_from")},
            row={name: last[name] for name in table.schema} | {"symbol": last[FILER]},
            operands=[self._sent(dataset, item, last)],
            versions=own.drop(RANK).to_dicts(),
            revisions=self._stored.rows(table.revisions, same).sort("known_from").to_dicts(),
            others=others.drop(RANK).to_dicts(),
            findings=findings_about(self._stored, [request.symbol, last[FILER]], US.calendar, end),
        )

    def _sent(self, dataset: FactDataset, item: str, row: Mapping[str, Any]) -> FactOperand:
        """Return the row with its place in the vendor's reply; rows of `esg` may come with fundamentals."""
        reply = find_reply(
            self._location,
            row["source"],
            row["raw"],
            dataset.sought(row[FILER], row),
            (dataset.name, "fundamentals"),
        )
        return FactOperand(
            sign=1,
            taxonomy=None,
            tag=item,
            unit=row["unit"],
            start=row["start"],
            end=row["end"],
            value=row["value"],
            form=row.get("form"),
            accession=row.get("accession"),
            public_at=row["public_at"],
            public_how=row["public_how"],
            revision=None,
            reply=reply,
        )


def dataset_of_field(field: str) -> FactDataset | None:
    """Return the dataset of a field such as `esg:ceo_pay_total`; None for concepts and tags."""
    from quantx.core.fact_datasets import DATASETS, FUNDAMENTALS_DATASET  # imported late: it loads all rules

    dataset = DATASETS.get(field.partition(":")[0]) if ":" in field else None
    return None if dataset is FUNDAMENTALS_DATASET else dataset
