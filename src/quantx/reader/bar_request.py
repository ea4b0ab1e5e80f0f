"""A request for bars: the parsed arguments of `Lake.bars` and `Lake.panel`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from quantx.core.currencies import parse_currency
from quantx.core.preference import BEST
from quantx.core.prices import ADJUSTMENTS, PRICES, Adjust
from quantx.core.table import Table
from quantx.core.tables import BARS_1M
from quantx.errors import ConfigError
from quantx.reader.arguments import (
    Day,
    On,
    Symbols,
    bars_table,
    shown_columns,
    to_date,
    to_days,
    to_names,
    to_source,
    to_text,
)
from quantx.reader.point_in_time import PointInTime

SymbolsAs = Literal["asked", "of_day"]


@dataclass(frozen=True, kw_only=True)
class BarRequest:
    """Which bars to read, and how to adjust them."""

    names: Sequence[str]
    on: Mapping[str, date | None]  # the day of each name on which its security carried it
    first: date | None
    last: date | None
    timeframe: str
    table: Table
    adjust: Adjust
    source: str | None
    moment: PointInTime
    base: date | None
    extended: bool
    symbols_as: SymbolsAs
    columns: Sequence[str]
    currency: str | None  # of the returned prices; None: as quoted

    @staticmethod
    def parse(
        symbols: Symbols,
        start: Day | None = None,
        end: Day | None = None,
        *,
        timeframe: str = "1d",
        adjust: Adjust = "none",
        as_of: Day | None = None,
        public_by: Day | None = None,
        source: str | None = None,
        columns: str | Sequence[str] | None = None,
        base: Day | None = None,
        extended: bool = False,
        on: On | None = None,
        symbols_as: SymbolsAs = "asked",
        currency: str | None = None,
    ) -> BarRequest:
        """Return the request of a user's arguments; raise ConfigError for a wrong one."""
        table = bars_table(timeframe)
        if symbols_as not in ("asked", "of_day"):
            raise ConfigError(f"symbols_as={symbols_as!r} must be asked or of_day")
        if adjust not in ADJUSTMENTS:
            raise ConfigError(f"adjust={adjust!r} must be one of {', '.join(ADJUSTMENTS)}")
        target = None if currency is None else parse_currency(to_text(currency, "currency"))
        shown = shown_columns(columns, minutes=table is BARS_1M, converted=target is not None)
        names = to_names(symbols)
        first, last = to_date(start), to_date(end)
        if first is not None and last is not None and first > last:
            raise ConfigError(f"the start {first} lies after the end {last}")
        if source == BEST and table is BARS_1M:
            raise ConfigError("source='best' needs verdicts, which exist only for daily bars; use timeframe='1d'")
        return BarRequest(
            names=names,
            on=to_days(names, on),
            first=first,
            last=last,
            timeframe=timeframe,
            table=table,
            adjust=adjust,
            source=to_source(source),
            moment=PointInTime.parse(as_of, public_by),
            base=to_date(base),
            extended=extended,
            symbols_as=symbols_as,
            columns=shown,
            currency=target,
        )

    @property
    def minutes(self) -> bool:
        """Return whether the bars are minutes."""
        return self.table is BARS_1M

    @property
    def best(self) -> bool:
        """Return whether the bar is chosen by the verdicts about its vendors."""
        return self.source == BEST

    @property
    def vendor(self) -> str | None:
        """Return the vendor to which rows are limited; None: rows of several vendors are needed."""
        return None if self.best else self.source

    @property
    def adjusted(self) -> bool:
        """Return whether the result depends on actions."""
        return self.adjust != "none" or "adj_close" in self.columns

    @property
    def needed_columns(self) -> list[str]:
        """Return the stored columns that the result depends on."""
        needed = {*self.table.sort, "date", "source", "known_from", *self.columns}
        if self.adjusted:
            needed |= {"close", "volume"}
        if self.currency is not None:
            needed |= {"currency"}
        if self.best:  # verdicts are about all prices
            needed |= set(PRICES)
        return [column for column in self.table.schema if column in needed]

    @property
    def day_key(self) -> tuple[str, ...]:
        """Return the columns that identify a bar of one symbol and vendor."""
        return ("time",) if self.minutes else ("date",)
