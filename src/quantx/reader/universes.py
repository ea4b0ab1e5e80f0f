"""Queries of universes: their members by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

import polars as pl

from quantx.core.symbols import venue_of
from quantx.core.tables import UNIVERSE_MEMBERS
from quantx.errors import ConfigError, NotInLake
from quantx.reader.arguments import Day, did_you_mean, to_date
from quantx.reader.known_names import KnownNames, warn_user
from quantx.reader.point_in_time import NOW, PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state

_MEMBER_COLUMNS = ("symbol", "market", "name", "member_from", "member_to")


@dataclass(frozen=True)
class Members:
    """The securities of a universe between two days, each once, by its last symbol in the universe."""

    on: dict[str, Day | None]  # by symbol: a day on which the security carried it
    intervals: pl.DataFrame  # symbol (one of `on`), member_from and member_to (both inclusive; no nulls); disjoint

    def rows_of_members(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows (symbol, date, …) of days on which the symbol's security was a member, in their order."""
        of_symbol = rows.join(self.intervals, on="symbol", maintain_order="left")
        return of_symbol.filter(pl.col("date").is_between("member_from", "member_to")).select(rows.columns)

    def mask(self, days: pl.Series) -> pl.DataFrame:
        """Return date and a column per symbol: whether its security was a member on the day."""
        columns = {symbol: pl.lit(False) for symbol in sorted(self.on)}
        for symbol, first, last in self.intervals.iter_rows():
            columns[symbol] |= pl.col("date").is_between(pl.lit(first), pl.lit(last))
        return days.to_frame("date").with_columns(**columns)


class UniverseQueries(KnownNames):
    """Lists of symbols with intervals of membership."""

    @one_state
    def universe(
        self, name: str, on: Day | None = None, *, as_of: Day | None = None, public_by: Day | None = None
    ) -> pl.DataFrame:
        """Return the members of a universe on a day: symbol, market, name, member_from, member_to.

        The day is `on`, by default that of `public_by`, else now. `as_of` gives the list as this system knew it.
        """
        moment = PointInTime.parse(as_of, public_by)
        members = self._universe(name, moment)
        day = to_date(on) or moment.day
        if day is None:
            members = members.filter(pl.col("member_to").is_null())
        else:
            members = members.filter(_begun_by(day), _not_ended_before(day))
        return members.select(_MEMBER_COLUMNS).sort("symbol")

    @one_state
    def membership(
        self,
        universe: str,
        start: Day | None = None,
        end: Day | None = None,
        *,
        mask: bool = False,
        as_of: Day | None = None,
        public_by: Day | None = None,
    ) -> pl.DataFrame:
        """Return who was a member of a universe between two days, both inclusive.

        By default a row per interval of membership that overlaps the two days: symbol (of that time), market, name,
        member_from (null: since before the list began), member_to (last day; null: still a member), sorted.

        With `mask=True` a row per session and a Boolean column per security, with the columns of
        `panel(universe=…)`: `date`, and whether each was a member. It needs `start`; `end` is today by default.

        Warns with IncompleteData if the list does not reach back to `start`: earlier members are not known.
        """
        moment = PointInTime.parse(as_of, public_by)
        first, last = to_date(start), to_date(end)
        if first is not None and last is not None and first > last:
            raise ConfigError(f"the start {first} lies after the end {last}")
        rows = self._members(universe, first, last, moment)
        self._check_reach(universe, first, moment)
        if not mask:
            return rows.select(_MEMBER_COLUMNS).sort("symbol", "member_from", nulls_last=False)
        if first is None:
            raise ConfigError("a mask of membership has a row per session and needs a start")
        codes = {venue_of(symbol).calendar for symbol in rows["symbol"].unique()}
        days = self._sessions.days(sorted(codes), first, last or moment.day or datetime.now(UTC).date())
        return self._members_between(universe, first, last, moment).mask(days)

    def _universe(self, name: str, moment: PointInTime = NOW) -> pl.DataFrame:
        members = self._known(UNIVERSE_MEMBERS, Selection(where=pl.col("universe") == pl.lit(str(name))), moment)
        if members.is_empty():
            table = self._stored.rows(UNIVERSE_MEMBERS)
            known = table["universe"].unique().sort().to_list()
            if name in known:
                since = table.filter(pl.col("universe") == name)["known_from"].dt.strftime("%Y-%m-%d").min()
                warn_user(f"nothing of the universe {name} was known then; its list is known since {since!s}")
                return members
            listed = ", ".join(known) or "none; run `quantx refresh-universe`"
            raise NotInLake(
                f"the lake has no universe {name!r}{did_you_mean(str(name), known)}; it has {listed}", [str(name)]
            )
        return members

    def _members(self, name: str, start: date | None, end: date | None, moment: PointInTime) -> pl.DataFrame:
        """Return the rows of a universe whose interval overlaps the time between two days."""
        members = self._universe(name, moment)
        if end is not None:
            members = members.filter(_begun_by(end))
        return members if start is None else members.filter(_not_ended_before(start))

    def _members_between(self, name: str, start: date | None, end: date | None, moment: PointInTime = NOW) -> Members:
        """Return the members between two days; each security once, by its last symbol."""
        members = self._members(name, start, end, moment)
        lasts = members.group_by("symbol").agg(
            pl.when(pl.col("member_to").is_not_null().all()).then(pl.col("member_to").max()).alias("last")
        )
        by_last = lasts.sort("last", "symbol", nulls_last=True).iter_rows()
        days: dict[str, date | None] = {symbol: last or date.max for symbol, last in by_last}
        requests = self._securities().requests(list(days), start, end, days)
        unique = self._securities().unique(requests)
        symbol_of = {each.instrument: each.symbol for each in unique if each.instrument is not None}
        columns = {each.symbol: symbol_of.get(each.instrument or "", each.symbol) for each in requests}
        intervals = members.select(
            pl.col("symbol").replace_strict(columns, return_dtype=pl.String),
            pl.col("member_from").fill_null(date.min),
            pl.col("member_to").fill_null(date.max),
        )
        return Members({each.symbol: days[each.symbol] for each in unique}, _disjoint(intervals))

    def _check_reach(self, name: str, start: date | None, moment: PointInTime) -> None:
        """Warn if `start` lies before the record of a universe: its members of that time are not known."""
        members = self._universe(name, moment)
        dates = [d for c in ("member_from", "member_to") for d in members[c].drop_nulls()]
        begin = min(dates, default=None) or (None if members.is_empty() else members["known_from"].min().date())  # type: ignore[union-attr]
        if start is not None and begin is not None and start < begin and members["member_from"].has_nulls():
            warn_user(
                f"the record of the universe {name} begins on {begin}: members that left before are not in it, so that"
                f" the days from {start} to then have survivorship bias"
            )


def _disjoint(intervals: pl.DataFrame) -> pl.DataFrame:
    """Return the intervals of each symbol with those that overlap joined: a list may have two symbols of a security."""
    joined: list[tuple[str, date, date]] = []
    for symbol, first, last in intervals.sort("symbol", "member_from").iter_rows():
        if joined and joined[-1][0] == symbol and first <= joined[-1][2]:
            joined[-1] = (symbol, joined[-1][1], max(last, joined[-1][2]))
        else:
            joined.append((symbol, first, last))
    return pl.DataFrame(joined, schema=intervals.schema, orient="row")


def _begun_by(day: date) -> pl.Expr:
    return pl.col("member_from").is_null() | (pl.col("member_from") <= day)


def _not_ended_before(day: date) -> pl.Expr:
    return pl.col("member_to").is_null() | (pl.col("member_to") >= day)
