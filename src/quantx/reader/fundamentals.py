"""Queries of facts as filed, and of the standard concepts made of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Literal

import polars as pl

from quantx.core.fact_tables import FUNDAMENTALS, FUNDAMENTALS_FACTS
from quantx.core.fundamentals.newest import last_versions
from quantx.core.fundamentals.share_basis import SHARE_BASES, ShareBasis, restated_by_splits
from quantx.core.symbols import is_filer
from quantx.errors import ConfigError
from quantx.lake.table_version import TableVersion
from quantx.reader.arguments import Day, On, did_you_mean, to_date, to_texts, to_vendor
from quantx.reader.filers import FilerQueries, FilerRequest, Filers
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state
from quantx.settings.concepts import shipped_concepts

Period = Literal["quarter", "annual", "ttm"]
PERIODS = ("quarter", "annual", "ttm")
_VERSION = ("symbol", "concept", "end")  # what a reader gets one row of, of one kind of period
FACT_COLUMNS = (
    *("symbol", "cik", "instrument", "taxonomy", "tag", "unit", "start", "end", "value", "form", "accession", "fy"),
    *("fp", "filed", "public_at", "public_how", "revision", "source", "filer", "known_from"),
)
CONCEPT_COLUMNS = (
    *("symbol", "concept", "period", "start", "end", "value", "unit", "tag", "origin", "reason", "filed", "public_at"),
    *("accession", "source", "filer", "known_from"),
)


class FundamentalQueries(FilerQueries):
    """Facts of filers."""

    @one_state
    def facts(
        self,
        symbols: Filers,
        tags: str | Sequence[str] | None = None,
        *,
        taxonomy: str | None = None,
        start: Day | None = None,
        end: Day | None = None,
        forms: str | Sequence[str] | None = None,
        public_by: Day | None = None,
        as_of: Day | None = None,
        on: On | None = None,
        source: str | None = None,
    ) -> pl.DataFrame:
        """Return facts as they were filed: a row per fact and filing, sorted by symbol, tag, end, start and public_at.

        Columns: symbol (as requested), cik, instrument, taxonomy, tag, unit, start (null: a balance), end, value, form,
        accession, fy and fp (of the filing, not of the period), filed, public_at (UTC), public_how, revision (the class
        of the change against the filing before), source, filer (the series in the lake), known_from (UTC).

        `tags` as in "Assets" or "us-gaap:Assets"; `start` and `end` limit the last day of the period. The other
        arguments are those of `fundamentals`.
        """
        moment = PointInTime.of_filings(as_of, public_by, self._sessions)
        requests = self._filer_requests(symbols, on)
        wanted = of_periods(Selection(source=to_vendor(source)), start, end)
        if tags is not None:
            wanted = wanted.filtered(_of_tags(to_texts(tags, "tags")))
        if taxonomy is not None:
            wanted = wanted.filtered(pl.col("taxonomy") == str(taxonomy))
        if forms is not None:
            wanted = wanted.filtered(pl.col("form").is_in(to_texts(forms, "forms")))
        rows = self._filed_rows(FUNDAMENTALS_FACTS, requests, wanted, moment)
        self._check_filed(FUNDAMENTALS_FACTS, requests, rows, wanted, moment)
        named = rows.join(self._instruments_of(requests), on="symbol", how="left", maintain_order="left")
        order = ("symbol", "taxonomy", "tag", "unit", "end", "start", "public_at", "accession")
        return named.select(FACT_COLUMNS).sort(*order, nulls_last=False)

    @one_state
    def fundamentals(
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
        wide: bool = False,
        per_share_basis: ShareBasis = "reported",
    ) -> pl.DataFrame:
        """Return standard concepts by period: of each period the last value that was public, sorted by symbol and end.

        Columns: symbol (as requested), concept, period, start (null: a balance), end, value (null: see `reason`), unit,
        tag, origin (reported or derived), reason, filed, public_at (UTC), accession (of the last fact that the value is
        made of), source, filer (the series in the lake), known_from (UTC). With `wide` there is a row per symbol and
        end, and a column per concept; `public_at` is that of the row's newest value.

        `symbols` are those of shares, or filers: 320193 or "CIK0000320193". A symbol means a security with all its
        symbols and filers, as after a reorganisation; `on` chooses the security of that day. `period` is quarter,
        annual or ttm (four quarters in a row). `public_by` is an instant (public at it, a naive one in UTC), or a date:
        public before the close of New York's session of that day. `as_of` gives what this system knew then. Together
        they give what it knew of what was public. `start` and `end` limit the last day of the period. Of two sources
        the first one in the setting `sources` counts for a period, else sec; `source` limits it to one.
        `per_share_basis="split"` restates values per share and counts of shares by the splits after their filing.

        Warns with IncompleteData of symbols without rows. Raises NotInLake for a symbol or source that the lake does
        not know, and ConfigError for an invalid argument.
        """
        if per_share_basis not in SHARE_BASES:
            raise ConfigError(f"per_share_basis={per_share_basis!r} must be one of {', '.join(SHARE_BASES)}")
        moment = PointInTime.of_filings(as_of, public_by, self._sessions)
        requests = self._filer_requests(symbols, on)
        names = None if concepts is None else to_texts(concepts, "concepts")
        wanted = of_periods(Selection(source=to_vendor(source)), start, end)
        rows = self._concept_versions(requests, names, period, wanted, moment)
        self._check_filed(FUNDAMENTALS, requests, rows, wanted, moment)
        found = last_versions(rows, _VERSION)
        if per_share_basis == "split":
            found = restated_by_splits(found, self._actions([r.security for r in requests], None, moment, None))
        if wide:
            return _wide(found, names)
        return found.select(CONCEPT_COLUMNS)

    def _concept_versions(
        self,
        requests: Sequence[FilerRequest],
        concepts: Sequence[str] | None,
        period: str,
        wanted: Selection,
        moment: PointInTime,
    ) -> pl.DataFrame:
        """Return all public versions of concepts in one kind of period, by requested symbol, with `rank`."""
        if period not in PERIODS:
            raise ConfigError(f"period={period!r} must be one of {', '.join(PERIODS)}")
        wanted = wanted.filtered(pl.col("period") == period)
        if concepts is not None:
            wanted = wanted.filtered(pl.col("concept").is_in(concepts))
        rows = self._filed_rows(FUNDAMENTALS, requests, wanted, moment, _STORED)
        absent = sorted(set(concepts or ()).difference(rows["concept"].unique()))
        if absent:
            self._check_concepts(absent)
        return rows

    def _check_concepts(self, names: Sequence[str]) -> None:
        """Raise ConfigError for a name that is no concept."""
        known = self._concept_names()
        unknown = [name for name in names if name not in known]
        if unknown:
            alike = did_you_mean(unknown[0], known)
            raise ConfigError(f"unknown concept {unknown[0]!r}{alike}; docs/reference/concepts.md lists them")

    def _is_concept(self, name: str) -> bool:
        """Return whether a name is a declared concept, or one of stored rows."""
        return name in self._concept_names()

    def _concept_names(self) -> frozenset[str]:
        """Return the shipped concepts and those of stored rows; the table is read once per version."""
        version = self._stored.version(FUNDAMENTALS)
        known: tuple[TableVersion | None, frozenset[str]] | None = self.__dict__.get("_concepts_at")
        if known is None or known[0] is not version:
            names = self._stored.rows(FUNDAMENTALS, columns=["concept"])["concept"].unique()
            known = self.__dict__["_concepts_at"] = version, frozenset(names).union(shipped_concepts().concepts)
        return known[1]

    def _instruments_of(self, requests: Sequence[FilerRequest]) -> pl.DataFrame:
        """Return symbol and instrument of each request; null where the symbol has no history."""
        securities = self._securities()
        rows = [
            (
                each.symbol,
                each.security.instrument
                or (None if is_filer(each.symbol) else securities.instrument_on(each.symbol, date.max)),
            )
            for each in requests
        ]
        return pl.DataFrame(rows, schema={"symbol": pl.String, "instrument": pl.String}, orient="row")


_STORED = [c for c in FUNDAMENTALS.schema if c in (*CONCEPT_COLUMNS, "symbol")]


def of_periods(wanted: Selection, start: Day | None, end: Day | None) -> Selection:
    """Return a selection of the periods that end between two days, both inclusive."""
    first, last = to_date(start), to_date(end)
    if first is not None and last is not None and first > last:
        raise ConfigError(f"the start {first} lies after the end {last}")
    if first is not None:
        wanted = wanted.filtered(pl.col("end") >= first)
    return wanted if last is None else wanted.filtered(pl.col("end") <= last)


def _of_tags(tags: Sequence[str]) -> pl.Expr:
    """Return the condition of some tags, with or without their taxonomy."""
    plain = [tag for tag in tags if ":" not in tag]
    condition = pl.col("tag").is_in(plain)
    for tag in tags:
        taxonomy, colon, name = tag.partition(":")
        if colon:
            condition |= (pl.col("taxonomy") == taxonomy) & (pl.col("tag") == name)
    return condition


def _wide(rows: pl.DataFrame, concepts: Sequence[str] | None) -> pl.DataFrame:
    """Return a row per symbol and end, with a column per concept."""
    names = sorted(rows["concept"].unique()) if concepts is None else list(dict.fromkeys(concepts))
    values = [pl.col("value").filter(pl.col("concept") == name).first().alias(name) for name in names]
    grouped = rows.group_by("symbol", "period", "end").agg(pl.col("public_at").max(), *values)
    return grouped.sort("symbol", "end")
