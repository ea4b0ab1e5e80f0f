"""The query that explains a value of an option contract: its archive, rules, rejected rows, and earlier values."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from quantx.core.option_tables import (
    OPTIONS_CONTRACTS,
    OPTIONS_OHLCV_1D,
    OPTIONS_OPEN_INTEREST,
    OPTIONS_QUOTES_1M,
)
from quantx.core.options.symbols import OptionContract, parse_contract
from quantx.core.quality.option_rules import CONTRACT_RULES, ROW_RULES_OF
from quantx.core.table import INSTANT, Table
from quantx.core.tables import FINDINGS, QUARANTINE
from quantx.errors import ConfigError, DamagedObject, InvalidSymbol, RawNotReadable
from quantx.lake.raw_replies import find_raw
from quantx.reader.arguments import Day, to_date, to_instant, to_vendor
from quantx.reader.explain.option_value import OptionValue
from quantx.reader.explain.reply import ReplyEvidence
from quantx.reader.known_names import KnownNames
from quantx.reader.selection import Selection

_TABLE_OF_FIELD = {
    **dict.fromkeys(("bid", "ask", "bid_size", "ask_size", "last", "last_size"), OPTIONS_QUOTES_1M),
    **dict.fromkeys(("open", "high", "low", "close", "volume"), OPTIONS_OHLCV_1D),
    "open_interest": OPTIONS_OPEN_INTEREST,
}
_ZONE = ZoneInfo("America/New_York")
_NEAR = 3  # minutes in a message


class OptionExplanations(KnownNames):
    """Explanations of quotes, daily bars and open interest of option contracts."""

    def _explain_option(
        self,
        contract: OptionContract,
        day: Day,
        field: str,
        at: str | datetime | None,
        source: str | None,
        as_of: Day | None,
    ) -> OptionValue:
        """Explain a value of a contract in a session; `at` is the minute of a quote."""
        on = to_date(day)
        if field not in _TABLE_OF_FIELD or on is None:
            raise ConfigError(
                f"an option has the fields {', '.join(_TABLE_OF_FIELD)} in a session, as in 2025-08-06, not {field!r}"
            )
        table = _TABLE_OF_FIELD[field]
        moment = _minute(at, on) if table is OPTIONS_QUOTES_1M else None
        if (moment is None) != (table is not OPTIONS_QUOTES_1M):
            raise ConfigError("a quote of an option is of a minute: give its time, as in 10:31")
        in_session = (
            Selection.of(None, to_vendor(source))
            .between(on, on)
            .filtered(pl.col("underlying") == contract.underlying)
            .filtered(pl.col("contract") == contract.id)
        )
        wanted = in_session
        if moment is not None:
            wanted = in_session.filtered(pl.col("time") == pl.lit(moment, INSTANT))
        rows = self._stored.known_at(table, wanted, to_instant(as_of)).sort("source")
        common = self._about(contract, table, on)
        subject = f"{contract.id} {on}" + ("" if moment is None else f" {moment:%H:%M} UTC")
        common |= {"subject": subject, "field": field}
        if rows.is_empty():
            absence = [self._why_no_option_value(table, in_session, moment)]
            absent: dict[str, Any] = dict.fromkeys(("value", "source", "known_from", "row"))
            return OptionValue(**common, **absent, absence=absence)
        row = rows.row(0, named=True)
        reply, member = self._archive_of(row["source"], row["raw"])
        return OptionValue(
            **common,
            value=row[field],
            source=row["source"],
            known_from=row["known_from"],
            row=row,
            reply=reply,
            member=member,
            revisions=self._stored.rows(table.revisions, wanted).sort("known_from").to_dicts(),
        )

    def _about(self, contract: OptionContract, table: Table, on: date) -> dict[str, Any]:
        """Return what is known beside the row itself."""
        of_contract = (pl.col("contract") == contract.id) & (pl.col("underlying") == contract.underlying)
        terms = self._stored.rows(OPTIONS_CONTRACTS, Selection().filtered(of_contract))
        quarantined = self._stored.rows(QUARANTINE, Selection.of([contract.id]).between(on, on))
        findings = self._stored.rows(FINDINGS).filter(
            pl.col("subject") == contract.underlying, pl.col("dataset") == table.name, pl.col("first_day") == on
        )
        rules = [*CONTRACT_RULES, *ROW_RULES_OF[table.name.removeprefix("options_")]]
        return {
            "table": table.name,
            "contract": contract.id,
            "day": on,
            "terms": terms.row(0, named=True) if terms.height else None,
            "rules": [rule.id for rule in rules if rule.severity == "reject"],
            "rejected": quarantined.filter(pl.col("dataset") == table.name).to_dicts(),
            "findings": findings.to_dicts(),
        }

    def _why_no_option_value(self, table: Table, in_session: Selection, moment: datetime | None) -> str:
        if moment is None:
            return f"{table.name} has no row of the contract in this session"
        times = self._stored.rows(table, in_session, ["time"])["time"].unique().sort()
        if times.is_empty():
            return f"{table.name} has no quote of the contract in this session"
        near = sorted(sorted(times, key=lambda each: abs(each - moment))[:_NEAR])
        shown = ", ".join(f"{each:%H:%M}" for each in near)
        return f"the contract has quotes at {len(times):,} other minutes of the session, the nearest at {shown} UTC"

    def _archive_of(self, source: str, raw: str) -> tuple[ReplyEvidence, Mapping[str, Any] | None]:
        """Return the raw object of a member, and the facts that the import recorded there."""
        path = None
        try:
            path = find_raw(self._location, source, raw, ("options",))
            if path is None:
                problem = f"the raw zone has no object {raw} of {source} any more"
                return ReplyEvidence(raw=raw, problem=problem), None
            page = pl.read_parquet(io.BytesIO(self._location.get(path)), columns=["body", "fetched_at"], n_rows=1)
            body, fetched_at = page.row(0)
            return ReplyEvidence(raw=raw, path=path, row=0, fetched_at=fetched_at, body=body), json.loads(body)
        except (RawNotReadable, DamagedObject) as error:
            return ReplyEvidence(raw=raw, path=path, problem=str(error)), None
        except (pl.exceptions.PolarsError, ValueError, OSError):
            return ReplyEvidence(raw=raw, path=path, problem=f"the raw object {path} is damaged"), None


def option_named(symbol: str) -> OptionContract | None:
    """Return the contract of an OSI symbol or a permanent id; None for the symbol of another security."""
    try:
        return parse_contract(symbol)
    except InvalidSymbol:
        return None


def _minute(at: str | datetime | None, on: date) -> datetime | None:
    """Return the instant of a minute: HH:MM in New York, or an instant with its offset."""
    if at is None or isinstance(at, datetime):
        return None if at is None else to_instant(at)
    try:
        return datetime.combine(on, time.fromisoformat(at), _ZONE).astimezone(UTC)
    except ValueError:
        return to_instant(at)
