"""Panels of concepts: on each session the last value that was public before its close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from quantx.core.fact_tables import FUNDAMENTALS
from quantx.core.fundamentals.newest import newest_values, values_by_day
from quantx.core.fundamentals.ratio_fields import RATIOS
from quantx.core.symbols import US, venue_of
from quantx.core.table import INSTANT
from quantx.errors import ConfigError
from quantx.reader.arguments import BAR_COLUMNS, did_you_mean
from quantx.reader.filers import FilerRequest
from quantx.reader.fundamentals import PERIODS, FundamentalQueries
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection

_PRICES = frozenset({*BAR_COLUMNS, "currency", "raw", "regular"})


@dataclass(frozen=True)
class ConceptField:
    """A field of a panel: a concept in a kind of period."""

    concept: str
    period: str
    name: str  # as requested

    @staticmethod
    def parse(name: str) -> ConceptField | None:
        """Return the concept and the period in a field's name, by default the quarter; None for a field of bars.

        >>> ConceptField.parse("net_income_ttm"), ConceptField.parse("close")
        (ConceptField(concept='net_income', period='ttm', name='net_income_ttm'), None)
        """
        if name in _PRICES:
            return None
        concept, _, period = name.rpartition("_")
        return (
            ConceptField(concept, period, name)
            if concept and period in PERIODS
            else ConceptField(name, "quarter", name)
        )


@dataclass(frozen=True, kw_only=True)
class ConceptPanelRequest:
    """Which concepts of which filers a panel shows, on which sessions."""

    fields: Sequence[ConceptField]
    requests: Sequence[FilerRequest]
    first: date | None
    last: date | None
    moment: PointInTime
    source: str | None

    @property
    def in_order(self) -> list[FilerRequest]:
        """Return the requests in the order of the panel's columns."""
        return sorted(self.requests, key=lambda each: each.symbol)


class ConceptPanels(FundamentalQueries):
    """Columns of panels with values of concepts."""

    def _concept_fields(self, fields: Sequence[str]) -> dict[str, ConceptField]:
        """Return the concepts among the fields of a panel by name; raise ConfigError for an unknown field."""
        parsed = {name: ConceptField.parse(name) for name in fields if name not in RATIOS}
        found = {name: field for name, field in parsed.items() if field is not None}
        for name, field in found.items():
            if not self._is_concept(field.concept):
                known = [*_PRICES, *RATIOS, *self._concept_names()]
                raise ConfigError(
                    f"unknown field {name!r}{did_you_mean(name, known)}; use a column of bars, as in close, a concept"
                    " and a period, as in revenue_ttm, or a ratio, as in book_to_market"
                )
        return found

    def _concept_columns(
        self, request: ConceptPanelRequest, days: pl.Series | None, further: Sequence[str] = ()
    ) -> tuple[pl.Series, dict[str, list[pl.Series]]]:
        """Return the days, and by field a column per symbol with its newest value that was public before each close.

        `days` None: the sessions of the filers' exchanges. `further` columns of the same rows have names as in
        revenue_ttm__unit.
        """
        steps = self._steps_of(request)
        if days is None:
            days = self._days_of(request, steps)
        by_calendar: dict[str, list[str]] = {}
        for each in request.in_order:
            by_calendar.setdefault(venue_of(each.symbol).calendar, []).append(each.symbol)
        closes = {code: self._closes(code, days) for code in by_calendar}
        found: dict[str, list[pl.Series]] = {}
        for field, of_field in steps.items():
            for shown in ("value", *further):
                columns: dict[str, pl.Series] = {}
                for code, names in by_calendar.items():
                    own = of_field if len(by_calendar) == 1 else of_field.filter(pl.col("symbol").is_in(names))
                    columns |= {s.name: s for s in values_by_day(own, closes[code], names, shown).get_columns()}
                key = field if shown == "value" else f"{field}__{shown}"
                found[key] = [columns[each.symbol] for each in request.in_order]
        return days, found

    def _steps_of(self, request: ConceptPanelRequest) -> dict[str, pl.DataFrame]:
        """Return the steps of each field's values by symbol; warn of symbols without any."""
        wanted, parts = Selection(source=request.source), []
        steps: dict[str, pl.DataFrame] = {}
        for period in dict.fromkeys(field.period for field in request.fields):
            fields = [field for field in request.fields if field.period == period]
            concepts = list(dict.fromkeys(field.concept for field in fields))
            rows = self._concept_versions(request.requests, concepts, period, wanted, request.moment)
            steps |= {f.name: newest_values(rows.filter(pl.col("concept") == f.concept)) for f in fields}
            parts.append(rows.select("symbol"))
        self._check_filed(FUNDAMENTALS, request.requests, pl.concat(parts), wanted, request.moment)
        return steps

    def _days_of(self, request: ConceptPanelRequest, steps: Mapping[str, pl.DataFrame]) -> pl.Series:
        """Return the sessions from start to end: by default from the first value, and up to the last close by now."""
        codes = {venue_of(each.symbol).calendar for each in request.requests} or {US.calendar}
        begins = [at.date() for rows in steps.values() if isinstance(at := rows["public_at"].min(), datetime)]
        now = min(filter(None, (datetime.now(UTC), request.moment.public_by, request.moment.as_of)))
        closed = max((day for code in codes if (day := self._sessions.last(code, now, "close"))), default=date.min)
        first = request.first or min(begins, default=date.max)
        return self._sessions.days(sorted(codes), first, min(request.last or closed, closed)).alias("date")

    def _closes(self, code: str, days: pl.Series) -> pl.DataFrame:
        """Return the close of each day on an exchange; on a day without a session, that of the one before."""
        sessions = self._sessions.of(code)
        at = sessions["date"].search_sorted(days, side="right").cast(pl.Int64)
        never = pl.Series([datetime(1, 1, 1, tzinfo=UTC)], dtype=INSTANT)
        return pl.concat([never, sessions["close"].cast(INSTANT)]).gather(at).alias("close").to_frame()


def masked(columns: Sequence[pl.Series], mask: pl.DataFrame) -> list[pl.Series]:
    """Return columns with null where the column of the same name in a mask is false."""
    frame = pl.DataFrame(columns)
    return [frame.select(pl.when(mask[s.name]).then(pl.col(s.name)).alias(s.name)).to_series() for s in columns]
