"""Judge the rows of a member by the rules of options, batch by batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property

import polars as pl

from quantx.core.model import Finding
from quantx.core.options.hours import AFTER_CLOSE, AROUND_THE_CLOCK, option_hours
from quantx.core.quality.option_rules import CONTRACT_RULES, HALF_CHAIN_MISSING, MEMBER_RULES, ROW_RULES_OF
from quantx.core.quality.rule import FINDING_SEVERITY, Rule, split_by
from quantx.pipeline.options.rejections import Rejections
from quantx.pipeline.options.sorted_runs import RANK
from quantx.providers.options.kinds import TABLES_BY_KIND
from quantx.providers.options.protocol import OptionKind

# The lowest and the highest price of an underlying in a session, as traded; None where the lake has no bar of it.
PricesOf = Callable[[str, date], tuple[float, float] | None]

_TOLERANCE = 0.01  # of the underlying's price: quotes and bars are of two vendors, and bars lack the auctions
_HALF = next(rule for rule in MEMBER_RULES if rule.id == HALF_CHAIN_MISSING)


def no_prices(underlying: str, day: date) -> None:
    """Return no price of any underlying."""
    return


@dataclass(frozen=True)
class _Session:
    """What the rules need of one session; frames and series are by rank."""

    hours: tuple[datetime, datetime] | None
    broken: pl.Series | None  # the rules that a contract breaks on this day, null where it breaks none
    bounds: pl.DataFrame | None  # lowest, highest


class Judge:
    """Splits rows with ranks of `contracts` into accepted and rejected ones, and notes what is only doubtful."""

    def __init__(self, kind: OptionKind, source: str, contracts: pl.DataFrame, prices: PricesOf = no_prices) -> None:
        self.rejections = Rejections()
        self._kind, self._source, self._contracts, self._prices = kind, source, contracts, prices
        self._rejecting = [rule for rule in ROW_RULES_OF[kind] if rule.severity == "reject"]
        self._doubting = [rule for rule in ROW_RULES_OF[kind] if rule.severity != "reject"]
        self._sessions: dict[date, _Session] = {}
        self._doubts: Counter[tuple[str, str, date]] = Counter()
        self._minutes: dict[date, list[pl.DataFrame]] = {}

    def accepted(self, day: date, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the accepted rows of one session."""
        session = self._session(day)
        if session.broken is not None:
            rules = session.broken.gather(rows[RANK]).alias("rules")
            self.rejections.add(day, rows.with_columns(rules).filter(rules.is_not_null()))
            rows = rows.filter(rules.is_null())
        columns = rows.columns
        if "time" in columns and any("in_session" in rule.broken.meta.root_names() for rule in self._rejecting):
            rows = rows.with_columns(self._in_session(rows, session).alias("in_session"))
        checked = split_by(rows, self._rejecting)
        self.rejections.add(day, checked.rejected)
        self._note_doubts(day, checked.accepted, session)
        self._note_minutes(day, checked.accepted, session)
        return checked.accepted.select(columns)

    def findings(self) -> list[Finding]:
        """Return the findings about the accepted rows, by rule, underlying and session."""
        rules = {rule.id: rule for rule in self._doubting}
        return [
            *(self._finding(rules[rule], each, day, rows) for (rule, each, day), rows in sorted(self._doubts.items())),
            *(finding for day in sorted(self._minutes) for finding in self._half_chains(day)),
        ]

    def _session(self, day: date) -> _Session:
        if day not in self._sessions:
            checked = split_by(self._contracts.with_row_index(RANK).with_columns(date=pl.lit(day)), CONTRACT_RULES)
            broken = None
            if checked.rejected.height:
                ranks = pl.DataFrame({RANK: range(self._contracts.height)}, schema={RANK: pl.UInt32})
                broken = ranks.join(checked.rejected.select(RANK, "rules"), on=RANK, how="left", maintain_order="left")[
                    "rules"
                ]
            self._sessions[day] = _Session(option_hours(day), broken, self._bounds(day))
        return self._sessions[day]

    def _bounds(self, day: date) -> pl.DataFrame | None:
        """Return the bounds of a contract's prices: of a put its strike, of a call the underlying's price."""
        if not self._doubting:
            return None
        known = [(each, *found) for each in self._underlyings if (found := self._prices(each, day)) is not None]
        if not known:
            return None
        prices = pl.DataFrame(
            known, schema={"underlying": pl.String, "low": pl.Float64, "high": pl.Float64}, orient="row"
        )
        low, high = pl.col("low") * (1 - _TOLERANCE), pl.col("high") * (1 + _TOLERANCE)
        call, standard = pl.col("right") == "C", pl.col("multiplier").is_not_null()  # others deliver something else
        return (
            self._contracts.join(prices, on="underlying", how="left", maintain_order="left")
            .with_columns(
                pl.when(standard & call)
                .then(low - pl.col("strike"))
                .when(standard)
                .then(pl.col("strike") - high)
                .alias("lowest"),
                pl.when(standard & call)
                .then(high)
                .when(standard & low.is_not_null())
                .then(pl.col("strike"))
                .alias("highest"),
            )
            .select("lowest", "highest")
        )

    @cached_property
    def _underlyings(self) -> list[str]:
        return self._contracts["underlying"].unique(maintain_order=True).to_list()

    @cached_property
    def _codes(self) -> pl.Series:
        """The place of each contract's underlying in `_underlyings`."""
        codes = {name: code for code, name in enumerate(self._underlyings)}
        return self._contracts["underlying"].replace_strict(codes, return_dtype=pl.UInt32)

    @cached_property
    def _around_the_clock(self) -> pl.Series:
        return self._contracts["root"].is_in(AROUND_THE_CLOCK)

    def _in_session(self, rows: pl.DataFrame, session: _Session) -> pl.Series:
        if session.hours is None:
            return pl.Series([False]).new_from_index(0, rows.height)
        inside = rows["time"].is_between(*session.hours).fill_null(False)
        if self._around_the_clock.any():
            inside |= self._around_the_clock.gather(rows[RANK])
        return inside

    def _note_doubts(self, day: date, rows: pl.DataFrame, session: _Session) -> None:
        if session.bounds is None or rows.is_empty():
            return
        measured = rows.with_columns(each.gather(rows[RANK]) for each in session.bounds.get_columns())
        for rule in self._doubting:
            broken = measured.filter(rule.broken)[RANK]
            for underlying, count in self._by_underlying(broken):
                self._doubts[rule.id, underlying, day] += count

    def _by_underlying(self, ranks: pl.Series) -> Iterator[tuple[str, int]]:
        yield from self._contracts["underlying"].gather(ranks).value_counts().iter_rows()

    def _note_minutes(self, day: date, rows: pl.DataFrame, session: _Session) -> None:
        """Count the contracts with a quote at each minute from the opening to the close.

        After the close only some funds are quoted, and at night few contracts of an index.
        """
        if self._kind != "quotes_1m" or session.hours is None:
            return
        opening, close = session.hours[0], session.hours[1] - AFTER_CLOSE
        in_hours = pl.col("time").is_between(opening, close)
        quoted = rows.filter(in_hours, pl.col("bid").is_not_null() | pl.col("ask").is_not_null())
        named = quoted.select("time", self._codes.gather(quoted[RANK]).alias("underlying"))
        self._minutes.setdefault(day, []).append(named.group_by("underlying", "time").len("contracts"))

    def _half_chains(self, day: date) -> Iterator[Finding]:
        """Yield a finding for each underlying whose chain lacks half of its contracts at some minutes."""
        minutes = pl.concat(self._minutes[day]).group_by("underlying", "time").agg(pl.col("contracts").sum())
        minutes = minutes.with_columns(pl.col("contracts").median().over("underlying").alias("usual"))
        broken = minutes.filter(_HALF.broken).group_by("underlying", maintain_order=True)
        for code, few in (
            broken.agg(
                pl.len().alias("minutes"), pl.col("time").min().alias("from"), pl.col("contracts", "usual").first()
            )
            .select("underlying", pl.struct("minutes", "from", "contracts", "usual"))
            .iter_rows()
        ):
            underlying = self._underlyings[code]
            yield Finding(
                _HALF.id,
                FINDING_SEVERITY[_HALF.severity],
                underlying,
                f"the chain of {underlying} on {day} has fewer than half of its usual {few['usual']:,.0f} contracts at"
                f" {few['minutes']} minutes, the first at {few['from']:%H:%M} UTC; download the session again",
                source=self._source,
                dataset=TABLES_BY_KIND[self._kind].name,
                first_day=day,
                last_day=day,
                facts={"minutes": few["minutes"], "usual": few["usual"]},
            )

    def _finding(self, rule: Rule, underlying: str, day: date, rows: int) -> Finding:
        table = TABLES_BY_KIND[self._kind].name
        return Finding(
            rule.id,
            FINDING_SEVERITY[rule.severity],
            underlying,
            f"{rows:,} quotes of options on {underlying} on {day}: {rule.meaning}; compare the symbol's bars of the"
            " session with another vendor's",
            source=self._source,
            dataset=table,
            first_day=day,
            last_day=day,
            facts={"rows": rows},
        )
