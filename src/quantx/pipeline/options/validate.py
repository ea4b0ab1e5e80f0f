"""Validate stored options: sessions, rows against the imported members, files against their digests, contracts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from io import BytesIO
from typing import Any

import polars as pl

from quantx.core.model import Window
from quantx.core.option_tables import OPTION_TABLES, RAW_MEMBERS
from quantx.core.table import Table
from quantx.core.tombstones import Tombstone
from quantx.errors import DamagedObject
from quantx.lake.files import intact_file
from quantx.lake.protocol import Tables
from quantx.lake.store import LakeLocation
from quantx.lake.tombstones import deleted_of
from quantx.pipeline.reporting.coverage_options import missing_sessions, session_rows
from quantx.providers.options.kinds import TABLES_BY_KIND
from quantx.providers.options.sessions import session_before
from quantx.state.option_members.port import MemberRecord

_HALF = 0.5  # of the contracts of the session before that still live
_SHOWN = 10


@dataclass(kw_only=True)
class ValidatedSeries:
    """What is stored of one underlying in one table, and what is wrong with it."""

    source: str
    dataset: str
    underlying: str
    first: date
    newest: date
    sessions: int
    rows: int
    missing: list[date] = field(default_factory=list)  # sessions of the calendar without a row
    short: list[date] = field(default_factory=list)  # sessions with fewer than half of the contracts before
    gaps: int = 0  # sessions of contracts that have rows before and after, but not then
    contracts_with_gaps: int = 0
    worst: list[str] = field(default_factory=list)  # contracts with most gaps

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is missing; contracts without a row in a session are usual for trades and bars."""
        return not self.missing and not self.short


@dataclass(kw_only=True)
class ValidatedOptions:
    """The result of a validation."""

    series: list[ValidatedSeries] = field(default_factory=list)
    members: int = 0  # imported ones, whose rows were compared
    lacking: list[dict[str, Any]] = field(default_factory=list)  # members of which rows are missing
    files: int = 0  # compared with their digests
    damaged: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is missing or damaged."""
        return not self.damaged and not self.lacking and all(each.is_whole for each in self.series)

    def as_facts(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {**asdict(self), "whole": self.is_whole}


def validate_options(
    location: LakeLocation,
    tables: Tables,
    members: Sequence[MemberRecord],
    *,
    underlying: str | None = None,
    hashes: bool = True,
    on_file: Callable[[int, int], None] = lambda done, of: None,
) -> ValidatedOptions:
    """Compare the tables of options with the calendar, with the imported members, and with the digests of their files.

    `members` are those that were imported; they are not compared for one underlying, nor where rows of their days were
    deleted for good. With `hashes` each data file is read once.
    """
    done, stones = ValidatedOptions(), deleted_of(location).stones
    dated = [table for table in OPTION_TABLES if "date" in table.schema]
    files = {table.name: _files(tables, table, underlying) for table in dated}
    total, number = sum(frame.height for frame in files.values()), 0
    for table in dated:
        sessions = session_rows(tables[table.name])
        seen: list[pl.DataFrame] = []
        for path in files[table.name]["path"] if hashes and files[table.name].height else ():
            number += 1
            on_file(number, total)
            seen += _contracts(location, table, path, done)
        if underlying is None:
            _compare_members(table, sessions, [each for each in members if not _has_deleted(each, stones)], done)
        else:
            sessions = sessions.filter(pl.col("underlying") == underlying)
        contracts = pl.concat(seen).unique() if seen else None
        done.series += _series(table, sessions, contracts)
    return done


def _files(tables: Tables, table: Table, underlying: str | None) -> pl.DataFrame:
    files = tables[table.name].files()
    if files.is_empty() or underlying is None:
        return files
    return files.filter(pl.col("partition.underlying") == underlying)


def _contracts(location: LakeLocation, table: Table, path: str, done: ValidatedOptions) -> Iterator[pl.DataFrame]:
    """Yield the contracts of each session of a file; note a damaged one."""
    done.files += 1
    try:
        body = intact_file(location, table, f"{table.path}/{path}")
    except DamagedObject as error:
        done.damaged.append(str(error))
        return
    of_path = dict(part.split("=", 1) for part in path.split("/")[:-1])
    columns = ["source", "date", "contract", "expiration"]
    rows = pl.read_parquet(BytesIO(body), columns=columns, hive_partitioning=False)
    yield rows.unique().with_columns(pl.lit(of_path["underlying"]).alias("underlying"))


def _has_deleted(member: MemberRecord, stones: Sequence[Tombstone]) -> bool:
    """Return whether rows of a member may be deleted for good: their number proves nothing then."""
    days = None if member.first_day is None or member.last_day is None else Window(member.first_day, member.last_day)
    own = (stone for stone in stones if stone.source == member.source and stone.has_dataset(RAW_MEMBERS))
    return days is not None and any(span.overlaps(days) for stone in own for span in stone.spans())


def _compare_members(
    table: Table, sessions: pl.DataFrame, members: Sequence[MemberRecord], done: ValidatedOptions
) -> None:
    """Note the members of whose days the table has fewer rows than they brought."""
    for member in members:
        kind = next((each for each, of in TABLES_BY_KIND.items() if of is table), None)
        if member.kind != kind or member.first_day is None or member.last_day is None or not member.rows:
            continue
        first = session_before(member.first_day) if kind == "open_interest" else member.first_day
        stored = sessions.filter(pl.col("source") == member.source, pl.col("date").is_between(first, member.last_day))[
            "rows"
        ].sum()
        done.members += 1
        if stored < member.rows:
            done.lacking.append(
                {"member": member.name, "dataset": table.name, "rows": member.rows, "stored": int(stored)}
            )


def _series(table: Table, sessions: pl.DataFrame, contracts: pl.DataFrame | None) -> Iterator[ValidatedSeries]:
    for (source, underlying), part in sessions.group_by("source", "underlying", maintain_order=True):
        series = ValidatedSeries(
            source=str(source),
            dataset=table.name,
            underlying=str(underlying),
            first=part["date"][0],
            newest=part["date"][-1],
            sessions=part.height,
            rows=int(part["rows"].sum()),
            missing=missing_sessions(part),
        )
        if contracts is not None:
            own = contracts.filter(pl.col("source") == source, pl.col("underlying") == underlying)
            _note_gaps(series, own)
        yield series


def _note_gaps(series: ValidatedSeries, contracts: pl.DataFrame) -> None:
    """Note the sessions that a contract lacks between its first and its last one, and sessions with half a chain."""
    days = contracts.select(pl.col("date").unique().sort()).with_row_index("place")
    placed = contracts.join(days, on="date")
    spans = placed.group_by("contract").agg(
        (pl.col("place").max() - pl.col("place").min() + 1 - pl.len()).cast(pl.Int64).alias("gaps")
    )
    with_gaps = spans.filter(pl.col("gaps") > 0).sort("gaps", "contract", descending=[True, False])
    series.gaps, series.contracts_with_gaps = int(with_gaps["gaps"].sum()), with_gaps.height
    series.worst = with_gaps["contract"].head(_SHOWN).to_list()
    if series.dataset not in ("options_quotes_1m", "options_quotes_1d", "options_open_interest"):
        return  # most contracts are not traded every day
    counts = placed.group_by("place").agg(pl.col("contract").n_unique().alias("contracts"))
    following = days.select(pl.col("place"), pl.col("date").shift(-1).alias("next"))
    living = (
        placed.join(following, on="place")
        .filter(pl.col("expiration") >= pl.col("next"))
        .group_by("place")
        .agg(pl.col("contract").n_unique().alias("living"))
    )
    both = counts.join(living.with_columns(pl.col("place") + 1), on="place").join(days, on="place")
    short = both.filter(pl.col("contracts") < pl.col("living") * _HALF)
    series.short = short["date"].sort().to_list()
