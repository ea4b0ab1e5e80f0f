"""The history of restatements: every version of a concept's value, with the filing that brought it."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from quantx.core.fact_tables import FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.reader.arguments import Day, On, to_texts, to_vendor
from quantx.reader.filers import Filers
from quantx.reader.fundamentals import FundamentalQueries, Period, of_periods
from quantx.reader.point_in_time import NOW, PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state

VERSION_COLUMNS = (
    *("symbol", "concept", "period", "start", "end", "value", "before", "unit", "form", "filed", "public_at"),
    *("accession", "revision", "tag", "origin", "reason", "source", "filer", "known_from"),
)
_FACT = ["filer", "tag", "unit", "start", "end", "accession"]


class RestatementQueries(FundamentalQueries):
    """Versions of concepts."""

    @one_state
    def restatements(
        self,
        symbols: Filers,
        concepts: str | Sequence[str] | None = None,
        *,
        period: Period = "quarter",
        public_by: Day | None = None,
        as_of: Day | None = None,
        on: On | None = None,
        start: Day | None = None,
        end: Day | None = None,
        source: str | None = None,
    ) -> pl.DataFrame:
        """Return all versions of concepts by period, sorted by symbol, concept, end and public_at.

        The first version of a period is its first report; each later one has another value. Columns: those of
        `fundamentals`, before (the value of the version before; null: the first), form (of the filing that brought the
        version), revision (the class of the fact's change: rounding, split, scale, sign, genuine; null: the first
        report, or a derived value). The arguments are those of `fundamentals`.
        """
        moment = PointInTime.of_filings(as_of, public_by, self._sessions)
        requests = self._filer_requests(symbols, on)
        names = None if concepts is None else to_texts(concepts, "concepts")
        wanted = of_periods(Selection(source=to_vendor(source)), start, end)
        rows = self._concept_versions(requests, names, period, wanted, moment)
        self._check_filed(FUNDAMENTALS, requests, rows, wanted, moment)
        ordered = rows.sort("symbol", "concept", "end", "source", "public_at", "accession", nulls_last=False)
        before = pl.col("value").shift().over("symbol", "concept", "end", "source").alias("before")
        return self._with_filings(ordered.with_columns(before)).select(VERSION_COLUMNS)

    def _with_filings(self, versions: pl.DataFrame) -> pl.DataFrame:
        """Add the form of each version's filing, and the class of the change of its fact."""
        of_filers = Selection.of(versions["filer"].unique().to_list())
        accessions = pl.col("accession").is_in(versions["accession"].drop_nulls().unique().to_list())
        columns = ["symbol", "tag", "unit", "start", "end", "accession", "revision", "form"]
        facts = self._known(FUNDAMENTALS_FACTS, of_filers.filtered(accessions), NOW, columns)
        facts = facts.rename({"symbol": "filer"})
        forms = facts.select("filer", "accession", "form").unique(["filer", "accession"])
        classes = facts.drop("form").unique(_FACT)
        tag = pl.when(pl.col("origin") == "reported").then(pl.col("tag")).alias("__tag")
        joined = versions.with_columns(tag).join(forms, on=["filer", "accession"], how="left", maintain_order="left")
        key = ["filer", "__tag", "unit", "start", "end", "accession"]
        return joined.join(classes, left_on=key, right_on=_FACT, how="left", nulls_equal=True, maintain_order="left")
