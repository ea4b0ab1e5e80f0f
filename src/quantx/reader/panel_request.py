"""A request for a panel: the parsed arguments of `Lake.panel`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from quantx.core.fundamentals.ratio_fields import RATIOS, needs_prices
from quantx.errors import ConfigError
from quantx.reader.arguments import On, Symbols, to_date, to_vendor
from quantx.reader.bar_request import BarRequest
from quantx.reader.concept_panels import ConceptField, ConceptPanelRequest
from quantx.reader.filers import FilerRequest, Filers
from quantx.reader.point_in_time import PointInTime
from quantx.reader.session_times import SessionTimes
from quantx.reader.universes import Members


@dataclass(frozen=True, kw_only=True)
class PanelRequest:
    """Which fields of which symbols a panel shows."""

    fields: Sequence[str]
    names: Filers
    bars: partial[BarRequest]  # the other arguments, which bars and concepts have in common
    on: On | None
    shown: Members | None  # only on the days of their membership

    @property
    def prefixed(self) -> bool:
        """Return whether the names of columns begin with the field."""
        return len(self.fields) > 1

    @property
    def is_of_filers(self) -> bool:
        """Return whether no field is a price or made of one: a source is then one of filings."""
        ratios = [name for name in self.fields if name in RATIOS]
        return not needs_prices(ratios) and all(n in RATIOS or ConceptField.parse(n) is not None for n in self.fields)

    def column(self, field: str, symbol: str) -> str:
        """Return the name of a column."""
        return f"{field}_{symbol}" if self.prefixed else symbol

    def of_bars(self, fields: Sequence[str]) -> BarRequest:
        """Return the request for the fields that are prices."""
        index = "time" if self.bars.keywords["timeframe"] == "1m" else "date"
        names: Symbols = self.names  # type: ignore[assignment]  # a number is refused there
        return self.bars(names, columns=["symbol", index, *fields], on=self.on)

    def of_concepts(
        self, fields: Mapping[str, ConceptField], requests: Sequence[FilerRequest], times: SessionTimes
    ) -> ConceptPanelRequest:
        """Return the request for the fields that are concepts; ConfigError for minutes."""
        given = self.bars.keywords
        if given["currency"] is not None:
            raise ConfigError("currency is for prices; concepts and ratios are in the currency of their filings")
        if given["timeframe"] != "1d":
            raise ConfigError("a panel of concepts has a row per session; use timeframe='1d'")
        return ConceptPanelRequest(
            fields=list(fields.values()),
            requests=requests,
            first=to_date(given["start"]),
            last=to_date(given["end"]),
            moment=PointInTime.of_filings(given["as_of"], given["public_by"], times),
            source=to_vendor(given["source"]) if self.is_of_filers else None,
        )
