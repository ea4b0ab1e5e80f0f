"""The query that explains a value: where it came from, what it passed, and what adjusts it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from quantx.core.prices import PRICES
from quantx.core.quality.quarantine_states import newest_of_each, with_ids, with_states
from quantx.core.reply_places import ReplyPlace, ReplyText, SoughtRow
from quantx.core.symbols import venue_of
from quantx.core.tables import (
    ACTION_VERDICTS,
    ACTIONS,
    ADJUSTMENT_PROOFS,
    AGREEMENTS,
    BARS_1D,
    DECISIONS,
    QUARANTINE,
    VERDICTS,
)
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, bars_table, did_you_mean, to_date, to_names, to_vendor
from quantx.reader.concept_panels import ConceptField
from quantx.reader.explain.absence import DayFacts, SessionFacts, reasons
from quantx.reader.explain.adjustment import adjustment_of
from quantx.reader.explain.explanation import Explanation
from quantx.reader.explain.facts import Adjustment
from quantx.reader.explain.filed_queries import FiledExplanations
from quantx.reader.explain.filed_value import FiledValue
from quantx.reader.explain.findings import findings_about
from quantx.reader.explain.option_queries import OptionExplanations, option_named
from quantx.reader.explain.option_value import OptionValue
from quantx.reader.explain.rate_value import RateValue
from quantx.reader.explain.reply import SoughtValues, find_reply, split_ratio
from quantx.reader.explain.subject import STORED, Subject, SubjectRows, chosen_row, to_minute
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state

_FIELDS = (*PRICES, "volume")
_REJECTED = (
    "id",
    "state",
    "source",
    "dataset",
    "symbol",
    "rules",
    "row",
    "raw",
    "known_from",
    "policy",
    "reason",
    "by",
)
_VERDICT = ("source", "verdict", "rule", "against", "decided_by", "field", "value", "other_value")
_AGREEMENT = ("source_a", "source_b", "month", "sessions", "agreed", "verdict", "decided_by")
_DATASETS = ("bars",)  # of the raw objects with replies about bars


class ExplainQueries(FiledExplanations, OptionExplanations):
    """Explanations of values."""

    @one_state
    def explain(
        self,
        symbol: str,
        day: Day,
        *,
        field: str = "close",
        time: str | datetime | None = None,
        source: str | None = None,
        as_of: Day | None = None,
        public_by: Day | None = None,
    ) -> Explanation | FiledValue | RateValue | OptionValue:
        """Explain a value of a bar, a concept or a fact, or why there is none; the lake alone is read.

        The explanation has the value as traded, the vendor's reply with the row's place in it, the rules that the row
        passed, rejected rows of the day, earlier values, other vendors' values and the verdict, the actions that adjust
        the value, and findings. Where raw objects can't be read, `reply.problem` states it.

        `field`: open, high, low, close or volume. `time` explains a minute: HH:MM in the exchange's zone, or an
        instant. `source`: that vendor's bar instead of the one that queries show. `as_of` and `public_by`: the bar, and
        the actions that adjust it, as known and as public then.

        A field may also be a concept and its period, as in revenue_annual, a tag, as in us-gaap:Assets, or an item of
        another dataset of facts, as in esg:ceo_pay_total: `day` is then the last one of the period. A published rate is
        named by its series and its tenor or currency, as in explain("UST", day, field="rates:10y") or "EUR" and
        "fx_rates:USD". The explanation has
        the facts that the value is made of, with their filings and places in the replies, the concept's declaration,
        all versions of the value, and other sources' values.

        A contract of options is named as in SPY250808C00630000; its fields are bid, ask and last of a minute, open,
        high, low, close and volume, and open_interest.

        Raises NotInLake for a symbol or vendor that the lake does not know, and ConfigError for an invalid symbol, day
        or field, and if several securities carried the symbol.
        """
        if (contract := option_named(symbol)) is not None:
            if public_by is not None:
                raise ConfigError("an option's value is public at its time: use as_of, not public_by")
            return self._explain_option(contract, day, field, time, source, as_of)
        if field not in _FIELDS:
            self._check_field(field, time)
            return self._explain_filed(symbol, day, field, source, as_of, public_by)
        subject = self._subject(symbol, day, time)
        moment, vendor = PointInTime.parse(as_of, public_by), to_vendor(source)
        rows = SubjectRows(self._stored, self._securities(), self._known)
        by_vendor = rows.by_vendor(subject, moment)
        own = by_vendor if vendor is None else by_vendor.filter(pl.col("source") == vendor)
        timeframe = "1d" if subject.time is None else "1m"
        row = chosen_row(own, partial(self._sources_of, timeframe))
        about = DayFacts(
            session=SessionFacts.of(self._sessions, subject.venue.calendar, subject.day),
            rejected=self._rejected(rows, subject),
            findings=findings_about(self._stored, subject.symbols, subject.venue.calendar, subject.day),
        )
        if row is None:
            return self._unexplained(rows, subject, field, about, vendor, moment)
        others, adjustment = _others(by_vendor, row, field), self._adjustment(subject, row, source, moment)
        return self._explained(rows, subject, row, field, about, others=others, adjustment=adjustment)

    def _check_field(self, field: str, time: str | datetime | None) -> None:
        """Raise ConfigError for what is neither a field of bars, a concept, nor a tag; and for a minute of these."""
        concept = ConceptField.parse(field)
        known = ":" in field or (concept is not None and self._is_concept(concept.concept))
        if time is not None or not known:
            raise ConfigError(
                f"field={field!r} must be one of {', '.join(_FIELDS)}; a concept and its period, as in revenue_annual;"
                f" or a tag, as in us-gaap:Assets{did_you_mean(field, self._concept_names())}"
            )

    def _unexplained(
        self,
        rows: SubjectRows,
        subject: Subject,
        field: str,
        about: DayFacts,
        vendor: str | None,
        moment: PointInTime,
    ) -> Explanation:
        """Return why there is no row."""
        self._check_source(subject.table, vendor)
        self._check_known([subject.request])
        why = reasons(rows, subject, about, source=vendor, moment=moment, in_reply=partial(self._in_reply, subject))
        return _absent(subject, field, rejected=about.rejected, findings=about.findings, absence=why)

    def _explained(
        self,
        rows: SubjectRows,
        subject: Subject,
        row: Mapping[str, Any],
        field: str,
        about: DayFacts,
        **parts: Any,
    ) -> Explanation:
        """Return the explanation of a row, with the parts that are known already."""
        from quantx.reader.explain.rules import rules_of  # loads all rules, which other queries do not need

        stored = {c: row[c] for c in subject.table.schema} | {"symbol": row[STORED]}
        accepted = any(r["state"] == "accepted" and r["source"] == row["source"] for r in about.rejected)
        in_past = row["date"] <= row["known_from"].astimezone(ZoneInfo(subject.venue.timezone)).date()
        of_day = {"in_calendar": about.session.is_session, "in_past": in_past}
        values = self._values(subject, row, row[STORED])
        return Explanation(
            subject=subject.name,
            table=subject.table.name,
            symbol=subject.symbol,
            stored_symbol=row[STORED],
            day=subject.day,
            time=subject.time,
            field=field,
            value=row[field],
            currency=row["currency"],
            source=row["source"],
            known_from=row["known_from"],
            row=stored,
            reply=find_reply(self._location, row["source"], row["raw"], values, _DATASETS),
            rules=rules_of(subject.table, stored, of_day, accepted=accepted),
            rejected=about.rejected,
            findings=about.findings,
            revisions=rows.revisions(subject, row),
            verdicts=rows.of_day(VERDICTS, subject).select(_VERDICT).sort("source").to_dicts(),
            agreements=self._agreements(subject),
            **parts,
        )

    def _subject(self, symbol: str, day: Day, time: str | datetime | None) -> Subject:
        (name,), on = to_names(symbol), to_date(day)
        if on is None:
            raise ConfigError("an explanation needs a day, as in 2024-06-10")
        (request,) = self._securities().requests([name], on, on, {name: on})
        minute = to_minute(time, on, venue_of(name))
        symbols = self._securities().stored_symbols([request])
        table = bars_table("1d" if minute is None else "1m")
        return Subject(table=table, request=request, symbols=symbols, day=on, time=minute)

    def _values(self, subject: Subject, row: Mapping[str, Any], symbol: str) -> SoughtValues:
        """Return the values of a row that is stored under a symbol; a split-adjusting vendor sent others."""
        own = Selection.of([symbol], row["source"]).filtered(pl.col("kind") == "split")
        splits: Sequence[tuple[date, float]] = self._stored.rows(ACTIONS, own).select("ex_date", "value").rows()
        return SoughtValues(
            symbol=symbol,
            sought=SoughtRow(symbol, row["date"], subject.time, ZoneInfo(subject.venue.timezone), ()),
            named={c: float(row[c]) for c in _FIELDS if row[c] is not None},
            ratio=split_ratio(splits, row["date"], row["known_from"].date()),
        )

    def _in_reply(self, subject: Subject, source: str, before: date, after: date) -> Iterator[str]:
        """Yield whether a reply with the bars before and after a day has a row for it; nothing if there is none."""
        around = Selection.of(subject.symbols, source).filtered(pl.col("date").is_in([before, after]))
        rows = self._stored.rows(subject.table, around).sort("date").to_dicts()
        for row in rows if subject.time is None else ():
            values = self._values(subject, row, row["symbol"])
            reply = find_reply(self._location, source, row["raw"], values, _DATASETS)
            days = [replace(values.sought, day=day) for day in (before, after, subject.day)]
            if reply.body is None or reply.place is None:
                continue
            text, own = ReplyText(reply.body), ReplyPlace(reply.place, "", 0)
            found = [text.find_row(day, like=own) for day in days]
            if found[0] is None or found[1] is None:
                continue
            where = f"the reply with both ({reply.path}, row {reply.row})"
            nothing = f"{source} sent nothing for it: {where} has no row of that day"
            yield nothing if found[2] is None else f"{where} has a row for it:\n{found[2].text}"
            return

    def _rejected(self, rows: SubjectRows, subject: Subject) -> list[dict[str, Any]]:
        found = rows.of_day(QUARANTINE, subject)
        if found.is_empty():
            return []
        decisions = self._stored.rows(DECISIONS, Selection.of(subject.symbols))
        states = newest_of_each(with_ids(with_states(found, decisions)))
        return states.select(_REJECTED).to_dicts()

    def _agreements(self, subject: Subject) -> list[dict[str, Any]]:
        if subject.table is not BARS_1D:
            return []
        month = subject.day.year * 100 + subject.day.month
        rows = self._stored.rows(AGREEMENTS, Selection.of(subject.symbols).filtered(pl.col("month") == month))
        return rows.select(_AGREEMENT).sort("source_a", "source_b").to_dicts()

    def _adjustment(
        self, subject: Subject, row: Mapping[str, Any], source: str | None, moment: PointInTime
    ) -> Adjustment:
        minutes = subject.time is not None
        actions = self._actions([subject.request], None if minutes else source, moment, None, first=source)
        of_security = Selection.of(subject.symbols)
        proofs = self._stored.rows(ADJUSTMENT_PROOFS, of_security)
        return adjustment_of(row, actions, proofs, self._stored.rows(ACTION_VERDICTS, of_security))


def _others(by_vendor: pl.DataFrame, row: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """Return the rows of the other vendors, with the difference of the field from the row's (a share of it)."""
    others = by_vendor.filter(pl.col("source") != row["source"]).sort("source")
    columns = [*_FIELDS, "currency", "raw", "known_from"]
    difference = (
        (pl.col(field) / row[field] - 1).alias("difference") if row[field] else pl.lit(None).alias("difference")
    )
    return others.select("source", *columns, difference).to_dicts()


def _absent(subject: Subject, field: str, **parts: Any) -> Explanation:
    return Explanation(
        subject=subject.name,
        table=subject.table.name,
        symbol=subject.symbol,
        stored_symbol=None,
        day=subject.day,
        time=subject.time,
        field=field,
        value=None,
        currency=None,
        source=None,
        known_from=None,
        row=None,
        **parts,
    )
