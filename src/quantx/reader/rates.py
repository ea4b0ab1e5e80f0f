"""Queries of published rates: yields by tenor, exchange rates of any pair, and bars in another currency."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from quantx.core.asset_classes import class_of
from quantx.core.currencies import (
    EURO,
    EURO_RATES,
    LONGEST_FILL,
    CurrencyPair,
    convert,
    filled,
    pair_rates,
    parse_pair,
    whole_unit,
)
from quantx.core.prices import PRICES
from quantx.core.rate_series import UST, tenor_months
from quantx.core.rate_tables import FX_RATES, RATES
from quantx.core.table import Table
from quantx.errors import ConfigError, NotInLake
from quantx.reader.arguments import Day, did_you_mean, shifted, to_date, to_text, to_texts, to_vendor
from quantx.reader.known_names import KnownNames, warn_user
from quantx.reader.point_in_time import PointInTime
from quantx.reader.selection import Selection
from quantx.reader.stored import one_state

_PRICES = (*PRICES, "adj_close")
_ECB_FIRST = ("ecb",)  # of several sources of exchange rates


class RateQueries(KnownNames):
    """Yields and exchange rates."""

    @one_state
    def rates(
        self,
        series: str = UST.symbol,
        tenors: str | Sequence[str] | None = None,
        start: Day | None = None,
        end: Day | None = None,
        *,
        public_by: Day | None = None,
        as_of: Day | None = None,
        source: str | None = None,
        wide: bool = True,
    ) -> pl.DataFrame:
        """Return published rates, sorted by date: one row per day and one column per tenor, in per cent.

        `series` is "UST", the par yields of the US Treasury; `tenors` as in ["3m", "10y"], None: all. Columns: date,
        the tenors from the shortest on (null: not published on that day), source, public_at and known_from (UTC, the
        latest of the row). `wide=False` gives a row per day and tenor: date, series, tenor, value, unit, source,
        public_at, known_from. Days on which nothing was published, as holidays, have no row. Start and end are
        inclusive. `public_by` gives what the publisher had published by then, `as_of` what this system knew, before
        later corrections.

        Raises NotInLake where the lake has no such series, and ConfigError for an unknown tenor.
        """
        name = to_text(series, "series").strip().upper()
        moment, vendor = PointInTime.parse(as_of, public_by), to_vendor(source)
        every = self._published(RATES, Selection.of([name], vendor), name, vendor)
        known = set(every["tenor"].unique())
        wanted = None if tenors is None else [each.strip().lower() for each in to_texts(tenors, "tenors")]
        if unknown := [each for each in wanted or () if each not in known]:
            raise ConfigError(
                f"{name} has no tenor {unknown[0]!r}{did_you_mean(unknown[0], known)}; it has"
                f" {', '.join(sorted(known, key=tenor_months))}"
            )
        selection = Selection.of([name], vendor).between(*_window(start, end))
        if wanted is not None:
            selection = selection.filtered(pl.col("tenor").is_in(wanted))
        rows = self._known(RATES, selection, moment).sort("date", "source", "tenor")
        rows = rows.unique(["date", "tenor"], keep="first", maintain_order=True)  # of several sources the first
        if rows.is_empty():
            warn_user(f"no rates of {name} on these days, or none that were known or public then", [name])
        shown = sorted(known if wanted is None else set(wanted), key=tenor_months)
        if wide:
            return _wide(rows, shown)
        order = pl.DataFrame({"tenor": shown}, {"tenor": pl.String}).with_row_index("__order")
        rows = rows.join(order, on="tenor", how="left").sort("date", "__order")
        return rows.select(
            "date", series="symbol", tenor="tenor", value="value", unit="unit", source="source",
            public_at="public_at", known_from="known_from",
        )  # fmt: skip

    @one_state
    def fx(
        self,
        pairs: str | Sequence[str],
        start: Day | None = None,
        end: Day | None = None,
        *,
        public_by: Day | None = None,
        as_of: Day | None = None,
        fill: int = 0,
        source: str | None = None,
    ) -> pl.DataFrame:
        """Return exchange rates, sorted by pair and date: the price of one unit of the first currency in the second.

        A pair is written EURUSD, EUR/USD or EURUSD=X. Columns: pair, date, rate, how, rate_date, source, public_at and
        known_from (UTC). `how`: "quoted" as published per euro, "inverse" of a published rate, "cross" through the
        euro, which is no traded price. Without `fill` there are rows of the published days only. `fill=N` (1 to 7)
        gives a row for each day of the calendar, with the rate of that day or of the last day before it, at most N
        days; `rate_date` is its date, and days without such a rate have no row. `public_by` gives what the publisher
        had published by then, `as_of` what this system knew.

        Warns with IncompleteData of pairs without rates. Raises NotInLake where the lake has no exchange rates or no
        such currency, and ConfigError for what is no pair, and a `fill` of more than a week.
        """
        wanted = list(dict.fromkeys(parse_pair(each) for each in to_texts(pairs, "pairs")))
        if fill not in range(LONGEST_FILL + 1):
            raise ConfigError(f"fill={fill!r} must be a number of days from 0 to {LONGEST_FILL}")
        first, last = _window(start, end)
        codes = {code for pair in wanted for code in pair}
        back = None if first is None else shifted(first, -fill)
        moment = PointInTime.parse(as_of, public_by)
        legs = self._euro_rates(codes, back, last, moment, to_vendor(source))
        frames = [_pair_frame(legs, pair, first, last, fill) for pair in wanted]
        if empty := [pair.name for pair, frame in zip(wanted, frames, strict=True) if frame.is_empty()]:
            warn_user(
                f"no exchange rates of {', '.join(empty)} on these days, or none that were known or public then", empty
            )
        return pl.concat(frames).sort("pair", "date")

    def _converted(self, rows: pl.DataFrame, target: str, moment: PointInTime) -> pl.DataFrame:
        """Return bars with their prices in another currency, and the columns fx_rate, fx_date and fx_source.

        Warns with IncompleteData of currencies without a rate, and of symbols whose vendor names no currency.
        """
        if unnamed := _without_currency(rows):
            warn_user(f"the vendor names no currency of {', '.join(unnamed)}: the prices in {target} are null", unnamed)
        units = rows["currency"].drop_nulls().unique().to_list()
        codes = {target}.union(whole_unit(unit)[0] for unit in units)
        legs = pl.DataFrame(schema=dict(EURO_RATES))
        if len(codes) > 1:
            first, last = _ends(rows)
            back = shifted(first, -LONGEST_FILL)
            legs = self._euro_rates(codes, back, last, moment, None, strict=False)
        prices = [name for name in _PRICES if name in rows.columns]
        converted, without = convert(rows, legs, target, prices)
        if without:
            warn_user(
                f"no exchange rate from {', '.join(without)} to {target} on these days: the prices are null;"
                " `quantx rates update` fetches the ECB's rates",
                without,
            )
        return converted

    def _euro_rates(
        self,
        codes: set[str],
        first: date | None,
        last: date | None,
        moment: PointInTime,
        source: str | None,
        *,
        strict: bool = True,
    ) -> pl.DataFrame:
        """Return EURO_RATES of some currencies; `strict`: NotInLake for a currency that was never published."""
        wanted = sorted(codes - {EURO})
        selection = Selection(source=source).filtered(pl.col("base") == EURO).filtered(pl.col("quote").is_in(wanted))
        every = self._published(FX_RATES, selection, "exchange rates", source)
        if strict and (unknown := sorted(set(wanted).difference(every["quote"].unique()))):
            raise NotInLake(f"the lake has no exchange rate of {', '.join(unknown)}", unknown)
        rows = self._known(FX_RATES, selection.between(first, last), moment)
        preferred = pl.col("source").is_in(_ECB_FIRST)
        rows = rows.sort(~preferred, "source").unique(["date", "quote"], keep="first", maintain_order=True)
        return rows.select(list(EURO_RATES))

    def _published(self, table: Table, selection: Selection, what: str, source: str | None) -> pl.DataFrame:
        """Return the stored tenors or currencies of a selection; NotInLake where the lake has no rates of it."""
        item = "tenor" if table is RATES else "quote"
        if self._stored.version(table) is None:
            raise NotInLake(f"the lake has no {what} yet; `quantx rates update` fetches them", [what])
        rows = self._stored.rows(table, selection, [item])
        if rows.is_empty() and (table is RATES or source is not None):
            of_source = f" of the source {source}" if source else ""
            shown = "source" if source else "symbol"
            names = sorted(self._stored.rows(table, columns=[shown])[shown].unique())
            raise NotInLake(f"the lake has no {what}{of_source}; it has {', '.join(names)}", [what])
        return rows


def _window(start: Day | None, end: Day | None) -> tuple[date | None, date | None]:
    """Return the days of two arguments; raise ConfigError where the start lies after the end."""
    first, last = to_date(start), to_date(end)
    if first is not None and last is not None and first > last:
        raise ConfigError(f"the start {first} lies after the end {last}")
    return first, last


def _without_currency(rows: pl.DataFrame) -> list[str]:
    """Return the symbols of bars without a currency; yields, which no rate converts, are none of them."""
    symbols = rows.filter(pl.col("currency").is_null())["symbol"].unique().sort()
    return [symbol for symbol in symbols if class_of(symbol) != "rate"]


def _ends(rows: pl.DataFrame) -> tuple[date, date]:
    """Return the first and the last date of rows, of which there are some."""
    days = rows["date"].sort()
    return days[0], days[-1]


def _wide(rows: pl.DataFrame, tenors: Sequence[str]) -> pl.DataFrame:
    """Return a row per date with a column per tenor."""
    stamps = rows.group_by("date").agg(pl.col("source").first(), pl.col("public_at").max(), pl.col("known_from").max())
    values = rows.pivot(on="tenor", on_columns=tenors, index="date", values="value")
    return values.join(stamps, on="date").sort("date").select("date", *tenors, "source", "public_at", "known_from")


def _pair_frame(
    legs: pl.DataFrame, pair: CurrencyPair, first: date | None, last: date | None, fill: int
) -> pl.DataFrame:
    """Return the rates of a pair between two days, each day of the calendar where they are filled."""
    rates = pair_rates(legs, pair)
    if fill == 0 or rates.is_empty():
        rows = rates.with_columns(pl.col("date").alias("rate_date"))
    else:
        begin, until = _ends(rates)
        begin = first or begin
        days = pl.DataFrame({"date": pl.date_range(begin, last or max(begin, until), eager=True)}, {"date": pl.Date})
        rows = filled(rates, days, fill).filter(pl.col("rate").is_not_null())
    if first is not None:
        rows = rows.filter(pl.col("date") >= first)
    return rows.select(
        pl.lit(pair.name).alias("pair"), "date", "rate", pl.lit(pair.how).alias("how"), "rate_date", "source",
        "public_at", "known_from",
    )  # fmt: skip
