"""Queries of universes: their members by day."""

from __future__ import annotations

from datetime import date

import polars as pl

from quantx.core.tables import UNIVERSE_MEMBERS
from quantx.errors import ConfigError
from quantx.reader.arguments import Day, to_date
from quantx.reader.handle import LakeHandle


class UniverseQueries(LakeHandle):
    """Lists of symbols with intervals of membership."""

    def universe(self, name: str, on: Day | None = None) -> pl.DataFrame:
        """Return the members of a universe on a day (default: now): symbol, market, name, member_from, member_to."""
        members = self._universe(name)
        day = to_date(on)
        if day is None:
            members = members.filter(pl.col("member_to").is_null())
        else:
            began = pl.col("member_from").is_null() | (pl.col("member_from") <= day)
            members = members.filter(began & (pl.col("member_to").is_null() | (pl.col("member_to") >= day)))
        return members.select("symbol", "market", "name", "member_from", "member_to").sort("symbol")

    def _universe(self, name: str) -> pl.DataFrame:
        table = self._stored.rows(UNIVERSE_MEMBERS)
        members = table.filter(pl.col("universe") == name)
        if members.is_empty():
            known = ", ".join(table["universe"].unique().sort()) or "none; run `quantx refresh-universe`"
            raise ConfigError(f"the lake has no universe {name!r}; it has {known}")
        return members

    def _members_between(self, name: str, start: date | None, end: date | None) -> dict[str, Day | None]:
        """Return the members between two days with their last day; each security once, by its last symbol."""
        members = self._universe(name)
        if end is not None:
            members = members.filter(pl.col("member_from").is_null() | (pl.col("member_from") <= end))
        if start is not None:
            members = members.filter(pl.col("member_to").is_null() | (pl.col("member_to") >= start))
        lasts = members.group_by("symbol").agg(
            pl.when(pl.col("member_to").is_not_null().all()).then(pl.col("member_to").max()).alias("last")
        )
        by_last = lasts.sort("last", "symbol", nulls_last=True).iter_rows()
        days: dict[str, date | None] = {symbol: last or date.max for symbol, last in by_last}
        requests = self._securities().requests(list(days), start, end, days)
        return {each.symbol: days[each.symbol] for each in self._securities().unique(requests)}
