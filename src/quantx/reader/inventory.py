"""Queries of the inventory: the tables, vendors, universes and symbols of a lake, and its tables as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from html import escape

import polars as pl

from quantx.core.fact_tables import FACT_TABLES
from quantx.core.symbols import market_of
from quantx.core.table import INSTANT, Table
from quantx.core.tables import ACTIONS, BARS_1D, BARS_1D_ADJUSTED, BARS_1M, UNIVERSE_MEMBERS
from quantx.errors import ConfigError, NotInLake, QuantxError
from quantx.reader.arguments import Day, Symbols, bars_table, did_you_mean, to_date, to_names, to_vendor
from quantx.reader.filers import Filers, to_filers
from quantx.reader.known_names import KnownNames
from quantx.reader.point_in_time import PointInTime, public_ends
from quantx.reader.selection import Selection

_BY_VENDOR = (BARS_1D, BARS_1M, BARS_1D_ADJUSTED, ACTIONS, *FACT_TABLES)
_TABLE_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "table": pl.String,
    "rows": pl.Int64,
    "first": pl.Date,
    "last": pl.Date,
    "known_from": INSTANT,
    "version": pl.Int64,
    "files": pl.Int64,
    "megabytes": pl.Float64,
}
_SHOWN = ("table", "rows", "first", "last", "known_from")  # in the representation


class InventoryQueries(KnownNames):
    """What a lake has."""

    def tables(self) -> pl.DataFrame:
        """Return the tables: table, rows, first and last day, known_from, version, files, megabytes.

        known_from is the newest ingestion time (UTC). It reads the logs only, not the rows.
        """
        rows = []
        for name, stored in self._stored.items():
            version, files = stored.version(), stored.files()
            if version is not None:
                facts = [files.select(_size("num_records"), *_span(stored.table, files)).row(0)]
                size = int(files["size_bytes"].sum()) if files.height else 0
                rows.append((name, *facts[0], version, files.height, round(size / 1e6, 3)))
        return pl.DataFrame(rows, schema=_TABLE_COLUMNS, orient="row")

    def versions(self, tables: Sequence[str] | None = None) -> dict[str, int]:
        """Return the newest version of each table, or of some; a table that does not exist has none.

        The same query of the same versions returns the same rows. Raises NotInLake for an unknown table.
        """
        names = list(self._stored) if tables is None else list(tables)
        for name in names:
            self._check_table(name)
        return self._stored.versions(names)

    def stored_days(self, table: str) -> tuple[date, date] | None:
        """Return the first and the last day of a table's rows, by its log; None where there are no rows.

        Raises NotInLake for an unknown table.
        """
        self._check_table(table)
        version = self._stored.version(self._stored[table].table)
        files = version.files if version is not None else ()
        firsts = [file.first_day for file in files if file.first_day is not None]
        lasts = [file.last_day for file in files if file.last_day is not None]
        return (min(firsts), max(lasts)) if firsts and lasts else None

    def sources(self) -> pl.DataFrame:
        """Return the vendors by table: source, table, rows, first and last day, known_from (newest ingestion, UTC).

        It reads the logs only, not the rows.
        """
        columns: dict[str, pl.DataType | type[pl.DataType]] = {
            "source": pl.String,
            **{name: _TABLE_COLUMNS[name] for name in _SHOWN},
        }
        parts = [pl.DataFrame(schema=columns)]
        for table in _BY_VENDOR:
            files = self._stored[table.name].files()
            if files.height:
                facts = (_size("num_records").alias("rows"), *_span(table, files))
                by_source = files.group_by(pl.col("partition.source").alias("source")).agg(facts)
                parts.append(by_source.with_columns(pl.lit(table.name).alias("table")).select(list(columns)))
        return pl.concat(parts).sort("source", "table")

    def universes(self) -> pl.DataFrame:
        """Return the universes: universe, phase, members (now), ever (all that were members), since, known_from.

        `since` is the first recorded day of a change; earlier members that left before are not known. known_from is the
        time of the newest change of the list (UTC).
        """
        members = self._stored.rows(UNIVERSE_MEMBERS)
        return (
            members.group_by("universe", "phase")
            .agg(
                pl.col("symbol").filter(pl.col("member_to").is_null()).n_unique().cast(pl.Int64).alias("members"),
                pl.col("symbol").n_unique().cast(pl.Int64).alias("ever"),
                pl.min_horizontal(pl.col("member_from").min(), pl.col("member_to").min()).alias("since"),
                pl.col("known_from").max(),
            )
            .sort("universe")
        )

    def symbols(
        self, timeframe: str = "1d", *, source: str | None = None, among: Symbols | None = None
    ) -> pl.DataFrame:
        """Return the symbols with bars: symbol, market, sources, first and last session, bars, known_from; sorted.

        The symbols are those of the vendors' series: a renamed security may have one row per symbol. It reads the
        whole table, or with `among` the rows of these symbols.
        """
        table, vendor = bars_table(timeframe), to_vendor(source)
        self._check_source(table, vendor)
        day = pl.col("date")
        facts = (day.min().alias("first"), day.max().alias("last"), pl.len().alias("bars"), pl.col("known_from").max())
        if among is None:
            rows = self._scan_known(table, Selection.of(None, vendor), None).group_by("symbol", "source")
            found = self._stored[table.name].collect(rows.agg(facts), in_pieces=True)
        else:
            own = Selection.of(to_names(among), vendor)
            read = self._stored.rows(table, own, ["symbol", "source", "date", "known_from"])
            found = read.group_by("symbol", "source").agg(facts)
        by_symbol = found.group_by("symbol").agg(
            pl.col("source").sort().alias("sources"),
            pl.col("first").min(),
            pl.col("last").max(),
            pl.col("bars").sum().cast(pl.Int64),
            pl.col("known_from").max(),
        )
        market = pl.col("symbol").map_elements(market_of, return_dtype=pl.String).alias("market")
        return by_symbol.select("symbol", market, pl.exclude("symbol")).sort("symbol")

    def scan(
        self,
        table: str,
        *,
        symbols: Filers | None = None,
        source: str | None = None,
        start: Day | None = None,
        end: Day | None = None,
        as_of: Day | None = None,
        public_by: Day | None = None,
    ) -> pl.LazyFrame:
        """Return a table as it is stored, lazily: filters and columns that follow reach its files.

        The arguments limit it by stored symbol (of the tables of filers: as in CIK0000320193), vendor and day, to rows
        as known (`as_of`) and as public (`public_by`) then. Prices are as traded and of all vendors;
        docs/reference/tables.md has the columns. Collect it soon: with an Azure identity it holds a token that expires.

        Raises NotInLake for an unknown table.
        """
        self._check_table(table)
        declared, moment = self._stored[table].table, PointInTime.parse(as_of, public_by)
        names = to_filers if "cik" in declared.schema else to_names
        selection = Selection.of(None if symbols is None else names(symbols), to_vendor(source))
        selection = selection.between(to_date(start), to_date(end))
        _check_columns(declared, selection)
        selection = self._public(declared, selection, moment.public_by)
        rows = self._scan_known(declared, selection, moment.as_of)
        return rows.with_columns(public_ends(declared, moment.day))

    def _check_table(self, name: str) -> None:
        if name not in self._stored:
            raise NotInLake(f"there is no table {name!r}{did_you_mean(str(name), self._stored)}", [str(name)])

    def _scan_known(self, table: Table, selection: Selection, as_of: datetime | None) -> pl.LazyFrame:
        """Return the rows of a selection as known at `as_of`, lazily."""
        stored = self._stored[table.name]
        if as_of is None or "known_from" not in table.schema:
            conditions = selection.conditions(table)
            return stored.scan().filter(*conditions) if conditions else stored.scan()
        known = selection.filtered(pl.col("known_from") <= as_of)
        current = stored.scan().filter(known.condition(table))
        if table.revisions.name not in self._stored:
            return current
        replaced = known.filtered(pl.col("known_to") > as_of).condition(table.revisions)
        earlier = self._stored[table.revisions.name].scan().filter(replaced)
        # Between the two commits of a round a row is current and a revision at once.
        earlier = earlier.join(current, on=list(table.revisions.key), how="anti", nulls_equal=True)
        return pl.concat([current, earlier.select(list(table.schema))])

    def __repr__(self) -> str:
        """Return the address, and the tables with their rows, days and freshness."""
        lines = [f"Lake({self.url!r})", *("  " + "  ".join(cells).rstrip() for cells in self._aligned())]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the same for notebooks."""
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{escape(cell.strip())}</td>" for cell in cells) + "</tr>"
            for cells in self._aligned()
        )
        return f"<div><b>Lake</b> <code>{escape(self.url)}</code><table>{body}</table></div>"

    def _aligned(self) -> Iterator[list[str]]:
        """Yield the cells of the representation, padded; a note where there are no tables, or they can't be read."""
        try:
            tables = self.tables().filter(~pl.col("table").str.ends_with("_revisions"))
        except QuantxError as error:
            yield [str(error)]
            return
        if tables.is_empty():
            yield ["no tables yet; `quantx backfill` fetches bars"]
            return
        cells = [
            [
                name,
                f"{rows:,} row{'' if rows == 1 else 's'}",
                f"{first} to {last}" if first is not None else "",
                f"known until {known:%Y-%m-%d %H:%M} UTC" if known is not None else "",
            ]
            for name, rows, first, last, known in tables.select(_SHOWN).iter_rows()
        ]
        widths = [max(len(row[n]) for row in cells) for n in range(len(cells[0]))]
        for name, *others in cells:
            yield [name.ljust(widths[0]), others[0].rjust(widths[1]), others[1].ljust(widths[2]), others[2]]


def _check_columns(table: Table, selection: Selection) -> None:
    """Raise ConfigError if a table can't be limited as the selection wants."""
    day = table.day is not None
    for argument, given, possible in (
        ("symbols", selection.symbols is not None, "symbol" in table.schema),
        ("source", selection.source is not None, "source" in table.schema),
        ("start and end", selection.first is not None or selection.last is not None, day),
    ):
        if given and not possible:
            raise ConfigError(f"the table {table.name} has no column for {argument}; filter the frame instead")


def _size(column: str) -> pl.Expr:
    return pl.col(column).sum().cast(pl.Int64)


def _span(table: Table, files: pl.DataFrame) -> list[pl.Expr]:
    """Return the first and the last day and the newest ingestion time by the statistics of files; null without them."""
    day = table.day
    facts = (("first", f"min.{day}"), ("last", f"max.{day}"), ("known_from", "max.known_from"))
    extremes = {"first": pl.Expr.min, "last": pl.Expr.max, "known_from": pl.Expr.max}
    return [
        (extremes[name](pl.col(column)) if column in files.columns else pl.lit(None))
        .cast(_TABLE_COLUMNS[name])
        .alias(name)
        for name, column in facts
    ]
