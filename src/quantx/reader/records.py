"""Queries of the records about quality and securities: rejected rows, findings, instruments."""

from __future__ import annotations

import polars as pl

from quantx.core.quality.quarantine_states import newest_of_each, with_ids, with_states
from quantx.core.tables import DECISIONS, FINDINGS, INSTRUMENTS, QUARANTINE, SYMBOL_HISTORY
from quantx.reader.arguments import Day, Symbols, to_date, to_names, to_vendor
from quantx.reader.known_names import KnownNames
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state

_WORST = ("error", "warn", "info")


class RecordQueries(KnownNames):
    """Rejected rows, findings and instruments."""

    @one_state
    def quarantine(
        self,
        symbols: Symbols | None = None,
        start: Day | None = None,
        end: Day | None = None,
        *,
        rule: str | None = None,
        state: str | None = None,
        source: str | None = None,
        as_of: Day | None = None,
        public_by: Day | None = None,
    ) -> pl.DataFrame:
        """Return the rejected rows, the newest first; those of whole replies have no date and need no start and end.

        Columns: id (for `quantx quarantine show`), state (open: rejected; replayed: passes the current rules; accepted:
        by a manual decision), symbol, date, source, dataset (the table), rules (the broken ones, comma-separated), row
        (as traded, JSON), sent (as sent, JSON), reason and by (of the decision), raw, payload_sha256, policy (version
        of the rules), known_from (UTC).
        """
        moment = PointInTime.parse(as_of, public_by)
        wanted = Selection.of(None if symbols is None else to_names(symbols), to_vendor(source))
        wanted = wanted.between(to_date(start), to_date(end))
        if rule is not None:
            wanted = wanted.filtered(pl.col("rules").str.split(",").list.contains(rule))
        decisions = Selection(wanted.symbols)
        if moment.as_of is not None:
            wanted, decisions = (each.filtered(pl.col("known_from") <= moment.as_of) for each in (wanted, decisions))
        rows = self._stored.rows(QUARANTINE, self._public(QUARANTINE, wanted, moment.public_by))
        found = newest_of_each(with_ids(with_states(rows, self._stored.rows(DECISIONS, decisions))))
        if state is not None:
            found = found.filter(pl.col("state") == state)
        shown = ("id", "state", "symbol", "date", "source", "dataset", "rules", "row", "sent", "reason", "by")
        return found.select(*shown, "raw", "payload_sha256", "policy", "known_from")

    @one_state
    def findings(
        self,
        subject: str | None = None,
        *,
        rule: str | None = None,
        status: str | None = None,
        source: str | None = None,
        as_of: Day | None = None,
        public_by: Day | None = None,
    ) -> pl.DataFrame:
        """Return the findings that are open or acknowledged (or were then), the worst and newest first.

        Columns: severity (error, warn, info), rule, subject (a symbol, universe, vendor, market or object), source,
        dataset, first_day, last_day, status, message, facts (JSON), first_seen, by, reason, known_from (UTC).
        """
        wanted = Selection(source=to_vendor(source))
        for column, value in (("subject", subject), ("rule", rule), ("status", status)):
            wanted = wanted if value is None else wanted.filtered(pl.col(column) == value)
        rows = self._known(FINDINGS, wanted, PointInTime.parse(as_of, public_by))
        rank = pl.col("severity").replace_strict(dict(zip(_WORST, range(len(_WORST)), strict=True)), default=9)
        ordered = rows.sort(rank, "first_seen", "subject", descending=[False, True, False])
        return ordered.select("severity", "rule", pl.exclude("severity", "rule", "known_from"), "known_from")

    @one_state
    def instruments(
        self, symbols: Symbols | None = None, *, as_of: Day | None = None, public_by: Day | None = None
    ) -> pl.DataFrame:
        """Return the recorded securities, or those that ever carried one of `symbols`; sorted by symbol.

        Columns: instrument (the permanent id), symbol (the last one), market, asset_class, name, status (listed or
        delisted), listed_on, delisted_on, reason, evidence, sic (the SEC's code of the industry), industry, sector,
        known_from (UTC). A security without a symbol history is named by its symbol, as in us.AAPL.
        """
        moment = PointInTime.parse(as_of, public_by)
        history = self._known(SYMBOL_HISTORY, Selection(), moment)
        rows = self._known(INSTRUMENTS, Selection(), moment)
        without = rows.join(history, on="instrument", how="anti").select(
            "instrument", pl.col("instrument").str.splitn(".", 2).struct[1].alias("symbol")
        )
        history = pl.concat([history, without], how="diagonal")
        if symbols is not None:
            carried = history.filter(pl.col("symbol").is_in(to_names(symbols)))
            rows = rows.join(carried, on="instrument", how="semi")
        last = history.sort("symbol_from", nulls_last=False).group_by("instrument").agg(pl.col("symbol").last())
        joined = rows.join(last, on="instrument", how="left").sort("symbol", "instrument")
        return joined.select("instrument", "symbol", pl.exclude("instrument", "symbol", "known_from"), "known_from")
